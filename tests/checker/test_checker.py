"""The checker finds nothing wrong with the relay, and finds each of these mistakes when it is made."""

import asyncio
import copy
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from e2e.checker import SKEW_MS, Json, check, main
from e2e.rig import ORIGIN
from e2e.story import Logs, play
from relay.delivery import batch, courier, graph
from relay.event import build, enrich
from relay.event.outcome import Admission, AttemptOutcome, Fate, FateReason
from relay.store import postgres, sqlite
from relay.store.postgres.serving import ServingStore
from relay.store.postgres.writer import Post
from relay.store.protocol import Again, Ended
from relay.store.spill import Spill
from relay.store.sqlite import SqliteStore
from relay.web import ingest

FAULTS: tuple[Json, ...] = (
    {"what": "accept_then_reset"},
    {"what": "graph_error", "status": 500, "code": 2},
    {"what": "delay", "seconds": 0.03, "count": 20},
)
# For two couriers that take the same rows: calls so long that both have theirs under way at once, and none that fails,
# after which one of them would only try single events.
LONG_CALLS: tuple[Json, ...] = ({"what": "delay", "seconds": 0.2, "count": 4},)

# Mistakes of the relay

Patch = pytest.MonkeyPatch
Admit = Callable[[Any, Sequence[Any]], Awaitable[list[Admission]]]


def acknowledge_without_commit(patch: Patch) -> None:
    """Every fifth post is answered 202 and not written."""
    calls = iter(range(1_000))

    def forgetful(real: Admit) -> Admit:
        async def admit(self: Any, events: Sequence[Any]) -> list[Admission]:
            if next(calls) % 5 == 4:
                return [Admission.ACCEPTED] * len(events)
            return await real(self, events)

        return admit

    for store in (SqliteStore, ServingStore):
        patch.setattr(store, "admit", forgetful(store.admit))


def rewrite(patch: Patch, module: ModuleType, name: str, before: str, after: str) -> None:
    """Other words in a statement of a store."""
    sql: str = getattr(module, name)
    assert before in sql
    patch.setattr(module, name, sql.replace(before, after))


def take_repeats_for_new(patch: Patch) -> None:
    """The key of an event is different each time."""
    patch.setattr(enrich, "outbox_key", lambda *_: os.urandom(16))


def lease_to_everybody(patch: Patch) -> None:
    """Two couriers, and a lease keeps nobody out."""
    unused = "pixel = pixel WHERE ? > '' AND ? > 0 AND"
    rewrite(patch, sqlite.outbox, "TAKE", "lease = ?, lease_until_ms = ? WHERE", unused)
    rewrite(patch, sqlite.outbox, "HELD_BY", "queue.lease = ?", "? > ''")
    rewrite(patch, postgres.claims, "TAKE", "lease = $4", "lease = CASE WHEN $4::uuid IS NULL THEN $4 END")
    rewrite(patch, postgres.claims, "TAKE", "= $5", "= CASE WHEN $5::bigint IS NULL THEN $5 END")
    rewrite(patch, postgres.outbox, "HELD_BY", "lease = $1", "$1::uuid IS NOT NULL")
    real_run, real_wake = courier.Courier.run, courier.Courier.wake
    others: list[courier.Courier] = []

    async def run_twice(self: courier.Courier) -> None:
        given = (self._store, self._graph, self._pixels, self._delivery, self._clock_ms, self._jitter)
        others.append(courier.Courier(*given))
        task = asyncio.create_task(real_run(others[0]))
        await real_run(self)
        await others[0].stop(1)
        await task

    def wake_both(self: courier.Courier, due_ms: int = 0) -> None:
        for each in (self, *others):
            real_wake(each, due_ms)

    patch.setattr(courier.Courier, "run", run_twice)
    patch.setattr(courier.Courier, "wake", wake_both)


def decide_otherwise(
    outcome: AttemptOutcome, otherwise: Callable[[Any], Any], *, once: bool = False
) -> Callable[[Patch], None]:
    """Events of a call that ended with `outcome` get the decision `otherwise`."""

    def seed(patch: Patch) -> None:
        done = False

        def decide(answer: Any, events: Any, **given: Any) -> Any:
            nonlocal done
            if answer.result.outcome is outcome and not done:
                done = once
                return [otherwise(event) for event in events]
            return batch.decide(answer, events, **given)

        patch.setattr("relay.delivery.round.decide", decide)

    return seed


