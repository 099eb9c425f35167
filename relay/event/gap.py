"""A length of time as people read it."""

from typing import Final

UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def gap(ms: int) -> str:
    """In the largest unit that reads well: 412 ms, 1.2 s, 3.5 min, 2.0 h, 6.9 d."""
    for unit, size_ms in UNITS_MS:
        if abs(ms) >= size_ms:
            return f"{ms / size_ms:.1f} {unit}"
    return f"{ms} ms"
