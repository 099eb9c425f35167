"""What a message in Segment's format becomes, Meta takes; or we refuse it with the reason that Meta would give."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.event.build import assemble
from relay.event.enrich_server import enrich_server
from relay.event.fields import Refused
from relay.event.mapping import meta_name
from relay.event.outcome import Refusal
from relay.event.records import OutboxEvent
from relay.event.segment import NoEvent, read_message
from relay.settings import EventMapping, Pixel, Settings, Site
from relay.twin.rules import faults, first_fault
from tests.event.messages import NOW_MS, PRODUCTS, SHIRT, USER_AGENT

SITE: Final = Site(key="shop", origins=("https://shop.example",), pixels=(Pixel(id="1"),))

# Our reason → the title of the twin's.
TITLES: Final = {
    Refusal.MISSING_VALUE: "Missing Value",
    Refusal.INVALID_VALUE: "Invalid Value",
    Refusal.MISSING_CURRENCY: "Missing Currency",
    Refusal.INVALID_CURRENCY: "Invalid Currency",
    Refusal.TOO_OLD: "Event Timestamp Too Old",
    Refusal.INVALID_EVENT_TIME: "Event Time In The Future",
    Refusal.MISSING_URL: "Missing Event Source URL",
    Refusal.INVALID_URL: "Missing Event Source URL",
    Refusal.MISSING_USER_AGENT: "Missing Client User Agent",
    Refusal.MISSING_APP_DATA: "Missing App Data",
    Refusal.INVALID_ACTION_SOURCE: "Invalid Action Source",
    Refusal.TOO_BROAD: "Not Enough Customer Information",
}


def mostly(good: Any, *bad: Any) -> st.SearchStrategy[Any]:
    """The good value in most draws, else one of the others: an event has several, and some must be all good."""
    return st.sampled_from([*[good] * 6 * len(bad), *bad])


ages = mostly(timedelta(0), *(timedelta(days=days) for days in (6, 8, 63)), timedelta(hours=-1))
sums = mostly(25, None, 0, 12.5, "49.90", "abc", "", -5, True, [1], 1e308)
currencies = mostly("EUR", None, "usd", " eur ", "XYZ", "", 7)
sources = mostly(None, "website", "email", "app", "physical_store", "shop", 3)
urls = mostly("https://shop.example/p?fbclid=AbC", None, "ftp://shop.example", "nowhere", "")
agents = mostly(USER_AGENT, None, "", "x")
addresses = mostly("203.0.113.9", None, "x")
users = mostly("u-1", None, "")
traits = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["ada@shop.example", "no address", 5, None, ["a@b.example", 3]]),
        "phone": st.sampled_from(["+49 30 901820", "12", True]),
        "gender": st.sampled_from(["f", "?"]),
        "birthday": st.sampled_from(["1997-02-16", "soon"]),
        "firstName": st.text(max_size=5),
        "address": st.fixed_dictionaries(
            {}, optional={"city": st.text(max_size=5), "country": st.just("DE")}
        ),
    },
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "revenue": sums,
        "total": sums,
        "price": sums,
        "currency": currencies,
        "action_source": sources,
        "products": st.sampled_from(
            [None, PRODUCTS, [], [{}], [{"sku": 7, "price": "x", "quantity": "2"}], "p"]
        ),
        "fbp": st.sampled_from([None, "fb.1.1763859600000.1234567890", "junk", 5]),
        "plan": st.text(max_size=8),
        **{name: st.just(value) for name, value in SHIRT.items() if name != "price"},
    },
)
names = st.sampled_from(
    [
        "Order Completed",
        "Product Added",
        "Product Viewed",
        "Products Searched",
        "Checkout Started",
        "Plan Chosen",
    ]
)


def naive(message: dict[str, Any]) -> dict[str, Any]:
    """The event as somebody would make it who checks nothing."""
    given, context = message["properties"], message["context"]
    is_product = message["event"].startswith("Product ")
    sums = [given.get(name) for name in (["price"] if is_product else ["revenue", "total"])]
    return {
        "event_name": meta_name(message["event"], EventMapping()),
        "event_time": round(datetime.fromisoformat(message["timestamp"]).timestamp()),
        "event_id": message["messageId"],
        "action_source": given.get("action_source") or "website",
        "event_source_url": context["page"]["url"],
        "user_data": {"client_user_agent": context["userAgent"]},
        "custom_data": {
            "value": next((each for each in sums if each not in (None, "")), None),
            "currency": given.get("currency") or None,
        },
    }


def titles(event: dict[str, Any]) -> set[str | None]:
    return {fault.title for fault in faults(event, 0, NOW_MS)}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    time = datetime.fromtimestamp(NOW_MS / 1000, UTC) - draw(ages)
    return {
        "type": "track",
        "event": draw(names),
        "messageId": "m-1",
        "timestamp": time.isoformat(),
        "userId": draw(users),
        "properties": draw(properties),
        "context": {
            "page": {"url": draw(urls)},
            "userAgent": draw(agents),
            "ip": draw(addresses),
            "traits": draw(traits),
        },
    }


@settings(max_examples=300)
@given(message=messages())
def test_a_mapped_event_passes_at_meta_or_is_refused_for_what_meta_would_refuse_it(
    message: dict[str, Any],
) -> None:
    event = read_message(message, SITE.mapping, now_ms=NOW_MS)
    assert not isinstance(event, NoEvent)
    rows: tuple[OutboxEvent, ...] | Refused = (
        event
        if isinstance(event, Refused)
        else enrich_server(event, received_ms=NOW_MS, site=SITE, settings=Settings())
    )
    if isinstance(rows, Refused):
        note(rows.reason)
        assert TITLES[rows.reason] in titles(naive(message)), rows.reason
    else:
        note("sent")
        sent = assemble(rows[0].server_event, rows[0].client_ip_address, rows[0].client_user_agent)
        assert first_fault(sent, 0, NOW_MS) is None, sent
