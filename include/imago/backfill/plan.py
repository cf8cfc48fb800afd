"""What a backfill would do to each day of each stage, and why. Pure: facts in, plan out.

`make(facts)` looks at what stands behind the published partitions and at what they would be made of now. It promises
nothing about rows that it has not made: a day whose inputs differ is told as rewritten, and makes no new version all
the same if its rows come out equal.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from imago.backfill.stages import TABLES, cascade
from imago.days import spans
from imago.ledger.champions import Champion
from imago.names import dag_id
from imago.tables.infos import PartitionInfo

# create: no partition yet. rewrite: what it is made of has changed. maybe: only if the stage before it changes
# something. same: nothing has changed, so no new version. skip: nothing is done, and rightly so. fail: it would fail.
What = Literal["create", "rewrite", "maybe", "same", "skip", "fail"]
WRITES: tuple[What, ...] = ("create", "rewrite")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for: the fields of the trigger form."""

    stage: str
    first: str
    last: str
    champion: str = "as-was"
    reprocess: Literal["none", "failed", "completed"] = "none"
    max_active_runs: int = 4


@dataclass(frozen=True, kw_only=True)
class Past:
    """How long a stage's runs took that have ended well: how many were looked at, and their median in seconds."""

    runs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a plan is made of.

    `runs`: the days for which Airflow would make runs. `stored`: what is published, by table and day. `raw`: why raw
    files touch a published day, by table and day. `builds`: the digests of contract and dbt project as they stand now,
    by table. `chosen`: the champion of each day; where there is none, or its model cannot be loaded, `refused` says
    why. `rules`: what else decides the rows of a prediction. `shadows`: the versions that shadow by now. `window`:
    which of some days a judgement of drift looks at. `past`: how long the runs of each stage took.
    """

    environment: str
    model: str
    wish: Wish
    runs: tuple[str, ...]
    stored: Mapping[str, Mapping[str, PartitionInfo]]
    raw: Mapping[str, Mapping[str, tuple[str, ...]]]
    builds: Mapping[str, Mapping[str, str]]
    chosen: Mapping[str, Champion]
    refused: Mapping[str, str]
    rules: Mapping[str, Any]
    shadows: tuple[str, ...]
    window: Callable[[Iterable[str], str], tuple[str, ...]]
    past: Mapping[str, Past]


@dataclass(frozen=True, kw_only=True)
class Day:
    """What becomes of one day in one stage. `was` and `version`: the model version that scored it, and that would."""

    ds: str
    what: What
    why: str
    rows: int = 0
    was: str | None = None
    version: str | None = None
    leaking: bool = False


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
    that is rewritten. `estimate` is None where nothing of the kind ever ran."""

    environment: str
    model: str
    wish: Wish
    days: tuple[str, ...]
    stages: tuple[Stage, ...]
    judged_again: tuple[str, ...]
    estimate: Estimate | None

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
            "estimate": None if self.estimate is None else asdict(self.estimate),
            "fingerprint": self.fingerprint,
        }


DONE: tuple[What, ...] = ("create", "rewrite", "maybe", "same")


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
        told[stage] = {ds: _JUDGES[stage](facts, ds, told) for ds in facts.runs}
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


Told = Mapping[str, Mapping[str, Day]]


def _refresh(facts: Facts, ds: str, told: Told, *, table: str) -> Day:
    stored = facts.stored[table].get(ds)
    if stored is None:
        return Day(ds=ds, what="create", why="it is not published yet")
    touched = facts.raw.get(table, {}).get(ds, ())
    reasons = [*touched[:2], *([f"and {len(touched) - 2} more raw files"] if len(touched) > 2 else [])]
    for name, words in (("contract", "its contract changed"), ("dbt_project", "the dbt project changed")):
        now = facts.builds.get(table, {}).get(name)
        if now is not None and stored.inputs.get(name) != now:
            reasons.append(words)
    what: What = "rewrite" if reasons else "same"
    return Day(ds=ds, what=what, why="; ".join(reasons) or "raw files and dbt project are the same", rows=stored.rows)


