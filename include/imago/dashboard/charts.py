"""Small charts as inline SVG.

Colours come from the page's CSS variables, so that light and dark need no second picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from imago.pages import round_ticks

NARROW, WIDE, HEIGHT = 560, 1140, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 30
CHARACTER = 6.6  # the widest of a number at the style's 11 px, in pixels

FAR = 3.0  # times the highest value: a threshold there would press the line flat

Format = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """One line: a value for each day, None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: str  # name of a CSS variable, as "accent"


@dataclass(frozen=True)
class Mark:
    """A horizontal line with a name: a threshold."""

    name: str
    value: float
    colour: str


@dataclass(frozen=True)
class Frame:
    """Where days and values lie in the picture. `ticks` are round; the first and the last are the ends of the axis.
    `tick` is how they are written: the longest has room at the left."""

    days: Sequence[str]
    ticks: Sequence[float]
    width: int
    tick: Format

    @property
    def left(self) -> float:
        return max(LEFT, 12 + CHARACTER * max(len(self.tick(value)) for value in self.ticks))

    @property
    def step(self) -> float:
        return (self.width - self.left - RIGHT) / len(self.days)

    @property
    def end(self) -> int:
        return self.width - RIGHT

    def x(self, place: float) -> float:
        return self.left + place * self.step

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    def picture(self, parts: Sequence[str], label: str, *, named: bool = True) -> str:
        inside = "".join([*self._grid(), *(self._day_names() if named else ()), *parts])
        return f'<svg viewBox="0 0 {self.width} {HEIGHT}" role="img" aria-label="{escape(label)}">{inside}</svg>'

    def _grid(self) -> list[str]:
        left = self.left
        return [
            f'<line class="grid" x1="{left:.1f}" x2="{self.end}" y1="{self.y(tick):.1f}" y2="{self.y(tick):.1f}"/>'
            f'<text x="{left - 8:.1f}" y="{self.y(tick) + 4:.1f}" text-anchor="end">{escape(self.tick(tick))}</text>'
            for tick in self.ticks
        ]

    def _day_names(self) -> list[str]:
        every = math.ceil(len(self.days) * 70 / self.width)
        return [
            f'<text x="{self.x(place + 0.5):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(day[5:])}</text>'
            for place, day in enumerate(self.days)
            if place % every == 0
        ]


def bars(
    days: Sequence[str], values: Sequence[float | None], *, label: str, shown: Format, tick: Format | None = None
) -> str:
    """One bar a day; bars below zero hang from the zero line in the colour of a loss. `tick` writes the axis, `shown`
    each bar's own value."""
    known = [value for value in values if value is not None]
    if not known:
        return empty("No day's outcome is known yet.")
    frame = Frame(days, round_ticks(min(0.0, *known), max(0.0, *known)), WIDE, tick or shown)
    parts = []
    for place, (day, value) in enumerate(zip(days, values, strict=True)):
        if value is None:
            continue
        top, base = sorted((frame.y(value), frame.y(0.0)))
        parts.append(
            f'<rect class="{"gain" if value >= 0 else "loss"}" x="{frame.x(place + 0.15):.1f}" y="{top:.1f}" rx="2" '
            f'width="{frame.step * 0.7:.1f}" height="{max(base - top, 1):.1f}">'
            f"<title>{escape(day)}: {escape(shown(value))}</title></rect>"
        )
    zero = frame.y(0.0)
    parts.append(f'<line class="axis" x1="{frame.left:.1f}" x2="{frame.end}" y1="{zero:.1f}" y2="{zero:.1f}"/>')
    return frame.picture(parts, label)


def lines(
    days: Sequence[str],
    series: Sequence[Series],
    *,
    label: str,
    shown: Format,
    marks: Sequence[Mark] = (),
    zero: bool = False,
) -> str:
    """Lines over days, with thresholds. `zero` lets the axis begin at 0; a threshold far above it all then stands at
    the upper end by its name, so that what was measured can be read."""
    known = [value for line in series for value in line.values if value is not None]
    if not known:
        return empty("Nothing to draw yet.")
    far = [mark for mark in marks if zero and 0 < FAR * max(known) < mark.value]
    marks = [mark for mark in marks if mark not in far]
    bounds = [*known, *(mark.value for mark in marks)]
    frame = Frame(days, round_ticks(0.0 if zero else min(bounds), max(bounds)), NARROW, shown)
    parts = [_mark(frame, mark) for mark in marks] + [_far(frame, mark, max(known)) for mark in far]
    for line in series:
        points = [
            (frame.x(place + 0.5), frame.y(value), f"{day} {line.name}: {shown(value)}")
            for place, (day, value) in enumerate(zip(days, line.values, strict=True))
            if value is not None
        ]
        colour = f"var(--{line.colour})"
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.extend(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{escape(said)}</title></circle>'
            for x, y, said in points
        )
    return frame.picture(parts, label) + legend(series)


def pairs(
    names: Sequence[str], before: Sequence[float], after: Sequence[float], *, label: str, sides: tuple[str, str]
) -> str:
    """Two shares for each name, side by side: the first pale, the second in full colour."""
    frame = Frame(names, round_ticks(0.0, max(*before, *after)), NARROW, lambda value: f"{value:.0%}")
    parts = []
    for place, (name, *shares) in enumerate(zip(names, before, after, strict=True)):
        for side, share in enumerate(shares):
            left, top = frame.x(place + 0.1 + 0.4 * side), frame.y(share)
            parts.append(
                f'<rect class="{"now" if side else "then"}" fill="var(--accent)" x="{left:.1f}" '
                f'y="{top:.1f}" width="{frame.step * 0.4:.1f}" height="{max(frame.y(0.0) - top, 0.5):.1f}">'
                f"<title>{escape(name)}, {escape(sides[side])}: {share:.1%}</title></rect>"
            )
    words = f'<p class="dim">Pale: {escape(sides[0])}. Full: {escape(sides[1])}. Groups from left to right: '
    words += f"{escape(', '.join(names))}</p>"
    return frame.picture(parts, label, named=False) + words


def legend(series: Sequence[Series]) -> str:
    """The names of the lines, where there is more than one."""
    if len(series) < 2:
        return ""
    entries = "".join(
        f'<span><i style="background:var(--{line.colour})"></i>{escape(line.name)}</span>' for line in series
    )
    return f'<div class="legend">{entries}</div>'


def empty(message: str) -> str:
    """What stands where a chart has nothing to show."""
    return f'<p class="empty">{escape(message)}</p>'


def _far(frame: Frame, mark: Mark, highest: float) -> str:
    words = f"↑ {mark.name} at {frame.tick(mark.value)}, {mark.value / highest:,.0f} times the highest"
    return f'<text x="{frame.left + 6:.1f}" y="{TOP + 12}" style="fill:var(--{mark.colour})">{escape(words)}</text>'


def _mark(frame: Frame, mark: Mark) -> str:
    y, left, colour = frame.y(mark.value), frame.left, f"var(--{mark.colour})"
    return (
        f'<line x1="{left:.1f}" x2="{frame.end}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-dasharray="5 4"/>'
        f'<text x="{left + 6:.1f}" y="{y - 5:.1f}" style="fill:{colour}">{escape(mark.name)}</text>'
    )
