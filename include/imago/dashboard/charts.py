"""Small charts as inline SVG. Colours come from the page's CSS variables, so that light and dark need no second picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 30
TICKS = 4

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


def bars(days: Sequence[str], values: Sequence[float | None], *, label: str, shown: Format) -> str:
    """One bar a day; bars below zero hang from the zero line in the colour of a loss."""
    known = [value for value in values if value is not None]
    if not known:
        return empty("No day's outcome is known yet.")
    low, high = _nice(min(0.0, *known), max(0.0, *known))
    scale = _scale(low, high)
    step = (WIDTH - LEFT - RIGHT) / len(days)
    parts = [_grid(low, high, shown), _days(days, step)]
    for place, (day, value) in enumerate(zip(days, values, strict=True)):
        if value is None:
            continue
        top, base = sorted((scale(value), scale(0.0)))
        parts.append(
            f'<rect class="{"gain" if value >= 0 else "loss"}" x="{LEFT + place * step + step * 0.15:.1f}" y="{top:.1f}" '
            f'width="{step * 0.7:.1f}" height="{max(base - top, 1):.1f}" rx="2"><title>{escape(day)}: {escape(shown(value))}'
            "</title></rect>"
        )
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale(0.0):.1f}" y2="{scale(0.0):.1f}"/>')
    return _svg(parts, label)


def lines(days: Sequence[str], series: Sequence[Series], *, marks: Sequence[Mark] = (), label: str, shown: Format,
          zero: bool = False) -> str:  # fmt: skip
    """Lines over days, with thresholds. `zero` lets the axis begin at 0."""
    known = [value for line in series for value in line.values if value is not None]
    if not known:
        return empty("Nothing to draw yet.")
    bounds = [*known, *(mark.value for mark in marks)]
    low, high = _nice(0.0 if zero else min(bounds), max(bounds))
    scale = _scale(low, high)
    step = (WIDTH - LEFT - RIGHT) / len(days)
    parts = [_grid(low, high, shown), _days(days, step)]
    for mark in marks:
        y = scale(mark.value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--{mark.colour})" '
            f'stroke-dasharray="5 4"/><text x="{WIDTH - RIGHT - 4}" y="{y - 5:.1f}" text-anchor="end" '
            f'fill="var(--{mark.colour})">{escape(mark.name)}</text>'
        )
    for line in series:
        points = [
            (LEFT + (place + 0.5) * step, scale(value), day, value)
            for place, (day, value) in enumerate(zip(days, line.values, strict=True))
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="var(--{line.colour})" stroke-width="2"/>')
        parts.extend(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="var(--{line.colour})"><title>{escape(day)} {escape(line.name)}: '
            f"{escape(shown(value))}</title></circle>"
            for x, y, day, value in points
        )
    return _svg(parts, label) + legend(series)


def legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    entries = "".join(
        f'<span><i style="background:var(--{line.colour})"></i>{escape(line.name)}</span>' for line in series
    )
    return f'<div class="legend">{entries}</div>'


def empty(message: str) -> str:
    return f'<p class="empty">{escape(message)}</p>'


def _svg(parts: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _scale(low: float, high: float) -> Callable[[float], float]:
    height = HEIGHT - TOP - BOTTOM
    return lambda value: TOP + height * (1 - (value - low) / (high - low))


def _nice(low: float, high: float) -> tuple[float, float]:
    """Bounds with a little air; never equal."""
    span = (high - low) or abs(high) or 1.0
    return (low if low == 0 else low - span * 0.06), (high if high == 0 else high + span * 0.08)


def _grid(low: float, high: float, shown: Format) -> str:
    scale = _scale(low, high)
    parts = []
    for place in range(TICKS + 1):
        value = low + (high - low) * place / TICKS
        y = scale(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(shown(value))}</text>'
        )
    return "".join(parts)


def _days(days: Sequence[str], step: float) -> str:
    every = max(1, round(len(days) / 8))
    return "".join(
        f'<text x="{LEFT + (place + 0.5) * step:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(day[5:])}</text>'
        for place, day in enumerate(days)
        if place % every == 0
    )
