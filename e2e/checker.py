"""The checker: compares what was sent, what the ledger says and what the twin got, key by key.

`python -m e2e.checker generator.jsonl ledger.jsonl twin.json` prints each violation and ends with exit code 1 if
there is one. It imports nothing of the relay, so that no mistake of the relay can hide from it. The three logs:

- the generator's: a line before each post with the events in full, a line for each answer, written as it happened;
- the ledger: every row that the relay's file holds about an event, read by `read_ledger` with SQL of its own;
- the twin: its `/twin/state`.

Invariants: I1 nothing acknowledged is lost, and every event ends once; I2 nothing is sent twice but by an ambiguous
call that the ledger has counted; I3 the server's half comes after the browser's, or after its hold; I4 counts add up;
I5 no two calls have an event in hand at once; I6 what arrives is what was posted. A key is (pixel, name, id).
"""

import hashlib
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from e2e.postgres import run_sql

Json = dict[str, Any]
Key = tuple[str, str, str]

TERMINAL: Final = {"delivered", "rejected", "expired", "filtered", "quarantined", "unknown"}
CLOCK_MS: Final = (
    1_500  # the generator, the relay and the twin read one clock, and event_time is in whole seconds
)

EVENTS: Final = """
SELECT event.id, event.pixel, event.event_name, event.event_id, event.event_time_ms, event.received_ms,
    fate.fate, fate.reason, fate.at_ms, queue.event IS NOT NULL, dedup.duplicates,
    (SELECT not_before_ms FROM leg WHERE leg.event = event.id AND not_before_ms IS NOT NULL
        ORDER BY seq DESC LIMIT 1),
    (SELECT count(*) FROM replay WHERE replay.event = event.id)
FROM event
LEFT JOIN fate ON fate.event = event.id
LEFT JOIN queue ON queue.event = event.id
LEFT JOIN dedup ON dedup.key = event.key
ORDER BY event.id
"""

SKEW_MS: Final = 100  # between machines that ask one database for the time, each for itself