def ended_as(fate: Fate, reason: FateReason) -> Callable[[Any], Ended]:
    return lambda event: Ended(key=event.key, fate=fate, reason=reason)


def hide_ambiguous_sends(patch: Patch) -> None:
    """A broken connection counts as one on which nothing was sent."""
    real = graph._broken
    patch.setattr(graph, "_broken", lambda _, *rest: real(AttemptOutcome.RETRY, *rest))


def hold_nothing(patch: Patch) -> None:
    rewrite(patch, sqlite.accept, "ADD_TO_QUEUE", "(?, ?, ?, 0)", "(?, ?, 0 * ?, 0)")
    rewrite(patch, postgres.accept, "ACCEPT", "event_name, not_before_ms, 0", "event_name, 0, 0")


def alter_values(patch: Patch) -> None:
    def assemble(*given: Any) -> Json:
        event = build.assemble(*given)
        event["custom_data"]["value"] += 0.01
        return event

    patch.setattr(batch, "assemble", assemble)


def forget_the_agent(patch: Patch) -> None:
    patch.setattr(batch, "assemble", lambda event, address, _: build.assemble(event, address, None))


def keep_ended_events_waiting(patch: Patch) -> None:
    for store in (sqlite, postgres):
        rewrite(patch, store.ended, "TAKE_OFF_QUEUE", "WHERE", "WHERE false AND")


def lose_count(patch: Patch) -> None:
    async def forget(*_: object) -> None:
        pass

    patch.setattr(sqlite.admit, "count", lambda *_: None)
    patch.setattr(postgres.admit, "count_at", forget)


def expire_early(patch: Patch) -> None:
    """Seven seconds for seven days."""
    patch.setattr(batch, "gives_up", lambda event_time_ms, now_ms: now_ms - event_time_ms > 7_000)


def send_to_another_pixel(patch: Patch) -> None:
    real = graph.Graph._post

    async def post(self: Any, access: Any, *rest: Any) -> Any:
        return await real(self, graph.PixelAccess("42", access.token, access.graph_version), *rest)

    patch.setattr(graph.Graph, "_post", post)


def leave_calls_open(patch: Patch) -> None:
    for store in (sqlite, postgres):
        rewrite(patch, store.outbox, "CLOSE_ATTEMPT", "finished_ms IS NULL", "false")


def answer_too_much(patch: Patch) -> None:
    """A repeat is answered as accepted."""
    real = ingest.summary

    def summary(*given: Any) -> Any:
        answer = real(*given)
        return msgspec.structs.replace(answer, accepted=answer.accepted + answer.duplicates, duplicates=0)

    patch.setattr(ingest, "summary", summary)


def forget_what_was_spilled(patch: Patch) -> None:
    """Every fifth post goes to the local file, which is emptied without a commit of what was in it."""
    real, calls = ServingStore.admit, iter(range(1_000))

    async def admit(self: ServingStore, events: Sequence[Any]) -> list[Admission]:
        if next(calls) % 5 != 4:
            return await real(self, events)
        assert self._spill is not None
        await self._spill.keep(events, reserve_mib=0)
        await self._take_over(self._spill)
        return [Admission.ACCEPTED] * len(events)

    async def forget(_: ServingStore, spill: Spill, kept: Sequence[Any]) -> None:
        await spill.forget([each.row_id for each in kept])

    patch.setattr(ServingStore, "admit", admit)
    patch.setattr(ServingStore, "_admit_again", forget)


def commit_twice(patch: Patch) -> None:
    """A commit is tried again though it had taken place."""
    real = ServingStore._commit

    async def commit(self: ServingStore, posts: Sequence[Post]) -> list[list[Admission]]:
        answers = await real(self, posts)
        await real(self, posts)
        return answers

    patch.setattr(ServingStore, "_commit", commit)