def _score(facts: Facts, ds: str, told: Told) -> Day:
    built = told.get("feature_refresh", {}).get(ds)
    features, stored = facts.stored["features"].get(ds), facts.stored["predictions"].get(ds)
    was = stored.inputs.get("model_version") if stored else None
    if features is None and built is None:
        return Day(ds=ds, what="fail", why="its features are not published: begin with feature_refresh", was=was)
    if ds in facts.refused:
        return Day(ds=ds, what="fail", why=facts.refused[ds], was=was)
    chosen = facts.chosen[ds]
    rows = features.rows if features else 0
    about: dict[str, Any] = {"rows": rows, "was": was, "version": chosen.version, "leaking": chosen.learned_from(ds)}
    if stored is None:
        return Day(ds=ds, what="create", why="it was never scored", **about)
    reasons = []
    if was != chosen.version:
        reasons.append(f"version {was} becomes {chosen.version}")
    elif stored.inputs.get("artifact_sha256") != chosen.artifact_sha256:
        reasons.append(f"the model of version {was} is another one")
    if features and stored.inputs["features"]["digest"] != features.digest:
        reasons.append("its features changed since")
    reasons += _moved(stored.inputs, facts.rules)
    if reasons:
        return Day(ds=ds, what="rewrite", why="; ".join(reasons), **about)
    if built and built.what in WRITES:
        return Day(ds=ds, what="maybe", why="only if its features come out different", **about)
    return Day(ds=ds, what="same", why="same features, same champion", **about)


def _moved(then: Mapping[str, Any], now: Mapping[str, Any], about: str = "") -> list[str]:
    """The rules that stood otherwise when a partition was made. One that it does not know is not held against it."""
    found = []
    for name, value in now.items():
        words = f"{about} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            found += _moved(then.get(name) or {}, value, words)
        elif name in then and then[name] != value:
            found.append(f"the {words} changed: {then[name]} becomes {value}")
    return found


def _monitor(facts: Facts, ds: str, told: Told) -> Day:
    scored = told.get("batch_scoring", {})
    profiles = facts.stored["profiles"]
    profile, drift = profiles.get(ds), facts.stored["drift"].get(ds)
    if ds in scored and scored[ds].what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be monitored")
    if ds not in scored and profile is None:
        return Day(ds=ds, what="fail", why="its predictions have no profile: begin with batch_scoring")
    if drift is None:
        return Day(ds=ds, what="create", why="it was never monitored")
    moved = [day for day in _window(facts, ds) if day in scored and scored[day].what in WRITES]
    if moved:
        why = "its predictions change" if ds in moved else "predictions of its window change"
        return Day(ds=ds, what="rewrite", why=why, rows=drift.rows)
    if profile and drift.inputs["reference"] != profile.inputs["reference"]:
        return Day(ds=ds, what="rewrite", why="its champion's reference changed", rows=drift.rows)
    if profile and drift.inputs["profiles"] != _profiles(facts, ds, profile.inputs["reference"]):
        return Day(ds=ds, what="rewrite", why="the profiles of its window changed", rows=drift.rows)
    if any(day in scored and scored[day].what == "maybe" for day in _window(facts, ds)):
        return Day(ds=ds, what="maybe", why="only if predictions come out different", rows=drift.rows)
    return Day(ds=ds, what="same", why="same profiles, same reference", rows=drift.rows)


