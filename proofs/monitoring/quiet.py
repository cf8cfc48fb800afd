"""Is it quiet when all is well? 90 stationary days of 1,000 rows and of 1,000,000, at the default budget of one false
alert a quarter.

Days of 1,000 rows are drawn row by row. Of days of 1,000,000 rows only the profiles are drawn: the counts of a column's
fine bins are a multinomial draw, which is exactly what profiling stationary rows gives. That it is, is shown on one day
that is drawn as rows and profiled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from imago.days import days_between, shift
from imago.monitoring.profiles import ColumnProfile, Profile
from imago.monitoring.reference import RECENT, Reference, past_of
from proofs.monitoring import drawn
from proofs.report import Report

DAYS = 90
LARGE = 1_000_000
WORLDS = {"small": 1, "full": 10}
TYPICAL = 4.0  # standard errors within which the profile of drawn rows has to lie


def run(url: str, home: Path, size: str) -> Report:
    """Counts the incidents of each world."""
    report = Report("quiet")
    for seed in range(WORLDS[size]):
        random = np.random.default_rng([2013, seed])
        small = drawn.reference_of(1000, random)
        told = drawn.Monitored(small)
        for _ in range(DAYS):
            told.rows(drawn.rows(1000, random))
        report.check(f"world {seed}, {DAYS} days of 1,000 rows", told.incidents <= 1, f"{told.incidents} alerts")
        whole = _many(small, random)
        large = drawn.Monitored(_large_reference(small, whole, random))
        for _ in range(DAYS):
            large.day(_day(whole, random))
        report.check(f"world {seed}, {DAYS} days of {LARGE:,} rows", large.incidents <= 1, f"{large.incidents} alerts")
        report.say(f"world {seed}: {told.incidents} alerts at 1,000 rows a day, {large.incidents} at {LARGE:,}")
        if seed == 0:
            _same(report, whole, Profile.of(drawn.rows(LARGE, random), small.profile))
    return report


def _many(small: Reference, random: np.random.Generator) -> Profile:
    """Two million rows in the reference's bins: the chances that days are drawn from."""
    return Profile.merge(Profile.of(drawn.rows(LARGE, random), small.profile) for _ in range(2))


def _large_reference(small: Reference, whole: Profile, random: np.random.Generator) -> Reference:
    days = days_between(drawn.FIRST, shift(drawn.FIRST, drawn.TRAINED + drawn.HELD - 1))
    daily = {ds: _day(whole, random) for ds in days}
    trained = Profile.merge([daily[ds] for ds in days[: drawn.TRAINED]])
    recent = {ds: daily[ds] for ds in days[-RECENT:]}
    return replace(
        small, profile=trained, past=past_of(daily, trained), recent=recent, weekday_rows=(float(LARGE),) * 7
    )


def _day(whole: Profile, random: np.random.Generator) -> Profile:
    return Profile({name: _column(one, random) for name, one in whole.columns.items()})


def _column(one: ColumnProfile, random: np.random.Generator) -> ColumnProfile:
    chances = np.array([*one.counts, one.missing, one.unseen]) / one.rows
    *counts, missing, unseen = random.multinomial(LARGE, chances).tolist()
    known = sum(counts)
    if one.kind == "categorical":
        return replace(one, counts=tuple(counts), missing=missing, unseen=unseen, rows=LARGE)
    mean, deviation = one.total / one.known, one.deviation or 0.0
    total = known * mean + random.normal() * deviation * known**0.5
    squares = known * (deviation**2 + mean**2)
    return replace(
        one, counts=tuple(counts), missing=missing, unseen=unseen, rows=LARGE, total=total, squares=squares
    )  # fmt: skip


def _same(report: Report, whole: Profile, profiled: Profile) -> None:
    """Whether a day of rows, profiled, looks as drawn from the same chances: chi-squared over the fine bins, and the
    distance of the means, both in their own standard errors."""
    furthest = 0.0
    for name, one in profiled.columns.items():
        other = whole.columns[name]
        counts, before = np.array([*one.counts, one.missing]), np.array([*other.counts, other.missing])
        both = counts + before
        kept = both >= 20
        expected = both[kept] * (one.rows / (one.rows + other.rows))
        rest = both[kept] - expected
        squared = ((counts[kept] - expected) ** 2 * (1 / expected + 1 / rest)).sum()
        freedom = kept.sum() - 1
        away = abs(squared - freedom) / (2 * freedom) ** 0.5 if freedom > 0 else 0.0
        if one.mean is not None and other.mean is not None and other.deviation:
            error = other.deviation * (1 / one.known + 1 / other.known) ** 0.5
            away = max(away, abs(one.mean - other.mean) / error)
        report.check(f"drawing counts is drawing rows: {name}", away < TYPICAL, f"{away:.1f} standard errors")
        furthest = max(furthest, away)
    report.say(f"a day of {LARGE:,} rows, drawn and profiled, lies within {furthest:.1f} standard errors of the counts")
