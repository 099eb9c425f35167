"""The twin's Dataset Quality API: computed from what came, strict on fields, tokens and permissions."""

from typing import Any

import httpx
import pytest

from relay.event.quality import query_fields, read_quality
from tests.twin.samples import NOW_SECONDS, PIXEL, open_twin, purchase, send_browser, send_server, user_data

URL = "/v26.0/dataset_quality"
FIELDS = query_fields({})
TOKEN = {"authorization": "Bearer EAAtest"}


def ask(twin: httpx.Client, *, fields: str = FIELDS, token: str = "EAAtest", **query: str) -> httpx.Response:
    asked = {"dataset_id": PIXEL, "fields": fields} | query
    return twin.get(URL, params=asked, headers={"authorization": f"Bearer {token}"})


def rows(twin: httpx.Client, **query: str) -> dict[str, Any]:
    return {row["event_name"]: row for row in ask(twin, **query).raise_for_status().json()["web"]}


def send_as(twin: httpx.Client, agent: str, *events: object) -> None:
    body = {"data": list(events), "partner_agent": agent}
    twin.post(f"/v26.0/{PIXEL}/events", json=body, headers=TOKEN).raise_for_status()


def test_without_events_there_is_nothing_to_say(twin: httpx.Client) -> None:
    assert ask(twin).json() == {"web": []}


def test_keys_coverage_and_freshness_are_those_of_what_came(twin: httpx.Client) -> None:
    send_browser(twin)
    send_browser(twin, eid="order-2", fbp="fb.1.1596403881668.2")
    send_server(
        twin,
        purchase(),
        purchase(event_id="order-9", user_data=user_data(em=None, fbp=None, external_id="a" * 64)),
    )
    (event,) = read_quality(ask(twin).json())
    keys = {row.identifier: row.coverage for row in event.keys}
    assert keys == {"email": 50, "external_id": 50, "fbp": 50, "ip_address": 100, "user_agent": 100}
    assert (event.coverage, event.coverage_goal, event.freshness) == (50.0, 75.0, "real_time")
    dedup = {row.key: (row.browser, row.server, row.overall) for row in event.dedup}
    assert dedup["event_id"] == (100.0, 100.0, 50.0)
    assert dedup["fbp"] == (100.0, 50.0, 50.0)
    assert event.match_quality == pytest.approx(0.5 * (2.5 + 1 + 1) + 0.8 + 0.4, abs=0.06)


def test_diagnostics_are_those_of_events_manager(twin: httpx.Client) -> None:
    send_browser(twin)
    send_server(twin, purchase())
    (event,) = read_quality(ask(twin).json())
    (found,) = event.diagnostics
    assert (found.name, found.affected, found.total) == ("Server sending mismatched IP addresses", 1, 1)


def test_events_of_another_sender_are_left_out_by_agent_name(twin: httpx.Client) -> None:
    send_as(twin, "counterfoil-0.1.0", purchase())
    send_as(
        twin, "gtmss-1.0.0-0.0.9", purchase(event_id="order-1"), purchase(event_id="x", event_name="Lead")
    )
    assert set(rows(twin)) == {"Purchase", "Lead"}
    assert set(rows(twin, agent_name="counterfoil")) == {"Purchase"}
    assert set(rows(twin, agent_name="nobody")) == set()


def test_old_events_are_not_hourly_ones(twin: httpx.Client) -> None:
    send_server(twin, purchase(event_time=NOW_SECONDS - 2 * 3600))
    assert rows(twin)["Purchase"]["data_freshness"] == {"upload_frequency": "hourly"}
    send_server(twin, *(purchase(event_id=f"o{n}", event_time=NOW_SECONDS - 3 * 86400) for n in range(9)))
    assert rows(twin)["Purchase"]["data_freshness"] == {"upload_frequency": "daily"}


def test_only_what_is_asked_for_is_answered(twin: httpx.Client) -> None:
    send_server(twin, purchase())
    fields = "web{event_name,event_coverage{goal_percentage},acr}"
    assert ask(twin, fields=fields).json() == {
        "web": [{"event_name": "Purchase", "event_coverage": {"goal_percentage": 75}}]
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("web{event_name,dedup_key_feedback{dedupe_key}}", "nonexisting field (dedup_key_feedback)"),
        ("web{event_match_quality{score}}", "nonexisting field (score)"),
        ("web{event_name", "Syntax error"),
        ("web{event_name}}", "Syntax error"),
        ("{web}", "Syntax error"),
        ("app{event_name}", "Syntax error"),
        ("", "Syntax error"),
        ("web{" + "event_name{" * 900 + "}" * 901, "nonexisting field (event_name)"),
    ],
)
def test_a_field_that_meta_does_not_have_refuses_the_question(
    twin: httpx.Client, fields: str, said: str
) -> None:
    answer = ask(twin, fields=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "token", "code"),
    [
        ({}, "other", 190),
        ({"dataset_id": ""}, "right", 100),
        ({"dataset_id": "999"}, "right", 100),
    ],
)
def test_the_token_must_be_the_pixels(query: dict[str, str], token: str, code: int) -> None:
    with open_twin(tokens={PIXEL: "right"}) as twin:
        assert ask(twin, token="right").status_code == 200
        assert ask(twin, token=token, **query).json()["error"]["code"] == code


def test_a_question_without_a_token_is_refused(twin: httpx.Client) -> None:
    assert twin.get(URL, params={"dataset_id": PIXEL, "fields": FIELDS}).json()["error"]["code"] == 104


def test_a_token_without_the_permission_is_refused_as_meta_refuses_it() -> None:
    with open_twin(quality_readable=False) as twin:
        answer = ask(twin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, 200)


def test_an_unknown_version_is_an_unknown_path(twin: httpx.Client) -> None:
    assert twin.get("/v9.0/dataset_quality", headers=TOKEN).json()["error"]["code"] == 2500


def test_a_fault_can_be_scripted_for_it(twin: httpx.Client) -> None:
    twin.post("/twin/faults", json={"what": "throttle", "path": "dataset_quality"})
    assert ask(twin).json()["error"]["code"] == 4
    assert ask(twin).status_code == 200
