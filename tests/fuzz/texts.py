"""Inputs that come far into each target: whole posts with a few members changed, chains of hops, and so on."""

import gzip
import json
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from relay.event.normalise import USER_DATA_KEYS
from tests.event.malformed import PIXEL_ID, SITE_KEY, good_event
from tests.event.malformed_server import good_server_event, good_user_data
from tests.event.messages import message
from tests.fuzz.targets import HEADERS, NOW_MS, SIGN_IN

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
mail = st.emails()
phone = st.from_regex(r"\+?[0-9 ()/-]{5,20}", fullmatch=True)
urls = st.builds(
    lambda host, path, name, value: f"https://{host}/{path}?{name}={value}",
    st.sampled_from(["shop.example", "www.shop.co.uk", "[::1]", "xn--bcher-kva.example", "1.2.3.4"]),
    st.text(max_size=20) | mail,
    st.sampled_from(["fbclid", "email", "tel", "q", "utm_source"]),
    st.text(max_size=40) | mail | phone,
)
ids = st.from_regex(r"fb\.[0-9]{1,2}\.[0-9]{1,14}\.[A-Za-z0-9_-]{1,30}(\.[A-Za-z0-9]{1,9})?", fullmatch=True)
anything = json_values | mail | phone | urls | ids


def encoded(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def mutated(members: Mapping[str, Any], changes: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """These members with a few of them changed."""
    return st.dictionaries(st.sampled_from(sorted(members)), changes, max_size=4).map(
        lambda changed: {**members, **changed}
    )


FULL: Final = good_event(
    event_name="Signed",
    custom_data={"value": "49.90", "currency": "eur", "order_id": 7, "contents": [{"id": "a"}]},
    user_data={key: "x" for key in USER_DATA_KEYS},
    pixel_ids=[PIXEL_ID],
    consent="granted",
    gpc=True,
    data_processing_options=["LDU"],
    data_processing_options_country=1,
    data_processing_options_state=1000,
    addresses=["token"],
    address_nonce="n" * 16,
    signature="0" * 64,
)
events = st.one_of(
    mutated(FULL, anything),
    mutated(FULL["custom_data"], anything).map(lambda data: good_event(custom_data=data)),
    mutated(FULL["user_data"], anything | st.lists(anything, max_size=3)).map(
        lambda data: good_event(user_data=data)
    ),
    mutated({**FULL["pixel"], "seen": None}, anything).map(lambda report: good_event(pixel=report)),
    st.builds(lambda url, referrer: good_event(url=url, referrer=referrer), urls, urls),
)
posts = st.builds(
    lambda listed: encoded({"site": SITE_KEY, "events": listed}), st.lists(events, min_size=1, max_size=3)
)

stated_events = st.one_of(
    mutated(good_server_event(), anything),
    mutated(good_user_data(), anything).map(lambda data: good_server_event(user_data=data)),
    mutated({"value": 1, "currency": "EUR", "order_id": 1}, anything).map(
        lambda data: good_server_event(custom_data=data)
    ),
)
sightings = mutated(
    {"sender": "page", "pixel_id": "1", "event_name": "Purchase", "ids": "none", "count": 1}, anything
)

hops = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip}]:443"),
    st.ip_addresses(v=4).map(lambda ip: f"::ffff:{ip}"),
    st.ip_addresses(v=4).map(lambda ip: f"{ip}:8080"),
    st.ip_addresses(network="10.0.0.0/8").map(str),
    st.sampled_from(["unknown", "_hidden", "fe80::1%eth0", "", '"', "for=", "104.16.0.1", "localhost"]),
    st.text(max_size=12),
)
elements = st.builds(
    lambda hop, style: style.format(hop),
    hops,
    st.sampled_from(
        ["{}", "for={}", 'for="{}"', 'For="[{}]"', "for={};proto=https", "by=x;for={}", 'for="{}\\"']
    ),
)
header_lines = st.builds(
    lambda name, chain: f"{name}: {', '.join(chain)}",
    st.sampled_from(HEADERS),
    st.lists(elements, max_size=5),
)


