"""Everything that reads what strangers write, each as a function of bytes that must come back without an exception.

Where more can be said than "it does not crash", the function asserts it. `tests/fuzz/corpus/NAME/` holds inputs that
every run of the tests tries; `make fuzz` tries some million more. A new parser gets a line in `TARGETS`.
"""

import itertools
import json
import os
import tempfile
from collections.abc import Callable
from http.cookies import SimpleCookie
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.delivery.answer import classify
from relay.doctor.markup import Script, parse_markup
from relay.doctor.policy import blocks_inline, parse_policies
from relay.errors import SettingsError
from relay.event.address import client_address, is_public, parse_networks, parse_providers
from relay.event.agent import read_agent
from relay.event.build import assemble
from relay.event.enrich import connection_address, enrich
from relay.event.enrich_server import enrich_server
from relay.event.explain import explain_hash, explain_request
from relay.event.explain_event import explain_event
from relay.event.fields import Refused
from relay.event.graph_wire import GraphCallError, read_data, read_graph_event, read_json
from relay.event.identity import cookie_domain, resolve_identity
from relay.event.normalise import USER_DATA_KEYS, normalise
from relay.event.observation import Observation, read_observation, sign_observation
from relay.event.personal import personal_kind, scrub
from relay.event.records import BrowserEvent, RequestFacts, ServerSideEvent
from relay.event.report import parse_report
from relay.event.schedule import rest_ms
from relay.event.segment import read_message
from relay.event.segment_batch import SegmentError, read_batch
from relay.event.server_wire import CallError, parse_call, parse_server_event
from relay.event.signature import quarantine_reason
from relay.event.wire import WireError, parse_body, parse_event
from relay.forms import BodyError, last_wins, query_fields
from relay.loading import load_settings
from relay.settings import AddressHosts, Pixel, Server, Settings, Site
from relay.twin.rules import first_fault
from relay.web.signin import SignIn
from relay.web.twin_view import read_twin, read_twin_addresses
from tests.event.malformed import PIXEL_ID, SITE_KEY, good_event

NOW_MS: Final = 1_763_859_600_000
DAY_MS: Final = 86_400_000
KEY: Final = "k" * 64
PROXIES: Final = ("10.0.0.0/8", "fd00::/8", "cloudflare", "fastly")
SITE: Final = Site(
    key=SITE_KEY,
    origins=("https://shop.example",),
    pixels=(Pixel(id=PIXEL_ID), Pixel(id="222")),
    default_country="DE",
    require_signature=("Signed",),
    conversion_key_env="SHOP_KEY",
    address_hosts=AddressHosts(ipv6="https://v6.shop.example"),
)
SETTINGS: Final = Settings(server=Server(trusted_proxies=PROXIES), site=(SITE,))
NETWORKS: Final = parse_networks(PROXIES)
PROVIDERS: Final = parse_providers(PROXIES)
HEADERS: Final = (
    "x-forwarded-for",
    "forwarded",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "true-client-ip",
    "fastly-client-ip",
)
SIGN_IN: Final = SignIn([KEY], secure=True)
SCRATCH: Final = Path(tempfile.gettempdir()) / f"counterfoil-fuzz-{os.getpid()}.toml"


def lines(data: bytes, number: int) -> list[str]:
    """Exactly so many texts, as headers arrive: latin-1, the last one with what is left."""
    found = data.decode("latin-1").split("\n", number - 1)
    return found + [""] * (number - len(found))


def facts(**changes: Any) -> RequestFacts:
    seen = RequestFacts(
        received_ms=NOW_MS,
        peer="10.0.0.1",
        forwarded_for=("8.8.8.8",),
        forwarded=(),
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        cookies={},
        sec_purpose=None,
        sec_gpc=False,
    )
    return msgspec.structs.replace(seen, **changes)


def wire(data: bytes) -> None:
    """A post's body, to the event that is sent. What the door takes, Meta's own rules take."""
    try:
        post = parse_body(data)
    except WireError:
        return
    seen = facts()
    for raw in post.events:
        event = parse_event(raw, pixel_ids=SITE.pixel_ids())
        if isinstance(event, Refused):
            continue
        outcome = enrich(
            event,
            seen,
            SITE,
            connection=connection_address(seen, SETTINGS),
            settings=SETTINGS,
            signing_keys=[KEY],
            conversion_keys=[KEY],
        )
        if not isinstance(outcome, Refused):
            msgspec.json.encode(outcome)
            sent = assemble(
                outcome[0].server_event, outcome[0].client_ip_address, outcome[0].client_user_agent
            )
            fault = first_fault(sent, 0, NOW_MS)
            assert fault is None, fault
            assert scrub(event).event == scrub(scrub(event).event).event


