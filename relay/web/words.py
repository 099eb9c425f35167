"""Numbers as people read them. Times are UTC."""

from datetime import UTC, datetime


def iso(at_ms: int) -> str:
    return _utc(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at_ms: int) -> str:
    return f"{_utc(at_ms):%H:%M:%S}.{at_ms % 1000:03d}"


def day(at_ms: int) -> str:
    return f"{_utc(at_ms):%Y-%m-%d}"


def gap(ms: int) -> str:
    """A length of time in the largest unit that reads well: 412 ms, 1.2 s, 3.5 min, 2.0 h, 6.9 d."""
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if abs(ms) >= size_ms:
            return f"{ms / size_ms:.1f} {unit}"
    return f"{ms} ms"


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
