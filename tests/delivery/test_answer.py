"""What each of Meta's answers means."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.answer import BLOCKED_MS, MESSAGE_MAX, Answer, classify, without_token
from relay.event.outcome import AttemptOutcome
from relay.store.protocol import AttemptResult

RECEIPT, RETRY, REJECT = AttemptOutcome.RECEIPT, AttemptOutcome.RETRY, AttemptOutcome.REJECT
PARK, UNKNOWN = AttemptOutcome.PARK, AttemptOutcome.UNKNOWN

# Published classes of a peer; what it drops as permanent is either the payload's fault or the token's.
PEER_CLASSES = {"retry": {RETRY}, "throttle": {RETRY}, "permission": {PARK}, "permanent": {REJECT, PARK}}
PEER_ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "graph_errors.jsonl").read_text().splitlines()
]


def refused(
    code: object,
    subcode: object = None,
    status: int = 400,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Answer:
    error = {"message": "Words", "type": "OAuthException", "code": code, "error_subcode": subcode, **more}
    return classify(status, headers or {}, json.dumps({"error": error}).encode(), events=3)


@pytest.mark.parametrize("row", PEER_ROWS, ids=lambda row: f"{row['code']}-{row['subcode']}")
def test_every_published_error_code_gets_a_class_that_its_publisher_would_agree_with(
    row: dict[str, Any],
) -> None:
    subcode = None if row["subcode"] == "default" else int(row["subcode"])
    assert refused(row["code"], subcode).result.outcome in PEER_CLASSES[row["class"]]


@pytest.mark.parametrize(
    ("code", "subcode", "outcome"),
    [
        (1, None, RETRY),
        (1, 99, RETRY),
        (2, None, RETRY),
        (341, None, RETRY),
        (368, None, RETRY),
        (5000, None, RETRY),
        (21009, None, RETRY),
        (4, 1504022, RETRY),
        (17, 2446079, RETRY),
        (32, None, RETRY),
        (613, 1487742, RETRY),
        (80000, None, RETRY),
        (80003, None, RETRY),
        (80004, None, RETRY),
        (80014, None, RETRY),
        (100, 2804003, REJECT),
        (100, 2804009, REJECT),
        (100, None, REJECT),
        (105, None, REJECT),
        (100, 33, PARK),
        (190, None, PARK),
        (190, 460, PARK),
        (190, 463, PARK),
        (102, None, PARK),
        (104, None, PARK),
        (3, None, PARK),
        (10, None, PARK),
        (200, None, PARK),
        (294, None, PARK),
        (2500, None, PARK),
        (2635, None, PARK),
    ],
)
def test_the_code_decides_whatever_the_type_says(
    code: int, subcode: int | None, outcome: AttemptOutcome
) -> None:
    for error_type in ("OAuthException", "GraphMethodException", None):
        assert refused(code, subcode, type=error_type).result.outcome is outcome


@pytest.mark.parametrize(
    ("status", "transient", "outcome"),
    [
        (400, False, REJECT),
        (400, True, RETRY),
        (401, False, PARK),
        (403, False, PARK),
        (429, False, RETRY),
        (500, False, RETRY),
        (503, False, RETRY),
    ],
)
def test_a_code_that_nobody_knows_is_judged_by_status_and_hint(
    status: int, transient: bool, outcome: AttemptOutcome
) -> None:
    assert refused(987654, status=status, is_transient=transient).result.outcome is outcome


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (500, b"<html>Sorry</html>", RETRY),
        (503, b"", RETRY),
        (400, b"<html>Bad Request</html>", RETRY),
        (404, b"<html>Not Found</html>", RETRY),
        (302, b"", RETRY),
        (429, b"", RETRY),
        (413, b"<html>Too Large</html>", REJECT),
        (502, b"<html>Bad Gateway</html>", UNKNOWN),
        (504, b"", UNKNOWN),
        (200, b"<html>Welcome to the hotel</html>", UNKNOWN),
        (200, b"", UNKNOWN),
        (200, b'{"events_received": 3, "fbtra', UNKNOWN),
        (200, b"{}", UNKNOWN),
        (200, b'{"messages":[]}', UNKNOWN),
        (200, b'{"events_received": true}', UNKNOWN),
        (200, b'{"events_received": "3"}', UNKNOWN),
        (200, b'{"events_received": -1}', UNKNOWN),
        (200, b'{"events_received": 2}', UNKNOWN),
        (200, b'{"events_received": 3}', RECEIPT),
        (201, b'{"events_received": 3}', RECEIPT),
        (200, b"[" * 60_000, UNKNOWN),
        (200, b"\xff\xfe", UNKNOWN),
        (400, b'{"error": "text"}', RETRY),
        (400, b'{"error": null}', RETRY),
    ],
)
def test_an_answer_without_the_promised_shape_is_never_taken_for_a_receipt(
    status: int, body: bytes, outcome: AttemptOutcome
) -> None:
    result = classify(status, {}, body, events=3).result
    assert result.outcome is outcome
    assert result.http_status == status
    assert result.message or outcome is RECEIPT


def test_a_receipt_keeps_the_trace_and_metas_remarks() -> None:
    body = b'{"events_received":3,"messages":["One","Two",7],"fbtrace_id":"AbC"}'
    assert classify(200, {}, body, events=3) == Answer(
        result=AttemptResult(outcome=RECEIPT, http_status=200, message="One Two", fbtrace_id="AbC")
    )


def test_an_error_inside_a_200_is_an_error() -> None:
    assert refused(190, status=200).result.outcome is PARK


def test_an_error_keeps_metas_own_words_once_and_on_one_line() -> None:
    result = refused(
        100,
        2804003,
        message="Invalid parameter",
        error_user_title="Event Timestamp Too Old",
        error_user_msg="Event Timestamp Too Old",
        fbtrace_id="Zz\n9",
    ).result
    assert (result.code, result.subcode, result.fbtrace_id) == (100, 2804003, "Zz 9")
    assert result.message == "Invalid parameter: Event Timestamp Too Old"


@pytest.mark.parametrize("code", [None, "190", 190.5, True, -1, 2**31, 10**30, [190]])
def test_a_code_that_is_no_code_is_left_out(code: object) -> None:
    result = refused(code).result
    assert result.code is None
    assert result.outcome is REJECT


@pytest.mark.parametrize(
    ("headers", "after_ms"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120_000),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "²"}, None),
        (
            {"x-business-use-case-usage": '{"7":[{"call_count":100,"estimated_time_to_regain_access":19}]}'},
            1_140_000,
        ),
        ({"x-business-use-case-usage": '{"7":[{"estimated_time_to_regain_access":0}]}'}, None),
        ({"x-business-use-case-usage": '{"7":[3],"8":{"a":1}}'}, None),
        ({"x-business-use-case-usage": "not json"}, None),
        ({"x-ad-account-usage": '{"acc_id_util_pct":100,"reset_time_duration":300}'}, 300_000),
        ({"x-app-usage": '{"call_count":100,"total_time":70,"total_cputime":60}'}, None),
        ({"retry-after": "30", "x-ad-account-usage": '{"reset_time_duration":300}'}, 300_000),
    ],
)
def test_a_throttle_says_how_long_to_wait(headers: dict[str, str], after_ms: int | None) -> None:
    answer = refused(80004, headers=headers)
    assert answer.throttled
    assert answer.retry_after_ms == after_ms


def test_usage_headers_of_an_answer_that_is_no_throttle_slow_nothing_down() -> None:
    answer = refused(2, status=503, headers={"x-ad-account-usage": '{"reset_time_duration":300}'})
    assert (answer.throttled, answer.retry_after_ms) == (False, None)


def test_a_503_may_ask_for_time() -> None:
    answer = classify(503, {"retry-after": "20"}, b"", events=1)
    assert (answer.throttled, answer.retry_after_ms) == (False, 20_000)


def test_a_block_for_abuse_is_left_alone_for_an_hour() -> None:
    assert refused(368).retry_after_ms == BLOCKED_MS


def test_no_wait_is_named_where_nothing_is_tried_again() -> None:
    assert refused(190, headers={"retry-after": "120"}).retry_after_ms is None


def test_a_token_that_meta_quotes_is_blotted_out() -> None:
    other = "EAABsbCS1iHgBAOther"
    result = refused(190, message=f"Malformed access token my|secret and {other}").result
    clean = without_token(result, "my|secret")
    assert clean.message == "Malformed access token [token] and [token]"
    assert without_token(result, "").message == "Malformed access token my|secret and [token]"


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["retry-after", "x-app-usage"]), st.text()),
    st.binary(),
)
def test_whatever_comes_back_there_is_an_answer(status: int, headers: dict[str, str], body: bytes) -> None:
    answer = classify(status, headers, body, events=1)
    assert answer.result.outcome in AttemptOutcome
    assert len(answer.result.message or "") <= MESSAGE_MAX


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    st.sampled_from(["code", "error_subcode", "message", "error_user_msg", "is_transient", "fbtrace_id"]),
)
def test_whatever_stands_in_an_error_member_can_be_stored(value: object, member: str) -> None:
    body = json.dumps({"error": {"message": "Words", "code": 100, member: value}}).encode()
    result = classify(400, {}, body, events=1).result
    assert all(number is None or number < 2**31 for number in (result.code, result.subcode))
    assert result.message is not None
    assert "\n" not in result.message
