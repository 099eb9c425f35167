"""What Meta's Conversions API refuses about one event.

Sources of the codes. Documented by Meta, or seen in its answers by others: 100/2804003 (too old), 100/2804009
(Purchase without value), 100/2804016 (not hashed), 100/2804050 (too little about the person), plain 100
(unknown key). For every other rule Meta's own subcode is not known to us: the number is our choice within its
payload validation family (2804001, 2804007, 2804017, 2804019, 2804048) and is not verified against Meta. The
texts are ours throughout, and no rule was checked against the live API.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from iso4217 import Currency

from relay.graph_answers import GraphError

Json = Mapping[str, Any]

MAX_AGE_SECONDS: Final = 7 * 86_400
MAX_STORE_AGE_SECONDS: Final = 62 * 86_400  # action_source physical_store
FUTURE_SECONDS: Final = 60  # Meta gives no figure; this one is ours

ACTION_SOURCES: Final = frozenset(
    {"email", "website", "app", "phone_call", "chat", "physical_store", "system_generated"}
    | {"business_messaging", "other"}
)
APP_DATA_NEEDED: Final = frozenset({"advertiser_tracking_enabled", "application_tracking_enabled", "extinfo"})
REQUIRED_KEYS: Final = ("event_name", "event_time", "user_data", "action_source")
EVENT_KEYS: Final = frozenset(
    {*REQUIRED_KEYS, "event_source_url", "event_id", "custom_data", "opt_out", "referrer_url"}
    | {"data_processing_options", "data_processing_options_country", "data_processing_options_state"}
    | {"original_event_data", "attribution_data", "customer_segmentation", "app_data", "messaging_channel"}
    | {"advanced_measurement_table"}
)
HASHED_KEYS: Final = frozenset(
    {"em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country"}
    | {"f5first", "f5last", "fi", "dobd", "dobm", "doby"}
)
PLAIN_KEYS: Final = frozenset(
    {"external_id", "client_ip_address", "client_user_agent", "fbc", "fbp", "subscription_id", "fb_login_id"}
    | {
        "lead_id",
        "anon_id",
        "page_id",
        "page_scoped_user_id",
        "ctwa_clid",
        "ig_account_id",
        "ig_sid",
        "madid",
    }
)
TOO_BROAD: Final = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
CURRENCIES: Final = frozenset(currency.code for currency in Currency)

_APPENDIX = r"(\.([A-Za-z0-9_-]{2}|[A-Za-z0-9_-]{8}))?"
_HASH = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{32})" + _APPENDIX)  # SHA-256, or MD5 as in older exports
_FBP = re.compile(r"fb\.[0-9]\.[0-9]{10,13}\.[0-9]{1,20}" + _APPENDIX)
_FBC = re.compile(r"fb\.[0-9]\.[0-9]{10,13}\.[^.\s]{1,500}" + _APPENDIX)
_URL = re.compile(r"https?://[^\s/?#]+([/?#]\S*)?", re.IGNORECASE)


def first_fault(event: object, index: int, now_ms: int) -> GraphError | None:
    """The first thing that Meta would refuse about this event of a batch; None where it would take it."""
    error = next(faults(event, index, now_ms), None)
    return msgspec.structs.replace(error, guilty=index) if error else None


def is_amount(value: object) -> bool:
    """A finite number, or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def is_currency(value: object) -> bool:
    """An ISO 4217 code in either case: Meta's own examples use both."""
    return isinstance(value, str) and value.upper() in CURRENCIES


def faults(event: object, index: int, now_ms: int) -> Iterator[GraphError]:
    """Every fault in the order of the checks; a check may rely on those before it having found none."""
    if not isinstance(event, Mapping):
        yield GraphError(code=100, message=f"(#100) Param data[{index}] must be an object.")
        return
    given = {key: value for key, value in event.items() if value is not None}
    for key in given.keys() - EVENT_KEYS:
        yield GraphError(
            code=100, message=f'(#100) Unexpected key "{key[:99]}" on param "$[\'data\'][{index}]"'
        )
    for check in (_required, _time, _place, _person, _money, _options):
        yield from check(given, now_ms)


def _invalid(subcode: int, title: str, said: str) -> GraphError:
    return GraphError(code=100, subcode=subcode, message="Invalid parameter", title=title, user_message=said)


