"""Numbers as people read them. Times are UTC."""

from datetime import UTC, datetime


def iso(at_ms: int) -> str:
    return _utc(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at_ms: int) -> str:
    return f"{_utc(at_ms):%H:%M:%S}.{at_ms % 1000:03d}"


def day(at_ms: int) -> str:
    return f"{_utc(at_ms):%Y-%m-%d}"


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
