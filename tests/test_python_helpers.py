"""`counterfoil_shop`, what a shop's own server uses: tag, signature, and calls that say whether to try again."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import counterfoil_shop
import msgspec
import pytest
from counterfoil_shop import Relay, RelayError, RelayUnavailable, send, sign, tag, track, visitor

from relay import __version__
from relay.event.signature import canonical
from relay.tag import STUB, script_tag

KEY = "0123456789abcdef0123456789abcdef"
RELAY = Relay("https://relay.shop.example", "demo-shop", signing_key=KEY, write_key="w" * 32)
ORDER = {"order_id": "1001", "value": Decimal("49.90"), "currency": "EUR"}


@pytest.mark.parametrize("url", ["https://relay.shop.example", "https://shop.example/relay"])
def test_the_tag_is_that_of_the_relay_itself(url: str) -> None:
    assert tag(Relay(url, "demo-shop")).splitlines() == [
        f"<script>{STUB}</script>",
        script_tag(url, "demo-shop"),
    ]


def test_a_nonce_and_consent_stand_in_the_tag() -> None:
    html = tag(Relay("https://r.example", "demo-shop", consent="tcf"), nonce='a"b')
    assert html.count('nonce="a&quot;b"') == 2
    assert 'data-consent="tcf"' in html


@pytest.mark.parametrize(
    ("value", "amount"), [(Decimal("49.9"), "49.90"), (5, "5.00"), (1.234, "1.234"), ("7.5", "7.50")]
)
def test_amounts_are_signed_as_the_relay_reads_them(value: object, amount: str) -> None:
    event = {"event_name": "Purchase", "order_id": "1", "value": float(str(value)), "currency": "KWD"}
    text = canonical(event)
    assert amount in text.splitlines()
    expected = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert sign(KEY, "Purchase", {"order_id": 1, "value": value, "currency": "kwd"}) == expected


def test_texts_cannot_leave_the_script() -> None:
    html = track(RELAY, "Search", {"search_string": "</script><script>alert(1)&"}, eventID="e-1")
    assert html.count("</script>") == 1
    assert "<script>alert" not in html


def test_an_order_is_signed_where_there_is_a_key_and_nothing_else_is() -> None:
    assert '"signature"' in track(RELAY, "Purchase", ORDER)
    assert '"signature"' not in track(RELAY, "Lead", {})
    assert '"signature"' not in track(Relay("https://r.example", "s-1"), "Purchase", ORDER)
    assert KEY not in track(RELAY, "Purchase", ORDER) + tag(RELAY) + repr(RELAY)


def test_the_visitor_is_what_the_request_tells_and_nothing_empty() -> None:
    assert visitor({"_fbp": "fb.1.1.1", "other": "x"}, "UA", None) == {
        "client_user_agent": "UA",
        "fbp": "fb.1.1.1",
    }


# Calls


class Answering(BaseHTTPRequestHandler):
    """A server that answers as a test says; each test makes a class of its own of it."""

    url: ClassVar[str]
    asked: ClassVar[list[tuple[str, str, bytes]]]
    status, body = 202, b'{"accepted":1}'

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append((self.path, self.headers["authorization"], body))
        self.send_response(self.status)
        self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[type[Answering]]:
    class Own(Answering):
        asked: ClassVar[list[tuple[str, str, bytes]]] = []

    listening = HTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    Own.url = f"http://127.0.0.1:{listening.server_port}"
    yield Own
    listening.shutdown()
    thread.join()
    listening.server_close()


def relay_at(server: type[Answering]) -> Relay:
    return Relay("https://r.example", "demo-shop", write_key="w" * 32, api=server.url)


def test_events_are_sent_with_the_key_and_decimals_as_numbers(server: type[Answering]) -> None:
    assert send(relay_at(server), [{"event_name": "Purchase", "custom_data": ORDER}]) == {"accepted": 1}
    ((path, key, body),) = server.asked
    assert (path, key) == ("/v1/server-events", f"Bearer {'w' * 32}")
    assert msgspec.json.decode(body)["events"][0]["custom_data"]["value"] == 49.9


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_answer_that_means_later_says_when(server: type[Answering], status: int) -> None:
    server.status, server.body = status, b'{"error":{"reason":"x","message":"Come back."}}'
    with pytest.raises(RelayUnavailable, match="Come back") as told:
        send(relay_at(server), [])
    assert told.value.retry_after_seconds == 7


@pytest.mark.parametrize("body", [b'{"error":{"message":"No such key."}}', b"<html>", b"[]", b""])
def test_an_answer_that_means_no_is_an_error_whatever_stands_in_it(
    server: type[Answering], body: bytes
) -> None:
    server.status, server.body = 401, body
    with pytest.raises(RelayError):
        send(relay_at(server), [])


def test_no_answer_means_later(server: type[Answering]) -> None:
    server.body = b"not json"
    with pytest.raises(RelayUnavailable):
        send(relay_at(server), [])
    with pytest.raises(RelayUnavailable):
        send(Relay("http://127.0.0.1:9", "demo-shop", write_key="k"), [])


def test_without_a_key_nothing_is_sent() -> None:
    with pytest.raises(RelayError, match="no write_key"):
        send(Relay("https://r.example", "demo-shop"), [])


def test_the_package_has_the_version_of_the_relay() -> None:
    project = Path(counterfoil_shop.__file__).parent.parent / "pyproject.toml"
    assert f'version = "{__version__}"' in project.read_text()
