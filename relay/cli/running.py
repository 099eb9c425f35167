"""Ask the running relay of these settings to do something, over HTTP on this machine."""

import os
from typing import Final, TypeVar

import httpx
import msgspec

from relay.clock import wall_clock_ms
from relay.errors import RelayError
from relay.settings import Settings
from relay.web.errors import Error
from relay.web.signin import open_sign_in

T = TypeVar("T")

EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - asked, not bound
ANSWER_SECONDS: Final = 3_600.0  # to write a large file anew takes minutes


def address_of(settings: Settings) -> str:
    """Where the relay of these settings listens, for a program on the same machine."""
    host = settings.server.host
    host = EVERY_ADDRESS.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{settings.server.port}"


def ask(settings: Settings, path: str, asked: msgspec.Struct, answer: type[T]) -> T:
    """Post `asked` with a token that says who asks; raises RelayError with what the relay says against it."""
    token = open_sign_in(settings, os.environ).issue("command", wall_clock_ms())
    try:
        response = httpx.post(
            address_of(settings) + path,
            content=msgspec.json.encode(asked),
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=5.0),
            trust_env=False,  # a proxy for the internet is none for this machine
        )
    except httpx.HTTPError as error:
        raise RelayError(
            f"A relay has the store open but does not answer at {address_of(settings)}: {error}. "
            "Run this with the settings, and on the machine or in the container, that the relay runs with."
        ) from None
    if response.is_success:
        return msgspec.json.decode(response.content, type=answer)
    raise RelayError(_refusal(response))


def _refusal(response: httpx.Response) -> str:
    if response.status_code == 401:
        return (
            "The running relay does not know this key. Run the command with the settings and variables that the "
            "relay was started with, or restart it where its key has changed."
        )
    try:
        return f"The running relay refuses: {msgspec.json.decode(response.content, type=Error).error.message}"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return f"What answers for the running relay is something else (status {response.status_code})."
