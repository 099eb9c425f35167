"""Events that Meta takes, and short ways to send them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from relay.twin.app import create_twin
from relay.twin.fixture import MetaTwin

Json = dict[str, Any]

NOW_SECONDS = 1_709_300_000  # a little after the captured requests
PIXEL = "123321"
EVENTS_URL = f"/v26.0/{PIXEL}/events"
FBP = "fb.1.1596403881668.1116446470"
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"
EMAIL = hashlib.sha256(b"john_smith@gmail.com").hexdigest()


def purchase(**changes: Any) -> Json:
    """A website Purchase that passes every rule; a change of None takes the key away."""
    event: Json = {
        "event_name": "Purchase",
        "event_time": NOW_SECONDS - 10,
        "event_id": "order-1",
        "action_source": "website",
        "event_source_url": "https://shop.example/thanks",
        "user_data": {
            "client_user_agent": AGENT,
            "client_ip_address": "2001:db8::7",
            "fbp": FBP,
            "em": [EMAIL],
        },
        "custom_data": {"value": 49.9, "currency": "EUR"},
    }
    return {key: value for key, value in (event | changes).items() if value is not None}


def user_data(**changes: Any) -> Json:
    """The user_data of `purchase` with changes; None takes a key away."""
    changed: Json = purchase()["user_data"] | changes
    return {key: value for key, value in changed.items() if value is not None}


def send_server(
    twin: httpx.Client, *events: object, url: str = EVENTS_URL, token: str = "EAAtest"
) -> httpx.Response:
    return twin.post(url, json={"data": list(events)}, headers={"authorization": f"Bearer {token}"})


def send_browser(twin: httpx.Client, **changes: Any) -> httpx.Response:
    params = {
        "id": PIXEL,
        "ev": "Purchase",
        "eid": "order-1",
        "fbp": FBP,
        "cd[value]": "49.9",
        "cd[currency]": "EUR",
    }
    return twin.get(f"/tr/?{urlencode({k: v for k, v in (params | changes).items() if v is not None})}")


def state(twin: httpx.Client, event_id: str | None = None) -> Json:
    read: Json = twin.get("/twin/state", params={"event_id": event_id} if event_id else {}).json()
    return read


@contextmanager
def open_twin(**options: Any) -> Iterator[httpx.Client]:
    """A client of a twin of its own, made with these options of `create_twin`."""
    with MetaTwin(create_twin(**options)) as server, httpx.Client(base_url=server.url) as client:
        yield client