ATTEMPTS: Final = """
SELECT attempt_event.event, attempt.lease, attempt.started_ms, attempt.finished_ms, attempt.outcome
FROM attempt_event JOIN attempt ON attempt.id = attempt_event.attempt ORDER BY attempt.id
"""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to Graph that had the event in it."""

    lease: str
    started_ms: int
    finished_ms: int | None
    outcome: str | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the ledger."""

    pixel: str
    event_name: str
    event_id: str
    event_time_ms: int
    received_ms: int
    fate: str | None
    reason: str | None
    ended_ms: int | None
    waiting: bool
    duplicates: int
    not_before_ms: int
    replays: int
    calls: tuple[Call, ...]

    def key(self) -> Key:
        return (self.pixel, self.event_name, self.event_id)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Every event, and the running totals that the relay kept."""

    rows: tuple[Row, ...]
    totals: dict[str, int]


class Violation(msgspec.Struct, frozen=True):
    invariant: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.key}: {self.what}"


class GeneratorLog:
    """What was posted and answered, on the disk before the next step. Made for many threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._posts = 0

    def post(self, pixel: str, events: Sequence[Json], *, user_agent: str, ends: str = "delivered") -> int:
        """Before a post; `ends` is the only fate, beside unknown and expired, that its events may have."""
        with self._lock:
            self._posts += 1
            line = {
                "do": "post",
                "post": self._posts,
                "at_ms": now_ms(),
                "pixel": pixel,
                "user_agent": user_agent,
                "ends": ends,
                "events": events,
            }
            self._write(line)
            return self._posts

    def answer(self, post: int, status: int, body: object) -> None:
        """After the answer; a post whose connection broke has none."""
        with self._lock:
            self._write({"do": "answer", "post": post, "at_ms": now_ms(), "status": status, "body": body})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: Json) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def read_generator(path: Path) -> list[Json]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def read_ledger(database: Path) -> Ledger:
    """The ledger of the relay's file, whether the relay runs or not."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("BEGIN")
        calls: dict[int, list[Call]] = defaultdict(list)
        for event, lease, started_ms, finished_ms, outcome in connection.execute(ATTEMPTS):
            calls[event].append(
                Call(lease=lease, started_ms=started_ms, finished_ms=finished_ms, outcome=outcome)
            )
        rows = tuple(_row(row, calls[row[0]]) for row in connection.execute(EVENTS))
        return Ledger(rows=rows, totals=dict(connection.execute("SELECT what, n FROM total").fetchall()))


POSTGRES_TOTALS: Final = "SELECT what, sum(n)::bigint AS n FROM total GROUP BY what"


def read_postgres_ledger(url: str) -> Ledger:
    """The ledger of relays that share a database. The same questions; ids begin with the day there."""
    calls: dict[int, list[Call]] = defaultdict(list)
    for event, lease, started_ms, finished_ms, outcome in run_sql(url, ATTEMPTS):
        calls[event].append(
            Call(lease=str(lease), started_ms=started_ms, finished_ms=finished_ms, outcome=outcome)
        )
    rows = tuple(_row(tuple(row), calls[row[0]]) for row in run_sql(url, EVENTS))
    return Ledger(rows=rows, totals={row["what"]: row["n"] for row in run_sql(url, POSTGRES_TOTALS)})


def _row(row: tuple[Any, ...], calls: Sequence[Call]) -> Row:
    return Row(
        pixel=row[1],
        event_name=row[2],
        event_id=row[3],
        event_time_ms=row[4],
        received_ms=row[5],
        fate=row[6],
        reason=row[7],
        ended_ms=row[8],
        waiting=bool(row[9]),
        duplicates=row[10] or 0,
        not_before_ms=row[11] if row[11] is not None else row[5],
        replays=row[12],
        calls=tuple(calls),
    )


def check(generator: Sequence[Json], ledger: Ledger, twin: Json, *, spilled: bool = False) -> list[Violation]:
    """Every violation, in the order of the invariants. Meant for a relay that has drained.

    `spilled`: posts may have been taken without the database, which alone knows an update or a duplicate from news.
    So those answers are held to their sum: nothing that was answered is uncounted.
    """
    story = Story(generator, ledger, twin, spilled=spilled)
    checks = (
        story.nothing_lost,
        story.nothing_twice,
        story.in_order,
        story.adds_up,
        story.fenced,
        story.unaltered,
    )
    return [violation for each in checks for violation in each()]


class Story:
    """The three logs, by key."""

    def __init__(self, generator: Sequence[Json], ledger: Ledger, twin: Json, *, spilled: bool) -> None:
        self.spilled = spilled
        self.skew_ms = SKEW_MS if spilled else 0
        self.posts = {line["post"]: line for line in generator if line["do"] == "post"}
        self.answers = {line["post"]: line for line in generator if line["do"] == "answer"}
        self.totals = ledger.totals
        self.rows: dict[Key, list[Row]] = defaultdict(list)
        for row in ledger.rows:
            self.rows[row.key()].append(row)
        self.arrivals: dict[Key, list[Json]] = defaultdict(list)
        for event in twin["server"]:
            self.arrivals[(event["pixel"], event["event_name"], event["event_id"])].append(event)
        self.browser = {
            (event["pixel"], event["event_name"], event["event_id"]): event["received_ms"]
            for event in reversed(twin["browser"])
        }
        self.posted: dict[Key, list[tuple[Json, Json]]] = defaultdict(list)
        for post in self.posts.values():
            for event in post["events"]:
                self.posted[(post["pixel"], event["event_name"], event["event_id"])].append((post, event))
        self.acknowledged, self.refused = self._answered()
        self.dropped = twin["dropped"]

    def _answered(self) -> tuple[set[Key], set[Key]]:
        """Keys that a 202 took, and keys that a 202 refused."""
        taken: set[Key] = set()
        refused: set[Key] = set()
        for number, answer in self.answers.items():
            if answer["status"] != 202:
                continue
            bad = {each["event_id"] for each in answer["body"]["refused"]}
            post = self.posts[number]
            for event in post["events"]:
                key = (post["pixel"], event["event_name"], event["event_id"])
                (refused if event["event_id"] in bad else taken).add(key)
        return taken, refused - taken

    def nothing_lost(self) -> Iterator[Violation]:
        if self.dropped:
            yield Violation("I1", "-", f"the twin forgot {self.dropped} arrivals, so nothing can be proved")
        for key in sorted(self.acknowledged - self.rows.keys()):
            yield _broken("I1", key, "was answered 202 and is not in the ledger")
        for key in sorted(self.rows.keys() - self.posted.keys()):
            yield _broken("I1", key, "is in the ledger and was never posted")
        for key in sorted(self.refused & self.rows.keys()):
            yield _broken("I1", key, "was refused and is in the ledger")
        for key, rows in sorted(self.rows.items()):
            if len(rows) > 1:
                yield _broken("I1", key, f"is in the ledger {len(rows)} times")
            yield from self._ended_once(key, rows[0])

    def _ended_once(self, key: Key, row: Row) -> Iterator[Violation]:
        expected = {post["ends"] for post, _ in self.posted[key]}
        if row.waiting and row.fate:
            yield _broken("I1", key, f"has the fate {row.fate} and waits all the same")
        elif row.fate is None:
            yield _broken("I1", key, "has no fate after the drain")
        elif row.fate not in TERMINAL:
            yield _broken("I1", key, f"has a fate that is none: {row.fate}")
        elif expected and row.fate not in expected | {"unknown"}:
            yield _broken("I1", key, f"ended as {row.fate} ({row.reason}), and should be {sorted(expected)}")
        if row.fate == "unknown" and not _ambiguous(row):
            yield _broken("I1", key, "ended as unknown without an ambiguous call")

    def nothing_twice(self) -> Iterator[Violation]:
        for key in sorted(self.arrivals.keys() - self.rows.keys()):
            yield _broken("I2", key, "arrived and is not in the ledger")
        for key, (row, *_) in sorted(self.rows.items()):
            times, ambiguous = len(self.arrivals.get(key, ())), _ambiguous(row)
            if row.fate == "delivered" and times < 1:
                yield _broken("I1", key, "is delivered and never arrived")
            if times > ambiguous + (row.fate == "delivered"):
                yield _broken("I2", key, f"arrived {times} times as {row.fate}; ambiguous calls: {ambiguous}")

    def in_order(self) -> Iterator[Violation]:
        for key, arrivals in sorted(self.arrivals.items()):
            for row in self.rows.get(key, ()):
                first_ms, browser_ms = arrivals[0]["received_ms"], self.browser.get(key)
                if first_ms + self.skew_ms < row.not_before_ms and row.replays == 0:
                    yield _broken(
                        "I3", key, f"arrived {row.not_before_ms - first_ms} ms before its hold was over"
                    )
                if browser_ms is not None and first_ms < min(browser_ms, row.not_before_ms):
                    yield _broken("I3", key, f"arrived {browser_ms - first_ms} ms before the browser's half")

    def adds_up(self) -> Iterator[Violation]:
        rows = [row for rows in self.rows.values() for row in rows]
        fates = Counter(row.fate for row in rows if row.fate)
        counted = {
            "accepted": len(rows),
            "duplicate": sum(row.duplicates for row in rows),
            **{f"fate:{fate}": fates[fate] for fate in TERMINAL},
        }
        for what, number in counted.items():
            if self.totals.get(what, 0) != number:
                yield Violation(
                    "I4", what, f"the relay counted {self.totals.get(what, 0)}, there are {number}"
                )
        answered, unanswered = self._events_answered()
        kept = Counter(
            accepted=self.totals.get("accepted", 0),
            updated=self.totals.get("updated", 0),
            duplicates=self.totals.get("duplicate", 0),
            refused=sum(n for what, n in self.totals.items() if what.startswith("refused:")),
        )
        if self.spilled:
            known = ("accepted", "updated", "duplicates")
            answered = Counter(known=sum(answered[what] for what in known), refused=answered["refused"])
            kept = Counter(known=sum(kept[what] for what in known), refused=answered["refused"])
            unanswered += answered["known"]  # one that was written twice may have been counted twice
        for what in kept:
            if not answered[what] <= kept[what] <= answered[what] + unanswered:
                yield Violation("I4", what, f"answered {answered[what]}, the relay counted {kept[what]}")
        for number, answer in self.answers.items():
            body = answer["body"]
            if answer["status"] == 202 and _events_in(body) != len(self.posts[number]["events"]):
                yield Violation(
                    "I4", f"post {number}", "the parts of the answer are not the events of the post"
                )

    def _events_answered(self) -> tuple[Counter[str], int]:
        """Events by what the answers said of them, and the number of those that nobody knows of."""
        answered: Counter[str] = Counter()
        unanswered = 0
        for number, post in self.posts.items():
            answer = self.answers.get(number)
            if answer is None:
                unanswered += len(post["events"])
            elif answer["status"] == 202:
                body = answer["body"]
                answered.update({what: body[what] for what in ("accepted", "updated", "duplicates")})
                answered["refused"] += len(body["refused"])
        return answered, unanswered

    def fenced(self) -> Iterator[Violation]:
        for key, (row, *_) in sorted(self.rows.items()):
            for before, after in zip(row.calls, row.calls[1:], strict=False):
                if before.finished_ms is None or after.started_ms < before.finished_ms:
                    yield _broken("I5", key, "was in two calls at once")
            outcomes = [call.outcome for call in row.calls]
            if row.fate == "delivered" and outcomes[-1:] != ["receipt"]:
                yield _broken("I5", key, f"is delivered, and its calls ended as {outcomes}")
            if "receipt" in outcomes[:-1]:
                yield _broken("I5", key, "was called for after its receipt")
            if row.fate and None in outcomes:
                yield _broken("I5", key, "has ended, and a call for it is still open")

    def unaltered(self) -> Iterator[Violation]:
        for key, arrivals in sorted(self.arrivals.items()):
            posts = [
                (post, event, self._answered_ms(post) + self.skew_ms) for post, event in self.posted[key]
            ]
            for arrival in arrivals:
                params = arrival["params"]
                if not any(_same(params, *posted) for posted in posts):
                    times = [(post["at_ms"], latest_ms) for post, _, latest_ms in posts]
                    what = f"arrived altered: {msgspec.json.encode(params).decode()}; may be of {times}"
                    yield _broken("I6", key, what)

    def _answered_ms(self, post: Json) -> int:
        answer = self.answers.get(post["post"])
        return int(answer["at_ms"]) if answer else int(post["at_ms"]) + 60_000


def _same(params: Json, post: Json, event: Json, latest_ms: int) -> bool:
    """Whether what arrived is what this post, computed anew from its input, asks for."""
    user_data = dict(params["user_data"])
    user_data.pop("client_ip_address", None)  # the relay's own observation
    happened_ms = post["at_ms"] - event["age_ms"]
    return (
        {name: value for name, value in params.items() if name not in ("user_data", "event_time")}
        == _expected(event)
        and user_data == _expected_user_data(event, post["user_agent"])
        and happened_ms - CLOCK_MS <= params["event_time"] * 1_000 <= latest_ms - event["age_ms"]
    )


def _expected(event: Json) -> Json:
    parts = {
        "event_name": event["event_name"],
        "event_id": event["event_id"],
        "event_source_url": event["url"],
        "action_source": "website",
    }
    return parts | ({"custom_data": event["custom_data"]} if event.get("custom_data") else {})


def _expected_user_data(event: Json, user_agent: str) -> Json:
    hashed = {
        name: [hashlib.sha256(value.strip().lower().encode()).hexdigest()]
        for name, value in event.get("user_data", {}).items()
    }
    return {**hashed, "fbp": event["fbp"], "client_user_agent": user_agent}


def _events_in(body: Mapping[str, Any]) -> int:
    refused: list[Json] = body["refused"]
    return sum(int(body[what]) for what in ("accepted", "updated", "duplicates")) + len(refused)


def _ambiguous(row: Row) -> int:
    return sum(call.outcome == "unknown" for call in row.calls)


def _broken(invariant: str, key: Key, what: str) -> Violation:
    return Violation(invariant, " ".join(key), what)


def main() -> int:
    generator, ledger, twin = (Path(argument) for argument in sys.argv[1:4])
    violations = check(
        read_generator(generator),
        msgspec.json.decode(ledger.read_bytes(), type=Ledger),
        msgspec.json.decode(twin.read_bytes()),
    )
    for violation in violations:
        print(violation)
    print(f"{len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
