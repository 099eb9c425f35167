"""What can be set, as frozen objects; `relay/loading.py` reads them.

Each field carries its default, and a sentence with its unit; `docs/settings.md` lists them all, and a test
holds the two together.
"""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

import iso4217
import msgspec

from relay.locations import check_database, check_origin, check_proxy, check_url, check_webhook

GRAPH_URL: Final = "https://graph.facebook.com"
EVERY_EVENT: Final = "*"  # in place of an event's name: the rules of every name that has none of its own

CURRENCIES: Final = frozenset(currency.code for currency in iso4217.Currency)
EVENT_NAME_MAX: Final = 50  # Meta's

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Duration = Annotated[float, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,20}$")]
Share = Annotated[float, msgspec.Meta(gt=0, le=100)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
SiteKey = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{3,64}$")]
Role = Literal["all", "relay", "courier", "console"]
GraphVersion = Annotated[str, msgspec.Meta(pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")]
ConsentSource = Literal["google", "tcf", "gpp", "cookiebot", "onetrust", "usercentrics", "complianz", "wp"]
CurrencyCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
ActionSourceName = Literal[
    "email",
    "website",
    "app",
    "phone_call",
    "chat",
    "physical_store",
    "system_generated",
    "business_messaging",
    "other",
]
CountryCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of relay.toml. Rules beyond types raise ValueError; msgspec adds the path to it."""

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if getattr(self, field) == math.inf:
                raise ValueError(f"{field} must be a finite number")


def _check_one_source(secret: str, env: str | None, file: str | None) -> None:
    if env is not None and file is not None:
        raise ValueError(f"{secret}_env and {secret}_file are both set; keep one")


class Server(Section, frozen=True):
    """[server]: where the relay listens and where it sends."""

    host: Annotated[str, msgspec.Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, msgspec.Meta(description="TCP port to listen on.")] = 8300
    public_url: Annotated[
        str,
        msgspec.Meta(
            description="The relay's address as browsers see it; cookies are Secure when it is https."
        ),
    ] = "http://127.0.0.1:8300"
    trusted_proxies: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Proxies whose word for the visitor's address is believed: CIDRs, or names (docs/addresses.md)."
        ),
    ] = ()
    console_url: Annotated[
        str | None,
        msgspec.Meta(
            description="The console's own address, where that is not public_url: a relay under a path of the shop."
        ),
    ] = None
    graph_url: Annotated[
        str, msgspec.Meta(description="Where Graph calls go; the address of a Meta twin for tests.")
    ] = GRAPH_URL
    graph_version: Annotated[
        GraphVersion, msgspec.Meta(description="Graph API version for every pixel without its own.")
    ] = "v26.0"
    secret_key_env: Annotated[
        str | None,
        msgspec.Meta(
            description="Name of the variable that holds the signing keys, separated by spaces; the last one signs."
        ),
    ] = None
    secret_key_file: Annotated[
        str | None,
        msgspec.Meta(
            description="File with the signing keys, one a line; left out: one is made beside the store at first start."
        ),
    ] = None
    shutdown_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds that a stop waits for calls to Graph under way.")
    ] = 20.0
    receive_seconds: Annotated[
        Seconds,
        msgspec.Meta(
            description="Seconds in which a request must have arrived whole; idle connections end after them too."
        ),
    ] = 8.0
    connections_max: Annotated[
        Count,
        msgspec.Meta(description="Connections that may be open at once; requests beyond are answered 503."),
    ] = 2000
    role: Annotated[
        Role,
        msgspec.Meta(
            description="What this process does; anything but all needs [store] url (docs/scale.md)."
        ),
    ] = "all"
    log_format: Annotated[
        Literal["text", "json"], msgspec.Meta(description="Log lines for people (text) or machines (json).")
    ] = "text"
    accept_headless: Annotated[
        bool,
        msgspec.Meta(
            description="Laboratory only: let headless Chromium count as a visitor, not as a crawler."
        ),
    ] = False
    accept_private_addresses: Annotated[
        bool,
        msgspec.Meta(
            description="Laboratory only: let loopback and private addresses count as the visitor's."
        ),
    ] = False

    def console(self) -> str:
        """Where people sign in."""
        return self.console_url or self.public_url

    def __post_init__(self) -> None:
        super().__post_init__()
        check_url(self.public_url)
        check_url(self.graph_url)
        if self.console_url is not None:
            check_url(self.console_url)
        for proxy in self.trusted_proxies:
            check_proxy(proxy)
        _check_one_source("secret_key", self.secret_key_env, self.secret_key_file)


class StoreSettings(Section, frozen=True):
    """[store]: where accepted events live."""

    path: Annotated[str, msgspec.Meta(description="SQLite file; its folder also holds the signing key.")] = (
        "counterfoil-data/counterfoil.db"
    )
    url: Annotated[
        str | None,
        msgspec.Meta(
            description="PostgreSQL instead: postgresql://user@host1,host2/name, without a password (docs/scale.md)."
        ),
    ] = None
    url_env: Annotated[
        str | None,
        msgspec.Meta(description="Name of the variable that holds that address, where it has a password."),
    ] = None
    url_file: Annotated[str | None, msgspec.Meta(description="File that holds it.")] = None
    spill_seconds: Annotated[
        Seconds,
        msgspec.Meta(
            description="Seconds that a post waits for PostgreSQL; then a local file keeps it until it is taken over."
        ),
    ] = 1.0
    retention_days: Annotated[
        Count, msgspec.Meta(description="Days that receipts are kept after the event has ended.")
    ] = 30
    counter_days: Annotated[
        Count, msgspec.Meta(description="Days that counts per minute or hour and issues are kept.")
    ] = 90
    order_days: Annotated[
        Count,
        msgspec.Meta(description="Days that the hash of an order is kept, so that a Purchase counts once."),
    ] = 90
    waiting_posts_max: Annotated[
        Count, msgspec.Meta(description="Posts that may wait for the disk at once; the next is answered 503.")
    ] = 4096
    disk_reserve_mib: Annotated[
        Duration,
        msgspec.Meta(description="Posts are answered 503 while the disk has fewer MiB free than this."),
    ] = 64.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url is not None:
            check_database(self.url)
        if sum(each is not None for each in (self.url, self.url_env, self.url_file)) > 1:
            raise ValueError("url, url_env and url_file name one address; keep one of them")

    def is_shared(self) -> bool:
        """Whether the store is a database that other machines may use, too."""
        return (self.url, self.url_env, self.url_file) != (None, None, None)


class Delivery(Section, frozen=True):
    """[delivery]: how long events are held, and how they are sent."""

    hold_pending_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds after dispatch that an event waits whose Pixel request is unsettled."
        ),
    ] = 20.0
    hold_undispatched_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds after the event that it waits while Meta's script has not sent the Pixel's."
        ),
    ] = 30.0
    hold_address_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds that an event over IPv4 waits for an IPv6 token, where the site has a host for it."
        ),
    ] = 2.0
    hold_awaited_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds that a server's website event waits for its browser half, then goes alone."
        ),
    ] = 60.0
    batch_max: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=1000)],
        msgspec.Meta(description="Events per call to Graph; Meta takes 1,000 at most."),
    ] = 1000
    concurrency: Annotated[
        Count,
        msgspec.Meta(description="Calls to Graph under way at once, over all pixels; one at most per pixel."),
    ] = 4
    connect_timeout_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds to wait for a connection to Graph.")
    ] = 5.0
    read_timeout_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds to wait for Graph's answer; an ambiguous send is worse than a slow one."
        ),
    ] = 15.0
    lease_seconds: Annotated[
        Duration, msgspec.Meta(description="Seconds that a claimed batch belongs to one courier.")
    ] = 120.0
    on_unknown: Annotated[
        Literal["resend", "hold"],
        msgspec.Meta(
            description="After a call was written and no answer came: send again, or end as unknown."
        ),
    ] = "resend"
    resend_max: Annotated[
        Annotated[int, msgspec.Meta(ge=0)],
        msgspec.Meta(description="Times that one event is sent again so; after that it ends as unknown."),
    ] = 5

    quality_hours: Annotated[
        Duration,
        msgspec.Meta(description="Hours between two questions about Dataset Quality; 0: only when asked to."),
    ] = 6.0

    def resends(self) -> int:
        """How often an event may be sent again of which nobody knows whether it was taken."""
        return self.resend_max if self.on_unknown == "resend" else 0


class Privacy(Section, frozen=True):
    """[privacy]: what is kept, and for how long."""

    address_hours: Annotated[
        Duration,
        msgspec.Meta(
            description="Hours that a visitor's address and user agent are kept after the event has ended."
        ),
    ] = 24.0
    show_addresses: Annotated[
        Literal["full", "anonymised"],
        msgspec.Meta(
            description="How the console shows visitors' addresses: whole, or only their /24 (IPv4) and /48 (IPv6)."
        ),
    ] = "full"


class Limits(Section, frozen=True):
    """[limits]: how much one asker may ask; what is over is answered 429 with Retry-After."""

    address_posts_per_minute: Annotated[
        Count,
        msgspec.Meta(description="Posts that one IPv4 address or IPv6 /64 may send per minute."),
    ] = 600
    site_events_per_minute: Annotated[
        Annotated[int, msgspec.Meta(ge=20)],  # as many as one post may carry
        msgspec.Meta(description="Events that the pages of one site may send per minute."),
    ] = 120_000
    server_events_per_minute: Annotated[
        Annotated[int, msgspec.Meta(ge=1000)],  # as many as one call may carry
        msgspec.Meta(description="Events that the servers of one site may send per minute."),
    ] = 120_000
    sign_in_failures_per_minute: Annotated[
        Count,
        msgspec.Meta(
            description="Failed sign-ins per address and minute; 4 times that per hour, 10 times per day."
        ),
    ] = 5
    addresses_max: Annotated[
        Count, msgspec.Meta(description="Addresses whose counts are kept at once; the oldest go first.")
    ] = 100_000
    answer_delay_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=10_000)],
        msgspec.Meta(
            description="An answer 429 waits so long: a flood comes no faster than its connections are answered."
        ),
    ] = 500


class Telemetry(Section, frozen=True):
    """[telemetry]: what the relay tells the operator's own machines about itself (docs/metrics.md)."""

    metrics_key_env: Annotated[
        str | None,
        msgspec.Meta(
            description="Name of the variable with the keys that /metrics asks for, separated by spaces."
        ),
    ] = None
    metrics_key_file: Annotated[
        str | None,
        msgspec.Meta(
            description="File with those keys, one a line; with neither, only this machine may read /metrics."
        ),
    ] = None
    traces: Annotated[
        bool,
        msgspec.Meta(
            description="Send OpenTelemetry spans to where OTEL_EXPORTER_OTLP_ENDPOINT says; needs counterfoil[otel]."
        ),
    ] = False
    log_events: Annotated[
        bool,
        msgspec.Meta(
            description="Log a line for each accepted event: site, name, event_id, what became of it."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_one_source("metrics_key", self.metrics_key_env, self.metrics_key_file)


class Alerts(Section, frozen=True):
    """[alerts]: who is told when something is wrong, and what counts as wrong."""

    urls: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Addresses that alerts are posted to (Standard Webhooks); https only."),
    ] = ()
    secret_env: Annotated[
        str | None,
        msgspec.Meta(
            description="Name of the variable with the secret that signs alerts, whsec_ and base64."
        ),
    ] = None
    secret_file: Annotated[str | None, msgspec.Meta(description="File with that secret.")] = None
    check_seconds: Annotated[Seconds, msgspec.Meta(description="Seconds between two looks.")] = 60.0
    events_min: Annotated[
        Count, msgspec.Meta(description="Events below which a share, or a silence, says nothing.")
    ] = 20
    error_percent: Annotated[
        Share,
        msgspec.Meta(description="Alert when so many percent of the last hour's events were not delivered."),
    ] = 10.0
    pair_drop_points: Annotated[
        Share,
        msgspec.Meta(
            description="Alert when the share with both halves is so many points below that of the day before."
        ),
    ] = 20.0
    silence_minutes: Annotated[
        Duration,
        msgspec.Meta(description="Alert when a site with events has had none for so many minutes; 0: never."),
    ] = 120.0
    allow_private: Annotated[
        bool,
        msgspec.Meta(description="Laboratory only: let alerts go over http and to private addresses."),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_one_source("secret", self.secret_env, self.secret_file)
        for url in self.urls:
            check_webhook(url, allow_http=self.allow_private)
        if self.urls and not (self.secret_env or self.secret_file):
            raise ValueError("urls need secret_env or secret_file: receivers check the signature")


class Pixel(Section, frozen=True):
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
    test_event_code_until: Annotated[
        Moment | None,
        msgspec.Meta(
            description="When test_event_code ends by itself, such as 2026-12-01T18:00:00Z; left out: never."
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_one_source("token", self.token_env, self.token_file)
        if self.test_event_code_until is not None and self.test_event_code is None:
            raise ValueError("test_event_code_until ends a test_event_code, and there is none")

    def test_until_ms(self) -> int | None:
        """When the test mode ends, in Unix milliseconds; None: never."""
        until = self.test_event_code_until
        return None if until is None else round(until.timestamp() * 1_000)


class AddressHosts(Section, frozen=True):
    """[site.address_hosts]: names of this relay that resolve to one address family only."""

    ipv6: Annotated[
        str | None,
        msgspec.Meta(
            description="The relay under a name with AAAA records only, such as https://v6.shop.example."
        ),
    ] = None
    ipv4: Annotated[str | None, msgspec.Meta(description="The relay under a name with A records only.")] = (
        None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for url in self.urls().values():
            check_url(url)

    def urls(self) -> dict[Literal["ipv6", "ipv4"], str]:
        """The families that have a name of their own."""
        named: dict[Literal["ipv6", "ipv4"], str | None] = {"ipv6": self.ipv6, "ipv4": self.ipv4}
        return {family: url for family, url in named.items() if url is not None}


class EventRules(Section, frozen=True):
    """[site.events.NAME]: who sends the events of one name; under the name "*": of all others."""

    mode: Annotated[
        Literal["both", "split", "server"],
        msgspec.Meta(
            description="both: Pixel and relay; split: pages by Pixel only, backends by relay; server: no Pixel."
        ),
    ] = "both"
    hold_completion_seconds: Annotated[
        Duration,
        msgspec.Meta(
            description="Seconds that the page's event waits for the backend to complete it (docs/server-events.md)."
        ),
    ] = 0.0


class EventMapping(Section, frozen=True):
    """[site.mapping]: how Segment's and RudderStack's calls become Meta's events (docs/segment.md)."""

    events: Annotated[
        dict[str, str],
        msgspec.Meta(
            description='Your names of events, and the name that Meta gets for each; "" sends nothing.'
        ),
    ] = {}
    page: Annotated[str, msgspec.Meta(description='The event that a page call becomes; "" for none.')] = (
        "PageView"
    )
    identify: Annotated[
        str, msgspec.Meta(description='The event that an identify call becomes; "" for none.')
    ] = ""
    screen: Annotated[str, msgspec.Meta(description='The event that a screen call becomes; "" for none.')] = (
        ""
    )
    action_source: Annotated[
        ActionSourceName, msgspec.Meta(description="action_source of events that name none.")
    ] = "website"
    external_id_field: Annotated[
        str | None,
        msgspec.Meta(
            description="Path of external_id, such as properties.externalId; else userId, else anonymousId."
        ),
    ] = None
    product_value_field: Annotated[
        str, msgspec.Meta(description="Path of a product event's value; else properties.value.")
    ] = "properties.price"
    order_value_field: Annotated[
        str | None,
        msgspec.Meta(description="Path of an order's value; else properties.revenue, .total, .value."),
    ] = None
    purchase_currency: Annotated[
        CurrencyCode | None,
        msgspec.Meta(description="Currency of a Purchase that names none; left out, it is refused."),
    ] = None
    other_properties: Annotated[
        bool,
        msgspec.Meta(description="Pass properties that have no place of their own on in custom_data."),
    ] = True
    limited_data_use: Annotated[
        bool,
        msgspec.Meta(description="Send the three options below with events that bring none of their own."),
    ] = False
    data_processing_options: Annotated[
        tuple[Literal["LDU"], ...],
        msgspec.Meta(description='["LDU"] limits the data use, [] says explicitly that it is not limited.'),
    ] = ("LDU",)
    data_processing_options_country: Annotated[
        int, msgspec.Meta(description="Meta's number of the country; 0: by the visitor's address.", ge=0)
    ] = 0
    data_processing_options_state: Annotated[
        int, msgspec.Meta(description="Meta's number of the state; 0: by the visitor's address.", ge=0)
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.purchase_currency is not None and self.purchase_currency not in CURRENCIES:
            raise ValueError(f"purchase_currency {self.purchase_currency} is no ISO 4217 code")
        for name in (*self.events.values(), self.page, self.identify, self.screen):
            if len(name) > EVENT_NAME_MAX:
                raise ValueError(f"{name} is longer than the {EVENT_NAME_MAX} characters that Meta takes")


NO_RULES: Final = EventRules()  # what a site has that says nothing of an event


class Site(Section, frozen=True):
    """[[site]]: one shop."""

    key: Annotated[SiteKey, msgspec.Meta(description="The key in the tag's data-site; public.")]
    origins: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Origins whose pages may post, such as https://shop.example; exact.", min_length=1
        ),
    ]
    pixels: Annotated[
        tuple[Pixel, ...], msgspec.Meta(description="Pixels that get every event of the site.", min_length=1)
    ]
    opaque_origins: Annotated[
        bool,
        msgspec.Meta(
            description="Let sandboxed frames post, whose Origin is null, such as Shopify's custom pixels."
        ),
    ] = False
    default_country: Annotated[
        CountryCode | None,
        msgspec.Meta(description="Country for phone numbers without a country code, such as DE."),
    ] = None
    require_signature: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Names of events that are sent only with a signature of the shop's server (docs/signing.md)."
        ),
    ] = ()
    conversion_key_env: Annotated[
        str | None,
        msgspec.Meta(
            description="Name of the variable with the keys that the shop's server signs with, separated by spaces."
        ),
    ] = None
    conversion_key_file: Annotated[
        str | None, msgspec.Meta(description="File with those keys, one a line; any of them is taken.")
    ] = None
    address_hosts: Annotated[
        AddressHosts,
        msgspec.Meta(
            description="Names of the relay at which pages may learn their other address; see below."
        ),
    ] = AddressHosts()
    write_key_env: Annotated[
        str | None,
        msgspec.Meta(
            description="Name of the variable with the keys that the shop's servers send with, separated by spaces."
        ),
    ] = None
    write_key_file: Annotated[
        str | None, msgspec.Meta(description="File with those write keys, one a line; any of them is taken.")
    ] = None
    events: Annotated[
        dict[str, EventRules],
        msgspec.Meta(description="Rules by event name; see below."),
    ] = {}
    mapping: Annotated[
        EventMapping,
        msgspec.Meta(description="How calls in Segment's format become Meta's events; see below."),
    ] = EventMapping()
    consent: Annotated[
        Literal["pixel", "required", "granted"],
        msgspec.Meta(
            description="pixel: as fbq's own consent; required: only with an explicit grant; granted: the site vouches."
        ),
    ] = "pixel"
    consent_source: Annotated[
        ConsentSource | None,
        msgspec.Meta(description="Where the page's consent comes from; the tag loads its adapter."),
    ] = None
    shadow: Annotated[
        bool, msgspec.Meta(description="Run beside the incumbent: take everything, send nothing, compare.")
    ] = False
    gpc: Annotated[
        Literal["ldu", "drop", "ignore"],
        msgspec.Meta(
            description="Global Privacy Control means: Limited Data Use (ldu), nothing but a count (drop), nothing."
        ),
    ] = "ldu"
    radar_share: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=1)],
        msgspec.Meta(
            description="Share of visits, 0 to 1, whose pages tell who else sends Meta events (docs/radar.md)."
        ),
    ] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for origin in self.origins:
            check_origin(origin)
        _check_one_source("conversion_key", self.conversion_key_env, self.conversion_key_file)
        _check_one_source("write_key", self.write_key_env, self.write_key_file)
        if self.require_signature and not (self.conversion_key_env or self.conversion_key_file):
            raise ValueError("require_signature needs conversion_key_env or conversion_key_file")

    def pixel_ids(self) -> tuple[str, ...]:
        return tuple(pixel.id for pixel in self.pixels)

    def rules_of(self, event_name: str) -> EventRules:
        return self.events.get(event_name) or self.events.get(EVERY_EVENT) or NO_RULES


class Settings(Section, frozen=True):
    """Everything that can be set, read once."""

    server: Server = Server()
    store: StoreSettings = StoreSettings()
    delivery: Delivery = Delivery()
    privacy: Privacy = Privacy()
    limits: Limits = Limits()
    telemetry: Telemetry = Telemetry()
    alerts: Alerts = Alerts()
    site: tuple[Site, ...] = ()

    def __post_init__(self) -> None:
        if self.server.role != "all" and not self.store.is_shared():
            raise ValueError(
                f"the role {self.server.role} needs a database that other processes share: set [store] url, or url_env"
            )
        keys = [site.key for site in self.site]
        if key := _first_repeated(keys):
            raise ValueError(
                f"the site key {key} is used twice; give each site its own, or put all origins into one site"
            )
        # A pixel has one token and one outbox; two sites would fight over both.
        if pixel := _first_repeated(pixel for site in self.site for pixel in site.pixel_ids()):
            raise ValueError(
                f"the pixel {pixel} is listed twice; list it once, in one site with all its origins"
            )

    def site_by_key(self, key: str) -> Site | None:
        return next((site for site in self.site if site.key == key), None)


def _first_repeated(values: Iterable[str]) -> str | None:
    return next((value for value, times in Counter(values).items() if times > 1), None)
