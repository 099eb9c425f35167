"""A byte that changes on the disk is seen, ends its own event, and harms no other."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.outcome import BrowserState, Fate, FateReason
from relay.store.checksum import Column, checksum, is_intact
from relay.store.sqlite import SqliteStore
from tests.store.samples import NOW_MS, claim, event, leg

MARKED = b'{"event_name":"Purchase","event_id":"marked"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counterfoil.db"


def flip(path: Path, text: bytes) -> None:
    """Change one bit of the first place that holds the text, behind SQLite's back."""
    content = bytearray(path.read_bytes())
    content[content.index(text)] ^= 0x80  # also no longer UTF-8
    path.write_bytes(content)


def overwrite(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(statement)

    return damage


@pytest.mark.anyio
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, MARKED),
        lambda path: flip(path, b"2001:db8::bad"),
        overwrite("UPDATE event SET event_id = CAST(x'ff' AS TEXT) WHERE event_id = 'marked'"),
        overwrite("UPDATE event SET key = x'00' WHERE event_id = 'marked'"),
        overwrite("UPDATE event SET crc = crc + 1 WHERE event_id = 'marked'"),
        overwrite("UPDATE visitor SET client_user_agent = NULL WHERE event = 2"),
        overwrite("UPDATE queue SET pixel = '222' WHERE event = 2"),
    ],
    ids=["payload", "address", "not UTF-8", "key", "checksum", "agent", "wrong pixel"],
)
async def test_a_damaged_event_is_quarantined_and_its_neighbours_go_on(
    path: Path, damage: Callable[[Path], None]
) -> None:
    async with await SqliteStore.open(path) as store:
        marked = event("marked", server_event=MARKED, client_ip_address="2001:db8::bad")
        await store.admit([event("before"), marked, event("after")])
    damage(path)
    async with await SqliteStore.open(path) as store:
        lease = await claim(store)
        assert [leased.event_id for leased in lease.events] == ["before", "after"]
        assert await store.claim(now_ms=NOW_MS, lease_ms=1, limit=9, busy=frozenset()) is None
        totals = await store.totals()
        assert (totals.waiting, totals.fates) == (2, {"rejected": 1})


@pytest.mark.anyio
async def test_the_receipt_of_a_damaged_event_says_so(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.admit([event("marked", server_event=MARKED)])
    flip(path, MARKED)
    async with await SqliteStore.open(path) as store:
        assert await store.claim(now_ms=NOW_MS, lease_ms=1, limit=9, busy=frozenset()) is None
        (receipt,) = await store.find("marked")
        assert receipt.fate is not None
        assert (receipt.fate.fate, receipt.fate.reason) == (Fate.REJECTED, FateReason.CORRUPT_ROW)
        assert receipt.server_event == {}
        assert "checksum" in receipt.why["corrupt_row"]


@pytest.mark.anyio
async def test_a_damaged_leg_is_left_out_and_can_be_bettered(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.admit([event(leg=leg(BrowserState.BLOCKED))])
    overwrite("UPDATE leg SET state = 'blOcked'")(path)
    async with await SqliteStore.open(path) as store:
        assert (await store.find("e1"))[0].legs == ()
        await store.admit([event(leg=leg(BrowserState.PENDING))])
        assert [leg.state for leg in (await store.find("e1"))[0].legs] == [BrowserState.PENDING]


columns: st.SearchStrategy[Column] = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(),
    st.binary(),
)


@given(st.lists(columns, max_size=5), st.lists(columns, max_size=5))
def test_rows_that_differ_have_checksums_that_differ(one: list[Column], other: list[Column]) -> None:
    """Near enough: a CRC of 32 bits tells them apart but for one pair in four thousand million."""
    assert is_intact(one, checksum(one))
    assert repr(one) == repr(other) or not is_intact(one, checksum(other))
