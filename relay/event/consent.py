"""What may leave, and how: the visitor's consent, Global Privacy Control, unseen pages, Limited Data Use.

The snippet has asked all of this before it let the Pixel go. It is asked again here, because what comes over the
wire is only what some page says.
"""

from typing import Final

from relay.event.outcome import Refusal
from relay.event.records import BrowserEvent, Json, RequestFacts, ServerSideEvent
from relay.settings import Site

LDU: Final = "LDU"
GRANTED: Final = "granted in the browser before either half was sent"
VOUCHED: Final = "the site's owner vouches for it by the setting consent"
NOT_ASKED: Final = "the page said nothing of it, and the Pixel's own consent was not revoked"
CONSENT_OF_SENDER: Final = "granted, as the sender says"
NOT_ASKED_OF_SENDER: Final = "the sender said nothing of it"


def consent_refusal(event: BrowserEvent, facts: RequestFacts, site: Site) -> Refusal | None:
    """Why nothing of this event may be kept, or None."""
    if facts.sec_purpose and "prefetch" in facts.sec_purpose.lower():
        return Refusal.PREFETCH  # "prefetch" or "prefetch;prerender"
    if site.gpc == "drop" and _has_gpc(event, facts):
        return Refusal.PRIVACY_CONTROL
    if site.consent == "required" and not event.consent:
        return Refusal.CONSENT_MISSING
    return None


def consent_sentence(event: BrowserEvent, site: Site) -> str:
    """Why this event, which was not refused, may be sent."""
    if event.consent:
        return GRANTED
    return VOUCHED if site.consent == "granted" else NOT_ASKED


def processing_options(event: BrowserEvent, facts: RequestFacts, site: Site) -> tuple[Json, str | None]:
    """Meta's three fields for Limited Data Use, together or not at all, and why.

    Zero for country and state asks Meta to find out by the address, as the Pixel's own default does. An
    empty list says explicitly off and needs no place. A country without the option means nothing, so it is
    left out. What the Pixel's request itself was seen to carry outranks what the page says of it.
    """
    if event.data_processing_options:
        return limited(event), "limited, as the page told the Pixel"
    if event.pixel.seen is not None and LDU in (event.pixel.seen.dpo or "").split(","):
        return limited(event), "limited, as the Pixel's own request was"
    if event.data_processing_options is not None:
        return {"data_processing_options": []}, "explicitly off, as the page told the Pixel"
    if site.gpc == "ldu" and _has_gpc(event, facts):
        return limited(event), "limited, because the browser sends Global Privacy Control"
    return {}, None


def limited(event: BrowserEvent | ServerSideEvent) -> Json:
    return {
        "data_processing_options": [LDU],
        "data_processing_options_country": event.data_processing_options_country or 0,
        "data_processing_options_state": event.data_processing_options_state or 0,
    }


def _has_gpc(event: BrowserEvent, facts: RequestFacts) -> bool:
    return facts.sec_gpc or event.gpc