def segment(data: bytes) -> None:
    """A post of Segment's clients, to the events that are sent. What the door takes, Meta's own rules take."""
    try:
        batch = read_batch(data, "batch")
    except SegmentError:
        return
    for message in batch.messages:
        event = read_message(message, SITE.mapping, now_ms=NOW_MS, sent_at=batch.sent_at)
        if not isinstance(event, ServerSideEvent):
            continue
        outcome = enrich_server(event, received_ms=NOW_MS, site=SITE, settings=SETTINGS)
        if not isinstance(outcome, Refused):
            msgspec.json.encode(outcome)
            sent = assemble(
                outcome[0].server_event, outcome[0].client_ip_address, outcome[0].client_user_agent
            )
            fault = first_fault(sent, 0, NOW_MS)
            assert fault is None, fault


def server_events(data: bytes) -> None:
    """A call of a shop's server, to the event that is sent; the same rules."""
    try:
        events = parse_call(data)
    except CallError:
        return
    for raw in events:
        stated(parse_server_event(raw, pixel_ids=SITE.pixel_ids(), received_ms=NOW_MS, sender="fuzz"))


def graph_call(data: bytes) -> None:
    """The `data` of a call made for Graph."""
    try:
        events = read_data(read_json(data))
    except GraphCallError:
        return
    for raw in events:
        stated(read_graph_event(raw, pixel=PIXEL_ID, received_ms=NOW_MS).event)


def stated(event: ServerSideEvent | Refused) -> None:
    """What a server stated, as it goes on."""
    if isinstance(event, Refused):
        return
    outcome = enrich_server(event, received_ms=NOW_MS, site=SITE, settings=SETTINGS)
    if not isinstance(outcome, Refused):
        msgspec.json.encode(outcome)
        sent = assemble(outcome[0].server_event, outcome[0].client_ip_address, outcome[0].client_user_agent)
        if outcome[0].fate is None and not event.partial:
            fault = first_fault(sent, 0, NOW_MS)
            assert fault is None, fault


def page_report(data: bytes) -> None:
    """What a page's radar tells."""
    try:
        msgspec.json.encode(parse_report(data))
    except WireError:
        return


def address(data: bytes) -> None:
    """The connection's other end on the first line, then headers. What comes out is an address fit for Meta."""
    peer, rest = lines(data, 2)
    headers: dict[str, list[str]] = {name: [] for name in HEADERS}
    for line in rest.split("\n"):
        name, _, value = line.partition(":")
        headers.get(name.lower(), []).append(value.strip())
    for trusted, accept_private in itertools.product((NETWORKS, ()), (False, True)):
        seen = client_address(
            peer=peer or None,
            forwarded_for=headers["x-forwarded-for"],
            forwarded=headers["forwarded"],
            trusted_proxies=trusted,
            accept_private=accept_private,
            providers=PROVIDERS if trusted else (),
            provider_headers={name: values for name, values in headers.items() if values},
        )
        assert seen.why
        if seen.address is not None:
            parsed = ip_address(seen.address)
            assert str(parsed) == seen.address
            assert seen.family == f"ipv{parsed.version}"
            assert accept_private or is_public(parsed)
            assert trusted or seen.source == "peer"


def identity(data: bytes) -> None:
    """Page, referrer, the two ids as posted, and a Cookie header."""
    url, referrer, fbp, fbc, cookie = lines(data, 5)
    try:
        cookies = {name: morsel.value for name, morsel in SimpleCookie(cookie).items()}
    except Exception:  # the standard library's own refusals; Starlette reads cookies in another way
        cookies = {"_fbp": cookie, "_fbc": cookie}
    found = resolve_identity(
        url=url, referrer=referrer or None, cookies=cookies, posted_fbp=fbp, posted_fbc=fbc, now_ms=NOW_MS
    )
    for value in (found.fbp, found.fbc):
        assert value is None or (value.startswith("fb.") and value.isascii() and len(value) < 600)
    domain = cookie_domain(url)
    assert domain is None or domain in url.lower()


