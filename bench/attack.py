"""A good client alone, beside slow and silent connections, and beside another site's flood: `python -m bench.attack`.

`[--requests 600] [--rounds 3]`. The good client posts a hundred times a second to the relay. The flood is over its
site's budget from the start, so that nearly all of it is answered 429. Its generator takes processor time of the same
machine; so there is a control: the same flood, as many posts a second from the same generator, at another cheap server
(`bench/peers/bare.py`), while the good client goes on with the relay. What it costs the relay to answer the flood is
the ratio to that control. Cases take turns, round after round, and the median round counts.
"""

import argparse
import contextlib
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from bench.load import Measured, generate, generating
from bench.posts import load, turn
from bench.processes import OTHER_SITE, Process, bare, graph, relay
from bench.table import Row, print_table

GOOD: Final = 16  # connections of the good client
GOOD_PACE: Final = 100.0  # its posts a second
SLOW: Final = 500
FLOODS: Final = (16, 500)  # connections; the relay lets up to half of `connections_max` wait for their 429
BUDGET: Final = 12_000  # events a minute that a site may post; it starts anew with each relay
EVENTS_MAX: Final = 20  # of one post
ALONE: Final = "nobody"
HEAD_BYTES: Final = b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY_TO_COME: Final = HEAD_BYTES + b"origin: https://shop.example\r\ncontent-length: 1000\r\n\r\n"

# What each connection sends at once, then every second; and the seconds between one's beginning and the next one's.
HOSTILE: Final[dict[str, tuple[bytes, bytes, float]]] = {
    f"{SLOW} silent connections": (b"", b"", 0),
    f"{SLOW} heads, a byte a second": (HEAD_BYTES, b"x", 0),
    f"{SLOW} heads, then silence": (HEAD_BYTES, b"", 0),
    f"{SLOW} bodies, a byte a second": (BODY_TO_COME, b"x", 0),
    f"{SLOW} bodies, begun one by one": (BODY_TO_COME, b"x", 0.016),
    f"{SLOW} bodies without an Origin": (HEAD_BYTES + b"content-length: 1000\r\n\r\n", b"x", 0),
}


class Flood(NamedTuple):
    per_second: float
    refused: float  # share


class Found(NamedTuple):
    good: dict[str, list[Measured]]
    floods: dict[str, list[Flood]]


def _rows(requests: int, rounds: int) -> Iterator[Row]:
    found = Found(defaultdict(list), defaultdict(list))
    for _ in range(rounds):
        with graph() as meta, relay(meta, budget=BUDGET) as process, bare() as other:
            for name, beside in _quiet_cases(process.port).items():
                with beside():
                    found.good[name].append(_good(process, requests, name))
            _use_up_budget(process)
            for connections in FLOODS:
                _flood(process, other, requests, connections, found)
            memory_mib = process.memory_mib()
    yield from _told(found)
    yield Row("attack", "after all of it", "memory MiB", memory_mib)


def _quiet_cases(port: int) -> dict[str, Callable[[], AbstractContextManager[object]]]:
    cases: dict[str, Callable[[], AbstractContextManager[object]]] = {ALONE: nullcontext}
    return cases | {name: partial(_slow, port, *sent) for name, sent in HOSTILE.items()}


def _good(process: Process, requests: int, prefix: str) -> Measured:
    return turn(process, requests, GOOD, prefix, per_second=GOOD_PACE).measured


def _use_up_budget(process: Process) -> None:
    generate(load(process.port, BUDGET // EVENTS_MAX, GOOD, "full", site=OTHER_SITE, events=EVENTS_MAX))


def _flood(process: Process, other: Process, requests: int, connections: int, found: Found) -> None:
    """The flood at the relay, as fast as it is answered, then as many posts a second at the other server."""
    name, pace = f"flood, {connections} connections", None
    for server, case in ((process, name), (other, _control(name))):
        posts = load(server.port, 10_000_000, connections, "flood", site=OTHER_SITE, per_second=pace)
        with generating(posts) as ended:
            found.good[case].append(_good(process, requests, case))
            flood = ended()
        refused = flood.statuses.get(429, 0) / sum(flood.statuses.values())
        found.floods[case].append(Flood(flood.per_second, refused))
        pace = flood.per_second


def _control(name: str) -> str:
    return f"control: {name}"


def _told(found: Found) -> Iterator[Row]:
    p99 = {name: median(each.p99_ms for each in measured) for name, measured in found.good.items()}
    p50 = {name: median(each.p50_ms for each in measured) for name, measured in found.good.items()}
    for name in found.good:
        yield Row("attack", name, "p50 ms", p50[name], p50[ALONE], ALONE)
        yield Row("attack", name, "p99 ms", p99[name], p99[ALONE], ALONE)
        if _control(name) in found.good:
            yield Row("attack", name, "p99 ms", p99[name], p99[_control(name)], "its control")
    for name, floods in found.floods.items():
        yield Row("attack", name, "the flood's posts/s", median(each.per_second for each in floods))
        yield Row("attack", name, "answered 429, %", median(each.refused for each in floods) * 100)


@contextlib.contextmanager
def _slow(port: int, first: bytes, drip: bytes, apart_seconds: float) -> Iterator[None]:
    """As many hostile connections all the while: one that the relay has ended is opened again."""
    stop = threading.Event()
    thread = threading.Thread(target=_keep_open, args=(port, first, drip, apart_seconds, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _keep_open(port: int, first: bytes, drip: bytes, apart_seconds: float, stop: threading.Event) -> None:
    opened: list[socket.socket | None] = []
    while len(opened) < SLOW and not stop.wait(apart_seconds):
        opened.append(_connect(port, first))
    while not stop.wait(1):
        for place, each in enumerate(opened):
            if each is None or not _goes_on(each, drip):
                opened[place] = _connect(port, first)
    for each in opened:
        if each is not None:
            each.close()


def _connect(port: int, first: bytes) -> socket.socket | None:
    with contextlib.suppress(OSError):
        opened = socket.create_connection(("127.0.0.1", port), 1)
        opened.setblocking(False)
        opened.send(first)
        return opened
    return None


def _goes_on(opened: socket.socket, byte: bytes) -> bool:
    """False where the relay has said something, or has gone: then the connection is closed."""
    try:
        opened.send(byte)
        opened.recv(1)
    except BlockingIOError:
        return True  # nothing was said
    except OSError:
        pass
    opened.close()
    return False


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    yield from _rows(asked.requests, asked.rounds)


if __name__ == "__main__":
    print_table(measured())
