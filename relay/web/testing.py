"""Test mode: which pixels' events carry a test_event_code now, and until when."""

import msgspec

from relay.settings import Settings


class Testing(msgspec.Struct, frozen=True, kw_only=True):
    """One pixel in test mode. Its events count all the same."""

    pixel: str
    code: str
    until_ms: int | None  # None: no end is set


def testing_now(settings: Settings, now_ms: int) -> tuple[Testing, ...]:
    return tuple(
        Testing(pixel=pixel.id, code=pixel.test_event_code, until_ms=until_ms)
        for site in settings.site
        for pixel in site.pixels
        if pixel.test_event_code
        for until_ms in (pixel.test_until_ms(),)
        if until_ms is None or now_ms < until_ms
    )
