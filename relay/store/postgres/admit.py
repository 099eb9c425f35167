"""Admission: an event is new, better known, or a duplicate. A group of posts is one transaction.

New events (`accept.py`) and known ones (`known.py`) go through together; those that both a page and a server post
(`halves.py`) one by one. Locks are always taken in one order: keys, orders, waiting rows, counts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from relay.event.outcome import Admission
from relay.store.postgres.accept import accept
from relay.store.postgres.counter import At, count_at
from relay.store.postgres.database import Connection
from relay.store.postgres.families import Way
from relay.store.postgres.halves import is_other_side, meet_alone
from relay.store.postgres.issues import note
from relay.store.postgres.known import Admitted, know, meet, write_known
from relay.store.postgres.writer import Post
from relay.store.protocol import IssueSeen
from relay.store.rules import admission_counts, sightings


async def admit(connection: Connection, posts: Sequence[Post], shard: int) -> list[list[Admission]]:
    """Take every event of every post, one answer each; a key that comes twice is known the second time."""
    events = [event for post in posts for event in post.events]
    again = [post.again for post in posts for _ in post.events]
    if not events:
        return [[] for _ in posts]
    admitted: list[Admitted | None] = [None] * len(events)
    ways: Counter[Way] = Counter()
    counts: Counter[At] = Counter()
    for new in await accept(connection, events, ways):
        admitted[new.at] = (Admission.ACCEPTED, new.event)
    rest = [at for at, done in enumerate(admitted) if done is None]
    if rest:
        known = await know(connection, {events[at].key for at in rest})
        rest = [
            at for at in rest if not (again[at] and known[events[at].key].seen_ms == events[at].received_ms)
        ]
        sides = {events[at].key for at in rest if is_other_side(known[events[at].key], events[at])}
        for at in rest:
            if events[at].key not in sides:
                admitted[at] = meet(known[events[at].key], events[at], ways)
        counts.update(
            await write_known(connection, [each for key, each in known.items() if key not in sides])
        )
        for at in rest:
            if events[at].key in sides:
                admitted[at] = await meet_alone(connection, events[at], ways, counts, shard)
    answers = [done or (None, replace(events[at], findings=())) for at, done in enumerate(admitted)]
    by_post = list(_by_post(answers, posts))
    await note(connection, _sightings(by_post))
    counts.update(_counts(answers))
    await count_at(connection, counts, shard, ways)
    return [[answer or Admission.ACCEPTED for answer, _ in post] for post in by_post]


def _by_post(answers: Sequence[Admitted], posts: Sequence[Post]) -> Iterator[list[Admitted]]:
    rest = iter(answers)
    return (list(islice(rest, len(post.events))) for post in posts)


def _counts(admitted: Sequence[Admitted]) -> Counter[At]:
    return Counter(
        (event.received_ms, each)
        for answer, event in admitted
        if answer is not None
        for each in admission_counts(answer, event)
    )


def _sightings(posts: Sequence[Sequence[Admitted]]) -> Iterator[tuple[IssueSeen, int]]:
    """What the posts show, each thing once a post: an event for several pixels is still one."""
    for post in posts:
        for sighting in dict.fromkeys(seen for _, event in post for seen in sightings(event)):
            yield sighting, post[0][1].received_ms
