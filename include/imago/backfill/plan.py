"""What a backfill would do to each day of each stage, and why. Pure: facts in, plan out.

`make(facts)` looks at what stands behind the published partitions and at what they would be made of now. It promises
nothing about rows that it has not made: a day whose inputs differ is told as rewritten, and makes no new version all
the same if its rows come out equal.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from imago.backfill.facts import DONE, WRITES, Day, Facts, Past, What, Wish
from imago.backfill.judging import JUDGES, Told, window_of
from imago.backfill.stages import TABLES, cascade
from imago.days import spans
from imago.names import dag_id


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a plan: its DAG, the table that it writes (None: it writes none), and its days in order."""

    stage: str
    dag: str
    table: str | None
    days: tuple[Day, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many days are created, rewritten, and so on."""
        return Counter(day.what for day in self.days)

    @property
    def runs(self) -> int:
        """How many runs there would be: a day that is skipped has none."""
        return len(self.days) - self.counts["skip"]

    @property
    def rows(self) -> int:
        """The rows of the days that would be written."""
        return sum(day.rows for day in self.days if day.what in WRITES)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long it may take: all `runs` at the median of `looked_at` past ones, `parallel` at a time. `unknown` are the
    stages that never ran, which it leaves out."""

    seconds: float
    runs: int
    looked_at: int
    parallel: int
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The blast radius of a wish. `judged_again`: later days whose drift is judged anew, since their window holds a day
    that is rewritten. `estimate` is None where nothing of the kind ever ran. `omitted`: why a
    day that was asked for has no run."""

    environment: str
    model: str
    wish: Wish
    days: tuple[str, ...]
    stages: tuple[Stage, ...]
    judged_again: tuple[str, ...]
    estimate: Estimate | None
    omitted: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The same for two plans that would do the same, whenever they are made."""
        told = json.dumps([asdict(self.wish), [asdict(stage) for stage in self.stages]], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def leaking(self) -> tuple[str, ...]:
        """The days that would be scored by a model whose training saw them, or later days."""
        return tuple(day.ds for stage in self.stages for day in stage.days if day.leaking and day.what in DONE)

    @property
    def works(self) -> bool:
        """Whether the first stage would do anything at all."""
        return any(day.what in DONE for day in self.stages[0].days)

    def as_dict(self) -> dict[str, Any]:
        """For machines. Days of a kind stand together, so that a year is short."""
        return {
            "environment": self.environment,
            "model": self.model,
            **asdict(self.wish),
            "days": list(self.days),
            "stages": [
                {
                    "stage": stage.stage,
                    "dag": stage.dag,
                    "table": stage.table,
                    "runs": stage.runs,
                    "rows": stage.rows,
                    **{what: stage.counts[what] for what in ("create", "rewrite", "maybe", "same", "skip", "fail")},
                    "spans": [group.as_dict() for group in grouped(stage.days)],
                }
                for stage in self.stages
            ],
            "leaking": list(self.leaking),
            "judged_again": list(self.judged_again),
            "omitted": dict(self.omitted),
            "estimate": None if self.estimate is None else asdict(self.estimate),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, kw_only=True)
class Group:
    """Days of one stage that are alike in all but rows."""

    what: What
    why: str
    was: str | None
    version: str | None
    leaking: bool
    days: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "days": [list(span) for span in spans(self.days)]}


def grouped(days: Iterable[Day]) -> list[Group]:
    """Days put together with those that are alike, in the order of their first day."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for day in days:
        alike.setdefault((day.what, day.why, day.was, day.version, day.leaking), []).append(day.ds)
    return [
        Group(what=what, why=why, was=was, version=version, leaking=leaking, days=tuple(found))
        for (what, why, was, version, leaking), found in alike.items()
    ]


def make(facts: Facts) -> Plan:
    """The plan of what `facts.wish` asks for."""
    told: dict[str, dict[str, Day]] = {}
    for stage in cascade(facts.wish.stage):
        told[stage] = {ds: JUDGES[stage](facts, ds, told) for ds in facts.runs}
    stages = tuple(
        Stage(
            stage=stage,
            dag=dag_id(facts.environment, facts.model, stage),
            table=TABLES.get(stage),
            days=tuple(days.values()),
        )
        for stage, days in told.items()
    )
    return Plan(
        environment=facts.environment,
        model=facts.model,
        wish=facts.wish,
        days=facts.runs,
        stages=stages,
        judged_again=_judged_again(facts, told),
        estimate=estimate(stages, facts.past, facts.wish.max_active_runs),
        omitted=facts.omitted,
    )


def estimate(stages: Iterable[Stage], past: Mapping[str, Past], parallel: int) -> Estimate | None:
    """What past runs say of the time: all runs of all stages, so many at once."""
    known = [stage for stage in stages if stage.runs and stage.stage in past]
    if not known:
        return None
    return Estimate(
        seconds=sum(stage.runs * past[stage.stage].seconds for stage in known) / parallel,
        runs=sum(stage.runs for stage in known),
        looked_at=sum(past[stage.stage].runs for stage in known),
        parallel=parallel,
        unknown=tuple(stage.stage for stage in stages if stage.runs and stage.stage not in past),
    )


def _judged_again(facts: Facts, told: Told) -> tuple[str, ...]:
    rewritten = {ds for ds, day in told.get("batch_scoring", {}).items() if day.what in WRITES}
    judged = facts.stored.get("drift", {}).keys() - set(facts.runs)
    return tuple(sorted(ds for ds in judged if rewritten & set(window_of(facts, ds)))) if rewritten else ()
