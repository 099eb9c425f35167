"""Numbers → places in a drawing. The templates draw them as SVG; nothing is drawn by a script.

A drawing is WIDTH by HEIGHT units and is stretched to its place on the page, so its words stand around it.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

WIDTH: Final = 960.0
HEIGHT: Final = 180.0
GAP: Final = 0.22  # of a column's width, between two columns


class Part(NamedTuple):
    """One layer of a column."""

    name: str
    y: float
    height: float


class Column(NamedTuple):
    x: float
    width: float
    words: str  # what a reader hears and a pointer shows
    parts: tuple[Part, ...]


class Label(NamedTuple):
    """A word at the side of a drawing or below it; `at` is a share of its length, 0 to 1."""

    at: float
    words: str


class Stack(NamedTuple):
    columns: tuple[Column, ...]
    top: int  # the number at the upper edge
    hours: tuple[Label, ...]


class Line(NamedTuple):
    """A path in pieces: where a number is missing it is interrupted."""

    points: tuple[str, ...]  # for <polyline>
    dots: tuple[tuple[float, float, str], ...]  # x, y, words


class Axis(NamedTuple):
    """The steps of a plot: `since_ms` is the beginning of the first of `steps`."""

    since_ms: int
    step_ms: int
    steps: int

    @property
    def width(self) -> float:
        return WIDTH / self.steps

    def step(self, at_ms: int) -> int:
        return (at_ms - self.since_ms) // self.step_ms

    def x(self, step: float) -> float:
        return round((step + 0.5) * self.width, 2)

    def share(self, at_ms: int) -> float:
        """Where a moment stands, 0 to 1."""
        return (at_ms - self.since_ms) / (self.step_ms * self.steps)


def when(at_ms: int, step_ms: int) -> str:
    """A step in words as long as it needs to be."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{at:%H:%M}" if step_ms < 3_600_000 else f"{at:%a %d %b, %H:%M}"


def hours(axis: Axis, labels: int = 5) -> tuple[Label, ...]:
    """A few times along the lower edge, the first at the left and the last at the right."""
    length_ms = axis.step_ms * axis.steps
    shape = "%H:%M" if length_ms <= 2 * 86_400_000 else "%d %b"
    shares = [number / (labels - 1) for number in range(labels)]
    times = [datetime.fromtimestamp((axis.since_ms + length_ms * each) / 1_000, UTC) for each in shares]
    return tuple(Label(share, time.strftime(shape)) for share, time in zip(shares, times, strict=True))


def stack(
    axis: Axis, rows: Mapping[int, Mapping[str, int]], order: Sequence[str], words: Mapping[str, str]
) -> Stack:
    """`rows`: step → name → number; the first of `order` stands at the bottom."""
    top = nice(max((sum(row.values()) for row in rows.values()), default=0))
    columns = [_column(axis, step, rows[step], order, words, top) for step in sorted(rows)]
    return Stack(tuple(columns), top, hours(axis))


def _column(
    axis: Axis, step: int, row: Mapping[str, int], order: Sequence[str], words: Mapping[str, str], top: int
) -> Column:
    parts, below = [], 0.0
    for name in order:
        if number := row.get(name, 0):
            height = HEIGHT * number / top
            below += height
            parts.append(Part(name, round(HEIGHT - below, 2), round(height, 2)))
    told = ", ".join(f"{row[name]} {words[name]}" for name in order if row.get(name))
    start = when(axis.since_ms + step * axis.step_ms, axis.step_ms)
    width = axis.width
    return Column(
        round((step + GAP / 2) * width, 2), round(width * (1 - GAP), 2), f"{start}: {told}", tuple(parts)
    )


def line(axis: Axis, values: Mapping[int, tuple[float, str]]) -> Line:
    """`values`: step → height 0 to 1 and its words."""
    pieces: list[list[str]] = []
    dots = []
    last = None
    for step in sorted(values):
        share, words = values[step]
        x, y = axis.x(step), round(HEIGHT * (1 - share), 2)
        if last is None or step != last + 1:
            pieces.append([])
        pieces[-1].append(f"{x},{y}")
        start = when(axis.since_ms + step * axis.step_ms, axis.step_ms)
        dots.append((x, y, f"{start}: {words}"))
        last = step
    return Line(tuple(" ".join(piece) for piece in pieces), tuple(dots))


def band(axis: Axis, values: Mapping[int, tuple[float, float]]) -> tuple[str, ...]:
    """`values`: step → lower and upper height; polygons, one for each piece without a gap."""
    polygons: list[str] = []
    piece: list[int] = []
    half = axis.width / 2
    for step in sorted(values):
        if piece and step != piece[-1] + 1:
            polygons.append(_polygon(axis, values, piece, half))
            piece = []
        piece.append(step)
    if piece:
        polygons.append(_polygon(axis, values, piece, half))
    return tuple(polygons)


def _polygon(axis: Axis, values: Mapping[int, tuple[float, float]], steps: Sequence[int], half: float) -> str:
    def edge(which: int) -> list[tuple[float, float]]:
        points = [(axis.x(step), round(HEIGHT * (1 - values[step][which]), 2)) for step in steps]
        first, last = points[0], points[-1]
        # A lone step would be a line without width.
        return [(round(first[0] - half, 2), first[1]), *points, (round(last[0] + half, 2), last[1])]

    return " ".join(f"{x},{y}" for x, y in [*edge(1), *reversed(edge(0))])


class Scale(NamedTuple):
    """Lengths of time on one drawing: each ten times longer is one step higher."""

    low_ms: float
    high_ms: float

    def share(self, ms: float) -> float:
        """0 to 1; what lies outside stands at the edge."""
        spread = math.log(self.high_ms / self.low_ms)
        return min(max(math.log(max(ms, self.low_ms) / self.low_ms) / spread, 0.0), 1.0)


def nice(number: int) -> int:
    """The least of 1, 2, 3, 4, 6, 8, 10, 20, … that is not below the number."""
    if number <= 1:
        return 1
    size = int(10 ** int(math.log10(number)))
    return next(size * step for step in (1, 2, 3, 4, 6, 8, 10) if size * step >= number)


def percentile(buckets: Mapping[str, int], share: float, bounds: Sequence[int]) -> float | None:
    """Of numbers that are counted by the upper ends `bounds`; straight between the two ends of a bucket."""
    total = sum(buckets.values())
    if not total:
        return None
    wanted, below = share * total, 0
    for lower, upper in zip((0, *bounds), bounds, strict=False):
        within = buckets.get(str(upper), 0)
        if within and below + within >= wanted:
            return lower + (upper - lower) * max(wanted - below, 0.0) / within
        below += within
    return float(bounds[-1])
