"""Two posts of one event, the page's and a server's, put together: what one side does not know, the other adds.

The page's side knows the visitor: address, user agent, fbp, fbc, the page itself. The server's side knows the
order and the customer. Where both say the same member, the page's word counts for the visitor, because the
Pixel carried the same, and the server's for everything else, because it is authenticated. What a page has sent in a
server's place, by Segment's SDK and the public key, only fills in what nobody else says.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from relay.event.fields import EXTRA_KEYS
from relay.event.observation import ADDRESS_WHY
from relay.event.outcome import ASLEEP, SETTLED, UNREPORTED, ActionSource, BrowserState, FateReason
from relay.event.records import Json, OutboxEvent

# The order of `build`.
MEMBERS: Final = (
    *("event_name", "event_time", "event_id", "event_source_url", "referrer_url", "action_source"),
    *("user_data", "custom_data", "data_processing_options", "data_processing_options_country"),
    *("data_processing_options_state", "opt_out", "original_event_data", *EXTRA_KEYS),
)
UNAUTHENTICATED: Final = "unauthenticated"  # in `why`: a page sent it in a server's place
OF_VISITOR: Final = frozenset({"fbp", "fbc"})
OF_SERVER: Final = ("original_event_data", *EXTRA_KEYS)
WHY_OF_VISITOR: Final = OF_VISITOR | {*ADDRESS_WHY, "client_user_agent", "agent", "consent", "hold"}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a store holds it."""

    server_event: bytes
    why: Json
    event_time_ms: int
    client_ip_address: str | None
    client_user_agent: str | None
    state: BrowserState  # of its browser half, as best known
    leg_hold_ms: int  # the hold that this state has decided
    due_ms: int | None  # None: not waiting
    asleep: FateReason | None  # one of ASLEEP, where it has ended so


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """What the event is with the other side's knowledge."""

    server_event: bytes
    why: Json
    event_time_ms: int
    client_ip_address: str | None
    client_user_agent: str | None
    due_ms: int | None  # None: it sleeps on
    takes_addresses: bool  # the addresses of the post are those of the event now


def pairs(event: OutboxEvent, state: str) -> bool:
    """Whether a post of an event whose browser half is in this state is another side's: one came from a server."""
    if event.fate_reason is not None and event.fate_reason not in ASLEEP:
        return False  # a crawler's post, say, completes nothing
    return event.leg.state in UNREPORTED or state in UNREPORTED


def complete(known: Known, event: OutboxEvent) -> Completed | None:
    """The known event with what this post of it adds; None where it adds nothing.

    Only for an event that waits unsent or sleeps, and a post that `pairs` with it.
    """
    is_from_server = event.leg.state in UNREPORTED
    before, after = msgspec.json.decode(known.server_event), msgspec.json.decode(event.server_event)
    page, server = (known, event) if is_from_server else (event, known)
    words = (before, after) if is_from_server else (after, before)
    together = put_together(*words, authenticated=UNAUTHENTICATED not in server.why)
    agent = page.client_user_agent or server.client_user_agent
    completed = Completed(
        server_event=msgspec.json.encode(together),
        why=_why(page.why, server.why) | _added(before, together, event),
        event_time_ms=page.event_time_ms,
        client_ip_address=page.client_ip_address or server.client_ip_address,
        client_user_agent=agent,
        due_ms=_due_ms(known, event, is_whole=_is_whole(together, agent)),
        takes_addresses=not is_from_server,
    )
    return None if is_from_server and _is_as_known(completed, known) else completed


def put_together(page: Json, server: Json, *, authenticated: bool = True) -> Json:
    """One Conversions API event out of both sides' words, in the order of `build`."""
    together = server | page
    weak, strong = (page, server) if authenticated else (server, page)
    together |= {name: strong[name] for name in OF_SERVER if name in strong}
    visitor = {name: value for name, value in page["user_data"].items() if name in OF_VISITOR}
    together["user_data"] = weak["user_data"] | strong["user_data"] | visitor
    if custom_data := weak.get("custom_data", {}) | strong.get("custom_data", {}):
        together["custom_data"] = custom_data
    for side in (page, server):  # Limited Data Use and opt_out hold whichever side asks for them
        if side.get("data_processing_options"):
            together |= {name: value for name, value in side.items() if name.startswith("data_processing_")}
        if side.get("opt_out"):
            together["opt_out"] = True
    return {name: together[name] for name in MEMBERS if name in together}


def _why(page: Json, server: Json) -> Json:
    weak, strong = (server, page) if UNAUTHENTICATED in server else (page, server)
    told = weak | strong | {name: told for name, told in page.items() if name in WHY_OF_VISITOR}
    return {
        name: why
        for name, why in told.items()
        if name != UNAUTHENTICATED or name in weak.keys() & strong.keys()
    }


def _added(before: Json, together: Json, event: OutboxEvent) -> Json:
    """A sentence of the receipt: whose post brought what."""
    was = dict(_flat(before))
    added = [path for path, value in _flat(together) if was.get(path) != value]
    by = event.why.get("sender", "the page")
    after_seconds = max(0, event.received_ms - event.event_time_ms) / 1_000
    return {
        "completed": f"{by} added {', '.join(added) or 'nothing new'}, {after_seconds:.1f} s after the event"
    }


def _flat(event: Json) -> Iterator[tuple[str, object]]:
    for name, value in event.items():
        if name in ("user_data", "custom_data"):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _is_whole(event: Json, agent: str | None) -> bool:
    """Whether it could go: a partial event states no page, and a user agent is forgotten in time."""
    if event["action_source"] != ActionSource.WEBSITE:
        return True
    return agent is not None and "event_source_url" in event


def _due_ms(known: Known, event: OutboxEvent, *, is_whole: bool) -> int | None:
    """When the event may go now that this post has come; None: it sleeps on."""
    paired_ms = event.not_before_ms if event.paired_ms is None else event.paired_ms
    if known.asleep is not None and (known.asleep is event.fate_reason or not is_whole):
        return None
    if event.leg.state not in UNREPORTED:  # the page's post has come to the server's
        return paired_ms
    if known.state in UNREPORTED:  # a second one of a server
        return event.not_before_ms if known.due_ms is None else known.due_ms
    if known.state not in SETTLED:  # the Pixel's request is still open
        return max(known.leg_hold_ms, paired_ms) if known.due_ms is None else known.due_ms
    return paired_ms if known.due_ms is None else min(known.due_ms, paired_ms)


def _is_as_known(completed: Completed, known: Known) -> bool:
    return (
        completed.server_event == known.server_event
        and completed.client_ip_address == known.client_ip_address
        and completed.client_user_agent == known.client_user_agent
        and (known.asleep is None or completed.due_ms is None)
    )
