"""Forgotten means gone from the disk: not in a free page, not in the write-ahead log."""

from pathlib import Path
from typing import Any

import pytest

from relay.event.issue import Finding, IssueKind
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


@pytest.mark.anyio
async def test_nothing_of_an_erased_person_is_left_on_the_disk(tmp_path: Path) -> None:
    email, fbp = "ada0" * 16, "fb.1.1763859600000.987654321"
    mine: dict[str, Any] = {
        "user_data": {"em": [email], "fbp": fbp},
        "client_ip_address": ADDRESS,
        "client_user_agent": AGENT,
    }
    async with await SqliteStore.open(tmp_path / "counterfoil.db") as store:
        for start in range(0, 1_200, 100):  # neighbours on the same pages
            await store.admit([event(f"e{i}", **(mine if i % 3 else {})) for i in range(start, start + 100)])
        await end_all(store)
        assert all(on_disk(tmp_path, text) for text in (email, fbp, ADDRESS, AGENT))
        assert sum(each.events for each in await store.erase([email])) == 800
        assert not any(on_disk(tmp_path, text) for text in (email, fbp, ADDRESS, AGENT))
        assert len(await store.find("e3")) == 1


@pytest.mark.anyio
async def test_an_issue_no_longer_names_an_erased_event(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / "counterfoil.db") as store:
        await store.admit(
            [
                event(
                    "order-of-ada",
                    user_data={"em": ["ada0" * 16]},
                    findings=(Finding(kind=IssueKind.RENAMED_EVENT),),
                )
            ]
        )
        assert on_disk(tmp_path, "order-of-ada")
        await store.erase(["ada0" * 16])
        assert len(await store.issues()) == 1
        assert not on_disk(tmp_path, "order-of-ada")
