"""Forgotten means gone from the disk: not in a free page, not in the write-ahead log."""

from pathlib import Path

import pytest

from relay.store.sqlite import SqliteStore
from tests.store.samples import NOW_MS, end_all, event

ADDRESS = "2001:db8:77:88::99aa"
AGENT = "ForgetMe/7.5 (a user agent long enough to be found)"


def on_disk(folder: Path, text: str) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.iterdir())


@pytest.mark.anyio
async def test_nothing_of_a_forgotten_visitor_is_left_on_the_disk(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / "counterfoil.db") as store:
        await store.admit(
            [event(f"e{i}", client_ip_address=ADDRESS, client_user_agent=AGENT) for i in range(1_200)]
        )
        assert on_disk(tmp_path, ADDRESS)
        await end_all(store)
        await end_all(store)
        await store.prune(now_ms=NOW_MS + 1, retention_ms=10**9, address_ms=1)
        assert not on_disk(tmp_path, ADDRESS)
        assert not on_disk(tmp_path, AGENT)
        assert len(await store.find("e7")) == 1
