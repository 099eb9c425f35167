"""The Settings page, and test mode: shown on every page, with an end, and left out of calls after it."""

from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import msgspec
import pytest

from relay.loading import read_sources, settings_of
from relay.settings import Pixel, Settings
from tests.web.lab import NOW_MS, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

UNTIL = datetime.fromtimestamp(NOW_MS / 1_000 + 600, UTC)


def in_test_mode(folder: Path, until: datetime | None) -> Settings:
    settings = lab_settings(folder)
    pixels = (Pixel(id="1234567890", test_event_code="TEST<1>", test_event_code_until=until),)
    site = msgspec.structs.replace(settings.site[0], pixels=pixels)
    return msgspec.structs.replace(settings, site=(site,))


async def test_settings_need_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/settings")).status_code == 401


async def test_every_setting_is_shown_with_its_origin_and_nothing_can_be_changed(console: Relay) -> None:
    answer = (await console.http.get("/api/settings")).json()
    assert answer["testing"] == []
    by_name = {(row["section"], row["name"]): row for row in answer["settings"]}
    assert by_name["server", "public_url"]["origin"] == "program"  # made by this test, not read
    assert by_name["delivery", "batch_max"]["origin"] == "default"
    page = unescape((await console.http.get("/settings")).text)
    assert all(
        text in page for text in ("[site[0].pixels[0]]", "batch_max", "counterfoil config show --origin")
    )
    assert page.count("<form") == 1  # signing out
    assert (await console.http.post("/settings")).status_code == 405


async def test_test_mode_is_shown_on_every_page_until_it_ends(tmp_path: Path) -> None:
    async with open_relay(in_test_mode(tmp_path, UNTIL)) as relay:
        await relay.sign_in()
        for path in ("/receipts", "/issues", "/settings"):
            page = (await relay.http.get(path)).text
            assert "they count all the same" in page
            assert "TEST&lt;1&gt;" in page
        assert (await relay.http.get("/api/settings")).json()["testing"] == [
            {"pixel": "1234567890", "code": "TEST<1>", "until_ms": NOW_MS + 600_000}
        ]
        relay.clock.now_ms += 600_000
        assert "Test mode" not in (await relay.http.get("/receipts")).text


async def test_test_mode_without_an_end_says_so(tmp_path: Path) -> None:
    async with open_relay(in_test_mode(tmp_path, None)) as relay:
        await relay.sign_in()
        assert "no end is set" in (await relay.http.get("/receipts")).text


async def test_the_page_before_the_sign_in_tells_nothing(tmp_path: Path) -> None:
    async with open_relay(in_test_mode(tmp_path, None)) as relay:
        assert "Test mode" not in (await relay.http.get("/sign-in")).text


def test_the_end_is_a_moment_of_the_settings_file(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        '[[site]]\nkey = "demo"\norigins = ["https://shop.example"]\n[[site.pixels]]\nid = "1"\n'
        'test_event_code = "TEST1"\ntest_event_code_until = 2026-12-01T18:00:00Z\n'
    )
    sources = read_sources(config, {}, {})
    (pixel,) = settings_of(sources, {}).site[0].pixels
    assert pixel.test_until_ms() == 1_796_148_000_000
