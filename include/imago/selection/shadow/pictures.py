"""Where the marks of a shadow's pictures lie; the page draws them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from imago.amounts import amount as money
from imago.amounts import figure, short
from imago.pages import round_ticks
from imago.selection.pictures import strips

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 220, 64, 14, 14, 30
MOST_VALUES = 10  # of a slice


def drawn(told: Mapping[str, Any]) -> dict[str, Any]:
    """What `story.tell` says, with the geometry of its pictures."""
    flips = told["flips"]
    where = _where(flips["where"]) if flips else []
    return {
        **told,
        "tiles": tiles(told),
        "directions": stacks([{**one, "name": _capital(one["words"])} for one in flips["directions"]]) if flips else [],
        "where": where,
        # Both charts stand beside a long list of slices, else one in each column.
        "beside": bool(flips) and sum(len(part["rows"]) for part in where) > len(flips["directions"]) + 6,
        "daily": daily(told),
        "so_far": so_far(told),
        "strips": _strips(told),
    }


def tiles(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """The numbers that a hurried reader takes along."""
    days = f"{told['days']} days" if told["days"] > 1 else "1 day"
    made = [{"value": f"{told['rows']:,}", "label": f"rows beside the champion, {days}", "tone": ""}]
    if told["flips"]:
        share = f"{told['flips']['rows'] / told['rows']:.1%}"
        made.append({"value": f"{told['flips']['rows']:,}", "label": f"decisions flip ({share})", "tone": ""})
    else:
        made.append({"value": f"{told['scores']['apart']:.4g}", "label": "mean distance of the two", "tone": ""})
    if told["money"]:
        value = told["money"]["estimate"]
        made.append({"value": money(value, told["unit"], sign=True), "tone": "up" if value >= 0 else "down",
                     "label": f"against the champion, {told['days_known']} days known"})  # fmt: skip
    elif told["pending"]:
        values = sorted(told["pending"].values())
        between = f"{money(values[0], sign=True)} to {money(values[1], told['unit'], sign=True)}"
        made.append({"value": between, "tone": "", "label": "expected, by the scores of each"})  # fmt: skip
    right = told["flips"] if told["flips"] else {**told["right"], "known": told["known"]}
    ours, theirs = (right.get(f"{who}_right", right.get(who)) for who in ("shadow", "champion"))
    what = "right on the flips" if told["flips"] else "closer to the truth"
    if right["known"]:
        made.append({"value": f"{ours:,} : {theirs:,}", "label": f"{what}, shadow to champion", "tone": ""})
    else:
        made.append({"value": "–", "label": "no outcome is known yet", "tone": ""})
    return made


def stacks(rows: Sequence[Mapping[str, Any]], longest: int | None = None) -> list[dict[str, Any]]:
    """Rows as bars whose parts are: the shadow was right, the champion was, neither was, nobody knows yet. `longest` is
    how many rows take the whole width, those of the longest bar when it is left out."""
    longest = longest or max((row["rows"] for row in rows), default=1)
    made = []
    for row in rows:
        neither = row["known"] - row["shadow_right"] - row["champion_right"]
        counts = {
            "shadow": (row["shadow_right"], "the shadow was right"),
            "champion": (row["champion_right"], "the champion was right"),
            "neither": (max(neither, 0), "neither was right"),
            "open": (row["rows"] - row["known"], "not known yet"),
        }
        parts = [
            {"kind": kind, "count": count, "said": said, "width": round(100 * count / longest, 2)}
            for kind, (count, said) in counts.items()
            if count
        ]
        made.append({**row, "parts": parts})
    return made


def daily(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """A bar for each day whose outcome is known, and for each other the span between the two opinions."""
    unit, days = told["unit"], told["by_day"]
    bars = {place: _value(one, unit) for place, one in enumerate(days) if one["known"]}
    spans = {
        place: sorted((one["by_champion"], one["by_shadow"]))
        for place, one in enumerate(days)
        if unit and not one["known"]
    }
    values = [*bars.values(), *(end for span in spans.values() for end in span)]
    if not values:
        return None
    frame = _Frame(values, len(days))
    zero = frame.y(0.0)
    return {
        **frame.facts([one["ds"] for one in days]),
        "bars": [
            {"x": frame.x(place, 0.15), "width": round(frame.step * 0.7, 1), "y": min(frame.y(value), zero),
             "height": max(round(abs(frame.y(value) - zero), 1), 1.0), "tone": "gain" if value >= 0 else "loss",
             "said": f"{days[place]['ds']}: {_shown(value, unit)}"}
            for place, value in bars.items()
            if value
        ],
        "spans": [
            {"x": frame.x(place, 0.5), "top": frame.y(high), "bottom": frame.y(low),
             "said": f"{days[place]['ds']}: expected {money(low, sign=True)} to {money(high, unit, sign=True)}"}
            for place, (low, high) in spans.items()
        ],
    }  # fmt: skip


def so_far(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sum over the days whose outcome is known, as it grew."""
    unit, days = told["unit"], [one for one in told["by_day"] if one["known"]]
    if len(days) < 2:
        return None
    total, sums = 0.0, []
    for one in days:
        total += _value(one, unit)
        sums.append(total)
    frame = _Frame(sums, len(days))
    points = [(frame.x(place, 0.5), frame.y(value)) for place, value in enumerate(sums)]
    return {
        **frame.facts([one["ds"] for one in days]),
        "points": [
            {"x": x, "y": y, "said": f"until {one['ds']}: {_shown(value, unit)}"}
            for (x, y), one, value in zip(points, days, sums, strict=True)
        ],
        "area": [[points[0][0], frame.y(0.0)], *map(list, points), [points[-1][0], frame.y(0.0)]],
        "tone": "gain" if total >= 0 else "loss",
        "last": _shown(total, unit),
    }


