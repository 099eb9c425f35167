"""What every store promises. SQLite is the embedded default; others follow the same words and the same tests.

Time is always an argument, so that a test can move it. Every method that writes has committed durably when it
returns.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from relay.event.address import Family
from relay.event.alert import AlertState
from relay.event.issue import IssueKind
from relay.event.notice import Notice
from relay.event.outcome import Admission, AttemptOutcome, Fate, FateReason
from relay.event.quality import QualityRecord
from relay.event.records import BrowserLeg, Json, OutboxEvent, SeenAddress
from relay.event.report import Ids, Sighting
from relay.event.tally import Leg, Topic

# A thank-you page that is opened again after so long is nobody's habit.
ORDER_MS: Final = 90 * 24 * 60 * 60 * 1000

# What counts are rolled up by, and how long the finer two are kept; the coarsest as long as the settings say.
MINUTE_MS: Final = 60_000
QUARTER_MS: Final = 15 * MINUTE_MS
TWO_HOURS_MS: Final = 120 * MINUTE_MS
STEPS_MS: Final = (MINUTE_MS, QUARTER_MS, TWO_HOURS_MS)
STEP_KEPT_MS: Final = {MINUTE_MS: 24 * 60 * MINUTE_MS, QUARTER_MS: 8 * 24 * 60 * MINUTE_MS}


class LeasedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One due event in a courier's hands."""

    key: bytes
    event_name: str
    event_id: str
    event_time_ms: int
    received_ms: int
    attempts: int  # calls that came to nothing; not those refused for another event's sake, or the token's
    ambiguous: int = 0  # those of them that may have been taken, since the last replay
    server_event: bytes
    client_ip_address: str | None
    client_user_agent: str | None
    leg: Leg | None = None  # the best that is known of its browser half


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Due events of one pixel that belong to one courier until the lease ends."""

    token: str  # fences every later write: a courier that lost its lease changes nothing
    pixel: str
    events: tuple[LeasedEvent, ...]


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one call to Graph ended, in Meta's own words. Never holds a token or an event's body."""

    outcome: AttemptOutcome
    http_status: int | None = None
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    fbtrace_id: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """This event has reached its fate."""

    key: bytes
    fate: Fate
    reason: FateReason
    detail: str | None = None  # Meta's sentence, for the receipt


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """This event stays in the outbox and is due again at `due_ms`."""

    key: bytes
    due_ms: int


Decision = Ended | Again


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to Graph in which an event took part."""

    started_ms: int
    finished_ms: int | None  # None: under way, or cut short
    events: int  # how many events the call carried
    outcome: AttemptOutcome | None
    http_status: int | None
    code: int | None
    subcode: int | None
    message: str | None
    fbtrace_id: str | None


class PixelAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to Graph, and whose it was."""

    pixel: str
    attempt: Attempt


class FateRecord(msgspec.Struct, frozen=True, kw_only=True):
    fate: Fate
    reason: FateReason
    detail: str | None
    at_ms: int


class PixelState(msgspec.Struct, frozen=True, kw_only=True):
    """A parked pixel: its events wait, and nothing is sent until its token or permission is mended."""

    pixel: str
    parked_ms: int
    code: int | None
    message: str


class Circuit(msgspec.Struct, frozen=True, kw_only=True):
    """A pixel of which the last call failed."""

    pixel: str
    failures: int  # on end
    until_ms: int  # nobody calls for it before


class SharedCircuits(Protocol):
    """What couriers on several machines tell each other of pixels in trouble."""

    async def circuits(self) -> list[Circuit]: ...

    async def open_circuit(self, circuit: Circuit) -> None: ...

    async def close_circuit(self, pixel: str) -> None: ...

    async def take_probe(self, pixel: str, *, now_ms: int, until_ms: int) -> bool:
        """Whether this courier may call for the pixel, whose rest is over; for the others it rests until then."""
        ...