def as_header(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


chains = st.builds(
    lambda peer, listed: as_header("\n".join([peer, *listed])), hops, st.lists(header_lines, max_size=4)
)


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(lambda texts: as_header("\n".join(texts)))


words = st.text(max_size=60)
signed_words = st.sampled_from(
    [SIGN_IN.issue("session", NOW_MS - 10**9), "e30.x", "a.b.c", "=.=", "AAAA.BBBB"]
) | st.from_regex(r"[A-Za-z0-9_=-]{0,60}(\.[A-Za-z0-9_=-]{0,40}){0,3}", fullmatch=True)
markup = st.lists(
    st.sampled_from(
        [
            "<script",
            " src=",
            '"',
            "'",
            ">",
            "</script>",
            "<!--",
            "-->",
            "<base href=",
            "//x.example/",
            "&#0;",
            "<meta http-equiv=content-security-policy content=",
            "default-src 'none'",
            "'nonce-x'",
            "*.x",
            "<![",
            "]]>",
        ]
    )
    | st.text(max_size=8),
    max_size=30,
).map("".join)
directives = st.lists(
    st.sampled_from(
        ["script-src", "default-src", "'self'", "'strict-dynamic'", "https:", "*", "'sha256-x'", ";", ","]
    ),
    max_size=15,
).map(" ".join)
graph_bodies = st.one_of(
    st.builds(encoded, json_values),
    st.builds(
        lambda error: encoded({"error": error}),
        mutated(
            {"message": "m", "type": "OAuthException", "code": 190, "error_subcode": 1, "is_transient": True},
            json_values,
        ),
    ),
    st.builds(lambda value: encoded({"events_received": value}), json_values),
)
graph_answers = st.builds(
    lambda status, name, value, body: f"{status}\n{name}: ".encode() + as_header(value) + b"\n\n" + body,
    st.integers(100, 599),
    st.sampled_from(
        ["retry-after", "x-app-usage", "x-business-use-case-usage", "x-fb-ads-insights-throttle"]
    ),
    st.text(max_size=20) | st.integers().map(str) | json_values.map(json.dumps),
    graph_bodies,
)
rows = st.one_of(
    mutated({"id": 1, "field": "em", "value": "a@b.example", "country": "DE"}, anything),
    mutated(
        {
            "host": "shop.example",
            "query": {"fbclid": "x"},
            "cookies": {},
            "xff": "1.2.3.4",
            "trusted_proxies": [],
            "now_ms": 1,
        },
        anything,
    ),
    mutated({"as": "snippet", "event": FULL, "user_agent": "x", "site": None}, anything | events),
)
tables = st.lists(
    st.sampled_from(
        [
            "[server]",
            "[store]",
            "[[site]]",
            "[[site.pixels]]",
            "[limits]",
            'key = "demo"',
            "port = 1",
            "port = -1",
            'origins = ["https://a.example"]',
            'id = "1"',
            'public_url = "x"',
            "retention_days = inf",
            "x = 1979-05-27",
        ]
    )
    | st.text(max_size=20),
    max_size=12,
).map(lambda written: as_header("\n".join(written)))
twin_states = st.builds(
    encoded,
    mutated({"browser": [], "server": [], "counted": {}, "ways": []}, json_values),
)
server_events = st.builds(
    encoded,
    mutated(
        {
            "event_name": "Purchase",
            "event_time": NOW_MS // 1000,
            "action_source": "website",
            "event_source_url": "https://shop.example/",
            "user_data": {"em": ["x"], "client_user_agent": "x"},
            "custom_data": {"value": 1, "currency": "EUR"},
        },
        anything,
    ),
)

batches = st.builds(
    lambda changed: encoded({"batch": [changed]}),
    mutated(message(), anything) | st.builds(lambda changed: message(properties=changed), anything),
)

TEXTS: Final[dict[str, st.SearchStrategy[bytes]]] = {
    "wire": posts | st.builds(encoded, json_values),
    "segment": batches | batches.map(gzip.compress),
    "server_events": st.builds(
        lambda listed: encoded({"events": listed}), st.lists(stated_events, min_size=1, max_size=3)
    ),
    "graph_call": st.builds(encoded, st.lists(stated_events | json_values, min_size=1, max_size=3)),
    "page_report": st.builds(
        lambda seen: encoded({"site": SITE_KEY, "seen": seen}), st.lists(sightings, max_size=3)
    ),
    "address": chains,
    "identity": joined(urls | words, urls, ids | words, ids | words, words),
    "customer": joined(
        st.sampled_from(USER_DATA_KEYS), st.sampled_from(["DE", "US", "", "zz"]), words | mail | phone
    ),
    "personal": joined(st.sampled_from(["phone", "q", "email", ""]), words | mail | phone | urls),
    "token": st.builds(as_header, signed_words),
    "signature": joined(signed_words, json_values.map(json.dumps)),
    "agent": st.builds(as_header, words),
    "graph_answer": graph_answers,
    "twin_answer": twin_states,
    "twin_rules": server_events | st.builds(as_header, urls),
    "explained": st.builds(encoded, rows),
    "page": joined(directives, markup),
    "settings": tables,
    "session": st.builds(as_header, signed_words),
}
