"""A full run with personal data planted wherever a page can put some: none of it is on disk, in a log or on a page.

Real sockets between the page, the relay and a Meta twin; the files are searched while the relay runs and after it
has stopped. User agents are not planted: they are kept as they are, as docs/privacy.md says.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from relay.logs import configure_logs
from relay.serving import listen, serving
from relay.twin.fixture import MetaTwin
from relay.web.app import create_app
from relay.web.signin import make_sign_in_link
from tests.delivery.lab import settled
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import HEADERS, lab_settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("untouched_logging")]

E_MAIL = "canary.person@mail.example"
PHONE = "+49 170 1234567"
TRACES = (b"canary", b"Canary", b"1701234567", b"170 1234567", b"170+1234567", b"170%201234567")
PURCHASE = {"value": 49.9, "currency": "EUR"}
SEEN = {
    "ev": E_MAIL,
    "eid": E_MAIL,
    "fbp": E_MAIL,
    "fbc": PHONE,
    "cd[value]": PHONE,
    "cd[currency]": E_MAIL,
    "ud[em]": E_MAIL,
    "ud[ph]": PHONE,
}


def planted() -> Iterator[dict[str, Any]]:
    """Events that each leak somewhere else."""
    plain = good_event()["pixel"]
    leaks: list[dict[str, Any]] = [
        {"url": f"https://shop.example/thanks?email={E_MAIL}&tel=%2B491701234567&order=7"},
        {"url": "https://shop.example/thanks?e=canary.person%2540mail.example#canary.person%40mail.example"},
        {"url": f"https://canary:person@shop.example/u/{E_MAIL}/orders"},
        {"referrer": f"https://shop.example/?q=%2B49+170+1234567&next=%2F%3Fe%3D{E_MAIL}"},
        {"custom_data": PURCHASE | {"email": E_MAIL, "phone": "0170 1234567", "mobile": 491701234567}},
        {
            "custom_data": PURCHASE
            | {E_MAIL: 1, "deep": [{"er": [f"To {E_MAIL}"]}], "content_ids": [PHONE, "a"]}
        },
        {"custom_data": PURCHASE | {"contents": [{"id": E_MAIL}], "order_id": E_MAIL, "content_name": PHONE}},
        {"user_data": {"em": [f" {E_MAIL.title()} "], "ph": PHONE, "fn": "Canary", "external_id": E_MAIL}},
        {"pixel": plain | {"evidence": E_MAIL, "seen": SEEN}},
        {"fbp": E_MAIL, "fbc": PHONE, "addresses": [E_MAIL], "signature": E_MAIL, "unknown": E_MAIL},
        {"event_name": f"Signup {E_MAIL}"},
        {"event_id": E_MAIL},
        {"event_name": PHONE, "event_id": PHONE},
    ]
    for number, leak in enumerate(leaks):
        yield good_event(**({"event_id": f"leak-{number}"} | leak))


@pytest.fixture
def meta() -> Iterator[MetaTwin]:
    with MetaTwin() as twin:
        yield twin


async def test_no_planted_personal_data_is_on_disk_in_a_log_or_on_a_page(
    tmp_path: Path, meta: MetaTwin, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs("json", level=0)
    settings = lab_settings(tmp_path, public_url="http://127.0.0.1")
    pixel = msgspec.structs.replace(settings.site[0].pixels[0], token_env="TOKEN")
    settings = msgspec.structs.replace(
        settings,
        server=msgspec.structs.replace(settings.server, graph_url=meta.url),
        site=(msgspec.structs.replace(settings.site[0], pixels=(pixel,)),),
    )
    app = create_app(settings, environ={"TOKEN": "EAABtestToken0123456789"})
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, listener, grace_seconds=1), httpx.AsyncClient(base_url=address) as http:
        events = list(planted())
        answers = [await post(http, event) for event in events]
        assert [answer["accepted"] for answer in answers] == [1] * (len(events) - 3) + [0] * 3
        await post_oddly(http)
        await settled(app.state.store)
        pages = [await read(http, path) for path in await sign_in(http, settings)]
        assert found_in(tmp_path) == []
    assert found_in(tmp_path) == []
    output = capfd.readouterr()
    assert traces((output.out + output.err).encode()) == []
    assert [trace for page in pages for trace in traces(page)] == []
    assert b"an e-mail address was removed" in b"".join(pages)
    state = meta.state()
    assert len(state["server"]) == len(events) - 3
    assert traces(msgspec.json.encode(state)) == []


async def post(http: httpx.AsyncClient, event: dict[str, Any]) -> Any:
    leaking = {"referer": f"https://shop.example/?email={E_MAIL}", "cookie": f"_fbp={E_MAIL}; mail={E_MAIL}"}
    body = msgspec.json.encode({"site": SITE_KEY, "events": [event]})
    path = f"/v1/events?email={E_MAIL}"
    return (await http.post(path, content=body, headers=HEADERS | leaking)).json()


async def post_oddly(http: httpx.AsyncClient) -> None:
    """What is refused as a whole, and addresses that do not exist."""
    for body in (f'{{"site": "{E_MAIL}", "events": [1]}}', f"{{{E_MAIL}", f'{{"{E_MAIL}": "{PHONE}"}}'):
        assert (await http.post("/v1/events", content=body, headers=HEADERS)).status_code < 500
    await http.post("/v1/events", content="{}", headers=HEADERS | {"origin": f"https://{E_MAIL}"})
    assert (await http.get(f"/{E_MAIL}")).status_code == 404


async def sign_in(http: httpx.AsyncClient, settings: Any) -> list[str]:
    """Every address of the console that shows events."""
    link = make_sign_in_link(settings, {}, time.time())
    answer = await http.get(httpx.URL(link).raw_path.decode())
    assert answer.status_code == 200
    rows = (await http.get("/api/receipts?limit=500")).json()["receipts"]
    receipts = [f"/receipts/{row['event_id']}" for row in rows]
    pages = ["/receipts", "/issues", *receipts]
    return [*pages, *(f"/api{page}" for page in pages)]


async def read(http: httpx.AsyncClient, path: str) -> bytes:
    answer = await http.get(path)
    assert answer.status_code == 200, path
    return answer.content


def traces(content: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in content]


def found_in(folder: Path) -> list[tuple[str, list[bytes]]]:
    files = sorted(folder.rglob("*"))
    assert any(file.name.endswith(".db") for file in files)
    return [(file.name, traces(file.read_bytes())) for file in files if traces(file.read_bytes())]
