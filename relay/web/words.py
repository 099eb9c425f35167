"""Numbers as people read them. Times are UTC."""

from datetime import UTC, datetime

from markupsafe import Markup, escape


def iso(at_ms: int) -> str:
    return _utc(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at_ms: int) -> str:
    return f"{_utc(at_ms):%H:%M:%S}.{at_ms % 1000:03d}"


def day(at_ms: int) -> str:
    return f"{_utc(at_ms):%Y-%m-%d}"


def code(text: str) -> Markup:
    """What stands between backticks, as code; everything else is escaped."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # one too many: it belongs to the text
        return escape(text)
    marked = (
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )
    return Markup("").join(marked)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