def _metrics(facts: Facts, ds: str, told: Told) -> Day:
    scored, known = told.get("batch_scoring", {}).get(ds), told.get("outcome_refresh", {}).get(ds)
    predictions, outcomes = facts.stored["predictions"].get(ds), facts.stored["outcomes"].get(ds)
    metrics = facts.stored["metrics"].get(ds)
    if outcomes is None and known is None:
        if scored is not None:
            return Day(ds=ds, what="skip", why="its outcomes are not known yet")
        return Day(ds=ds, what="fail", why="its outcomes are not published: begin with outcome_refresh")
    if scored is None and predictions is None:
        return Day(ds=ds, what="skip", why="nobody scored it")
    if scored is not None and scored.what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be measured")
    if metrics is None:
        return Day(ds=ds, what="create", why="it was never measured")
    reasons = []
    if scored is not None and scored.what in WRITES:
        reasons.append("its predictions change")
    elif predictions and metrics.inputs["predictions"]["digest"] != predictions.digest:
        reasons.append("its predictions changed since")
    if outcomes and metrics.inputs["outcomes"]["digest"] != outcomes.digest:
        reasons.append("its outcomes changed since")
    if reasons:
        return Day(ds=ds, what="rewrite", why="; ".join(reasons), rows=metrics.rows)
    if known is not None and known.what in WRITES:
        return Day(ds=ds, what="maybe", why="only if its outcomes come out different", rows=metrics.rows)
    if scored is not None and scored.what == "maybe":
        return Day(ds=ds, what="maybe", why="only if its predictions come out different", rows=metrics.rows)
    if scored is not None:
        return Day(ds=ds, what="skip", why="its predictions stay as they are")
    return Day(ds=ds, what="same", why="same predictions, same outcomes", rows=metrics.rows)


def _shadow(facts: Facts, ds: str, told: Told) -> Day:
    scored, predictions = told.get("batch_scoring", {}).get(ds), facts.stored["predictions"].get(ds)
    shadowed = facts.stored["shadow_predictions"].get(ds)
    if scored is not None and scored.what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be compared")
    if scored is None and predictions is None:
        return Day(ds=ds, what="fail", why="nobody has scored it: begin with batch_scoring")
    if shadowed is None:
        if not facts.shadows:
            return Day(ds=ds, what="skip", why="no version shadows")
        return Day(ds=ds, what="create", why="nobody shadowed it yet")
    if scored is not None and scored.what in WRITES:
        return Day(ds=ds, what="rewrite", why="the champion's predictions change", rows=shadowed.rows)
    if predictions and shadowed.inputs["champion"]["digest"] != predictions.digest:
        return Day(ds=ds, what="rewrite", why="the champion's predictions changed since", rows=shadowed.rows)
    if scored is not None and scored.what == "maybe":
        return Day(ds=ds, what="maybe", why="only if predictions come out different", rows=shadowed.rows)
    if set(facts.shadows) - set(shadowed.inputs["shadows"]):
        return Day(ds=ds, what="rewrite", why="another version shadows by now", rows=shadowed.rows)
    return Day(ds=ds, what="same", why="same predictions, same shadows", rows=shadowed.rows)


def _train(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="same", why="what was fitted on the same snapshot is used again; anything new is fitted")


def _decide(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="same", why="shows the recorded verdict again; no champion moves")


def _deploy(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="skip", why="history never goes online")


_JUDGES: dict[str, Callable[[Facts, str, Told], Day]] = {
    "feature_refresh": lambda facts, ds, told: _refresh(facts, ds, told, table="features"),
    "outcome_refresh": lambda facts, ds, told: _refresh(facts, ds, told, table="outcomes"),
    "batch_scoring": _score,
    "monitoring": _monitor,
    "metric_refresh": _metrics,
    "shadow_scoring": _shadow,
    "training": _train,
    "deployment": _decide,
    "endpoint_deploy": _deploy,
}


def _window(facts: Facts, ds: str) -> tuple[str, ...]:
    return facts.window({*facts.stored["profiles"], *facts.runs, ds}, ds)


def _profiles(facts: Facts, ds: str, reference: str) -> dict[str, str]:
    mine = {day: info.digest for day, info in facts.stored["profiles"].items() if info.inputs["reference"] == reference}
    return {day: mine[day] for day in facts.window(mine, ds)} if ds in mine else {}


def _judged_again(facts: Facts, told: Told) -> tuple[str, ...]:
    rewritten = {ds for ds, day in told.get("batch_scoring", {}).items() if day.what in WRITES}
    judged = facts.stored.get("drift", {}).keys() - set(facts.runs)
    return tuple(sorted(ds for ds in judged if rewritten & set(_window(facts, ds)))) if rewritten else ()
