"""Is this drift? A pure judgement: profiles, the champion's reference and the spec in, findings out.

A finding is one measure of one column over one window (see `series`). It alarms when the effect is large enough for a
person (the spec's smallest effects, larger for a feature that the model hardly needs), larger than what the model's own
past shows at this sample size (see `noise`), and still there in the next window. A week or a month counts at most twice
what its own end shows (of PSI; the root of that for the others), so that what is over does not alarm for four weeks.
What breaks at once (missing and unseen values, the number of rows) is judged on the day alone and told on the day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from imago.days import shift
from imago.monitoring import noise, series
from imago.monitoring.profiles import DECISION, SCORE, Profile
from imago.monitoring.reach import reach
from imago.monitoring.reference import Reference
from imago.monitoring.series import LENGTHS, POWERS, RISES, ROWS, WEEKS, Window
from imago.specs import Drift

Level = Literal["ok", "warning", "critical"]
Concern = Literal["predictions", "inputs", "missing_values", "volume"]
CONCERNS: tuple[Concern, ...] = get_args(Concern)

UNNEEDED = 1.5  # times the smallest effect, for a feature that the model does not need at all
END_OF: dict[Window, Window] = {"week": "day", "month": "week"}  # what a longer window shows of its own end
GAP = 7  # days without a profile after which a window no longer follows the one before


@dataclass(frozen=True)
class Finding:
    """One column, one measure, one window. `lasting` is what of the value is confirmed: the smallest of the windows
    that have to, as far as the window's own end still shows it; None where one of them is not there. `weight` is how
    much the model needs the column."""

    column: str
    measure: str
    window: Window
    value: float
    lasting: float | None
    threshold: float
    weight: float = 1.0

    @property
    def level(self) -> Level:
        if self.lasting is not None and self.lasting >= self.threshold:
            return "critical"
        return "warning" if self.value >= self.threshold else "ok"

    @property
    def excess(self) -> float:
        return self.value / self.threshold

    @property
    def rank(self) -> tuple[float, str, str, str]:
        """Sorts findings: the farthest beyond its threshold first, what the model needs before what it does not."""
        return -self.excess * (0.25 + 0.75 * self.weight), self.column, self.measure, self.window

    @property
    def concern(self) -> Concern:
        if self.column == ROWS:
            return "volume"
        if self.column in (SCORE, DECISION):
            return "predictions"
        return "missing_values" if self.measure in RISES else "inputs"


def judge(
    ds: str, profiles: Mapping[str, Profile], reference: Reference, drift: Drift, calendar: Collection[str] = ()
) -> tuple[Finding, ...]:
    """All findings of one day, in a fixed order. `profiles` are those of the days that `looked_at` names, as far as
    there are any; later ones play no part. `calendar` are the columns that the spec says a day determines."""
    calendar = {*calendar, *reference.calendar}
    held = {day: profile for day, profile in profiles.items() if day <= ds}
    days = series.calendar(sorted(held), ds)
    columns = series.stack(held, days, reference.profile)
    rare = noise.rare_of(drift.false_alerts_per_quarter, sum(map(len, reference.past.values())))
    findings: list[Finding] = []

    def found(column: str, window: Window, measure: str, values: np.ndarray, end: np.ndarray, rows: float) -> None:
        if np.isnan(values[-1]):
            return
        confirm = 1 if measure in RISES else drift.confirm
        lasting = _lasting(values, confirm)
        if lasting is not None and np.isfinite(end[-1]):
            lasting = min(lasting, round(2 ** POWERS[measure] * float(end[-1]), 6))
        weight = reference.weight(column)
        asked = drift.bounds.get(column, {}).get(measure)
        if asked is None:
            own = reference.noise(column, window, measure, confirm)
            least = getattr(drift, measure) * (UNNEEDED - (UNNEEDED - 1) * weight)
            asked = max(least, own.bound(rare, rows, POWERS[measure]) if own else 0.0)
            # Nothing is farther away than that: a bound beyond it would never alarm, whatever came.
            most = reach(measure, columns[column].trained, rows) if column in columns else 0.0
            asked = min(asked, most) if most > 0 else asked
        value = round(float(values[-1]), 6)
        findings.append(Finding(column, measure, window, value, lasting, float(f"{asked:.6g}"), round(weight, 4)))

    shown = GAP * (drift.confirm - 1) + 1
    for name in sorted(columns):
        sizes = {window: float(columns[name].over(window).rows[-1]) for window in LENGTHS}
        measures = series.measured(name, columns[name], shown, calendar=name in calendar)
        for (window, measure), values in measures.items():
            end = measures[END_OF.get(window, window), measure]
            found(name, window, measure, values, end, sizes[window])
    rows = next(iter(columns.values())).rows
    values = series.volume(rows, days, reference.weekday_rows)
    found(ROWS, "day", "volume", values, values, float(rows[-1]))
    return tuple(findings)


def looked_at(published: Iterable[str], ds: str, confirm: int) -> tuple[str, ...]:
    """The days among `published` that a judgement of `ds` looks at: the four weeks before each window that confirms."""
    known = sorted(day for day in set(published) if day <= ds)
    first = known[-confirm:][0]
    oldest = shift(max(first, shift(ds, -GAP * (confirm - 1))), -7 * WEEKS)
    return tuple(day for day in known if day >= oldest)


def _lasting(values: np.ndarray, confirm: int) -> float | None:
    """The smallest of the last so many values that are there; None where they are too few, or too far apart."""
    there = np.flatnonzero(np.isfinite(values))[-confirm:]
    if len(there) < confirm or there[0] < len(values) - 1 - GAP * (confirm - 1):
        return None
    return round(float(values[there].min()), 6)


@dataclass(frozen=True)
class Verdict:
    """What a day's findings come to for one concern: `worst` are those that alarm, the farthest beyond its threshold
    first."""

    concern: Concern
    worst: tuple[Finding, ...]

    @property
    def fired(self) -> bool:
        return bool(self.worst)

    @property
    def columns(self) -> list[str]:
        """Each column once, the worst first."""
        return list(dict.fromkeys(finding.column for finding in self.worst))


def verdicts(findings: Sequence[Finding]) -> tuple[Verdict, ...]:
    """One verdict a concern, so that thirty drifting columns are one alert and not thirty."""
    return tuple(
        Verdict(
            concern,
            tuple(
                sorted(
                    (one for one in findings if one.concern == concern and one.level == "critical"),
                    key=lambda finding: finding.rank,
                )
            ),
        )
        for concern in CONCERNS
    )
