"""What the page's script gives the Pixel for a message is what the relay sends of it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.outcome import ActionSource
from relay.event.records import ServerSideEvent
from relay.event.segment import read_message, stated_now_ms
from relay.settings import EventMapping, Pixel, Settings, Site
from tests.event.messages import NOW_MS

# The page's own mapper is held to the same rows by tests/js/segment.test.js.
FIXTURE: dict[str, Any] = msgspec.json.decode(
    (Path(__file__).parent.parent / "js" / "data" / "segment.json").read_bytes()
)
SITE = Site(key="shop", origins=("https://shop.example",), pixels=(Pixel(id="1"),))


def test_the_page_starts_from_the_same_settings() -> None:
    assert msgspec.json.decode(msgspec.json.encode(EventMapping())) == FIXTURE["defaults"]


@pytest.mark.parametrize("row", FIXTURE["rows"], ids=[row["about"] for row in FIXTURE["rows"]])
def test_every_message_becomes_what_the_page_makes_of_it(row: dict[str, Any]) -> None:
    mapping = msgspec.convert(row["mapping"], EventMapping)
    now_ms = stated_now_ms(row["message"]) or NOW_MS
    event = read_message(row["message"], mapping, now_ms=now_ms)
    mapped = None
    if isinstance(event, ServerSideEvent) and event.action_source is ActionSource.WEBSITE:
        outbox = enrich_server(event, received_ms=now_ms, site=SITE, settings=Settings())
        if not isinstance(outbox, Refused):
            sent = msgspec.json.decode(outbox[0].server_event)
            mapped = {"name": sent["event_name"], "data": sent.get("custom_data", {})}
    assert mapped == row["mapped"]