def customer(data: bytes) -> None:
    """A field, a country and a value of customer data. What is hashed stays what it is when it comes again."""
    field, country, value = (
        data.decode("utf-8", "replace").split("\n", 2)
        if data.count(b"\n") > 1
        else ("em", "", data.decode("utf-8", "replace"))
    )
    found = normalise(field if field in USER_DATA_KEYS else "em", value, country or None)
    if found.sha256 is not None:
        assert len(found.sha256) in (32, 64)
        assert normalise("em", found.sha256).sha256 == found.sha256


def personal(data: bytes) -> None:
    """A field's name and its text."""
    name, text = lines(data, 2)
    for told in (text, text.encode("latin-1").decode("utf-8", "replace")):
        personal_kind(told, name)


def token(data: bytes) -> None:
    """An address token: only those that this key signed are believed."""
    text = data.decode("latin-1")
    found = read_observation([KEY], text, site=SITE_KEY, nonce="n" * 16, now_ms=NOW_MS)
    if isinstance(found, Observation):
        again = sign_observation([KEY], found.address, site=SITE_KEY, nonce="n" * 16, now_ms=found.seen_ms)
        assert again == text


def signature(data: bytes) -> None:
    """A signature, then the members of custom_data that it is about. Nobody without the key is vouched for."""
    text, rest = lines(data, 2)
    try:
        custom_data = msgspec.json.decode(rest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        custom_data = {"order_id": rest, "value": 1, "currency": "EUR"}
    event = parse_event(
        good_event(event_name="Signed", signature=text, custom_data=custom_data), pixel_ids=[PIXEL_ID]
    )
    if isinstance(event, BrowserEvent):
        assert quarantine_reason(event, [KEY]) is not None


def agent(data: bytes) -> None:
    read_agent(data.decode("latin-1"))


def graph_answer(data: bytes) -> None:
    """Status, then header lines, an empty line, and the body that Meta answered with."""
    head, _, body = data.partition(b"\n\n")
    status, rest = lines(head, 2)
    headers = dict(line.split(":", 1) for line in rest.lower().split("\n") if ":" in line)
    code = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200
    found = classify(code, headers, body, events=3)
    msgspec.json.encode(found)
    assert 0 <= rest_ms(1, 1.0, found.retry_after_ms) <= DAY_MS


def twin_answer(data: bytes) -> None:
    """What a Meta twin, or something that is none, says of an event."""
    try:
        state = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    read_twin(state)
    read_twin_addresses(state)


def explained(data: bytes) -> None:
    """A row for `counterfoil explain`."""
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return
    for explain in (explain_hash, explain_request, explain_event):
        msgspec.json.encode(explain(row))


def page(data: bytes) -> None:
    """A shop's page and its policy, as the doctor reads them."""
    policy, text = lines(data, 2)
    found = parse_markup(text, "https://shop.example/")
    for directives in parse_policies([policy], found.policies):
        for script in (*found.scripts, Script(src=None, attributes={}, text="1")):
            blocks_inline(directives, script)


def settings(data: bytes) -> None:
    """A relay.toml: taken, or refused with a sentence."""
    SCRATCH.write_bytes(data)
    try:
        load_settings(SCRATCH, {}, {})
    except SettingsError:
        pass
    finally:
        SCRATCH.unlink()


def session(data: bytes) -> None:
    """A session cookie, a code or a doctor's token: nobody signs one without the key."""
    text = data.decode("latin-1")
    assert all(SIGN_IN.check(purpose, text, NOW_MS) is None for purpose in ("code", "session", "doctor"))


def twin_rules(data: bytes) -> None:
    """An event as it comes to the twin's Graph endpoint, or a Pixel's query."""
    try:
        fields = last_wins(query_fields(data))
    except BodyError:
        fields = {}
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = fields
    first_fault(event, 0, NOW_MS)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        wire,
        server_events,
        graph_call,
        page_report,
        segment,
        address,
        identity,
        customer,
        personal,
        token,
        signature,
        agent,
        graph_answer,
        twin_answer,
        twin_rules,
        explained,
        page,
        settings,
        session,
    )
}
