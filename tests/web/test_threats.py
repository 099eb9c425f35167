"""Attacks of SECURITY.md that cross several parts, and are tried on the whole relay."""

import asyncio
import itertools
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from relay.settings import Limits, Pixel, Site
from relay.store.protocol import Filters
from tests.event.malformed import SITE_KEY, good_event, nested, post
from tests.web.lab import ORIGIN, OTHER_SITE, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio


async def test_only_a_site_s_own_origins_and_pixels_are_stored(tmp_path: Path) -> None:
    third = Site(
        key="third-shop", origins=(ORIGIN, "https://third.example"), pixels=(Pixel(id="7777777777"),)
    )
    settings = lab_settings(tmp_path)
    sites = {site.key: site for site in (*settings.site, third)}
    origins = (ORIGIN, OTHER_SITE.origins[0], "https://third.example", "null", "https://evil.example", "")
    pixels = ("1234567890", "5555555555", "7777777777")
    allowed = 0
    async with open_relay(msgspec.structs.replace(settings, site=tuple(sites.values()))) as relay:
        for number, (key, origin, pixel) in enumerate(
            itertools.product((*sites, "no-such-site"), origins, pixels)
        ):
            event = good_event(event_id=f"e-{number}", pixel_ids=[pixel])
            answer = await relay.post(event, site=key, origin=origin)
            site = sites.get(key)
            may = site is not None and origin in site.origins and pixel in site.pixel_ids()
            assert (answer.status_code == 202 and answer.json()["accepted"] == 1) == may, (key, origin, pixel)
            allowed += may
        rows = await relay.store.recent(Filters(limit=500))
        assert len(rows) == allowed == 4
        assert all(row.pixel in sites[row.site].pixel_ids() for row in rows)


async def test_a_captured_post_sent_a_thousand_times_at_once_is_one_event(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        lab_settings(tmp_path), limits=Limits(address_posts_per_minute=2_000, answer_delay_ms=0)
    )
    async with open_relay(settings) as relay:
        answers = await asyncio.gather(*(relay.post() for _ in range(1_000)))
        assert sum(answer.json()["accepted"] for answer in answers) == 1
        assert sum(answer.json()["duplicates"] for answer in answers) == 999
        assert len(await relay.store.recent(Filters())) == 1


async def test_no_address_of_an_event_is_ever_called(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        inside = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data"
        event = good_event(
            url=inside, referrer=inside, custom_data={"value": 1, "currency": "EUR", "url": inside}
        )
        assert (await relay.post(event, referer=inside)).json()["accepted"] == 1
        await relay.sign_in()
        assert (await relay.http.get("/receipts/e-1")).status_code == 200
        with pytest.raises(BlockingIOError):
            trap.accept()


HEAVY = {
    "many keys": post(
        good_event(custom_data={"value": 1, "currency": "EUR"} | {f"k{i}": i for i in range(3_000)})
    ),
    "a long number": b'{"site":"demo-shop","events":[' + b"9" * 60_000 + b"]}",
    "a long exponent": b'{"site":"demo-shop","events":[1e' + b"9" * 60_000 + b"]}",
    "deep lists": b"[" * 60_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep custom_data": post(good_event()).replace(b'{"value": 49.9, "currency": "EUR"}', nested(2_000)),
    "one key many times": b"{" + b'"site":"demo-shop",' * 3_000 + b'"events":[]}',
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY.keys())
async def test_a_body_made_to_be_expensive_is_refused(relay: Relay, body: bytes) -> None:
    answer = await relay.post_raw(body)
    assert answer.status_code == 400 or answer.json()["accepted"] == 0
    assert await relay.store.recent(Filters()) == []
    assert (await relay.post()).status_code == 202


BREAKS = ("\r\nset-cookie: stolen=1", "\r\n\r\n<html>", "\nx: y", "\r", "%0d%0ax: y", "\u2028x: y", "\x85x")


@pytest.mark.parametrize("text", BREAKS)
async def test_no_line_break_reaches_a_header(relay: Relay, text: str) -> None:
    await relay.sign_in()
    led = await relay.http.get("/receipts", params={"event_id": f"a{text}"})
    assert "set-cookie" not in led.headers
    assert not set(led.headers.get("location", "")) & set("\r\n")
    evil = good_event(
        fbp=f"fb.1.1763859600000.1{text}", fbc=f"fb.1.1763859600000.A{text}", event_id=f"e{text}"
    )
    answer = await relay.post(evil)
    assert answer.status_code == 202
    assert not any("stolen" in value for value in answer.headers.values())


SQL = (
    "'",
    '"',
    "`",
    "\\",
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "') OR ('1'='1",
    "1; DROP TABLE event; --",
    "'; DELETE FROM event; --",
    "' UNION SELECT sql FROM sqlite_master --",
    "' UNION ALL SELECT NULL,NULL,NULL --",
    "x' AND 1=(SELECT COUNT(*) FROM event) --",
    "' AND randomblob(1000000000) --",
    "' || (SELECT hex(randomblob(9))) || '",
    "%' OR '%'='",
    "_%",
    "1 OR 1=1",
    "0x27",
    "/**/OR/**/1=1",
    "';ATTACH DATABASE '/tmp/x' AS x;--",
    "'; PRAGMA writable_schema=1; --",
    ":before",
    "?1",
    "NULL",
    "event.id",
    "char(39)",
    "'\x00",
)


async def test_no_text_reaches_sql(relay: Relay) -> None:
    await relay.post()
    await relay.sign_in()
    for text in SQL:
        for name in ("site", "event_name"):
            found = await relay.http.get("/api/receipts", params={name: text})
            assert found.json()["receipts"] == [], text
        for name in ("fate", "before", "limit"):
            assert (await relay.http.get("/api/receipts", params={name: text})).status_code == 400, (
                name,
                text,
            )
        assert (await relay.http.get("/api/receipts/" + quote(text, safe=""))).status_code == 404
        assert (await relay.post(good_event(event_id=f"sql {text}", event_name="Lead"))).status_code == 202
        assert (await relay.post(site=text)).status_code == 403
    assert [row.event_id for row in await relay.store.recent(Filters(event_name="Purchase"))] == ["e-1"]
    assert (await relay.store.recent(Filters(site=SITE_KEY)))[-1].event_id == "e-1"
