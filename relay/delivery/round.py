"""One round of the courier: the events of one lease, from the first call to Graph to their last decision."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import structlog

from relay.delivery.answer import Answer
from relay.delivery.batch import Events, bisecting, decide, exhausted, expired, request_body
from relay.delivery.graph import Graph, PixelAccess
from relay.errors import LeaseLost, StoreError
from relay.event.outcome import AttemptOutcome, Fate, FateReason
from relay.settings import Delivery
from relay.store.protocol import Again, AttemptResult, Decision, Ended, Lease, Store

STORE_AGAIN_SECONDS: Final = 0.5

_CUT_SHORT: Final = Answer(
    result=AttemptResult(
        outcome=AttemptOutcome.UNKNOWN, message="The relay stopped while the call was under way."
    )
)

# A call that has ended: its pixel, how, its events, when it was begun and when it was answered, by the wall clock.
OnCall = Callable[[str, AttemptResult, Events, int, int], None]

log = structlog.get_logger(__name__)


class Round:
    """Delivers one lease. Its task is never cancelled (see `cut`), so what happened is written down."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        lease: Lease,
        access: PixelAccess | None,
        delivery: Delivery,
        clock_ms: Callable[[], int],
        jitter: Callable[[], float],
        last_call_ms: int,
        on_call: OnCall | None = None,
    ) -> None:
        """`access` is None for a pixel that is no longer configured; no call begins after `last_call_ms`."""
        self._on_call = on_call
        self._store = store
        self._graph = graph
        self._lease = lease
        self._access = access
        self._delivery = delivery
        self._clock_ms = clock_ms
        self._jitter = jitter
        self._last_call_ms = last_call_ms
        self._open = {event.key: event for event in lease.events}  # those without a decision
        self._call: asyncio.Task[Answer] | None = None
        self._closing = False
        self._cut = False
        self.answered_ms = 0  # when the last call ended, by the wall clock

    def close(self) -> None:
        """Let the call under way end, and begin no other."""
        self._closing = True

    def cut(self) -> None:
        """End the call under way; its events may have been taken, and are settled so."""
        self._closing = self._cut = True
        if self._call:
            self._call.cancel()

    def clock_stepped(self, step_ms: int) -> None:
        """The wall clock was set forward, or back, by so much; the lease lasts as long as it was to."""
        self._last_call_ms += step_ms

    async def deliver(self) -> Answer | None:
        """The answer of the call that failed and ended the round; None when the pixel can go on at once."""
        try:
            return await self._deliver()
        except LeaseLost:  # before a call: the events are in another courier's hands
            log.warning("delivery.lease_lost", pixel=self._lease.pixel, events=len(self._open))
            return None

    async def _deliver(self) -> Answer | None:
        if self._access is not None and self._access.shadow:
            await self._end_unsent(tuple(self._open.values()), Fate.SHADOWED, FateReason.SHADOW)
            return None
        if self._access is None or not _usable(self._access.token):
            await self._park_unsent(_why_unusable(self._lease.pixel, self._access))
            return None
        await self._end_hopeless()
        plan = bisecting(tuple(self._open.values()))
        batch = next(plan) if self._open else ()
        while batch and self._may_call():
            answer, decisions = await self._send(self._access, batch)
            if answer.result.outcome in (AttemptOutcome.RETRY, AttemptOutcome.UNKNOWN):
                await self._give_back(_nearest_due_ms(decisions) or self._clock_ms())
                return answer
            try:
                batch = plan.send(answer.result.outcome is AttemptOutcome.REJECT)
            except StopIteration:
                break
        await self._give_back(self._clock_ms())
        return None

    def _may_call(self) -> bool:
        """A courier that was frozen past its lease must not send what another may have claimed by now."""
        return bool(self._open) and not self._closing and self._clock_ms() <= self._last_call_ms

    async def _send(self, access: PixelAccess, batch: Events) -> tuple[Answer, list[Decision]]:
        code = access.test_code_at(self._clock_ms())
        body = request_body(batch, code)  # first: an attempt means that a call was made
        attempt = await self._begun(batch)
        sent_ms = self._clock_ms()
        answer = await self._answer(access, body, len(batch))
        self.answered_ms = now_ms = self._clock_ms()
        if self._on_call:
            self._on_call(access.id, answer.result, batch, sent_ms, now_ms)
        log.info(
            "delivery.answered",
            pixel=access.id,
            attempt=attempt,
            events=len(batch),
            outcome=answer.result.outcome.value,
            http_status=answer.result.http_status,
            code=answer.result.code,
            subcode=answer.result.subcode,
            fbtrace_id=answer.result.fbtrace_id,
        )
        if answer.result.outcome is AttemptOutcome.PARK:
            await self._store.park(self._lease, now_ms=now_ms, attempt=(attempt, answer.result))
            self._open.clear()
            return answer, []
        decisions = decide(
            answer, batch, now_ms=now_ms, jitter=self._jitter(), resends=self._delivery.resends()
        )
        await self._settle(decisions, (attempt, answer.result))
        return answer, decisions

    async def _begun(self, batch: Events) -> int:
        """Insist while the lease lasts: a round that gave up would keep its events until then all the same."""
        keys = [event.key for event in batch]
        while True:
            now_ms = self._clock_ms()
            try:
                return await self._store.begin_attempt(self._lease, keys, now_ms)
            except LeaseLost:
                raise
            except StoreError as error:
                await self._store_recovers("delivery.begin_failed", error, now_ms)

    async def _answer(self, access: PixelAccess, body: bytes, events: int) -> Answer:
        self._call = asyncio.create_task(self._graph.send(access, body, events=events))
        if self._cut:  # while the attempt was written down
            self._call.cancel()
        await asyncio.wait([self._call])
        return _CUT_SHORT if self._call.cancelled() else self._call.result()

    async def _settle(
        self, decisions: list[Decision], attempt: tuple[int, AttemptResult] | None = None
    ) -> None:
        applied = await self._written_down(decisions, attempt)
        for decision in decisions:
            del self._open[decision.key]
        if applied < len(decisions):  # what is left is in another courier's hands, too
            log.warning("delivery.lease_lost", pixel=self._lease.pixel, events=len(decisions) - applied)
            self._open.clear()

    async def _written_down(
        self, decisions: list[Decision], attempt: tuple[int, AttemptResult] | None
    ) -> int:
        """Insist while the lease lasts: an answer that is not written down means a second send."""
        while True:
            now_ms = self._clock_ms()
            try:
                return await self._store.settle(self._lease, decisions, now_ms=now_ms, attempt=attempt)
            except StoreError as error:
                await self._store_recovers("delivery.settle_failed", error, now_ms)

    async def _store_recovers(self, event: str, error: StoreError, now_ms: int) -> None:
        """Wait a moment for a store that fails; raises the error when there is no time left for that."""
        if self._cut or now_ms > self._last_call_ms:
            raise error
        log.warning(event, pixel=self._lease.pixel, error=type(error).__name__)
        await asyncio.sleep(STORE_AGAIN_SECONDS)

    async def _end_hopeless(self) -> None:
        """What Meta would refuse for its age, and what a courier that is gone may have sent often enough."""
        spent = exhausted(tuple(self._open.values()), self._delivery.resends())
        await self._end_unsent(spent, Fate.UNKNOWN, FateReason.AMBIGUOUS_SEND)
        old = expired(tuple(self._open.values()), self._clock_ms())
        await self._end_unsent(old, Fate.EXPIRED, FateReason.TOO_OLD)

    async def _end_unsent(self, events: Events, fate: Fate, reason: FateReason) -> None:
        if events:
            level = logging.INFO if fate is Fate.SHADOWED else logging.WARNING
            log.log(level, f"delivery.{fate}", pixel=self._lease.pixel, events=len(events))
            await self._settle([Ended(key=event.key, fate=fate, reason=reason) for event in events])

    async def _give_back(self, due_ms: int) -> None:
        if self._open:
            await self._settle([Again(key=key, due_ms=due_ms) for key in self._open])

    async def _park_unsent(self, why: str) -> None:
        """No call is made, so the attempt that the store wants to know of carries no event."""
        now_ms = self._clock_ms()
        attempt = await self._store.begin_attempt(self._lease, (), now_ms)
        result = AttemptResult(outcome=AttemptOutcome.PARK, message=why)
        await self._store.park(self._lease, now_ms=now_ms, attempt=(attempt, result))
        log.warning("delivery.parked_unsent", pixel=self._lease.pixel)


def _nearest_due_ms(decisions: list[Decision]) -> int | None:
    return min([decision.due_ms for decision in decisions if isinstance(decision, Again)], default=None)


def _usable(token: str | None) -> bool:
    """Whether the token can stand in a header: one printable ASCII word."""
    return bool(token) and all("!" <= char <= "~" for char in token or "")


def _why_unusable(pixel: str, access: PixelAccess | None) -> str:
    if access is None:
        return f"Pixel {pixel} is not in relay.toml any more. Add it again and restart, or its events expire."
    if not access.token:
        return (
            f"There is no access token for pixel {pixel}. Write the file that its token_file names in relay.toml, "
            "which is noticed within a minute; or set the variable of its token_env, and restart."
        )
    return (
        f"The access token for pixel {pixel} holds spaces or characters that no token has. Mend the file of its "
        "token_file, which is noticed within a minute; or the variable of its token_env, and restart."
    )
