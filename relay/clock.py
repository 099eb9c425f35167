"""The two clocks of a machine, in whole milliseconds."""

import time


def wall_clock_ms() -> int:
    """Unix milliseconds; somebody may set this clock while we run."""
    return time.time_ns() // 1_000_000


def steady_clock_ms() -> int:
    """Milliseconds since some moment; nobody can set this clock."""
    return time.monotonic_ns() // 1_000_000
