"""What Meta's answer means: a pure function of status, headers and body, decided by Graph's error `code`.

Never by its `type`: a throttle arrives as OAuthException just as a dead token does. The codes are those of
Meta's documents and of published integrations; none of this has been checked against live Meta.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from relay.event.outcome import AttemptOutcome
from relay.store.protocol import AttemptResult

BLOCKED_MS: Final = 3_600_000  # 368 is a block for abuse: insisting makes it worse
MESSAGE_MAX: Final = 1_000

_THROTTLES: Final = frozenset({4, 17, 32, 613, 80000, 80003, 80004, 80014})
_ABUSE_BLOCK: Final = 368
_NO_SUCH_OBJECT: Final = (100, 33)  # the pixel does not exist, or the token may not see it

_BY_CODE: Final[dict[int, AttemptOutcome]] = {
    **dict.fromkeys(_THROTTLES, AttemptOutcome.RETRY),
    **dict.fromkeys((1, 2, 341, _ABUSE_BLOCK, 5000, 21009), AttemptOutcome.RETRY),
    **dict.fromkeys((102, 104, 190), AttemptOutcome.PARK),  # token missing, expired or unsigned
    **dict.fromkeys((3, 10, 200, 294), AttemptOutcome.PARK),  # permission or capability
    **dict.fromkeys((2500, 2635), AttemptOutcome.PARK),  # unknown path, retired version: no event's fault
    **dict.fromkeys((100, 105), AttemptOutcome.REJECT),
}
_BY_STATUS: Final[dict[int, AttemptOutcome]] = {  # for codes that the table does not know
    401: AttemptOutcome.PARK,
    403: AttemptOutcome.PARK,
    408: AttemptOutcome.RETRY,
    429: AttemptOutcome.RETRY,
}
_TOKEN_LIKE: Final = re.compile(r"EAA[0-9A-Za-z]{8,}")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How one call ended, and how long Meta wants to be left alone."""

    result: AttemptResult
    retry_after_ms: int | None = None  # only with RETRY, where Meta says so
    throttled: bool = False  # only with RETRY: too many calls, so the next must not come soon


def classify(status: int, headers: Mapping[str, str], body: bytes, *, events: int) -> Answer:
    """The meaning of an answer to a call that carried `events` events. `headers` has lower-case keys."""
    answer = json_object(body)
    error = answer.get("error")
    if isinstance(error, dict):
        return _error(status, headers, error)
    if 200 <= status < 300:
        return Answer(result=_receipt(status, answer, events))
    return _without_words(status, headers)


def without_token(result: AttemptResult, token: str) -> AttemptResult:
    """The result with every access token in Meta's sentence blotted out; Meta quotes a malformed one."""
    if result.message is None:
        return result
    message = result.message.replace(token, "[token]") if token else result.message
    return msgspec.structs.replace(result, message=_TOKEN_LIKE.sub("[token]", message))


def _receipt(status: int, answer: dict[str, Any], events: int) -> AttemptResult:
    received = _whole_number(answer.get("events_received"))
    trace = _text(answer.get("fbtrace_id"))
    if received is None:
        message = f"HTTP {status} without a count of received events; they may have been taken."
    elif received < events:
        message = f"Meta counted {received} of {events} events and does not say which."
    else:
        notes = answer.get("messages")
        words = [text for note in notes if (text := _text(note))] if isinstance(notes, list) else []
        return AttemptResult(
            outcome=AttemptOutcome.RECEIPT,
            http_status=status,
            message=" ".join(words)[:MESSAGE_MAX] or None,
            fbtrace_id=trace,
        )
    return AttemptResult(
        outcome=AttemptOutcome.UNKNOWN, http_status=status, message=message, fbtrace_id=trace
    )


def _error(status: int, headers: Mapping[str, str], error: dict[str, Any]) -> Answer:
    code, subcode = _whole_number(error.get("code")), _whole_number(error.get("error_subcode"))
    outcome = _outcome(status, code, subcode, transient=error.get("is_transient") is True)
    result = AttemptResult(
        outcome=outcome,
        http_status=status,
        code=code,
        subcode=subcode,
        message=_sentence(error) or f"HTTP {status} with an error that has no words",
        fbtrace_id=_text(error.get("fbtrace_id")),
    )
    return _with_rest(result, headers)


def _outcome(status: int, code: int | None, subcode: int | None, *, transient: bool) -> AttemptOutcome:
    if (code, subcode) == _NO_SUCH_OBJECT:
        return AttemptOutcome.PARK
    if code in _BY_CODE:
        return _BY_CODE[code]
    if transient or status >= 500:
        return AttemptOutcome.RETRY
    return _BY_STATUS.get(status, AttemptOutcome.REJECT)


def _without_words(status: int, headers: Mapping[str, str]) -> Answer:
    """An answer that Graph did not write, such as a proxy's HTML page."""
    if status == 413:  # too large for something on the way: smaller batches may pass
        outcome, message = AttemptOutcome.REJECT, "HTTP 413: too large for a host on the way to Graph"
    elif status in (502, 504):  # a gateway lost the other end after it had passed the call on
        outcome, message = (
            AttemptOutcome.UNKNOWN,
            f"HTTP {status} from a gateway; the events may have been taken.",
        )
    else:
        outcome, message = AttemptOutcome.RETRY, f"HTTP {status} without a Graph error; is graph_url right?"
    return _with_rest(AttemptResult(outcome=outcome, http_status=status, message=message), headers)


def _with_rest(result: AttemptResult, headers: Mapping[str, str]) -> Answer:
    if result.outcome is not AttemptOutcome.RETRY:
        return Answer(result=result)
    throttled = result.http_status == 429 or result.code in _THROTTLES
    wishes = [*_retry_after_ms(headers), *(_usage_ms(headers) if throttled else ())]
    if result.code == _ABUSE_BLOCK:
        wishes.append(BLOCKED_MS)
    return Answer(result=result, retry_after_ms=max(wishes, default=None), throttled=throttled)


def _retry_after_ms(headers: Mapping[str, str]) -> Iterator[int]:
    """Retry-After in seconds; Graph does not use its date form."""
    seconds = headers.get("retry-after", "").strip()
    if seconds.isascii() and seconds.isdigit():
        yield int(seconds[:9]) * 1_000


def _usage_ms(headers: Mapping[str, str]) -> Iterator[int]:
    """How long the usage headers of a throttled answer close the door: one counts minutes, one seconds."""
    for businesses in json_object(headers.get("x-business-use-case-usage", "").encode()).values():
        for usage in businesses if isinstance(businesses, list) else ():
            if isinstance(usage, dict) and (
                minutes := _whole_number(usage.get("estimated_time_to_regain_access"))
            ):
                yield minutes * 60_000
    account = json_object(headers.get("x-ad-account-usage", "").encode())
    if seconds := _whole_number(account.get("reset_time_duration")):
        yield seconds * 1_000


def _sentence(error: dict[str, Any]) -> str:
    """Meta's own words; the user-facing ones say which parameter is meant, the plain ones rarely do."""
    words = [_text(error.get(part)) for part in ("message", "error_user_title", "error_user_msg")]
    return ": ".join(dict.fromkeys(text for text in words if text))[:MESSAGE_MAX]


def json_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # not JSON, cut off, or nested to harm: it says nothing
        return {}
    return value if isinstance(value, dict) else {}


def _whole_number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _text(value: object) -> str | None:
    """One printable line, or None."""
    if not isinstance(value, str):
        return None
    return "".join(char if char.isprintable() else " " for char in value).strip()[:MESSAGE_MAX] or None