def _required(event: Json, _now_ms: int) -> Iterator[GraphError]:
    for key in REQUIRED_KEYS:
        if event.get(key) in (None, ""):
            yield _invalid(2804019, "Missing Parameter", f"The event has no {key}.")
    for key in ("event_name", "action_source"):
        if not isinstance(event[key], str):
            yield _invalid(2804019, "Invalid Parameter", f"{key} must be a text.")
    if not isinstance(event.get("event_id", ""), str | int):
        yield _invalid(2804019, "Invalid Parameter", "event_id must be a text.")
    for key in ("user_data", "custom_data"):
        if not isinstance(event.get(key, {}), Mapping):
            yield _invalid(2804019, "Invalid Parameter", f"{key} must be an object.")


def _time(event: Json, now_ms: int) -> Iterator[GraphError]:
    seconds = _whole(event["event_time"])
    if seconds is None:
        yield _invalid(2804007, "Invalid Event Time", "event_time must be whole Unix seconds.")
        return
    age_seconds = now_ms // 1000 - seconds
    if age_seconds < -FUTURE_SECONDS:
        yield _invalid(2804007, "Event Time In The Future", "event_time lies in the future.")
    in_store = event["action_source"] == "physical_store"
    if age_seconds > (MAX_STORE_AGE_SECONDS if in_store else MAX_AGE_SECONDS):
        said = "The event happened longer ago than Meta accepts: seven days, or 62 for a physical store."
        yield _invalid(2804003, "Event Timestamp Too Old", said)


def _whole(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _place(event: Json, _now_ms: int) -> Iterator[GraphError]:
    if event["action_source"] not in ACTION_SOURCES:
        said = f"action_source must be one of {', '.join(sorted(ACTION_SOURCES))}."
        yield _invalid(2804019, "Invalid Action Source", said)
    if event["action_source"] == "app":
        given = event.get("app_data")
        if not (isinstance(given, Mapping) and given.keys() >= APP_DATA_NEEDED):
            said = f"An app event needs app_data with {', '.join(sorted(APP_DATA_NEEDED))}."
            yield _invalid(2804048, "Missing App Data", said)
    if event["action_source"] != "website":
        return
    url, agent = event.get("event_source_url"), event["user_data"].get("client_user_agent")
    if not (isinstance(url, str) and _URL.fullmatch(url)):
        said = "A website event needs event_source_url, an absolute http or https address."
        yield _invalid(2804048, "Missing Event Source URL", said)
    if not (isinstance(agent, str) and agent.strip()):
        said = "A website event needs user_data.client_user_agent."
        yield _invalid(2804048, "Missing Client User Agent", said)


def _person(event: Json, _now_ms: int) -> Iterator[GraphError]:
    given = {key: values for key, value in event["user_data"].items() if (values := _values(value))}
    for key in sorted(HASHED_KEYS & given.keys()):
        if not all(_matches(_HASH, value) for value in given[key]):
            said = f"The {key} parameter is not hashed; send it as SHA-256 in hexadecimal."
            yield _invalid(2804016, "User Parameter Not Hashed", said)
    for key, is_valid in _FORMATS.items():
        if key in given and not (len(given[key]) == 1 and is_valid(given[key][0])):
            yield _invalid(2804001, f"Invalid {key}", f"user_data.{key} is not in Meta's format.")
    usable = given.keys() & (HASHED_KEYS | PLAIN_KEYS)
    if any(usable <= broad for broad in TOO_BROAD):
        said = "The customer information is too broad to match a person. Add em, ph, external_id, fbp or fbc."
        yield _invalid(2804050, "Not Enough Customer Information", said)


def _values(value: object) -> list[Any]:
    """A key's values as a list; null, "" and [] count as not given."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


_FORMATS: Final[Mapping[str, Callable[[object], bool]]] = {
    "fbp": lambda value: _matches(_FBP, value),
    "fbc": lambda value: _matches(_FBC, value),
    "client_ip_address": _is_address,
}


def _money(event: Json, _now_ms: int) -> Iterator[GraphError]:
    custom_data = event.get("custom_data", {})
    value, currency = custom_data.get("value"), custom_data.get("currency")
    is_purchase = event["event_name"] == "Purchase"
    if is_purchase and value is None:
        yield _invalid(2804009, "Missing Value", "A Purchase needs custom_data.value.")
    if value is not None and not is_amount(value):
        yield _invalid(2804017, "Invalid Value", "custom_data.value must be a number.")
    if is_purchase and currency is None:
        yield _invalid(2804017, "Missing Currency", "A Purchase needs custom_data.currency.")
    if currency is not None and not is_currency(currency):
        yield _invalid(2804017, "Invalid Currency", "custom_data.currency must be an ISO 4217 code.")


def _options(event: Json, _now_ms: int) -> Iterator[GraphError]:
    if not isinstance(event.get("data_processing_options", []), list):
        said = "data_processing_options must be a list."
        yield _invalid(2804019, "Invalid Data Processing Options", said)
