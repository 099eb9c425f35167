"""429 with Retry-After: by address, by site, by failed sign-ins; nobody uses up somebody else's budget."""

import asyncio
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.enrich import connection_address
from relay.event.outcome import RateReason
from relay.event.records import RequestFacts
from relay.settings import Limits, Server, Settings
from relay.store.protocol import Filters
from relay.web.rates import Budget, Limited, Rates, Windows, asker
from relay.web.signin import SignIn
from tests.event.malformed import SITE_KEY, good_event
from tests.web.lab import OTHER_SITE, Relay, lab_settings, open_relay

FEW = Limits(
    address_posts_per_minute=3, site_events_per_minute=20, sign_in_failures_per_minute=2, answer_delay_ms=0
)


def few(folder: Path, **server: object) -> Settings:
    settings = lab_settings(folder)
    behind = msgspec.structs.replace(settings.server, trusted_proxies=("10.0.0.0/8",), **server)
    return msgspec.structs.replace(settings, limits=FEW, server=behind)


async def post_from(relay: Relay, address: str, site: str = SITE_KEY, events: int = 1) -> httpx.Response:
    body = [good_event(event_id=f"{address}-{number}") for number in range(events)]
    origin = {"origin": OTHER_SITE.origins[0]} if site == OTHER_SITE.key else {}
    return await relay.post(*body, site=site, x_forwarded_for=address, **origin)


def refused(response: httpx.Response, reason: RateReason) -> bool:
    if response.status_code != 429:
        return False
    assert response.json()["error"]["reason"] == reason
    assert response.json()["error"]["message"]
    assert 1 <= int(response.headers["retry-after"]) <= 86_400
    return True


@pytest.mark.anyio
async def test_an_address_that_posts_too_much_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        for _ in range(3):
            assert (await post_from(relay, "203.0.113.5")).status_code == 202
        over = await post_from(relay, "203.0.113.5")
        assert refused(over, RateReason.ADDRESS)
        assert over.headers["access-control-allow-origin"] == "https://shop.example", "the page may read it"
        assert (await post_from(relay, "203.0.113.6")).status_code == 202, "its neighbour is not touched"
        relay.clock.now_ms += 1_000 * int(over.headers["retry-after"])
        assert (await post_from(relay, "203.0.113.5")).status_code == 202


