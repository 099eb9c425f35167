"""Each dedup profile, seen through HTTP: what the twin counts for the ways in which two halves can arrive."""

import httpx
import pytest

from tests.clock import Clock
from tests.twin.samples import FBP, open_twin, purchase, send_browser, send_server, state, user_data

HOUR = 3600
OTHER_FBP = "fb.1.1596403881668.99"

# What arrives: "b" browser, "s" server, a number is the seconds in between. Then what PROFILES count.
TABLE: dict[str, tuple[list[str | int], tuple[int, ...]]] = {
    "browser, then server": (["b", 1, "s"], (1, 1, 1, 1)),
    "server, then browser": (["s", 1, "b"], (2, 1, 1, 2)),
    "server, then browser six minutes later": (["s", 360, "b"], (2, 1, 1, 2)),
    "browser alone": (["b"], (1, 1, 1, 1)),
    "server alone": (["s"], (1, 1, 1, 1)),
    "browser twice": (["b", 1, "b"], (2, 2, 2, 2)),
    "server twice": (["s", 1, "s"], (2, 2, 2, 2)),
    "browser, then server twice": (["b", 1, "s", 1, "s"], (1, 1, 1, 1)),
    "server 48 hours after the browser": (["b", 48 * HOUR, "s"], (2, 2, 2, 2)),
    "server just within 48 hours": (["b", 48 * HOUR - 1, "s"], (1, 1, 1, 1)),
    "other event_id, same browser id": (["b", 1, "s:id=order-2"], (2, 2, 2, 1)),
    "same event_id, other browser id": (["b", 1, f"s:fbp={OTHER_FBP}"], (1, 1, 1, 2)),
    "other event name": (["b", 1, "s:name=Lead"], (1, 1, 1, 1)),
    "no event_id on either half": (["b:id=", 1, "s:id="], (2, 2, 2, 1)),
}
PROFILES = ("segment-strict", "event-id", "meta-5min", "fbp-external-id")


def play(twin: httpx.Client, clock: Clock, script: list[str | int]) -> None:
    for step in script:
        if isinstance(step, int):
            clock.pass_seconds(step)
            continue
        kind, _, change = step.partition(":")
        key, _, value = change.partition("=")
        if kind == "b":
            answer = send_browser(twin, **({"eid": value or None} if key == "id" else {}))
        else:
            answer = send_server(twin, server_event(clock, key, value))
        assert answer.status_code == 200, answer.text


def server_event(clock: Clock, key: str, value: str) -> dict[str, object]:
    changes: dict[str, object] = {"event_time": clock.now_ms // 1000}
    if key == "id":
        changes["event_id"] = value or None
    if key == "name":
        changes["event_name"] = value
    changes["user_data"] = user_data(fbp=value if key == "fbp" else FBP)
    return purchase(**changes)


@pytest.mark.parametrize("name", TABLE)
def test_each_profile_counts_as_its_rule_says(twin: httpx.Client, clock: Clock, name: str) -> None:
    script, expected = TABLE[name]
    play(twin, clock, script)
    counted = state(twin)["counted"]
    assert tuple(counted[profile]["Purchase"] for profile in PROFILES) == expected


def test_the_switch_for_two_events_of_one_source_reaches_the_profiles(clock: Clock) -> None:
    with open_twin(clock_ms=clock, same_source="drop") as twin:
        play(twin, clock, ["s", 1, "s"])
        counted = state(twin)["counted"]
    assert tuple(counted[profile]["Purchase"] for profile in PROFILES) == (2, 1, 1, 2)


def test_pixels_are_judged_apart(twin: httpx.Client) -> None:
    send_browser(twin)
    send_browser(twin, id="999")
    assert state(twin)["counted"]["event-id"]["Purchase"] == 2


def test_a_raw_external_id_meets_its_hash_on_the_other_half(twin: httpx.Client) -> None:
    hashed = "0a041b9462caa4a31bac3567e0b6e6fd9100787db2ab433d96f6d178cabfce90"  # of "user1"
    send_browser(twin, eid=None, fbp=None, **{"ud[external_id]": hashed})
    send_server(twin, purchase(event_id=None, user_data=user_data(fbp=None, external_id=["User 1"])))
    assert state(twin)["counted"]["fbp-external-id"]["Purchase"] == 1


def test_a_refused_event_counts_nowhere(twin: httpx.Client) -> None:
    send_server(twin, purchase(event_time=1))
    assert state(twin)["counted"]["event-id"] == {}
