"""relay.toml ← RELAY_* ← flags, read once into frozen objects.

Each field carries its default, and a sentence with its unit; `docs/settings.md` lists them all, and a test holds the
two together. Unknown keys are errors that name their path. Secrets are never written into the file by value: they come
from the environment (`*_env`) or from a file (`*_file`).
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from relay.errors import SettingsError

GRAPH_URL: Final = "https://graph.facebook.com"

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Duration = Annotated[float, msgspec.Meta(ge=0)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}$")]
SiteKey = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{3,64}$")]
GraphVersion = Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")]
CountryCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Server(_Section, frozen=True):
    """[server]: where the relay listens and where it sends."""

    host: Annotated[str, msgspec.Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, msgspec.Meta(description="TCP port to listen on.")] = 8300
    public_url: Annotated[
        str, msgspec.Meta(description="The relay's address as browsers see it; cookies are Secure when it is https.")
    ] = "http://127.0.0.1:8300"
    trusted_proxies: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="CIDRs of the proxies whose X-Forwarded-For or Forwarded header is believed."),
    ] = ()
    graph_url: Annotated[
        str, msgspec.Meta(description="Where Graph calls go; the address of a Meta twin for tests.")
    ] = GRAPH_URL
    graph_version: Annotated[
        GraphVersion, msgspec.Meta(description="Graph API version for every pixel without its own.")
    ] = "v26.0"
    secret_key_env: Annotated[
        str | None, msgspec.Meta(description="Name of the variable that holds the signing key of the console.")
    ] = None
    secret_key_file: Annotated[
        str | None,
        msgspec.Meta(description="File with the signing key; left out: made at first start beside the store, mode 0600."),
    ] = None
    shutdown_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds that a stop waits for calls to Graph under way.")
    ] = 20.0
    log_format: Annotated[
        Literal["text", "json"], msgspec.Meta(description="Log lines for people (text) or machines (json).")
    ] = "text"
    accept_private_addresses: Annotated[
        bool,
        msgspec.Meta(description="Laboratory only: let loopback and private addresses count as the visitor's."),
    ] = False


class StoreSettings(_Section, frozen=True):
    """[store]: where accepted events live."""

    path: Annotated[str, msgspec.Meta(description="SQLite file; its folder also holds the signing key.")] = (
        "counterfoil-data/counterfoil.db"
    )
    retention_days: Annotated[
        Count, msgspec.Meta(description="Days that receipts are kept after the event has ended.")
    ] = 30


class Delivery(_Section, frozen=True):
    """[delivery]: how long events are held, and how they are sent."""

    hold_pending_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds after dispatch that an event waits whose Pixel request is unsettled.")
    ] = 20.0
    hold_undispatched_seconds: Annotated[
        Duration,
        msgspec.Meta(description="Seconds after the event that it waits while Meta's script has not sent the Pixel's."),
    ] = 30.0
    batch_max: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=1000)],
        msgspec.Meta(description="Events per call to Graph; Meta takes 1,000 at most."),
    ] = 1000
    concurrency: Annotated[
        Count, msgspec.Meta(description="Calls to Graph under way at once, over all pixels; one at most per pixel.")
    ] = 4
    connect_timeout_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds to wait for a connection to Graph.")
    ] = 5.0
    read_timeout_seconds: Annotated[
        Duration,
        msgspec.Meta(description="Seconds to wait for Graph's answer; long, since an ambiguous send is worse than a slow one."),
    ] = 15.0
    lease_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds that a claimed batch belongs to one courier.")
    ] = 120.0
    on_unknown: Annotated[
        Literal["resend", "hold"],
        msgspec.Meta(description="What to do when a call was written and no answer came: send again, or end as unknown."),
    ] = "resend"


class Privacy(_Section, frozen=True):
    """[privacy]: what is kept, and for how long."""

    address_hours: Annotated[
        Duration,
        msgspec.Meta(description="Hours that a visitor's address and user agent are kept after the event has ended."),
    ] = 24.0


class Pixel(_Section, frozen=True):
    """[[site.pixels]]: one Meta pixel (dataset) of a site."""

    id: Annotated[Digits, msgspec.Meta(description="The pixel's id: digits, from Events Manager.")]
    token_env: Annotated[
        str | None, msgspec.Meta(description="Name of the variable that holds the access token.")
    ] = None
    token_file: Annotated[str | None, msgspec.Meta(description="File that holds the access token.")] = None
    graph_version: Annotated[
        GraphVersion | None, msgspec.Meta(description="Graph API version for this pixel.")
    ] = None
    test_event_code: Annotated[
        str | None, msgspec.Meta(description="Shows events under Test Events; they count all the same.")
    ] = None


class Site(_Section, frozen=True):
    """[[site]]: one shop."""

    key: Annotated[SiteKey, msgspec.Meta(description="The key in the tag's data-site; public.")]
    origins: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Origins whose pages may post, such as https://shop.example; exact.", min_length=1),
    ]
    pixels: Annotated[
        tuple[Pixel, ...], msgspec.Meta(description="Pixels that get every event of the site.", min_length=1)
    ]
    default_country: Annotated[
        CountryCode | None, msgspec.Meta(description="Country for phone numbers without a country code, such as DE.")
    ] = None

    def pixel_ids(self) -> tuple[str, ...]:
        return tuple(pixel.id for pixel in self.pixels)


class Settings(_Section, frozen=True):
    """Everything that can be set, read once."""

    server: Server = Server()
    store: StoreSettings = StoreSettings()
    delivery: Delivery = Delivery()
    privacy: Privacy = Privacy()
    site: tuple[Site, ...] = ()

    def site_by_key(self, key: str) -> Site | None:
        return next((site for site in self.site if site.key == key), None)


SECTIONS: Final[dict[str, type[_Section]]] = {
    "server": Server,
    "store": StoreSettings,
    "delivery": Delivery,
    "privacy": Privacy,
}
