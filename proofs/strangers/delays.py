"""Label delays of 0 to 120 days with any window, warm-up, tuning and holdout, cut anew by an independent judge.

The judge knows no formula: it walks over the days one by one, asks of each when its label is known, and says which days
a fit, a search and a holdout may have, as many as the spec asks for. Half of the cases freeze real rows too, some with
labels that came late, and compare the rows of each part with those that the judge would have taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from imago.specs import Baseline, Calendar, Candidate, Feature, Guardrails, ModelSpec, Training
from imago.training import snapshot
from imago.training.cut import cut
from proofs.strangers.case import Case, Workplace

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LEAST = 14  # days that a fit needs, or as many as its window has


def cases(place: Workplace, count: int, seed: int) -> Iterator[Case]:
    """`count` drawn specs, each with a day to train on: half near the first that works, half anywhere later."""
    random = np.random.default_rng([seed, 20])
    for number in range(count):
        spec = _drawn(random, number)
        first = _first(spec)
        near = number % 2 == 0
        offset = int(random.integers(-6, 7)) if near else int(random.integers(0, 400))
        day = max(date.fromisoformat(spec.first_day), first + timedelta(days=offset))
        name = (
            f"{number}: delay {spec.label_delay_days}, {spec.training.model_dump(exclude={'seed'})}, trained on {day}"
        )
        if day < first:
            yield Case(name, partial(_accepted, spec, day), must_refuse=True,
                       names=(spec.name, str(day), "days to learn from", f"train on {first} or later"))  # fmt: skip
        elif number % 4 < 2:
            yield Case(name, partial(_days, spec, day), refusable=False)
        else:
            yield Case(name, partial(_rows, spec, day, random.random(2000) < 0.1), refusable=False)


def _accepted(spec: ModelSpec, day: date) -> tuple[object, object]:
    return cut(spec, str(day)), None


def _days(spec: ModelSpec, day: date) -> tuple[object, object]:
    return _cut(spec, day), _judged(spec, day)


def _drawn(random: np.random.Generator, number: int) -> ModelSpec:
    def drawn(low: int, high: int) -> int:
        return int(random.integers(low, high + 1))

    delay = int(random.choice([0, 1, 2, 7, 14, 30, 60, 90, 120])) if number % 3 else drawn(0, 120)
    plan = Training(window_days=drawn(7, 200), warmup_days=drawn(0, 40), holdout_days=drawn(7, 45),
                    tuning_days=drawn(0, 1) * drawn(1, 30), seed=1)  # fmt: skip
    closed = random.choice(WEEKDAYS, drawn(1, 3), replace=False).tolist() if number % 3 == 2 else []
    dates = {str(date(2012, 1, 1) + timedelta(days=drawn(0, 1500))) for _ in range(40 * (number % 3 == 2))}
    return ModelSpec(
        calendar=Calendar(closed_weekdays=tuple(closed), closed_days=tuple(sorted(dates))),
        name=f"stranger_{number}", owner="proof", description="?", entity_key="key", problem="regression",
        label="label", label_delay_days=delay, timezone=str(random.choice(ZONES)), training=plan,
        first_day=str(date(2012, 1, 1) + timedelta(days=drawn(0, 700))), feature_model="f", outcome_model="o",
        features=(Feature(name="size", kind="numeric"),), candidates=(Candidate(name="a", build=print, why="a"),),
        baselines=(Baseline(name="b", build=print, why="b"),), primary_metric="mae", smallest_effect=0.1,
        guardrails=Guardrails(floor=10.0, ceiling=0.1),
    )  # fmt: skip


# --- the judge ------------------------------------------------------------------------------------------------------


def _known(spec: ModelSpec, day: date) -> datetime:
    """When the labels of a day are complete: the end of the day `label_delay_days` later, there."""
    return _begins(spec, day + timedelta(days=spec.label_delay_days + 1))


def _begins(spec: ModelSpec, day: date) -> datetime:
    return _midnight(spec.timezone, day)


@cache
def _midnight(timezone: str, day: date) -> datetime:
    return datetime.combine(day, time(0), tzinfo=ZoneInfo(timezone)).astimezone(ZoneInfo("UTC"))


def _last_known(spec: ModelSpec, moment: datetime, before: date) -> date:
    """The last day before another whose labels are all known at a moment."""
    day = before - timedelta(days=1)
    while _known(spec, day) > moment or _is_closed(spec, day):
        day -= timedelta(days=1)
    return day


def _is_closed(spec: ModelSpec, day: date) -> bool:
    return WEEKDAYS[day.weekday()] in spec.calendar.closed_weekdays or str(day) in spec.calendar.closed_days


def _judged(spec: ModelSpec, day: date) -> dict[str, list[str]]:
    """The days of each part, the last known ones first, as many as asked for and no earlier than history allows."""
    plan, now = spec.training, _begins(spec, day + timedelta(days=1))
    earliest = date.fromisoformat(spec.first_day) + timedelta(days=plan.warmup_days)

    def ending(last: date, most: int, bound: date = date(2000, 1, 1)) -> list[date]:
        found: list[date] = []
        while len(found) < most and last >= bound:
            found += [] if _is_closed(spec, last) else [last]
            last -= timedelta(days=1)
        return found[::-1]

    holdout = ending(_last_known(spec, now, day + timedelta(days=1)), plan.holdout_days)
    fit = ending(_last_known(spec, _begins(spec, holdout[0]), holdout[0]), plan.window_days, earliest)
    until = _last_known(spec, _begins(spec, holdout[0]), holdout[0])
    tuning = ending(until, plan.tuning_days) if plan.tuning_days else []
    train = fit
    if tuning:
        train = ending(_last_known(spec, _begins(spec, tuning[0]), tuning[0]), plan.window_days, earliest)
    parts = {"train": train, "tuning": tuning, "fit": fit, "holdout": holdout}
    return {name: [str(one) for one in days] for name, days in parts.items()}


def _first(spec: ModelSpec) -> date:
    """The first day whose training has enough to learn from; each day after it has no less."""
    start, least = date.fromisoformat(spec.first_day), min(LEAST, spec.training.window_days)

    def works(step: int) -> bool:
        return len(_judged(spec, start + timedelta(days=step))["train"]) >= least

    return start + timedelta(days=bisect_left(range(3000), True, key=works))


# --- the real thing -------------------------------------------------------------------------------------------------


def _cut(spec: ModelSpec, day: date) -> dict[str, list[str]]:
    found = cut(spec, str(day))
    spans = found.purposes()
    covered = [one for first, last, _, _ in spans for one in _between(first, last)]
    covered = [one for one in covered if not _is_closed(spec, date.fromisoformat(one))]
    wanted = [one for one in _between(found.first, str(day)) if not _is_closed(spec, date.fromisoformat(one))]
    if covered != wanted or sum(count for _, _, count, _ in spans) != len(wanted):
        raise AssertionError(f"days without a purpose, or with two: {spans}")
    return {part: list(found.days(part)) for part in ("train", "tuning", "fit", "holdout")}


def _between(first: str, last: str) -> list[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=step)) for step in range((end - start).days + 1)]


def _rows(spec: ModelSpec, day: date, late: np.ndarray) -> tuple[Any, Any]:
    """(rows of each part as Imago takes them, and as the judge would): some labels come up to 99 days late."""
    parts = _judged(spec, day)
    start = date.fromisoformat(min(parts["train"][0], parts["fit"][0])) - timedelta(days=3)
    days = [ds for ds in _between(str(start), str(day)) if not _is_closed(spec, date.fromisoformat(ds))]
    known = []
    for place, ds in enumerate(days):
        complete = _known(spec, date.fromisoformat(ds)).replace(tzinfo=None)
        slip = timedelta(days=1 + place % 99) if late[place % len(late)] else timedelta(0)
        known.append(complete + slip)
    outcomes = pa.table({
        "ds": days, "key": [f"k{place}" for place in range(len(days))], "label": [1.0] * len(days),
        "known_at": pa.array(known, pa.timestamp("us")),
    })  # fmt: skip
    features = outcomes.select(["ds", "key"]).append_column("size", pa.array([1.0] * len(days))).append_column(
        spec.event_time, pa.array([datetime(2013, 1, 1)] * len(days), pa.timestamp("us"))
    )  # fmt: skip
    where = cut(spec, str(day))
    joined = snapshot.join(features, snapshot.known_in_time(outcomes, where, spec), spec)
    actual = {part: snapshot.part_of(joined, where, part).column("ds").to_pylist() for part in parts}
    began = {"train": parts["tuning"] or parts["holdout"], "tuning": parts["holdout"], "fit": parts["holdout"]}
    expected = {}
    for part, wanted in parts.items():
        end = _begins(spec, date.fromisoformat(began[part][0]) if part in began else day + timedelta(days=1))
        at = dict(zip(days, known, strict=True))
        expected[part] = [ds for ds in wanted if at[ds] <= end.replace(tzinfo=None)]
    return actual, expected
