"""What a shop puts into its pages: the tag, the queue stub, and what its security policy must allow."""

from html import escape
from typing import Final
from urllib.parse import urlsplit

# Calls made before the script has loaded wait in `counterfoil.q`; the script takes them over.
STUB: Final = (
    "window.counterfoil=window.counterfoil||function(){(counterfoil.q=counterfoil.q||[]).push(arguments)}"
)
META_SCRIPTS: Final = "https://connect.facebook.net"
META_PIXEL: Final = "https://www.facebook.com"


def script_tag(public_url: str, site_key: str) -> str:
    """The line that loads the snippet from the relay."""
    return f'<script async src="{escape(public_url)}/c.js" data-site="{escape(site_key)}"></script>'


def policy_sources(
    public_url: str, *, scripts: str = META_SCRIPTS, pixel: str = META_PIXEL
) -> dict[str, tuple[str, ...]]:
    """By directive, the sources that the snippet and Meta's Pixel need beside the shop's own.

    An event of 2,048 characters or more leaves Chromium as a form posted into a frame; hence the last two.
    """
    parts = urlsplit(public_url)
    relay = f"{parts.scheme}://{parts.netloc}"
    return {
        "script-src": (relay, scripts),
        "connect-src": (relay, pixel, scripts),
        "img-src": (pixel,),
        "form-action": (pixel,),
        "frame-src": (pixel,),
    }


def policy_line(public_url: str) -> str:
    """The sources as one line, to be merged into a shop's own policy."""
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy_sources(public_url).items())
