"""`python -m e2e.hurried serve …`: the relay, but its retries come within seconds and not within hours.

For runs that kill it hundreds of times: each kill costs the events under way an attempt, and after five of them the
real schedule waits for half an hour. What is tried there is that nothing is lost; the schedule is tried elsewhere.
"""

from unittest import mock

from relay.cli import main

if __name__ == "__main__":
    with mock.patch("relay.event.schedule.RETRY_CEILINGS_MS", (500, 1_000, 2_000)):
        main()