Status = Literal["held", "due", "sending", "parked", "ended"]


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the receipts list."""

    row_id: int  # the cursor of the list; grows with acceptance, in a shared store with its day first
    site: str
    pixel: str
    event_name: str
    event_id: str
    event_time_ms: int
    received_ms: int
    state: str  # the best known BrowserState
    status: Status
    fate: Fate | None
    fate_reason: FateReason | None
    ended_ms: int | None


class StoredReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """All that the store knows of one event for one pixel."""

    row: EventRow
    not_before_ms: int  # the hold that was decided last
    due_ms: int | None  # None once ended
    legs: tuple[BrowserLeg, ...]  # every report that improved our knowledge, oldest first
    server_event: Json
    client_ip_address: str | None
    client_user_agent: str | None
    addresses: tuple[
        SeenAddress, ...
    ] = ()  # every word on the address, the connection's first; until forgotten
    why: Json
    duplicates: int  # posts of the same event that changed nothing
    attempts: tuple[Attempt, ...]
    ambiguous: int  # attempts whose send may have been taken without an answer
    fate: FateRecord | None
    parked: PixelState | None


class FamilyCount(msgspec.Struct, frozen=True, kw_only=True):
    """Events of which the address went the same way; None: there was no address to believe."""

    page: Family | None  # of the connection that carried the post
    token: Family | None  # of the best signed observation that came with it
    sent: Family | None  # of the address that goes to Meta
    events: int


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    site: str | None = None
    event_name: str | None = None
    fate: Fate | None = None
    waiting: bool = False  # only events without a fate
    before_row_id: int | None = None
    limit: int = 50


class IssueSeen(NamedTuple):
    """One event, or one post, that shows an issue; for several pixels it is still one."""

    site: str
    kind: IssueKind
    event_name: str
    place: str
    event_id: str  # empty where no event was accepted
    sample: str = ""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """What looks wrong with the events of one name. Holds no personal data."""

    kind: IssueKind
    site: str
    event_name: str
    place: str  # the path of the field that it is about; empty where it is about the event
    event_id: str  # of the latest event that shows it
    first_ms: int
    last_ms: int
    count: int
    sample: str = ""  # the latest value's shape, masked; empty where none is kept
    resolved_ms: int | None = None  # when a person called it mended; seen later than that, it is open again


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of one name there were in one step of time."""

    at_ms: int  # the beginning of the step
    event_name: str
    name: str
    n: int


class MarkKind(StrEnum):
    STARTED = "started"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    SNIPPET = "snippet"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment that may explain a bend in a plot."""

    at_ms: int
    kind: MarkKind
    subject: str  # a pixel, or empty
    detail: str  # a version, or a fingerprint; never a token


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one pixel."""

    pixel: str
    waiting: int
    oldest_due_ms: int | None  # None: all of it is in a courier's hands
    tried: int  # of them with a call behind them that came to nothing