def _where(slices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The slices by column, the values with most flips of each; all bars on one scale."""
    columns: dict[str, list[dict[str, Any]]] = {}
    for one in slices:
        column, _, value = one["slice"].partition("=")
        columns.setdefault(column, []).append({**one, "name": value})
    shown = {column: rows[:MOST_VALUES] for column, rows in columns.items()}
    longest = max((row["rows"] for rows in shown.values() for row in rows), default=1)
    return [
        {"column": column, "rows": stacks(rows, longest), "more": len(columns[column]) - len(rows)}
        for column, rows in sorted(shown.items())
    ]


def _strips(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The difference in money and in the primary metric, each with its interval on a scale of its own."""
    made = []
    metric = told["metric"]
    for name, gap, number, marks in (
        (_capital(told["money_name"]), told["money"], _signed, {}),
        (_capital(metric["name"]), metric, _precise, {"worth a change": metric["worth_it"]})
        if metric
        else ("", None, _signed, {}),
    ):
        if gap is None or gap["estimate"] is None:
            continue
        tone = "even"
        if gap["low"] is not None and gap["high"] is not None:
            tone = "better" if gap["low"] > 0 else "worse" if gap["high"] < 0 else "even"
        row = {"name": name, "tone": tone, "standing": "", **{end: gap[end] for end in ("estimate", "low", "high")}}
        made.append(strips([row], marks=marks, number=number))
    return [one for one in made if one is not None]


class _Frame:
    """Where days and values lie: round ticks that hold 0 and all values."""

    def __init__(self, values: Sequence[float], days: int) -> None:
        self.ticks = round_ticks(min(0.0, *values, 0.0), max(0.0, *values, 0.0))
        self.step = (WIDTH - LEFT - RIGHT) / days
        self.days = days

    def x(self, place: int, share: float) -> float:
        return round(LEFT + (place + share) * self.step, 1)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low)), 1)

    def facts(self, names: Sequence[str]) -> dict[str, Any]:
        every = math.ceil(self.days * 70 / WIDTH)
        return {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "zero": self.y(0.0),
            "ticks": [{"y": self.y(tick), "text": short(tick)} for tick in self.ticks],
            "days": [{"x": self.x(place, 0.5), "text": ds[5:]} for place, ds in enumerate(names) if place % every == 0],
        }


def _value(day: Mapping[str, Any], unit: str) -> float:
    """A day's money, or where decisions have no price, how many more rows the shadow had right."""
    return float(day["money"] if unit else day["shadow_right"] - day["champion_right"])


def _shown(value: float, unit: str) -> str:
    return money(value, unit, sign=True) if unit else f"{value:+,.0f} rows"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _signed(value: float) -> str:
    return money(value, sign=True)


def _precise(value: float) -> str:
    return figure(value, sign=True)
