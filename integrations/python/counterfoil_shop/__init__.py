"""For the shop's own server: the tag, signed conversions, and server events, without any dependency.

`counterfoil_shop.django`, `.flask` and `.starlette` bring these into templates and views.
"""

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

STUB: Final = (
    "!function(w){if(w.counterfoil)return;"
    "var c=w.counterfoil=function(){(c.q=c.q||[]).push(arguments)};"
    "function id(a){var m=/^track(Single)?(Custom)?$/.exec(a[0]),i=m&&m[1]?4:3,o;if(!m)return a;"
    "a=[].slice.call(a);o=a[i]||{};"
    "a[i]=Object.assign({eventID:o.event_id||(crypto.randomUUID?crypto.randomUUID():Math.random()+'-'+Date.now())},o);"
    "return a}"
    "function take(f){var q=f.queue||[],i=0;for(;i<q.length;i++)q[i]=id(q[i]);"
    "q.push=function(a){return q[q.length]=id(a)}}"
    "if(w.fbq)take(w.fbq);else Object.defineProperty(w,'fbq',{configurable:!0,"
    "set:function(f){delete w.fbq;w.fbq=f;Promise.resolve(f).then(take)}})"
    "}(window)"
)
SALT: Final = "counterfoil.conversion"

Json = dict[str, Any]


@dataclass(frozen=True)
class Relay:
    """The shop's relay. The two keys are secrets, and neither is shown in a repr."""

    url: str  # as browsers see it, such as https://relay.shop.example
    site: str  # the site's key in relay.toml
    signing_key: str | None = field(default=None, repr=False)  # the relay's conversion_key_env
    write_key: str | None = field(default=None, repr=False)  # the relay's write_key_env
    api: str | None = None  # where this server reaches the relay, if elsewhere: http://127.0.0.1:8300
    consent: str | None = None  # the tag's data-consent


class RelayError(Exception):
    """The relay has refused the call; the message says why, and what to do. Sending it again does not help."""


class RelayUnavailable(Exception):
    """No answer, or not now: send the same call again, after `retry_after_seconds` where it is known. Always safe."""

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def tag(relay: Relay, *, nonce: str = "") -> str:
    """HTML for the <head> of every page. `nonce`: of the page's Content-Security-Policy."""
    data = {"site": relay.site}
    if relay.consent is not None:
        data["consent"] = relay.consent
    if urlsplit(relay.url).path:
        data["endpoint"] = f"{relay.url}/v1/events"
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    own = f' nonce="{escape(nonce)}"' if nonce else ""
    source = escape(f"{relay.url}/c.js")
    return f'<script{own}>{STUB}</script>\n<script async{own} src="{source}"{attributes}></script>'


def track(
    relay: Relay, event_name: str, custom_data: Mapping[str, Any], *, nonce: str = "", **options: Any
) -> str:
    """HTML that reports one event of a page, once per page view. Signed where the relay's `signing_key` is known and
    the event has an `order_id`.

    `options`: eventID, userData, pixelIds; docs/snippet.md.
    """
    if relay.signing_key and custom_data.get("order_id"):
        options = {**options, "signature": sign(relay.signing_key, event_name, custom_data)}
    call = ",".join(_script_json(part) for part in ("track", event_name, custom_data, options))
    own = f' nonce="{escape(nonce)}"' if nonce else ""
    return f"<script{own}>{STUB};counterfoil({call})</script>"


def sign(key: str, event_name: str, custom_data: Mapping[str, Any]) -> str:
    """HMAC-SHA256 over event_name, order_id, value and currency: docs/signing.md."""
    value = custom_data.get("value")
    lines = [
        SALT,
        event_name,
        str(custom_data["order_id"]),
        "" if value is None else _amount(value),
        str(custom_data.get("currency") or "").upper(),
    ]
    return hmac.new(key.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def visitor(cookies: Mapping[str, str], user_agent: str, address: str | None) -> Json:
    """`user_data` of what a request of the visitor tells. `address`: as your framework knows it behind its proxies."""
    found = {
        "client_user_agent": user_agent,
        "client_ip_address": address,
        "fbp": cookies.get("_fbp"),
        "fbc": cookies.get("_fbc"),
    }
    return {name: value for name, value in found.items() if value}


def send(relay: Relay, events: Sequence[Mapping[str, Any]], *, timeout_seconds: float = 5.0) -> Json:
    """`POST /v1/server-events`, up to 1,000 events in Meta's own shape (docs/server-events.md); the relay's answer.

    It waits for the relay: call it from a task queue, not from a view. Raises RelayUnavailable where the call should
    be made again, RelayError where that would not help; events that were refused one by one are in the answer.
    """
    if not relay.write_key:
        raise RelayError("There is no write_key. Give Relay the key of the site's write_key_env.")
    request = urllib.request.Request(  # noqa: S310 - the address is the shop's own setting
        f"{relay.api or relay.url}/v1/server-events",
        json.dumps({"events": list(events)}, default=_plain).encode(),
        {"authorization": f"Bearer {relay.write_key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            read: Json = json.load(answer)
            return read
    except urllib.error.HTTPError as error:
        with error:
            _raise(error)
    except (OSError, ValueError) as error:
        raise RelayUnavailable(f"The relay did not answer: {error}") from None


def _raise(error: urllib.error.HTTPError) -> NoReturn:
    after = error.headers.get("retry-after", "")
    try:
        message = json.load(error)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = f"The relay answered {error.code}."
    if error.code == 429 or error.code >= 500:
        raise RelayUnavailable(message, int(after) if after.isdigit() else None) from None
    raise RelayError(message) from None


def _amount(value: Any) -> str:
    """A plain decimal with two decimals, or with all it has where it has more."""
    amount = Decimal(str(value))
    exponent = amount.as_tuple().exponent
    return f"{amount:f}" if isinstance(exponent, int) and exponent < -2 else f"{amount:.2f}"


def _plain(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _script_json(value: object) -> str:
    """JSON that cannot leave the script it stands in."""
    text = json.dumps(value, default=_plain)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
