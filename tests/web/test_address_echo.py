"""The echo: how the relay understood a chain, for the doctor's token only."""

from pathlib import Path

import msgspec
import pytest

from relay.web.signin import DOCTOR_SECONDS, SignIn
from tests.web.lab import NOW_MS, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

PATH = "/api/address-echo"


def token(relay: Relay, purpose: str = "doctor") -> dict[str, str]:
    sign_in: SignIn = relay.app.state.sign_in
    return {"authorization": f"Bearer {sign_in.issue(purpose, NOW_MS)}"}  # type: ignore[arg-type] # any, on purpose


async def test_the_doctor_is_told_the_chain_and_what_would_be_sent(tmp_path: Path) -> None:
    settings = lab_settings(tmp_path)
    server = msgspec.structs.replace(settings.server, trusted_proxies=("198.51.100.7",))
    async with open_relay(msgspec.structs.replace(settings, server=server)) as relay:
        chain = {"x-forwarded-for": "192.0.2.66, 2001:db8::9", "true-client-ip": "192.0.2.66"}
        answer = await relay.http.get(PATH, headers=token(relay) | chain)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "now_ms": NOW_MS,
        "peer": "198.51.100.7",
        "forwarded_for": ["192.0.2.66, 2001:db8::9"],
        "forwarded": [],
        "provider_headers": {"true-client-ip": ["192.0.2.66"]},
        "address": "2001:db8::9",
        "family": "ipv6",
        "source": "x-forwarded-for",
        "why": "the first hop from the right of x-forwarded-for that is no trusted proxy",
    }


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x.y", "Basic eDp5"])
async def test_nobody_else_is_told_anything(relay: Relay, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await relay.http.get(PATH, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["reason"] == "not_the_doctor"
    assert "198.51.100.7" not in answer.text


@pytest.mark.parametrize("purpose", ["code", "session"])
async def test_a_token_for_something_else_is_none(relay: Relay, purpose: str) -> None:
    assert (await relay.http.get(PATH, headers=token(relay, purpose))).status_code == 401


async def test_a_token_ends(relay: Relay) -> None:
    headers = token(relay)
    relay.clock.now_ms = NOW_MS + DOCTOR_SECONDS * 1000 - 1
    assert (await relay.http.get(PATH, headers=headers)).status_code == 200
    relay.clock.now_ms += 1
    assert (await relay.http.get(PATH, headers=headers)).status_code == 401


async def test_the_doctors_token_opens_no_console(relay: Relay) -> None:
    sign_in: SignIn = relay.app.state.sign_in
    cookies = {"cookie": f"{sign_in.cookie}={sign_in.issue('doctor', NOW_MS)}"}
    assert (await relay.http.get("/api/receipts", headers=cookies)).status_code == 401