@pytest.mark.anyio
async def test_what_is_over_leaves_no_trace_in_the_store(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        for number in range(9):
            await relay.post(good_event(event_id=f"e-{number}"), x_forwarded_for="203.0.113.5")
        assert len(await relay.store.recent(Filters())) == 3
        assert (await relay.store.totals()).refused == 0


@pytest.mark.anyio
async def test_a_flooding_address_is_refused_before_its_body_is_looked_at(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        for _ in range(3):
            assert (await relay.post_raw(b"garbage", x_forwarded_for="203.0.113.5")).status_code == 400
        assert refused(await relay.post_raw(b"garbage", x_forwarded_for="203.0.113.5"), RateReason.ADDRESS)


@pytest.mark.anyio
async def test_a_made_up_hop_does_not_make_a_new_asker(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        answers = [await post_from(relay, f"198.51.100.{number}, 203.0.113.5") for number in range(9)]
    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 6


@pytest.mark.anyio
async def test_a_site_s_budget_cannot_be_eaten_by_another_s(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        assert (await post_from(relay, "203.0.113.1", events=20)).status_code == 202
        for last in range(2, 250):  # a flood from many addresses
            assert refused(await post_from(relay, f"203.0.113.{last}"), RateReason.SITE)
        assert (await post_from(relay, "198.51.100.9", OTHER_SITE.key, events=20)).status_code == 202


@pytest.mark.anyio
async def test_a_post_that_does_not_fit_takes_nothing_from_the_budget(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        await post_from(relay, "203.0.113.1", events=15)
        assert refused(await post_from(relay, "203.0.113.2", events=6), RateReason.SITE)
        assert (await post_from(relay, "203.0.113.3", events=5)).status_code == 202


@pytest.mark.anyio
async def test_another_origin_s_posts_do_not_use_the_site_s_budget(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        for last in range(30):
            answer = await relay.post(origin="https://evil.example", x_forwarded_for=f"203.0.113.{last}")
            assert answer.status_code == 403
        assert (await post_from(relay, "203.0.113.99", events=20)).status_code == 202


@pytest.mark.anyio
async def test_address_tokens_count_as_posts(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        for _ in range(3):
            await post_from(relay, "203.0.113.5")
        query = {"site": SITE_KEY, "nonce": "n" * 20}
        answer = await relay.http.get("/v1/address", params=query, headers={"x-forwarded-for": "203.0.113.5"})
        assert refused(answer, RateReason.ADDRESS)


@pytest.mark.anyio
async def test_guessing_sign_in_codes_gets_slower_and_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    check = SignIn.check

    def counted(self: SignIn, purpose: str, signed: str, now_ms: int) -> object:
        looked_at.append(purpose)
        return check(self, purpose, signed, now_ms)  # type: ignore[arg-type] # counted, not judged

    monkeypatch.setattr(SignIn, "check", counted)
    async with open_relay(few(tmp_path), peer="203.0.113.5") as relay:
        waits = []
        for number in range(1_000):
            answer = await relay.http.get(f"/sign-in?code=guess-{number}")
            if refused(answer, RateReason.SIGN_IN):
                waits.append(int(answer.headers["retry-after"]))
                relay.clock.now_ms += 1_000 * waits[-1]
                if sum(waits) > 86_400:
                    break
        assert waits[0] <= 60, "a minute at first"
        assert max(waits) > 3_600, "in the end most of a day"
        assert len(looked_at) <= 2 * 10 + 2, "a day's guesses, and the next day's first"


@pytest.mark.anyio
async def test_a_guesser_does_not_keep_a_person_at_another_address_out(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="10.0.0.1") as relay:
        there, here = {"x-forwarded-for": "203.0.113.5"}, {"x-forwarded-for": "198.51.100.7"}
        for _ in range(2):
            assert (await relay.http.get("/sign-in?code=x", headers=there)).status_code == 403
        assert refused(await relay.http.get("/sign-in?code=x", headers=there), RateReason.SIGN_IN)
        assert (await relay.http.get("/sign-in", headers=there)).status_code == 200, "how to get a link"
        assert (await relay.http.get(relay.link(), headers=here)).status_code == 200


@pytest.mark.anyio
async def test_a_good_link_is_no_failure(tmp_path: Path) -> None:
    async with open_relay(few(tmp_path), peer="203.0.113.5") as relay:
        for _ in range(9):
            await relay.sign_in()


@pytest.mark.anyio
async def test_the_log_tells_of_a_flood_once_a_minute_and_not_whose_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_relay(few(tmp_path), peer="203.0.113.5") as relay:
        for _ in range(50):
            await relay.post()
    said = capsys.readouterr()
    assert (said.out + said.err).count("rate_limited") == 1
    assert "203.0.113.5" not in said.out + said.err


def facts(peer: str | None, *forwarded_for: str) -> RequestFacts:
    return RequestFacts(
        received_ms=0,
        peer=peer,
        forwarded_for=forwarded_for,
        forwarded=(),
        user_agent=None,
        cookies={},
        sec_purpose=None,
        sec_gpc=False,
    )


LOCAL = Settings(server=Server(accept_private_addresses=True))
BEHIND = Settings(server=Server(trusted_proxies=("10.0.0.0/8",)))


@pytest.mark.parametrize(
    ("peer", "chain", "settings", "who"),
    [
        ("203.0.113.5", (), Settings(), "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", (), Settings(), "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", (), Settings(), "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", (), Settings(), "203.0.113.5"),
        ("127.0.0.1", (), LOCAL, None),
        ("10.0.0.1", (), Settings(), None),
        ("10.0.0.1", ("203.0.113.5",), Settings(), None),
        ("10.0.0.1", ("203.0.113.5",), BEHIND, "203.0.113.5"),
        ("10.0.0.1", ("nonsense",), BEHIND, "unnamed"),
        ("10.0.0.1", (), BEHIND, None),
        (None, (), Settings(), None),
    ],
)
def test_whose_budget_a_request_uses(
    peer: str | None, chain: tuple[str, ...], settings: Settings, who: str | None
) -> None:
    seen = facts(peer, *chain)
    assert asker(seen, connection_address(seen, settings), settings) == who


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.anyio
async def test_who_is_over_a_budget_waits_for_the_answer_and_only_so_many_at_once() -> None:
    asked: list[float] = []
    go_on = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await go_on.wait()

    rates = Rates(Limits(answer_delay_ms=500), 1, Seconds(), sleep, held_back_max=201)
    over = Limited(RateReason.ADDRESS, 7)
    waiting = [asyncio.create_task(rates.answer(over)) for _ in range(201)]
    await asyncio.sleep(0)
    assert (asked[0], asked[100], asked[200]) == (0.5, 1.5, 2.5), "the more wait, the longer"
    assert (await rates.answer(over)).status_code == 429, "one more would take a connection from others"
    go_on.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {429}
    await rates.answer(over)
    assert asked[201:] == [0.5], "those who have been answered make room"


def test_the_memory_of_the_limiter_is_bounded() -> None:
    rates = Rates(Limits(addresses_max=1_000), 1, Seconds())
    for number in range(20_000):
        rates.addresses.take(str(number))
    assert len(rates.addresses.windows) == 1_000


def test_an_asker_that_goes_on_is_not_forgotten_before_those_that_stopped() -> None:
    clock = Seconds()
    windows = Windows(clock, 2)
    windows.incr("early", 60)
    clock.now = 61.0
    windows.incr("other", 60)
    windows.incr("early", 60)  # begins a new window
    windows.incr("third", 60)
    assert (windows.get("early"), windows.get("other")) == (1, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90)), max_size=60))
def test_everybody_gets_the_limit_in_each_of_their_own_minutes(steps: list[tuple[str, int]]) -> None:
    clock = Seconds()
    budget = Rates(Limits(address_posts_per_minute=4), 1, clock).addresses
    minutes: dict[str, tuple[float, int]] = {}  # who -> when their minute began, how much they took
    for who, passes in steps:
        clock.now += passes
        began, taken = minutes.get(who, (-60.0, 0))
        if clock.now >= began + 60:
            began, taken = clock.now, 0
        minutes[who] = (began, min(taken + 1, 4))
        assert is_taken(budget, who) == (taken < 4)


def is_taken(budget: Budget, who: str) -> bool:
    try:
        budget.take(who)
    except Limited:
        return False
    return True