MISTAKES: dict[str, tuple[Callable[[Patch], None], str]] = {
    "202 without a commit": (acknowledge_without_commit, "I1"),
    "a repeat is taken for new": (take_repeats_for_new, "I1"),
    "a lease keeps nobody out": (lease_to_everybody, "I2"),
    "a failed call counts as delivered": (
        decide_otherwise(AttemptOutcome.RETRY, ended_as(Fate.DELIVERED, FateReason.RECEIVED)),
        "I1",
    ),
    "a delivered batch is sent again": (
        decide_otherwise(AttemptOutcome.RECEIPT, lambda event: Again(key=event.key, due_ms=0), once=True),
        "I2",
    ),
    "a bad event takes its batch with it": (
        decide_otherwise(AttemptOutcome.REJECT, ended_as(Fate.REJECTED, FateReason.REJECTED_BY_META)),
        "I1",
    ),
    "an ambiguous send is hidden": (hide_ambiguous_sends, "I2"),
    "nothing is held": (hold_nothing, "I3"),
    "values are altered": (alter_values, "I6"),
    "the user agent is forgotten": (forget_the_agent, "I1"),
    "an ended event goes on waiting": (keep_ended_events_waiting, "I1"),
    "counts are lost": (lose_count, "I4"),
    "events expire early": (expire_early, "I1"),
    "events go to another pixel": (send_to_another_pixel, "I1"),
    "calls are left open": (leave_calls_open, "I5"),
    "the answer counts repeats as accepted": (answer_too_much, "I4"),
}


# Those in which a store has a part, and two that only many machines can make. Each of them lets the relay drain.
ON_POSTGRESQL: dict[str, tuple[Callable[[Patch], None], str]] = {
    name: MISTAKES[name]
    for name in (
        "202 without a commit",
        "a repeat is taken for new",
        "a lease keeps nobody out",
        "a failed call counts as delivered",
        "a delivered batch is sent again",
        "a bad event takes its batch with it",
        "an ambiguous send is hidden",
        "nothing is held",
        "counts are lost",
        "calls are left open",
    )
} | {
    "what was spilled is forgotten": (forget_what_was_spilled, "I1"),
    "a commit is done twice": (commit_twice, "I4"),
}


def faults_for(seed: Callable[[Patch], None]) -> tuple[Json, ...]:
    return LONG_CALLS if seed is lease_to_everybody else FAULTS


