"""What the counters make of calls to Graph, and that dashboard and alerts name real series."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.event.outcome import AttemptOutcome, BrowserState
from relay.event.tally import Leg
from relay.metrics import Metrics
from relay.store.protocol import AttemptResult, Backlog, LeasedEvent, PixelState

ROOT = Path(__file__).parent.parent
NOW_MS = 1_763_859_600_000
PIXEL = "1234567890"


def leased(event_id: str, leg: Leg | None) -> LeasedEvent:
    return LeasedEvent(
        key=event_id.encode().ljust(16),
        event_name="Purchase",
        event_id=event_id,
        event_time_ms=NOW_MS,
        received_ms=NOW_MS,
        attempts=0,
        server_event=b"{}",
        client_ip_address=None,
        client_user_agent=None,
        leg=leg,
    )


def rendered(metrics: Metrics, **waiting: object) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = metrics.render(
        backlog=[Backlog(pixel=PIXEL, waiting=3, oldest_due_ms=NOW_MS - 4_000, tried=0)] if waiting else [],
        parked=[PixelState(pixel=PIXEL, parked_ms=NOW_MS, code=190, message="")] if waiting else [],
        ready=True,
        now_ms=NOW_MS,
    ).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_a_receipt_says_of_each_event_whether_the_browser_was_first() -> None:
    metrics = Metrics({PIXEL: "shop"})
    events = [
        leased("first", Leg(BrowserState.SENT, NOW_MS - 10)),
        leased("after", Leg(BrowserState.SENT, NOW_MS + 10)),
        leased("blocked", Leg(BrowserState.BLOCKED, NOW_MS - 10)),
        leased("alone", None),
    ]
    metrics.called(PIXEL, AttemptResult(outcome=AttemptOutcome.RECEIPT), events, NOW_MS, NOW_MS + 250)
    found = rendered(metrics)
    for result, n in (("paired", 1), ("reversed", 1), ("server_only", 2)):
        assert found[series("relay_browser_first_total", site="shop", result=result)] == n
    assert found[series("relay_events_sent_total", site="shop", result="receipt", code="")] == 4
    assert found[series("relay_graph_latency_seconds_sum", site="shop")] == 0.25


def test_a_refused_call_is_counted_by_meta_s_code_and_says_nothing_of_the_order() -> None:
    metrics = Metrics({PIXEL: "shop"})
    result = AttemptResult(outcome=AttemptOutcome.PARK, code=190)
    metrics.called(PIXEL, result, [leased("a", None)], NOW_MS, NOW_MS)
    found = rendered(metrics)
    assert found[series("relay_events_sent_total", site="shop", result="park", code="190")] == 1
    assert not [name for name, _ in found if name == "relay_browser_first_total"]


def test_a_call_without_an_answer_has_no_latency() -> None:
    metrics = Metrics({PIXEL: "shop"})
    metrics.called(PIXEL, AttemptResult(outcome=AttemptOutcome.UNKNOWN), [leased("a", None)], NOW_MS, NOW_MS)
    assert not [name for name, _ in rendered(metrics) if name.startswith("relay_graph_latency")]


def test_what_waits_is_told_with_its_age_and_is_gone_when_it_has_left() -> None:
    metrics = Metrics({PIXEL: "shop"})
    pixel = {"site": "shop", "pixel": PIXEL}
    found = rendered(metrics, waiting=True)
    assert found[series("relay_queue_depth", **pixel)] == 3
    assert found[series("relay_queue_oldest_seconds", **pixel)] == 4
    assert found[series("relay_pixel_parked", **pixel)] == 1
    found = rendered(metrics)
    assert [found[series(name, **pixel)] for name in ("relay_queue_depth", "relay_pixel_parked")] == [0, 0]
    assert found[series("relay_queue_oldest_seconds", **pixel)] == 0


def test_what_a_file_keeps_is_told_while_the_store_does_not_answer() -> None:
    metrics = Metrics({PIXEL: "shop"})
    rendered(metrics, waiting=True)
    text = metrics.render_without_store(ready=True, spilled=7).decode()
    assert "relay_spilled_posts 7.0" in text
    assert f'relay_queue_depth{{pixel="{PIXEL}",site="shop"}} 3.0' in text, "as it was known last"
    assert (
        "relay_spilled_posts 0.0" in metrics.render(backlog=[], parked=[], ready=True, now_ms=NOW_MS).decode()
    )


def names() -> set[str]:
    """Every name that a query may use."""
    metrics = Metrics({PIXEL: "shop"})
    metrics.called(PIXEL, AttemptResult(outcome=AttemptOutcome.RECEIPT), [leased("a", None)], NOW_MS, NOW_MS)
    metrics.answered("/healthz", 200, 0.001)
    text = metrics.render(backlog=[], parked=[], ready=True, now_ms=NOW_MS).decode()
    families = {family.name for family in text_string_to_metric_families(text)}
    return families | {f"{name}{end}" for name in families for end in ("_total", "_bucket", "_sum", "_count")}


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = re.findall(
        r"^ +expr: (.+)$", (ROOT / "deploy" / "prometheus-alerts.yml").read_text(), re.MULTILINE
    )
    assert len(shown) > 8
    assert len(rules) > 6
    return shown + rules


@pytest.mark.parametrize("expression", expressions())
def test_a_query_names_series_that_there_are(expression: str) -> None:
    used = set(re.findall(r"\b(?:relay|process)_[a-z_]+", expression))
    assert used
    assert used <= names()


def test_every_series_has_its_line_in_the_documentation() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    told = {
        name
        for name in names()
        if name.startswith("relay_") and not name.endswith(("_bucket", "_sum", "_count"))
    }
    documented = set(re.findall(r"`(relay_[a-z_]+)", page))
    assert {name.removesuffix("_total") for name in documented} == {
        name.removesuffix("_total") for name in told
    }
