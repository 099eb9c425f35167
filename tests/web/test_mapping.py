"""The console's view of recent messages: what became of each, and nothing of the customer."""

from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from relay.web.mapping import RECENT_MAX
from tests.event.messages import message
from tests.web.lab import Relay, open_relay
from tests.web.segment_lab import ENVIRON, send, with_keys

pytestmark = pytest.mark.anyio


@pytest.fixture
async def relay(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Relay]:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as opened:
        await opened.sign_in()
        yield opened


async def test_each_message_is_shown_with_what_became_of_it_newest_first(relay: Relay) -> None:
    await send(relay)
    await send(relay, body=message("Product Added", messageId="m-2", properties={"price": "much"}))
    await send(relay, body=message(type="identify"), call="identify")
    messages = (await relay.http.get("/api/mapping")).json()["messages"]
    assert [(each["name"], each["became"], each["event_name"], each["reason"]) for each in messages] == [
        ("Order Completed", "no event", None, "not_mapped"),
        ("Product Added", "refused", None, "invalid_value"),
        ("Order Completed", "sent on", "Purchase", None),
    ]
    fields = {field["name"]: (field["value"], field["source"]) for field in messages[-1]["fields"]}
    assert fields["value"] == ("25", "properties.revenue")
    assert fields["em"][0] == "hashed"
    assert fields["em"][1].startswith("context.traits.email; ")
    assert fields["client_ip_address"] == ("not shown here", "context.ip")


async def test_the_page_says_the_same(relay: Relay) -> None:
    assert "No message yet" in (await relay.http.get("/mapping")).text
    await send(relay, body=message("<b>Seen</b>"))
    page = (await relay.http.get("/mapping")).text
    assert "<b>Seen</b>" not in page
    assert "<b>Seen</b>" in unescape(page)


async def test_nothing_of_the_customer_is_kept(relay: Relay) -> None:
    traits = {"email": "ada.qzxv@shop.example", "lastName": "Lovelaceqzxv"}
    sent = message("Seen by eve.qzxv@x.example", context={"traits": traits}, userId="qzxv-user")
    await send(relay, body=sent)
    await send(relay, body=sent | {"event": "Seen", "messageId": "m-2"})
    shown = (await relay.http.get("/api/mapping")).text + (await relay.http.get("/mapping")).text
    assert "Seen" in shown
    assert "qzxv" not in shown
    assert "203.0.113.9" not in shown


async def test_only_the_last_are_kept_and_of_the_site_that_is_asked_for(relay: Relay) -> None:
    batch = {"batch": [message("Seen", messageId=f"m-{n}") for n in range(RECENT_MAX + 5)]}
    await send(relay, "batch", batch)
    await send(relay, "batch", {"batch": [message("Seen", messageId="last")]})
    messages = (await relay.http.get("/api/mapping")).json()["messages"]
    assert (len(messages), messages[0]["event_id"]) == (RECENT_MAX, "last")
    assert (await relay.http.get("/api/mapping?site=other-shop")).json()["messages"] == []


async def test_it_is_for_people_who_have_signed_in(tmp_path: Path, anyio_backend: str) -> None:
    async with open_relay(with_keys(tmp_path), environ=ENVIRON) as relay:
        assert (await relay.http.get("/api/mapping")).status_code == 401
