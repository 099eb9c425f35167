"""Log lines: one object per line for machines, and never the values that were at hand."""

import json
import logging

import pytest
import structlog

from relay.logs import configure_logs

SECRET = "ada@example.com"


pytestmark = pytest.mark.usefixtures("untouched_logging")


def fail_with_a_secret_at_hand() -> None:
    email = SECRET
    raise ValueError(len(email))


def test_json_lines_carry_level_time_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    structlog.get_logger("relay.web").info("store.opened", rows=3)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["level"], ours["rows"]) == ("store.opened", "info", 3)
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"]) == ("Invalid HTTP request received.", "warning")


def test_libraries_do_not_tell_what_they_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text")
    logging.getLogger("httpx").info("HTTP Request: GET https://graph.facebook.com/")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_shows_no_local_values(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json" if log_format == "json" else "text")
    try:
        fail_with_a_secret_at_hand()
    except ValueError:
        structlog.get_logger("relay.web").exception("request.failed")
    said = capsys.readouterr().err
    assert "fail_with_a_secret_at_hand" in said
    assert SECRET not in said


def fail_with_a_secret_in_the_message() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("logger", ["relay.web", "uvicorn.error"])
def test_a_traceback_does_not_tell_what_the_exception_said(
    log_format: str, logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json" if log_format == "json" else "text")
    try:
        fail_with_a_secret_in_the_message()
    except KeyError as error:
        if logger == "relay.web":
            structlog.get_logger(logger).exception("request.failed")
        else:
            logging.getLogger(logger).error("Exception in ASGI application", exc_info=error)
    said = capsys.readouterr().err
    assert "fail_with_a_secret_in_the_message" in said
    assert "KeyError" in said
    assert "ValueError" in said
    assert SECRET not in said
