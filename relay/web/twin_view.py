"""What a Meta twin says of an event_id, read with care: what answers at `graph_url` may be no twin at all."""

from typing import Any

import msgspec

from relay.event.address import Family
from relay.event.records import Json


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the twin received it."""

    pixel: str
    event_name: str
    event_id: str | None
    received_ms: int
    ip: str | None = None
    user_agent: str | None = None
    fbp: str | None = None
    fbc: str | None = None
    value: str | None = None
    currency: str | None = None
    via: str | None = None
    params: Any = None


class TwinState(msgspec.Struct, frozen=True, kw_only=True):
    browser: tuple[Arrived, ...]
    server: tuple[Arrived, ...]
    counted: dict[str, dict[str, int]]  # dedup profile → event name → events, over all pixels

    def of(self, pixel: str, event_name: str) -> "TwinState":
        """The part that belongs to one receipt."""

        def ours(events: tuple[Arrived, ...]) -> tuple[Arrived, ...]:
            return tuple(each for each in events if (each.pixel, each.event_name) == (pixel, event_name))

        return TwinState(browser=ours(self.browser), server=ours(self.server), counted=self.counted)


def read_twin(state: Json | None) -> TwinState | None:
    try:
        return None if state is None else msgspec.convert(state, TwinState)
    except msgspec.ValidationError:
        return None


class AddressWay(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs whose Pixel's request came over one family, and whose server event names an address of the other."""

    pixel: Family
    server: Family
    pairs: int
    same: int  # of these, those with one and the same address


class _TwinAddresses(msgspec.Struct, frozen=True):
    ways: tuple[AddressWay, ...]


def read_twin_addresses(state: Json | None) -> tuple[AddressWay, ...] | None:
    """What a twin says of the addresses of all pairs; None where it says nothing, or is none."""
    try:
        return None if state is None else msgspec.convert(state, _TwinAddresses).ways
    except msgspec.ValidationError:
        return None
