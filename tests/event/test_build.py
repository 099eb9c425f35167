"""Golden payloads: a browser event gives exactly these bytes. Each file in data/ is one case for people."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.build import assemble, build, encode, is_too_broad
from relay.event.consent import processing_options
from relay.event.records import BrowserEvent
from relay.event.wire import parse_event
from tests.event.malformed import PIXEL_ID, good_event
from tests.event.test_enrich import SITE, facts

EVENT_TIME_MS = 1_763_859_600_999
GOLDEN = sorted((Path(__file__).parent / "data").glob("build_*.json"))


def browser_event(raw: dict[str, Any]) -> BrowserEvent:
    event = parse_event(raw, pixel_ids=[PIXEL_ID])
    assert isinstance(event, BrowserEvent), event
    return event


def built(raw: dict[str, Any], **identity: Any) -> dict[str, Any]:
    given = {"hashed": {}, "fbp": None, "fbc": None} | identity
    event = browser_event(raw)
    processing, _ = processing_options(event, facts(), SITE)
    return build(event, event_time_ms=EVENT_TIME_MS, processing=processing, **given)


def custom(**custom_data: Any) -> Any:
    return built(good_event(event_name="Custom", custom_data=custom_data)).get("custom_data")


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_a_golden_event_is_built_byte_by_byte(path: Path) -> None:
    case = msgspec.json.decode(path.read_bytes())
    kept = encode(built(case["event"], hashed=case["hashed"], fbp=case["fbp"], fbc=case["fbc"]))
    sent = encode(assemble(kept, case["client_ip_address"], case["client_user_agent"]))
    assert sent == msgspec.json.encode(case["sent"])


def test_there_are_golden_events() -> None:
    assert len(GOLDEN) >= 5


def test_what_is_kept_holds_neither_address_nor_agent() -> None:
    assert set(built(good_event(), fbp="fb.1.1.1")["user_data"]) == {"fbp"}


def test_an_address_that_was_forgotten_is_left_out() -> None:
    kept = encode(built(good_event(), fbp="fb.1.1.1"))
    assert assemble(kept, None, None)["user_data"] == {"fbp": "fb.1.1.1"}
    assert assemble(kept, "2001:db8::1", None)["user_data"]["client_ip_address"] == "2001:db8::1"


def test_user_data_comes_in_one_order_however_it_was_given() -> None:
    hashed = {"external_id": ["c"], "ph": ["b"], "em": ["a", "b"], "ge": []}
    assert list(built(good_event(), hashed=hashed, fbc="c", fbp="p")["user_data"]) == [
        "em",
        "ph",
        "external_id",
        "fbp",
        "fbc",
    ]


def test_seconds_are_cut_and_never_rounded_into_the_future() -> None:
    assert built(good_event())["event_time"] == 1_763_859_600


@pytest.mark.parametrize(
    ("given", "sent"),
    [("A1", ["A1"]), (["A1", 2, None, True, ""], ["A1", "2"]), (7, ["7"]), ([], None), ({}, None)],
)
def test_content_ids_are_a_list_of_texts(given: object, sent: object) -> None:
    assert (custom(content_ids=given) or {}).get("content_ids") == sent


@pytest.mark.parametrize(("given", "sent"), [("product", "product"), (["product"], "product"), ({}, None)])
def test_content_type_is_a_text(given: object, sent: object) -> None:
    assert (custom(content_type=given) or {}).get("content_type") == sent


@pytest.mark.parametrize(("given", "sent"), [(2, 2), ("2", 2), ("two", None), (True, None)])
def test_num_items_is_a_number(given: object, sent: object) -> None:
    assert (custom(num_items=given) or {}).get("num_items") == sent


def test_items_without_an_id_are_left_out_and_numbers_are_numbers() -> None:
    items = [{"id": 7, "quantity": "2", "item_price": "9.90", "title": "Mug"}, {"quantity": 1}, "A1"]
    assert custom(contents=items) == {
        "contents": [{"id": "7", "quantity": 2, "item_price": 9.9, "title": "Mug"}]
    }


def test_one_item_may_come_without_a_list() -> None:
    assert custom(contents={"id": "A1", "quantity": 1}) == {"contents": [{"id": "A1", "quantity": 1}]}


def test_an_order_id_is_a_text() -> None:
    assert custom(order_id=1001) == {"order_id": "1001"}


def test_the_pages_own_properties_are_kept_as_they_are() -> None:
    own = {"plan": "gold", "seats": 3, "tags": ["a"], "deep": {"er": [1.5, False]}}
    assert custom(**own) == own


def test_no_custom_data_leaves_no_member() -> None:
    assert custom() is None


@pytest.mark.parametrize(
    ("keys", "too_broad"),
    [
        ({"client_user_agent"}, True),
        ({"ct", "country", "st", "zp", "ge", "client_user_agent"}, True),
        ({"db", "client_user_agent"}, True),
        ({"fn", "ge"}, True),
        ({"ln", "ge"}, True),
        (set(), True),
        ({"db", "zp", "client_user_agent"}, False),
        ({"fn", "ln", "client_user_agent"}, False),
        ({"client_ip_address", "client_user_agent"}, False),
        ({"fbp", "client_user_agent"}, False),
        ({"em"}, False),
    ],
)
def test_metas_too_broad_combinations(keys: set[str], too_broad: bool) -> None:
    assert is_too_broad(keys) is too_broad


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KNOWN = ["content_ids", "content_type", "contents", "num_items", "order_id", "plan", "id", "quantity"]


@given(
    st.dictionaries(
        st.sampled_from(KNOWN), JSON_VALUES | st.lists(st.dictionaries(st.sampled_from(KNOWN), JSON_VALUES))
    )
)
def test_an_accepted_event_always_builds_serialises_and_assembles(custom_data: dict[str, Any]) -> None:
    event = parse_event(good_event(event_name="Custom", custom_data=custom_data), pixel_ids=[PIXEL_ID])
    if isinstance(event, BrowserEvent):
        kept = encode(build(event, event_time_ms=EVENT_TIME_MS, hashed={}, fbp=None, fbc=None, processing={}))
        assert encode(assemble(kept, None, None)) == kept