class SenderCount(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages of one site told of one sender, over some days."""

    site: str
    sender: str
    pixel: str  # or empty
    event_name: str  # or empty
    ids: Ids
    first_ms: int
    last_ms: int
    pages: int  # reports that told it
    count: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counts for the status line, /readyz and tests."""

    waiting: int
    oldest_due_ms: int | None
    fates: dict[str, int]
    duplicates: int
    ambiguous_attempts: int
    refused: int


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of one site and pixel went, and what had become of them: a fate, "waiting" or "sending".

    Those that were being sent are Meta's now, if the call had begun.
    """

    site: str
    pixel: str
    was: str
    events: int


class Store(Protocol):
    """The outbox and the ledger."""

    async def admit(self, events: Sequence[OutboxEvent]) -> list[Admission]:
        """Commit the events in one transaction, unique by key; one answer per event, in order.

        A known event whose leg ranks higher than the stored one (`STATE_RANK`) gets that leg appended. While
        it is still held (waiting, never attempted, in no courier's hands) its hold becomes the new event's
        `not_before_ms` (answer: UPDATED); otherwise the post counts as a DUPLICATE. A held event also takes
        the address, with its words in `addresses` and `why`, of a post that `upgrades` it, and that post's
        hold unless its leg ranks lower (answer: UPDATED).

        Of a known event of which one post came from a server, an unsent one becomes what `pairing.complete` makes
        of the two (answer: UPDATED), an end in ASLEEP included: it is taken back where the event is whole now. A
        browser's report is kept in any case. Raises StoreFull when nothing could be committed.
        """
        ...

    async def count_refused(self, site: str, reason: str, now_ms: int) -> None:
        """Count an event that was not accepted, by site and reason."""
        ...

    async def claim(self, *, now_ms: int, lease_ms: int, limit: int, busy: frozenset[str]) -> Lease | None:
        """Lease up to `limit` due events of one pixel, neither busy nor parked; oldest due pixel first.

        Rows whose lease has ended are due again; their unfinished attempts are closed as ambiguous (outcome
        UNKNOWN). An event whose stored bytes have changed ends here, as rejected with `corrupt_row`.
        """
        ...

    async def begin_attempt(self, lease: Lease, keys: Sequence[bytes], now_ms: int) -> int:
        """Record, before the call, that these events are about to be written to Graph; returns its id.

        Raises LeaseLost, and records nothing, where the lease no longer holds every one of them.
        """
        ...

    async def settle(
        self,
        lease: Lease,
        decisions: Sequence[Decision],
        *,
        now_ms: int,
        attempt: tuple[int, AttemptResult] | None,
    ) -> int:
        """Close the attempt and apply the decisions in one transaction; returns how many took effect.

        Decisions on rows that this lease no longer holds change nothing. Events of the lease without a
        decision stay leased (a batch that is being bisected).
        """
        ...

    async def park(self, lease: Lease, *, now_ms: int, attempt: tuple[int, AttemptResult]) -> None:
        """Park the lease's pixel and give its events back to the outbox, in one transaction."""
        ...

    async def unpark(self, pixel: str) -> None:
        """Let a parked pixel's events go again."""
        ...

    async def next_due_ms(self, *, busy: frozenset[str]) -> int | None:
        """When the next event that is not busy or parked is due; None when nothing waits."""
        ...

    async def clock_stepped(self, *, expected_ms: int, now_ms: int) -> None:
        """The wall clock was set: it should show `expected_ms` and shows `now_ms`. Keep what was to be waited.

        Leases last as long as they were to, and what was not due yet is due no sooner and no later for it.
        """
        ...

    async def recover(self, *, now_ms: int, on_unknown: Literal["resend", "hold"]) -> int:
        """At start: free every lease, close unfinished attempts as ambiguous, apply the policy.

        Only where nobody else works on the store: leases of couriers on other machines run out by themselves.
        Returns the number of those attempts.
        """
        ...

    async def replay(
        self,
        *,
        event_ids: Sequence[str] = (),
        fate: Fate | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        now_ms: int,
    ) -> int:
        """Put ended events (rejected, expired, unknown; never delivered ones) back into the outbox, due now.

        Quarantined events only where `fate` names them: to send what nobody vouches for is a decision.

        The arguments narrow together; none at all names no event. `since_ms` and `until_ms` (not included)
        are about when the events ended. Asked again at once it finds nothing: what waits has not ended.
        """
        ...

    async def find(self, event_id: str) -> list[StoredReceipt]:
        """Every receipt with this event_id: one per pixel and event name."""
        ...

    async def recent(self, filters: Filters) -> list[EventRow]:
        """Newest first."""
        ...

    async def event_names(self) -> list[str]: ...

    async def families(self, *, since_ms: int, site: str | None = None) -> list[FamilyCount]:
        """How many accepted events, from the hour of `since_ms` on, took each way; those never to be sent left out.

        An event that takes the address of a later token is counted where it went in the end.
        """
        ...

    async def counts(
        self, what: Topic, *, step_ms: int, since_ms: int, site: str | None = None
    ) -> list[Counts]:
        """The roll-up of one topic from the step of `since_ms` on, oldest first; `step_ms` is one of `STEPS_MS`.

        A step's rows are few however many events it had. Counts that a replay or a later report took back to
        nothing are left out.
        """
        ...

    async def mark(self, kind: MarkKind, subject: str, detail: str, *, now_ms: int) -> None:
        """Remember the moment; a token or a snippet that is the same as at the last mark is none."""
        ...

    async def marks(self, *, since_ms: int) -> list[Mark]:
        """Oldest first."""
        ...

    async def latest(self, *, site: str | None = None, limit: int) -> list[StoredReceipt]:
        """The newest receipts, newest first."""
        ...

    async def orders(self, keys: Sequence[bytes]) -> list[str]:
        """The event_ids under which these orders (`order_key`) came first; unknown and forgotten ones left out."""
        ...

    async def backlog(self) -> list[Backlog]:
        """What waits, by pixel."""
        ...

    async def attempts(self, *, limit: int) -> list[PixelAttempt]:
        """The latest calls to Graph, newest first."""
        ...

    async def note(self, seen: IssueSeen, *, now_ms: int) -> None:
        """Count an issue that no accepted event shows, such as a post that was refused."""
        ...

    async def resolve(self, issue: Issue, *, now_ms: int) -> bool:
        """Call an issue mended; False where there is no such issue. Seen again, it is open again."""
        ...

    async def parked(self) -> list[PixelState]: ...

    async def totals(self) -> Totals: ...

    async def issues(self) -> list[Issue]:
        """What looks wrong, newest first; a site has a bounded number of them."""
        ...

    async def note_senders(self, site: str, seen: Sequence[Sighting], now_ms: int) -> None:
        """Count what one page told of other senders, by the day; a site has a bounded number of rows a day."""
        ...

    async def senders(self, *, since_ms: int, site: str | None = None) -> list[SenderCount]:
        """What pages told of other senders from the day (UTC) of `since_ms` on."""
        ...

    async def keep_quality(self, records: Sequence[QualityRecord]) -> None:
        """Keep what Meta said; of one day (UTC), pixel and scope the latest."""
        ...

    async def quality(self, *, since_ms: int) -> list[QualityRecord]:
        """What Meta said from the day (UTC) of `since_ms` on, oldest first."""
        ...

    async def alerts(self) -> list[AlertState]:
        """Every alert that was ever raised, as it stands, by kind and subject."""
        ...

    async def change_alert(self, state: AlertState, notices: Sequence[Notice]) -> bool:
        """Raise or resolve an alert and keep its notices, in one transaction; False where it stands so already."""
        ...

    async def notices(self, *, due_by_ms: int | None = None, limit: int) -> list[Notice]:
        """Those that are due, the first due first; without `due_by_ms` the latest, newest first."""
        ...

    async def keep_notice(self, notice: Notice) -> None:
        """Add a notice, or put it in place of the one with its id."""
        ...

    async def prune(
        self,
        *,
        now_ms: int,
        retention_ms: int,
        address_ms: int,
        counter_ms: int | None = None,
        order_ms: int = ORDER_MS,
    ) -> None:
        """Forget addresses and agents `address_ms`, and whole events `retention_ms`, after their fate.

        Counts and issues go after `counter_ms` (left out: as the events), the hashes of orders after `order_ms`.
        """
        ...

    async def erase(self, hashes: Sequence[str]) -> list[Erased]:
        """Remove every event that carries one of these hashes of customer data, from the disk too.

        What waits is not sent any more. A key without its event stays for its seven days, so that a copy that
        comes late is a duplicate.
        """
        ...

    async def rewrite(self) -> None:
        """Write anew what may still hold copies of what was forgotten, in parts that nothing uses."""
        ...

    def spilled(self) -> int:
        """Posts that are kept beside the database until it is back; none where the store is a file."""
        ...

    async def ready(self) -> bool:
        """Whether a write would commit now."""
        ...

    async def close(self) -> None:
        """Commit what waits, then let the file go."""
        ...
