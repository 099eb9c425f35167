"""Who else may send Meta events of a page, and how each shows in the page's HTML.

The marks are what these products print into pages, read in their own public sources and in pages of public
repositories in November 2026. A loader that a tag manager adds later, or that Meta's settings switch on, prints
nothing: no mark is no proof.
"""

import re
from typing import Final

import msgspec


class Loader(msgspec.Struct, frozen=True, kw_only=True):
    """One product. `sends` says that it certainly has a server half of its own; the others may have one."""

    name: str
    mark: re.Pattern[str]
    fix: str
    sends: bool = False


def _mark(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


LOADERS: Final = (
    Loader(
        name="Conversions API Gateway (openbridge)",
        # Meta's WordPress plugin and the Gateway's set-up: fbq('set', 'openbridge', pixel, endpoint)
        mark=_mark(r"""fbq\(\s*['"]set['"]\s*,\s*['"]openbridge['"]|[?&]ob=open-bridge"""),
        fix="Remove the openbridge call; and switch the Conversions API Gateway off in Events Manager, Settings.",
        sends=True,
    ),
    Loader(
        name="Signals Gateway or Conversions API Gateway script",
        mark=_mark(r"capig-events\.js|[./]conversionsapigateway\.com"),
        fix="Remove the script; and disconnect the gateway in Events Manager, Settings.",
        sends=True,
    ),
    Loader(
        name="GTM server container",
        # A container from the shop's own host, or a Google tag that sends to one.
        mark=_mark(
            r"""server_container_url|https?://(?!www\.googletagmanager\.com)[^\s'"<>]+/(?:gtm\.js|gtag/js)\?id="""
        ),
        fix="In the server container, pause the Meta Conversions API tag for this pixel.",
    ),
    Loader(
        name="Google Tag Manager",
        mark=_mark(r"googletagmanager\.com/gtm\.js"),
        fix="In the container, see that no tag holds Meta's base code or a Conversions API tag for this pixel.",
    ),
    Loader(
        name="Facebook for WooCommerce",
        mark=_mark(
            r"""WooCommerce Facebook Integration|/plugins/facebook-for-woocommerce/|["']woocommerce-[0-9]"""
        ),
        fix="In the plugin, disconnect the pixel or switch its Conversions API off.",
    ),
    Loader(
        name="Meta pixel for WordPress",
        mark=_mark(r"""/plugins/official-facebook-pixel/|["']agent["']\s*:\s*["']wordpress-[0-9]"""),
        fix="In the plugin, switch the Conversions API off, or deactivate it.",
    ),
    Loader(
        name="PixelYourSite",
        mark=_mark(r"/plugins/pixelyoursite|\bpysOptions\b"),
        fix="In the plugin, switch the Meta pixel's Conversions API off.",
    ),
    Loader(
        name="Shopify's Facebook pixel",
        # The storefront's list of web pixels, as JSON within JSON: \"pixel_type\":\"facebook_pixel\"
        mark=_mark(r"""pixel_type\\*["']\s*:\s*\\*["']facebook_pixel"""),
        fix="In Shopify, Settings, Customer events: disconnect the pixel of the Facebook & Instagram channel.",
    ),
    Loader(
        name="Cloudflare Zaraz",
        mark=_mark(r"/cdn-cgi/zaraz/|\bzarazData\b"),
        fix="In Zaraz, Tools: remove the Facebook Pixel tool, or its events of this pixel.",
    ),
    Loader(
        name="Segment",
        mark=_mark(r"cdn\.segment\.com/analytics\.js"),
        fix="In Segment, Destinations: disable Facebook Pixel and Facebook Conversions API for this source.",
    ),
    Loader(
        name="RudderStack",
        mark=_mark(r"cdn\.rudderlabs\.com"),
        fix="In RudderStack, disable the Facebook Pixel and Facebook Conversions destinations for this source.",
    ),
)
