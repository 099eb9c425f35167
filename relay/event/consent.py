"""What may leave: the visitor's consent, pages that nobody has seen yet, Limited Data Use."""

from relay.event.outcome import Refusal
from relay.event.records import BrowserEvent, Json, RequestFacts


def consent_refusal(event: BrowserEvent, facts: RequestFacts) -> Refusal | None:
    """Why nothing of this event may be kept, or None. A page that says nothing decides by posting."""
    if event.consent is False:
        return Refusal.CONSENT_DENIED
    if facts.sec_purpose and "prefetch" in facts.sec_purpose.lower():
        return Refusal.PREFETCH  # "prefetch" or "prefetch;prerender"
    return None


def processing_options(event: BrowserEvent) -> Json:
    """Meta's three fields for Limited Data Use: together, or not at all.

    Zero for country and state asks Meta to find out by the address, as the Pixel's own default does. An
    empty list says explicitly off and needs no place. A country without the option means nothing, so it is
    left out.
    """
    if event.data_processing_options is None:
        return {}
    if not event.data_processing_options:
        return {"data_processing_options": []}
    return {
        "data_processing_options": list(event.data_processing_options),
        "data_processing_options_country": event.data_processing_options_country or 0,
        "data_processing_options_state": event.data_processing_options_state or 0,
    }
