"""What the tripwire and the sentinel cost: their share of the work on an event between its bytes and its rows.

`python -m bench.tripwire [--events 5000] [--rounds 9]`. Parsing and enrichment of a shop's Purchases, as they are and
with each of the two left out, in turn and in one process; the median of the rounds counts, so that a busy machine
changes the times and hardly the shares.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any, Final
from unittest import mock

from bench.table import Row, print_table
from relay.event.address import ClientAddress
from relay.event.enrich import connection_address, enrich
from relay.event.fields import Refused
from relay.event.personal import Scrubbed
from relay.event.records import BrowserEvent, RequestFacts
from relay.event.wire import parse_event
from relay.settings import Pixel, Settings, Site

SITE: Final = Site(key="shop", origins=("https://shop.example",), pixels=(Pixel(id="1"),))
SETTINGS: Final = Settings(site=(SITE,))
FACTS: Final = RequestFacts(
    received_ms=1_763_859_600_000,
    peer="8.8.8.8",
    forwarded_for=(),
    forwarded=(),
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    cookies={},
    sec_purpose=None,
    sec_gpc=False,
)
KEYS: Final = ("k" * 64,)


def purchase(number: int) -> dict[str, Any]:
    """What a shop's thank-you page posts after a click on an advertisement."""
    items = [{"id": f"SKU-{number}-{part}", "quantity": 1, "item_price": 9.98} for part in range(5)]
    return {
        "event_name": "Purchase",
        "event_id": f"3f0b9f2c-6f0c-4d8e-9d53-{number:012}",
        "age_ms": 412,
        "url": f"https://shop.example/thanks?order={number}&utm_source=facebook&utm_medium=cpc&fbclid=IwAR0{number}abcdef",
        "referrer": "https://shop.example/checkout",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {"value": 49.9, "currency": "EUR", "contents": items, "order_id": str(number)},
        "user_data": {"em": f"{number:064x}"},
        "pixel": {
            "state": "sent",
            "evidence": "load",
            "transport": "image",
            "dispatched_ms": 3,
            "settled_ms": 118,
        },
    }


def work(posted: list[dict[str, Any]], connection: ClientAddress) -> None:
    for raw in posted:
        event = parse_event(raw, pixel_ids=("1",))
        assert not isinstance(event, Refused)
        rows = enrich(event, FACTS, SITE, connection=connection, settings=SETTINGS, signing_keys=KEYS)
        assert not isinstance(rows, Refused)


# Plain functions: a mock's own call would cost more than what it stands for.
def no_kind(text: str) -> None:  # noqa: ARG001 - as what it stands for
    return None


def no_findings(what: object) -> tuple[()]:  # noqa: ARG001
    return ()


def no_mark(key: str, **who: object) -> bytes:  # noqa: ARG001
    return b""


def nothing_removed(event: BrowserEvent) -> Scrubbed:
    return Scrubbed(event, {})


def without_tripwire() -> AbstractContextManager[object]:
    stack = ExitStack()
    stack.enter_context(mock.patch("relay.event.enrich.scrub", nothing_removed))
    stack.enter_context(mock.patch("relay.event.enrich.personal_kind", no_kind))
    return stack


def without_sentinel() -> AbstractContextManager[object]:
    stack = ExitStack()
    for name in ("half_findings", "personal_findings", "fate_findings"):
        stack.enter_context(mock.patch(f"relay.event.enrich.{name}", no_findings))
    stack.enter_context(mock.patch("relay.event.enrich.visitor_mark", no_mark))
    return stack


WHOLE: Final = "as it is"
WAYS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    WHOLE: nullcontext,
    "without the tripwire": without_tripwire,
    "without the sentinel": without_sentinel,
}


def timed(run: Callable[[], None]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def measured(arguments: Sequence[str] | None = None) -> Iterator[Row]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args(arguments)
    run = partial(work, [purchase(n) for n in range(asked.events)], connection_address(FACTS, SETTINGS))
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(asked.rounds):
        for way, without in WAYS.items():
            with without():
                seconds[way].append(timed(run))
    whole_us = statistics.median(seconds[WHOLE]) / asked.events * 1e6
    for way in WAYS:
        rounds = zip(seconds[WHOLE], seconds[way], strict=True)
        share = statistics.median(less / full for full, less in rounds)
        yield Row("enrichment", way, "processor µs an event", whole_us * share, whole_us, WHOLE)


if __name__ == "__main__":
    print_table(measured())
