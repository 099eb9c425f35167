"""What a shop puts into its pages: the tag, the queue stub, and what its security policy must allow."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import urlsplit

import msgspec

from relay.settings import AddressHosts, Site

# What stands in the page itself, because it has to be there before either script. Calls made before ours has loaded
# wait in `counterfoil.q`. And what the base code queues for Meta's script gets an id, so that a copy of that script
# which the browser had at hand, and which is done before ours comes, sends nothing that could not be paired afterwards.
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
META_SCRIPTS: Final = "https://connect.facebook.net"
META_PIXEL: Final = "https://www.facebook.com"
PINNED: Final = "c.v1.js"


def integrity(body: bytes) -> str:
    """The value of a tag's `integrity` (Subresource Integrity)."""
    return "sha384-" + b64encode(hashlib.sha384(body).digest()).decode()


def script_tag(
    public_url: str,
    site_key: str,
    address_hosts: AddressHosts | None = None,
    *,
    consent: str | None = None,
    gpc: str = "ldu",
    radar_share: float = 0,
    integrity: str | None = None,
) -> str:
    """The line that loads the snippet from the relay, and tells it where to learn the visitor's other address.

    `consent`: the adapter that is asked, or empty for a page that says `counterfoil('consent', 'grant')` itself.
    `integrity`: the hash of the pinned script, which is then the one to load.
    """
    data = {"site": site_key} | (address_hosts.urls() if address_hosts else {})
    if consent is not None:
        data["consent"] = consent
    if gpc != "ldu":
        data["gpc"] = gpc
    if radar_share:
        data["radar"] = f"{radar_share:g}"
    if urlsplit(public_url).path:  # the snippet posts to the root of the script's origin, unless it is told
        data["endpoint"] = f"{public_url}/v1/events"
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    if integrity is None:
        return f'<script async src="{escape(public_url)}/c.js"{attributes}></script>'
    pinned = f' integrity="{escape(integrity)}" crossorigin="anonymous"'
    return f'<script async src="{escape(public_url)}/{PINNED}"{pinned}{attributes}></script>'


def site_tag(public_url: str, site: Site, *, integrity: str | None = None) -> str:
    """The tag as the site's settings want it."""
    return script_tag(
        public_url,
        site.key,
        site.address_hosts,
        consent=site.consent_source or ("" if site.consent == "required" else None),
        gpc=site.gpc,
        radar_share=site.radar_share,
        integrity=integrity,
    )


def shopify_pixel(public_url: str, site: Site, source: str) -> str:
    """Shopify's custom pixel for this site: `source` with its one line of settings written."""
    settings = {
        "relay": public_url,
        "site": site.key,
        "pixels": site.pixel_ids(),
        "contentId": "variant",
        "tr": f"{META_PIXEL}/tr/",
    }
    line = f"const SETTINGS = {msgspec.json.encode(settings).decode()};"
    return re.sub(r"^const SETTINGS = .*$", lambda _: line, source, count=1, flags=re.MULTILINE)


def policy_sources(
    public_url: str,
    *,
    scripts: str = META_SCRIPTS,
    pixel: str = META_PIXEL,
    address_hosts: Sequence[str] = (),
) -> dict[str, tuple[str, ...]]:
    """By directive, the sources that the snippet and Meta's Pixel need beside the shop's own.

    An event of 2,048 characters or more leaves Chromium as a form posted into a frame; hence the last two.
    """
    relay, *probed = map(_origin, (public_url, *address_hosts))
    return {
        "script-src": (relay, scripts),
        "connect-src": (relay, *probed, pixel, scripts),
        "img-src": (pixel,),
        "form-action": (pixel,),
        "frame-src": (pixel,),
    }


def policy_line(public_url: str, address_hosts: Sequence[str] = ()) -> str:
    """The sources as one line, to be merged into a shop's own policy."""
    sources = policy_sources(public_url, address_hosts=address_hosts)
    return "; ".join(f"{name} {' '.join(named)}" for name, named in sources.items())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
