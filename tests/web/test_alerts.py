"""The Alerts page: what is raised, who was told, a test by hand; and a relay that tells by itself."""

import base64
import time
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook

from relay.errors import SettingsError
from relay.event.alert import AlertKind, AlertState
from relay.settings import Alerts, Settings
from relay.web.app import create_app
from tests.delivery.lab import until
from tests.delivery.test_webhook import receiving
from tests.event.test_notice import SECRET
from tests.web.lab import NOW_MS, Relay, lab_settings, open_relay

pytestmark = pytest.mark.anyio

SAME_SITE = {"sec-fetch-site": "same-origin"}
RAISED = AlertState(
    kind=AlertKind.ERROR_RATE, subject="demo-shop", raised=True, since_ms=NOW_MS, detail="<b>50 %</b>"
)


def settings_for(folder: Path, *urls: str) -> Settings:
    alerts = Alerts(urls=urls, secret_env="ALERT_SECRET", allow_private=True, check_seconds=0.05)
    return msgspec.structs.replace(lab_settings(folder), alerts=alerts)


async def test_alerts_need_a_session(relay: Relay) -> None:
    assert (await relay.http.get("/api/alerts")).status_code == 401
    assert (await relay.http.post("/alerts/test", headers=SAME_SITE)).status_code == 401


async def test_without_an_address_the_page_says_that_nobody_is_told(console: Relay) -> None:
    page = unescape((await console.http.get("/alerts")).text)
    assert "Nobody is told" in page
    assert "Nothing has been raised" in page
    assert (await console.http.get("/api/alerts")).json() == {"hosts": [], "alerts": [], "notices": []}


async def test_a_raised_alert_stands_there_in_words_and_what_it_tells_is_text(console: Relay) -> None:
    resolved = AlertState(
        kind=AlertKind.SILENCE, subject="other-shop", raised=False, since_ms=NOW_MS + 1, detail="Back."
    )
    for state in (msgspec.structs.replace(resolved, raised=True), resolved, RAISED):
        await console.store.change_alert(state, [])
    first, second = (await console.http.get("/api/alerts")).json()["alerts"]
    assert (first["kind"], first["raised"], second["kind"], second["raised"]) == (
        "error_rate",
        True,
        "silence",
        False,
    )
    page = (await console.http.get("/alerts")).text
    assert "&lt;b&gt;50 %&lt;/b&gt;" in page
    assert "<b>50" not in page


async def test_a_test_by_hand_arrives_signed_and_its_path_is_not_shown(tmp_path: Path) -> None:
    async with receiving() as (receiver, port):
        settings = settings_for(tmp_path, f"http://127.0.0.1:{port}/secret-path")
        async with open_relay(settings, environ={"ALERT_SECRET": SECRET}) as relay:
            await relay.sign_in()
            cross = await relay.http.post("/alerts/test", headers={"sec-fetch-site": "cross-site"})
            assert cross.status_code == 403
            relay.clock.now_ms = round(time.time() * 1_000)  # the library compares with its own clock
            await relay.sign_in()
            answer = await relay.http.post("/alerts/test", headers=SAME_SITE)
            assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
            report = await until_told(relay)
            page = (await relay.http.get("/alerts")).text
    ((_, headers, body),) = receiver.requests
    verified: Any = Webhook(SECRET).verify(body, headers)
    assert verified["type"] == "alert.test"
    assert verified["data"]["console"] == "https://relay.shop.example/alerts"
    assert report["notices"][0]["host"] == f"127.0.0.1:{port}"
    assert "secret-path" not in page + msgspec.json.encode(report).decode()


async def until_told(relay: Relay) -> Any:
    async def told() -> bool:
        (notice,) = await relay.store.notices(limit=9)
        return notice.told_ms is not None

    await until(told)
    return (await relay.http.get("/api/alerts")).json()


@pytest.mark.parametrize("secret", ["", "not a secret", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_relay_without_a_usable_secret_does_not_start(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match="whsec_"):
        create_app(settings_for(tmp_path, "https://hooks.example/"), environ={"ALERT_SECRET": secret})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"urls": ("http://hooks.example/a?key=k",)}, "must begin with https://"),
        ({"urls": ("hooks.example",)}, "is not one such as"),
        ({"urls": ("https://hooks.example/#x",)}, "have no #"),
        ({"urls": ("https://hooks.example/",), "secret_env": None}, "urls need secret_env"),
        ({"secret_file": "f"}, "keep one"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_the_address(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        Alerts(**({"secret_env": "S"} | given))
    assert "key=k" not in str(refused.value)