@pytest.mark.parametrize(("seed", "invariant"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_of_the_relay_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Callable[[Patch], None], invariant: str
) -> None:
    seed(monkeypatch)
    assert invariant in play(tmp_path, faults_for(seed)).invariants()


@pytest.mark.parametrize(("seed", "invariant"), ON_POSTGRESQL.values(), ids=ON_POSTGRESQL)
def test_each_mistake_is_found_on_postgresql(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    database: str,
    seed: Callable[[Patch], None],
    invariant: str,
) -> None:
    seed(monkeypatch)
    assert invariant in play(tmp_path, faults_for(seed), database=database, drain_seconds=30).invariants()


# Mistakes in the logs


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    return play(tmp_path_factory.mktemp("sound"), FAULTS)


def test_a_sound_run_has_no_violation_and_has_met_every_turn(sound: Logs) -> None:
    assert_sound(sound)


def test_a_sound_run_on_postgresql_has_none_either(tmp_path: Path, database: str) -> None:
    assert_sound(play(tmp_path, FAULTS, database=database, drain_seconds=30))


def assert_sound(logs: Logs) -> None:
    assert [str(violation) for violation in logs.violations()] == []
    outcomes = {call.outcome for row in logs.ledger.rows for call in row.calls}
    assert outcomes == {"receipt", "retry", "reject", "unknown"}
    assert {row.fate for row in logs.ledger.rows} == {"delivered", "rejected"}
    assert sum(row.duplicates for row in logs.ledger.rows) == 1
    assert len(logs.twin["browser"]) == 1


def without_a_row(logs: Logs) -> None:
    logs.ledger = msgspec.structs.replace(logs.ledger, rows=logs.ledger.rows[1:])


def change_row(logs: Logs, number: int, **changes: Any) -> None:
    rows = list(logs.ledger.rows)
    rows[number] = msgspec.structs.replace(rows[number], **changes)
    logs.ledger = msgspec.structs.replace(logs.ledger, rows=tuple(rows))


def overlap_calls(logs: Logs) -> None:
    number = next(n for n, row in enumerate(logs.ledger.rows) if len(row.calls) > 1)
    first, *rest = logs.ledger.rows[number].calls
    late = msgspec.structs.replace(first, finished_ms=rest[-1].started_ms + 1)
    change_row(logs, number, calls=(late, *rest))


SLIPS: dict[str, tuple[Callable[[Logs], object], str]] = {
    "an acknowledged event is not in the ledger": (without_a_row, "I1"),
    "the ledger holds an event of nobody": (lambda logs: change_row(logs, 0, event_id="of nobody"), "I1"),
    "an event has no fate": (lambda logs: change_row(logs, 1, fate=None), "I1"),
    "a delivered event never arrived": (lambda logs: logs.twin["server"].clear(), "I1"),
    "the twin has forgotten": (lambda logs: logs.twin.update(dropped=1), "I1"),
    "an event arrived once more": (
        lambda logs: logs.twin["server"].append(copy.deepcopy(logs.twin["server"][-1])),
        "I2",
    ),
    "the server's half came first": (
        lambda logs: next(e for e in logs.twin["server"] if e["event_id"] == "held").update(received_ms=0),
        "I3",
    ),
    "a total is off by one": (
        lambda logs: logs.ledger.totals.update(accepted=logs.ledger.totals["accepted"] + 1),
        "I4",
    ),
    "an event was in two calls at once": (overlap_calls, "I5"),
    "a byte has changed": (
        lambda logs: logs.twin["server"][3]["params"].update(event_source_url=f"{ORIGIN}/thankz"),
        "I6",
    ),
    "the time is another": (lambda logs: logs.twin["server"][3]["params"].update(event_time=1), "I6"),
}


@pytest.mark.parametrize(("slip", "invariant"), SLIPS.values(), ids=SLIPS)
def test_each_slip_in_a_log_is_found(sound: Logs, slip: Callable[[Logs], object], invariant: str) -> None:
    logs = copy.deepcopy(sound)
    slip(logs)
    assert invariant in logs.invariants()


@pytest.mark.parametrize(
    ("after_its_answer_ms", "many_machines", "invariants"),
    [(SKEW_MS, True, set()), (SKEW_MS + 1, True, {"I6"}), (1, False, {"I6"})],
)
def test_an_event_is_no_later_than_its_answer_but_by_what_the_clocks_of_machines_differ(
    sound: Logs, after_its_answer_ms: int, many_machines: bool, invariants: set[str]
) -> None:
    logs = copy.deepcopy(sound)
    number = next(
        line["post"]
        for line in logs.generator
        if line["do"] == "post" and line["events"][0]["event_id"] == "e5-0"
    )
    answer = next(line for line in logs.generator if line["do"] == "answer" and line["post"] == number)
    latest_ms = answer["at_ms"] // 1_000 * 1_000
    for event in logs.twin["server"]:
        if event["event_id"] in ("e5-0", "e5-1"):
            event["params"]["event_time"] = latest_ms // 1_000
    answer["at_ms"] = latest_ms - after_its_answer_ms
    found = check(logs.generator, logs.ledger, logs.twin, spilled=many_machines)
    assert {violation.invariant for violation in found} == invariants


def test_the_program_reads_three_files_and_fails_where_something_is_wrong(
    sound: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("generator.jsonl", "ledger.json", "twin.json")]
    files[0].write_bytes(b"\n".join(map(msgspec.json.encode, sound.generator)))
    files[1].write_bytes(msgspec.json.encode(sound.ledger))
    files[2].write_bytes(msgspec.json.encode(sound.twin))
    monkeypatch.setattr("sys.argv", ["checker", *map(str, files)])
    assert main() == 0
    files[2].write_bytes(msgspec.json.encode({**sound.twin, "server": []}))
    assert main() == 1
    assert "is delivered and never arrived" in capsys.readouterr().out
