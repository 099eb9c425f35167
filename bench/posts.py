"""Posts as the snippet sends them, and one round of them against one server."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bench.load import ID, Load, Measured, generate
from bench.processes import SITE, Process

AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
HEADERS: Final = {
    "origin": "https://shop.example",
    "content-type": "application/json",
    "user-agent": AGENT,
}


def event(state: str) -> dict[str, Any]:
    """A Purchase."""
    return {
        "event_name": "Purchase",
        "event_id": ID.decode(),
        "age_ms": 412,
        "url": "https://shop.example/thanks?order=1001",
        "referrer": "https://shop.example/checkout",
        "fbp": "fb.1.1763859600000.1234567890",
        "custom_data": {
            "value": 49.9,
            "currency": "EUR",
            "content_type": "product",
            "contents": [{"id": "sku-1", "quantity": 2, "item_price": 24.95}],
        },
        "user_data": {"em": "a" * 64, "external_id": "b" * 64},
        "pixel": {"state": state, "evidence": "unload", "transport": "image", "dispatched_ms": 3},
    }


def load(
    port: int,
    requests: int,
    connections: int,
    prefix: str,
    *,
    site: str = SITE,
    state: str = "pending",
    events: int = 1,
    per_second: float | None = None,
) -> Load:
    """Posts of so many events, all of one id where there are more."""
    body = msgspec.json.encode({"site": site, "events": [event(state)] * events}).decode()
    return Load(
        port=port,
        path="/v1/events",
        headers=HEADERS,
        body=body,
        requests=requests,
        connections=connections,
        prefix=prefix,
        per_second=per_second,
    )


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one server."""

    measured: Measured
    cpu_ms_per_request: float
    memory_mib: float


def turn(
    process: Process,
    requests: int,
    connections: int,
    prefix: str,
    *,
    state: str = "pending",
    per_second: float | None = None,
) -> Turn:
    """After a few posts to warm up; raises where one was not taken."""
    generate(load(process.port, connections * 4, connections, f"{prefix}-warm", state=state))
    before = process.cpu_seconds()
    posts = load(process.port, requests, connections, prefix, state=state, per_second=per_second)
    measured = generate(posts)
    if measured.statuses != {202: requests}:
        raise RuntimeError(f"not every post was taken: {measured.statuses}")
    used = process.cpu_seconds() - before
    return Turn(
        measured=measured, cpu_ms_per_request=used * 1_000 / requests, memory_mib=process.memory_mib()
    )


def median(turns: Sequence[Turn]) -> Turn:
    return sorted(turns, key=lambda each: each.measured.per_second)[len(turns) // 2]
