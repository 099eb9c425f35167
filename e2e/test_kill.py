"""kill -9 of the relay, again and again, under load: the checker finds nothing lost and nothing sent twice unseen."""

from pathlib import Path

import pytest

from e2e.rig import Kills, Rig, Visitors

KILLS = 20  # `make soak` kills 200 times


@pytest.mark.timeout(300)
def test_every_acknowledged_event_survives_kills_in_ingest_and_in_delivery(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.fault(what="delay", seconds=0.05, count=None)  # so that kills hit calls under way
        visitors = Visitors(rig, posts_per_second=100, seed=7)
        Kills(rig, number=KILLS, seed=7).join()
        visitors.stop()
        rig.drain(seconds=120)
        rig.relay.stop()
        assert [str(violation) for violation in rig.verdict()] == []
    assert visitors.answers[202] > KILLS
