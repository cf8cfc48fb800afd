"""What contestants would have done on the holdout: their decisions, what these were worth, and where two of them
differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from imago.selection.bootstrap import RESAMPLES, expanded_tail
from imago.selection.terms import Difference
from imago.selection.two_way import Draws
from imago.selection.units import Units


class Prices(Protocol):
    """What a decision is worth, per row: a caught case, a false alarm, a missed case, a quiet correct one."""

    @property
    def caught(self) -> float: ...
    @property
    def false_alarm(self) -> float: ...
    @property
    def missed(self) -> float: ...
    @property
    def quiet(self) -> float: ...


def worth(decided: np.ndarray, truth: np.ndarray, prices: Prices) -> np.ndarray:
    """The money of each row; `decided` is whether a case was called, `truth` whether it was one."""
    called, case = decided.astype(bool), truth > 0.5
    return np.select(
        [called & case, called & ~case, ~called & case],
        [prices.caught, prices.false_alarm, prices.missed],
        default=prices.quiet,
    ).astype(float)


def difference(
    units: Units, gain: np.ndarray, *, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Difference:
    """The sum of the rows' `gain` over the holdout, with bounds that are one-sided at `confidence`: units are drawn
    again and again, as in the fight itself. No bounds where `units` has a fault."""
    daily = np.bincount(units.day_codes, weights=gain, minlength=units.day_count)
    total = float(daily.sum())
    if units.fault:
        return Difference(total, None, None)
    draws = Draws(units, seed, resamples)
    by_day = draws.days @ daily if units.draws_days else np.zeros(resamples)
    drawn, count = draws.spread(total, by_day, gain)
    tail = expanded_tail(1 - confidence, count)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Difference(total, float(low), float(high), float(np.std(drawn, ddof=1)))


def flips(
    ours: np.ndarray,
    theirs: np.ndarray,
    truth: np.ndarray,
    slices: Mapping[str, np.ndarray],
    gain: np.ndarray | None,
) -> dict[str, Any]:
    """The rows that the two decide differently: in which direction, how many of them ours had right, on which slices,
    and what the change was worth (`gain` per row, None where decisions have no price).

    Decisions and `truth` are classes; of a 0/1 label, 1 is a call.
    """
    changed = ours != theirs
    pairs = sorted({(str(a), str(b)) for a, b in zip(theirs[changed], ours[changed], strict=True)})
    directions = []
    for before, after in pairs:
        rows = changed & (theirs.astype(str) == before) & (ours.astype(str) == after)
        directions.append({"before": before, "after": after, **_counted(rows, ours, theirs, truth, gain)})
    where = [
        {"column": column, "value": str(value), "of": int((values == value).sum()),
         **_counted(changed & (values == value), ours, theirs, truth, gain)}
        for column, values in slices.items()
        for value in np.unique(values)
    ]  # fmt: skip
    return {
        "of": len(truth),
        **_counted(changed, ours, theirs, truth, gain),
        "directions": sorted(directions, key=lambda one: -one["rows"]),
        "where": where,
    }


def _counted(
    rows: np.ndarray, ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray, gain: np.ndarray | None
) -> dict[str, Any]:
    return {
        "rows": int(rows.sum()),
        "right": int((rows & (ours == truth)).sum()),
        "was_right": int((rows & (theirs == truth)).sum()),
        "money": None if gain is None else float(gain[rows].sum()),
    }


def top_slices(where: Sequence[Mapping[str, Any]], shown: int = 12) -> list[Mapping[str, Any]]:
    """Where most decisions change."""
    return [one for one in sorted(where, key=lambda one: -one["rows"]) if one["rows"]][:shown]
