"""The radar in a real browser: what a page with a second sender tells, and what it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.conftest import QUICK
from e2e.lab import PIXEL, POLL_MS, Json, Lab, open_lab, wait_for, wait_until

OWN_EVENT = (
    "new Image().src = '{meta}/tr/?id={pixel}&ev=Purchase&a=woocommerce-7.8.0&ud[em]=jane@example.com'"
)


def told(lab: Lab) -> Json:
    """The radar's report, once a page has told one."""

    def report() -> Json:
        seen = lab.console("/api/radar")
        return seen if seen["pages"] else {}

    return wait_until(report, "a page's report")


def verdicts(report: Json) -> set[tuple[str, str]]:
    return {(finding["sender"], finding["verdict"]) for finding in report["findings"]}


def test_a_page_tells_who_else_sends_and_with_whose_ids(lab: Lab, page: Page) -> None:
    own = OWN_EVENT.format(meta=lab.meta_url, pixel=PIXEL)
    second = f"<script>fbq('init', '{PIXEL}');{own};var pysOptions = {{}}</script>"
    gateway = f"new Image().src = '{lab.meta_url}/tr/?id={PIXEL}&ev=Lead&eid=ob3_plugin-set_{'0' * 64}'"
    reports: list[str] = []
    page.on(
        "request",
        lambda request: (
            reports.append(request.post_data or "") if request.url.endswith("/v1/report") else None
        ),
    )
    page.goto(
        lab.page(
            "/",
            f"{second}<script>{gateway}</script>",
            head=lab.snippet('data-radar="1"').replace(" async", "") + lab.base_code(),
        )
    )
    lab.wait_for_server("PageView")
    page.evaluate("counterfoil('track', 'Search', {})")
    lab.wait_for_server("Search")
    page.evaluate("dispatchEvent(new Event('pagehide'))")  # as at its end, where Playwright sees it
    report = told(lab)
    assert verdicts(report) == {
        ("openbridge", "sends"),
        ("second_init", "second_init"),
        ("pixelyoursite", "may_send"),
        ("woocommerce", "may_send"),
    }
    events = {finding["sender"]: finding["events"] for finding in report["findings"]}
    line = {"pixel": PIXEL, "ours": 0, "own": 0, "none": 0}
    assert events["openbridge"] == [line | {"event_name": "Lead", "own": 1}]
    assert events["woocommerce"] == [line | {"event_name": "Purchase", "none": 1}]
    assert report["in_step"] == 2  # PageView and Search
    assert reports
    assert all(secret not in body for body in reports for secret in ("jane", "fb.1", "shop.example"))


def test_a_page_alone_names_nobody(lab: Lab, page: Page) -> None:
    page.goto(lab.page("/", head=lab.snippet('data-radar="1"').replace(" async", "") + lab.base_code()))
    lab.wait_for_server("PageView")

    def at_its_end() -> bool:
        """The radar comes when the page is idle; one that has come tells of the page once."""
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        return bool(lab.console("/api/radar")["pages"])

    wait_for(page, at_its_end, "a page's report")
    report = told(lab)
    assert (report["pages"], report["in_step"], report["findings"]) == (1, 1, [])


@pytest.fixture
def asking_lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, delivery=QUICK, consent="required") as opened:
        yield opened


def test_without_consent_and_without_the_attribute_nothing_is_told(asking_lab: Lab, page: Page) -> None:
    reports: list[str] = []
    parts: list[str] = []
    page.on(
        "request", lambda request: reports.append(request.url) if request.url.endswith("/v1/report") else None
    )
    page.on(
        "request", lambda request: parts.append(request.url) if request.url.endswith("/radar.js") else None
    )
    lab = asking_lab
    page.goto(lab.page("/plain", head=lab.snippet('data-consent=""') + lab.base_code()))
    page.wait_for_load_state("networkidle")
    assert parts == []
    page.goto(lab.page("/", head=lab.snippet('data-consent="" data-radar="1"') + lab.base_code()))
    page.wait_for_function("sessionStorage['counterfoil.radar'] === '1'", polling=POLL_MS)
    page.wait_for_load_state("networkidle")
    page.goto("about:blank")
    assert (len(parts), reports) == (1, [])
    assert lab.console("/api/radar")["pages"] == 0
