"""How large a measure can grow, and which bounds therefore say nothing: one beyond that never alarms, one that ordinary
days nearly reach alarms for nothing, and a column that its day determines is as far from the training on each day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from imago.errors import SpecError
from imago.monitoring import divergence, series
from imago.monitoring.profiles import SCORE, ColumnProfile, Profile
from imago.monitoring.series import POWERS

if TYPE_CHECKING:
    from imago.monitoring.reference import Reference
    from imago.specs import ModelSpec

LEAST_DAYS = 14  # of training, to tell a column of the calendar by
LEAST_ROWS = 2  # of a day, to say that its rows agree
NEARLY = 0.8  # of a bound: who is there on an ordinary day alarms on the next


def reach(measure: str, trained: ColumnProfile, rows: float, *, chance: bool = False) -> float:
    """The largest value that a measure of a column can take against this training, on a day of so many rows; infinite
    where there is none. `chance` says that its values lie between 0 and 1."""
    if measure == "missing_rise":
        return 1.0 - trained.missing_rate
    if measure == "unseen_rise":
        return 1.0 - trained.unseen_rate
    if measure == "rate_shift":
        shares = np.array(trained.counts) / max(trained.rows, 1)
        return float(np.maximum(shares, 1.0 - shares).max(initial=0.0))
    if measure in ("psi", "jensen_shannon"):
        groups = series.groups_of(trained, np.array(trained.counts), trained.unseen)
        # All rows in the group that the training hardly had.
        moved = np.zeros_like(groups)
        moved[int(np.argmin(groups))] = max(rows, 1.0)
        return float(getattr(divergence, measure)(groups, moved))
    mean, deviation = trained.mean, trained.deviation
    if chance and mean is not None and deviation:
        return max(mean, 1.0 - mean) / deviation  # all rows at the farther end
    return float("inf")


def of_the_day(name: str, daily: Mapping[str, Profile]) -> bool:
    """Whether all rows of each day have one value of the column, and not all days the same: the day determines it."""
    columns = [profile.columns[name] for profile in daily.values() if profile.columns[name].rows >= LEAST_ROWS]
    places = [np.flatnonzero([*one.counts, one.unseen]) for one in columns if sum(one.counts) + one.unseen]
    fixed = all(len(place) == 1 for place in places) and all(one.low == one.high for one in columns)
    return fixed and len(places) >= LEAST_DAYS and len({int(place[0]) for place in places}) > 1


def check_bounds(spec: ModelSpec, reference: Reference) -> None:
    """Raises SpecError for a bound of the spec that says nothing against this reference."""
    for column, asked in sorted(spec.drift.bounds.items()):
        for measure, bound in sorted(asked.items()):
            if column in reference.calendar and measure != "missing_rise":
                raise _refused(
                    spec, column, "its day determines its values, so a day is as far from the training as the others",
                    measure, bound, "no bound", "one value on each day of the training",
                )  # fmt: skip
            trained = reference.profile.columns.get(column)
            own = reference.noise(column, "day", measure, spec.drift.confirm)
            rows = own.rows if own is not None else reference.profile.rows
            chance = column == SCORE and spec.problem != "regression"
            most = reach(measure, trained, rows, chance=chance) if trained is not None else float("inf")
            if bound > most:
                raise _refused(
                    spec, column, "it lies beyond what the measure can reach", measure, bound,
                    f"up to {most:.4g}, against this training", bound,
                )  # fmt: skip
            usual = own.mean ** POWERS[measure] if own is not None and own.mean > 0 else 0.0
            if usual >= NEARLY * bound:
                raise _refused(
                    spec, column, "the training's own days nearly reach it", measure, bound,
                    f"above {usual / NEARLY:.4g}", f"{usual:.4g} on an ordinary day",
                )  # fmt: skip


def _refused(
    spec: ModelSpec, column: str, what: str, measure: str, bound: float, allowed: str, seen: object
) -> SpecError:
    return SpecError(
        f"the bound {bound:g} of {measure} is refused: {what}",
        model=spec.name,
        column=column,
        rule=f"drift.bounds[{column!r}][{measure!r}]",
        allowed=allowed,
        seen=seen,
        next_step=f"change that bound in the spec of {spec.name} or take it out, "
        f"then `imago alerts replay {spec.name}` shows what it would have told",
    )
