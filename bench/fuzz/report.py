"""The lines of a fuzz run's table."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Line:
    """What one thing was given, and what came of it."""

    name: str
    by: str
    inputs: int = 0
    troubles: list[str] = field(default_factory=list)  # one text per failure that was found
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def hold(self, trial: Callable[[], None]) -> None:
        """Run a trial of many inputs; what it raises is a trouble and not the end."""
        began = time.monotonic()
        try:
            trial()
        except (Exception, BaseExceptionGroup):  # schemathesis raises its findings as such a group
            self.troubles.append(traceback.format_exc(limit=-4))
        self.seconds += time.monotonic() - began

    def server_errors(self) -> int:
        return sum(number for status, number in self.statuses.items() if status >= 500)


def row(line: Line) -> str:
    answers = " ".join(f"{status}:{number}" for status, number in sorted(line.statuses.items()))
    return (
        f"{line.name:<36}{line.by:<14}{line.inputs:>10,}{len(line.troubles):>9}{line.server_errors():>6}"
        f"{line.seconds:>7.0f} s  {answers}"
    )


def head() -> str:
    return f"{'what':<36}{'by':<14}{'inputs':>10}{'crashes':>9}{'5xx':>6}{'time':>9}  answers"


def total(lines: Sequence[Line]) -> str:
    every = Line("all", "")
    for line in lines:
        every.inputs += line.inputs
        every.troubles += line.troubles
        every.statuses += line.statuses
        every.seconds += line.seconds
    every.statuses = Counter({599: every.server_errors()} if every.server_errors() else {})
    return row(every)
