"""The geometry of the dossier's pictures: where each mark lies, as a share of the width. The page draws them.

A strip is a row with an interval on a scale that all rows share. Marks are told in percent, so that a picture takes
the width that it gets while its words stay as large as the page's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from imago.amounts import figure, short
from imago.pages import round_ticks

SQUARE, EDGE, RIGHT = 360, 58, 18  # of the calibration picture, in pixels: its side, and what its edges take


def strips(
    rows: Sequence[Mapping[str, Any]],
    *,
    marks: Mapping[str, float] | None = None,
    number: Callable[[float], str] | None = None,
) -> dict[str, Any] | None:
    """Rows with `estimate`, `low`, `high` (None where there is none) on one scale that holds 0 and all `marks` (name to
    value); `number` is how values are written, as a metric where it is left out. None when no row has an estimate."""
    marks, number = marks or {}, number or (lambda value: figure(value, sign=True))
    known = [value for row in rows for value in (row.get("estimate"), row.get("low"), row.get("high"))
             if value is not None]  # fmt: skip
    if not known:
        return None
    ticks = round_ticks(min(0.0, *known, *marks.values()), max(0.0, *known, *marks.values()))
    low, span = ticks[0], ticks[-1] - ticks[0]

    def at(value: float | None) -> float | None:
        return None if value is None else round(100 * (value - low) / span, 2)

    return {
        "rows": [
            {**row, "at": at(row.get("estimate")), "from": at(row.get("low")), "to": at(row.get("high")),
             **{name: "" if row.get(key) is None else number(row[key])
                for name, key in (("shown", "estimate"), ("shown_low", "low"), ("shown_high", "high"))}}
            for row in rows
        ],
        "ticks": [{"at": at(one), "text": _tick(one)} for one in ticks],
        "zero": at(0.0),
        "marks": [{"at": at(value), "text": name} for name, value in marks.items()],
    }  # fmt: skip


def _tick(value: float) -> str:
    return ("+" if value > 0 else "") + (short(value) if abs(value) >= 10_000 else f"{value:g}")


def bars(values: Mapping[str, float], spreads: Mapping[str, float], most: int = 15) -> list[dict[str, Any]]:
    """The largest values as bars from 0, with a spread where one is known."""
    ranked = sorted(values.items(), key=lambda item: -item[1])[:most]
    longest = max([value + spreads.get(name, 0.0) for name, value in ranked] + [1e-12])
    return [
        {"name": name, "value": value, "to": round(100 * max(value, 0.0) / longest, 2),
         "spread": spreads.get(name), "low": round(100 * max(value - spreads.get(name, 0.0), 0.0) / longest, 2),
         "high": round(100 * max(value + spreads.get(name, 0.0), 0.0) / longest, 2)}
        for name, value in ranked
    ]  # fmt: skip


def curves(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], *, share: bool) -> dict[str, Any]:
    """Promised against observed means for each name, in a square whose diagonal is a kept promise. With `share`, the
    values are shares and the axes begin at 0."""
    values = np.concatenate([part for pair in lines.values() for part in pair])
    ticks = round_ticks(0.0 if share else float(values.min()), float(values.max()))
    low, span, side = ticks[0], ticks[-1] - ticks[0], SQUARE - EDGE - RIGHT

    def x(value: float) -> float:
        return round(EDGE + side * (value - low) / span, 1)

    def y(value: float) -> float:
        return round(RIGHT + side * (1 - (value - low) / span), 1)

    shown: Callable[[float], str] = "{:.0%}".format if share else short
    if share and span < 0.1:
        shown = "{:.1%}".format
    return {
        "size": SQUARE,
        "edge": EDGE,
        "right": RIGHT,
        "ticks": [{"x": x(tick), "y": y(tick), "text": shown(tick)} for tick in ticks],
        "diagonal": [x(ticks[0]), y(ticks[0]), x(ticks[-1]), y(ticks[-1])],
        "lines": [
            {"name": name, "points": [[x(a), y(b)] for a, b in zip(promised, observed, strict=True)]}
            for name, (promised, observed) in lines.items()
        ],
    }


def timeline(parts: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """(name, first day, last day) as places on one line of time; both days included."""
    first = min(date.fromisoformat(part[1]) for part in parts)
    last = max(date.fromisoformat(part[2]) for part in parts)
    whole = (last - first).days + 1
    return [
        {
            "name": name,
            "first": begin,
            "last": end,
            "days": (date.fromisoformat(end) - date.fromisoformat(begin)).days + 1,
            "at": round(100 * (date.fromisoformat(begin) - first).days / whole, 2),
            "width": round(100 * ((date.fromisoformat(end) - date.fromisoformat(begin)).days + 1) / whole, 2),
        }
        for name, begin, end in parts
    ]
