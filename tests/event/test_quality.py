"""Reading what Meta says of a pixel's quality, and comparing all senders with one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.quality import (
    SHARE_SENTENCES,
    DedupKey,
    EventQuality,
    KeyCoverage,
    MetaDiagnostic,
    Share,
    query_fields,
    read_quality,
    respelt,
    shares,
)

ROW: dict[str, Any] = {
    "event_name": "Purchase",
    "event_match_quality": {
        "composite_score": 7.2,
        "match_key_feedback": [
            {
                "identifier": "email",
                "coverage": {"percentage": 99.9},
                "potential_aly_acr_increase": {"percentage": 58.96},
            },
            {"identifier": "user_agent", "coverage": {"percentage": "100"}},
        ],
        "diagnostics": [
            {
                "name": "Server sending mismatched IP addresses",
                "description": "They differ.",
                "solution": "Send the visitor's.",
                "percentage": 40,
                "affected_event_count": 4,
                "total_event_count": 10,
            }
        ],
    },
    "event_coverage": {"percentage": 88, "goal_percentage": 75},
    "dedupe_key_feedback": [
        {
            "dedupe_key": "event_id",
            "browser_events_with_dedupe_key": {"percentage": 100},
            "server_events_with_dedupe_key": {"percentage": 95},
            "overall_browser_coverage_from_dedupe_key": {"percentage": 94},
        }
    ],
    "data_freshness": {"upload_frequency": "real_time"},
}


def test_an_answer_is_read_whole() -> None:
    (event,) = read_quality({"web": [ROW]})
    assert event == EventQuality(
        event_name="Purchase",
        match_quality=7.2,
        keys=(
            KeyCoverage(identifier="email", coverage=99.9, gain=58.96),
            KeyCoverage(identifier="user_agent", coverage=100.0),
        ),
        diagnostics=(
            MetaDiagnostic(
                name="Server sending mismatched IP addresses",
                description="They differ.",
                solution="Send the visitor's.",
                percent=40.0,
                affected=4,
                total=10,
            ),
        ),
        coverage=88.0,
        coverage_goal=75.0,
        dedup=(DedupKey(key="event_id", browser=100.0, server=95.0, overall=94.0),),
        freshness="real_time",
    )


def test_the_other_spelling_of_the_keys_is_read_alike() -> None:
    other = {
        ("dedup_key_feedback" if name == "dedupe_key_feedback" else name): part for name, part in ROW.items()
    }
    assert read_quality({"web": [other]}) == read_quality({"web": [ROW]})


def test_what_is_missing_or_of_another_shape_is_left_out() -> None:
    (event,) = read_quality(
        {"web": [{"event_name": "Lead", "event_match_quality": [], "event_coverage": 3}, 7, {}]}
    )
    assert (event.event_name, event.match_quality, event.keys, event.coverage) == ("Lead", None, (), 3.0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ROW, "web", "percentage"]), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["web", "error"]), json_values))
def test_no_answer_breaks_the_reader(answer: dict[str, Any]) -> None:
    assert isinstance(read_quality(answer), tuple)


def test_a_question_names_every_part_that_is_read() -> None:
    fields = query_fields({})
    assert fields.startswith("web{event_name,event_match_quality{composite_score,")
    assert "dedupe_key_feedback{dedupe_key," in fields
    assert fields.count("{") == fields.count("}")


def test_a_field_that_graph_does_not_know_is_asked_for_by_its_other_name_and_then_not_at_all() -> None:
    said = "(#100) Tried accessing nonexisting field ({})"
    first = respelt({}, said.format("dedupe_key_feedback"))
    assert first == {"dedupe_key_feedback": "dedup_key_feedback"}
    assert "dedup_key_feedback{" in query_fields(first)
    second = respelt(first, said.format("dedup_key_feedback"))
    assert second == {"dedupe_key_feedback": None}
    assert "feedback{dedupe_key," not in query_fields(second)
    assert respelt(second, said.format("dedup_key_feedback")) is None


@pytest.mark.parametrize(
    "said", ["(#200) Requires ads_read", "nonexisting field (web)", "nonexisting field (event_name)", ""]
)
def test_any_other_trouble_is_about_no_field(said: str) -> None:
    assert respelt({}, said) is None


def event(name: str = "Purchase", *, coverage: float | None = None, total: int | None = None) -> EventQuality:
    found = MetaDiagnostic(name="d", description="", solution="", percent=None, affected=None, total=total)
    return EventQuality(
        event_name=name,
        match_quality=None,
        keys=(),
        diagnostics=(found,) if total else (),
        coverage=coverage,
        coverage_goal=None,
        dedup=(),
        freshness=None,
    )


@pytest.mark.parametrize(
    ("everybody", "ours", "share"),
    [
        (event(), None, Share.OTHERS_ONLY),
        (event(), event(), Share.UNKNOWN),
        (event(coverage=90), event(), Share.UNKNOWN),
        (event(coverage=90), event(coverage=88), Share.OURS),
        (event(coverage=90), event(coverage=60), Share.OTHERS_TOO),
        (event(total=1000), event(total=990), Share.OURS),
        (event(total=1000), event(total=500), Share.OTHERS_TOO),
        (event(coverage=90, total=1000), event(coverage=90, total=500), Share.OTHERS_TOO),
    ],
)
def test_two_answers_tell_whether_somebody_else_sends(
    everybody: EventQuality, ours: EventQuality | None, share: Share
) -> None:
    assert shares([everybody], [ours] if ours else []) == {"Purchase": share}
    assert SHARE_SENTENCES[share]
