"""The Events Manager's pages: what they show, and that nothing a client sends can act in them."""

import re

import httpx
import pytest

from tests.clock import Clock
from tests.twin.samples import purchase, send_browser, send_server, user_data

PAGES = ["/", "/test-events", "/diagnostics"]


def words(page: httpx.Response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


@pytest.mark.parametrize("path", PAGES)
def test_every_page_works_before_the_first_event(twin: httpx.Client, path: str) -> None:
    assert "No event yet" in words(twin.get(path))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_allows_no_inline_code_and_asks_no_other_host(twin: httpx.Client, path: str) -> None:
    page = twin.get(path)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page.text)
    assert all(
        link.startswith(("/", "data:", "#")) for link in re.findall(r'(?:src|href)="([^"]*)"', page.text)
    )


def test_the_overview_shows_counts_before_and_after_deduplication(twin: httpx.Client) -> None:
    send_server(twin, purchase())
    send_browser(twin)
    page = words(twin.get("/"))
    # browser, server, total; event-id and meta-5min count one, fbp and browser-first count two
    assert re.search(r"Purchase Pixel 123321 Browser Server 1 1 2 1 1 2 \+1 2 \+1 ", page)


def test_test_events_shows_a_pair_with_its_order_and_its_reason(twin: httpx.Client, clock: Clock) -> None:
    send_browser(twin)
    clock.pass_seconds(0.25)
    send_server(twin, purchase(user_data=user_data(client_ip_address="192.0.2.1")))
    page = words(twin.get("/test-events"))
    assert "Browser Server +250 ms 49.9 EUR counted once" in page
    assert "Dropped: the browser" in page
    assert "IP address 127.0.0.1 192.0.2.1 differs" in page
    assert "fbp fb.1.1596403881668.1116446470 fb.1.1596403881668.1116446470 equal" in page


def test_test_events_judges_by_the_chosen_rule(twin: httpx.Client) -> None:
    send_server(twin, purchase())
    send_browser(twin)
    assert "counted once" in words(twin.get("/test-events"))
    assert "counted 2 times" in words(twin.get("/test-events?profile=segment-strict"))
    assert "counted once" in words(twin.get("/test-events?profile=nonsense"))


def test_test_events_shows_the_newest_hundred(twin: httpx.Client) -> None:
    for number in range(103):
        send_browser(twin, eid=f"order-{number:03}")
    page = twin.get("/test-events").text
    assert page.index("order-102") < page.index("order-003")
    assert "order-002" not in page
    assert "3 older events are not shown" in page


def test_a_refused_batch_is_listed_with_what_meta_says(twin: httpx.Client) -> None:
    send_server(twin, purchase(event_id="innocent"), purchase(event_id="late", event_time=1))
    page = words(twin.get("/test-events"))
    assert "innocent 100/2804003" in page
    assert "Purchase cause late 100/2804003 The event happened longer ago" in page
    assert re.search(r"100/2804003 The event happened longer ago .* 2 ", words(twin.get("/diagnostics")))


def test_diagnostics_shows_findings_with_their_share(twin: httpx.Client) -> None:
    send_browser(twin, eid=None)
    send_browser(twin)
    page = words(twin.get("/diagnostics"))
    assert "Events without event_id 50 % 1 of 2" in page
    assert "Diagnostics 1" in words(twin.get("/"))


@pytest.mark.parametrize("path", PAGES)
def test_markup_in_any_parameter_stays_text(twin: httpx.Client, path: str) -> None:
    attack = "<script>alert(1)</script>\"'"
    send_browser(twin, ev=attack, eid=attack, fbp=attack, **{"cd[value]": attack, attack: attack})
    send_server(twin, purchase(event_name=attack, event_id=attack))
    send_server(twin, purchase(event_name=attack, event_id=attack, **{attack: 1}))
    assert "<script>alert" not in twin.get(path).text


def test_only_the_two_assets_are_served(twin: httpx.Client) -> None:
    assert twin.get("/assets/twin.css").headers["content-type"].startswith("text/css")
    assert twin.get("/assets/events-manager.js").headers["content-type"].startswith("text/javascript")
    for name in ("fbevents.js", "..%2ftwin.css", "../../pyproject.toml"):
        assert twin.get(f"/assets/{name}").status_code == 404
