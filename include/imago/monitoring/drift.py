"""Is this drift? A pure judgement: profiles and thresholds in, findings out.

Shape measures (PSI, Jensen-Shannon, the shift of the mean score) are taken over a window of days that ends with the
judged day: one day of 900 flights
is one weather, not a trend. PSI is taken over the day alone too (`psi_day`), against bounds that know how much single
days of the
training differed: a unit that changed overnight should not wait for a week to fill. What breaks at once is judged on
the day alone: missing values, unseen categories, the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, SupportsFloat, get_args

import numpy as np

from imago.monitoring import divergence
from imago.monitoring.profiles import DECISION, SCORE, ColumnProfile, Profile
from imago.monitoring.reference import Reference, bins_of
from imago.specs import Drift

Level = Literal["ok", "warning", "critical"]
Concern = Literal["predictions", "inputs", "missing_values", "volume"]
CONCERNS: tuple[Concern, ...] = get_args(Concern)

MARGIN = 1.5  # a critical value is half as much again beyond the farthest that the training data itself went
VOLUME_WARNING, VOLUME_CRITICAL = 0.35, 0.60  # relative distance from the weekday's median
MEAN_WARNING, MEAN_CRITICAL = 0.35, 0.70  # in standard deviations of the training score
RATE_WARNING, RATE_CRITICAL = 0.05, 0.10  # absolute change of the share of a decision
MISSING_CRITICAL = 0.5  # half of a column's values gone

ROWS = "rows"  # the `column` of findings about the partition as a whole


@dataclass(frozen=True)
class Finding:
    """One column, one measure. `excess` = value over the critical threshold: findings of different measures are
    ranked by it.
    """

    column: str
    measure: str
    value: float
    threshold_warning: float
    threshold_critical: float

    @property
    def level(self) -> Level:
        if self.value >= self.threshold_critical:
            return "critical"
        return "warning" if self.value >= self.threshold_warning else "ok"

    @property
    def excess(self) -> float:
        return self.value / self.threshold_critical

    @property
    def concern(self) -> Concern:
        if self.column == ROWS:
            return "volume"
        if self.column in (SCORE, DECISION):
            return "predictions"
        return "missing_values" if self.measure in ("missing_rise", "unseen_rise") else "inputs"


def judge(
    *, ds: str, day: Profile, window: Profile, window_days: int, reference: Reference, thresholds: Drift
) -> tuple[Finding, ...]:
    """All findings of one day, in a fixed order. `window` is the merge of `window_days` days up to and with `ds`."""
    findings: list[Finding] = []

    def found(column: str, measure: str, value: SupportsFloat, warning: float, critical: float, *, days: int) -> None:
        own = reference.limit(column, measure.removesuffix("_day"), days)
        findings.append(
            Finding(column, measure, round(float(value), 6), max(warning, own), max(critical, own * MARGIN))
        )

    for name in sorted(reference.profile.columns):
        trained, today, recent = reference.profile.columns[name], day.columns[name], window.columns[name]
        if name == DECISION:
            # Of yes and no both move by the same; of several classes the one that moved most speaks.
            shift = max(abs((recent.share(one) or 0.0) - (trained.share(one) or 0.0)) for one in trained.categories)
            found(name, "rate_shift", shift, RATE_WARNING, RATE_CRITICAL, days=window_days)
            continue
        before, now = (bins_of(trained, np.array(side.counts), side.unseen) for side in (trained, recent))
        psi, distance = divergence.psi(before, now), divergence.jensen_shannon(before, now)
        psi_bounds = (thresholds.psi_warning, thresholds.psi_critical)
        js_bounds = (thresholds.js_warning, thresholds.js_critical)
        if name in thresholds.seasonal:
            psi_bounds = thresholds.seasonal[name]
            js_bounds = divergence.js_of_psi(psi_bounds[0]), divergence.js_of_psi(psi_bounds[1])
        found(name, "psi", psi, *psi_bounds, days=window_days)
        found(name, "jensen_shannon", distance, *js_bounds, days=window_days)
        alone = bins_of(trained, np.array(today.counts), today.unseen)
        found(name, "psi_day", divergence.psi(before, alone), *psi_bounds, days=1)
        if name == SCORE:
            found(name, "mean_shift", _mean_shift(trained, recent), MEAN_WARNING, MEAN_CRITICAL, days=window_days)
        for measure, rise in (
            ("missing_rise", today.missing_rate - trained.missing_rate),
            ("unseen_rise", today.unseen_rate - trained.unseen_rate),
        ):
            found(name, measure, max(rise, 0.0), thresholds.missing_rise, MISSING_CRITICAL, days=1)
    usual = reference.weekday_rows[date.fromisoformat(ds).weekday()]
    change = abs(day.rows / usual - 1.0) if usual else 0.0
    findings.append(Finding(ROWS, "volume", round(change, 6), VOLUME_WARNING, VOLUME_CRITICAL))
    return tuple(findings)


def _mean_shift(trained: ColumnProfile, recent: ColumnProfile) -> float:
    if trained.mean is None or recent.mean is None:
        return 0.0
    return abs(recent.mean - trained.mean) / (trained.deviation or 1.0)


@dataclass(frozen=True)
class Verdict:
    """What a day's findings come to for one concern: `worst` are those that alarm, the farthest beyond its threshold
    first.
    """

    concern: Concern
    worst: tuple[Finding, ...]

    @property
    def fired(self) -> bool:
        return bool(self.worst)


def verdicts(findings: Sequence[Finding]) -> tuple[Verdict, ...]:
    """One verdict a concern, so that thirty drifting columns are one alert and not thirty.

    Values that vanish alarm from their first threshold on; everything else alarms at the critical one, and its
    warnings are drawn on the dashboard.
    """
    result = []
    for concern in CONCERNS:
        alarming = ("warning", "critical") if concern == "missing_values" else ("critical",)
        worst = [finding for finding in findings if finding.concern == concern and finding.level in alarming]
        worst.sort(key=lambda finding: (-finding.excess, finding.column, finding.measure))
        result.append(Verdict(concern, tuple(worst)))
    return tuple(result)
