"""A clock for every test that looks at times."""


class Clock:
    """Unix milliseconds that stand still until a test moves them."""

    def __init__(self, now_ms: int = 1_763_859_600_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1_000)
