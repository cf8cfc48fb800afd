"""Whole fights: real flights published in Delta tables, trained and judged by the jobs that Airflow calls, with the
ledger, the alerts and MLflow's store in Postgres.

Each case has an environment of its own: four months to learn from, thirty days to be judged on, two candidates that the
spec of the flights has too. The first champion is `plain`, which knows no weather. Its lead over the rate by airline
and hour is not a sure one in most weeks, so it began to reign against the prior rate alone; every later fight has both
rules.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import roc_auc_score
from sqlalchemy import select

from imago import ledger
from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import ReleaseBlocked
from imago.jobs import deployment, training
from imago.ledger import champions
from imago.ledger.schema import alerts, decisions
from imago.registry.tracking import Tracker
from imago.specs import Candidate, ModelSpec
from imago.training.cut import Cut, cut
from imago_models.flight_delays import WEATHER
from proofs.fight.chance import SPEC, named, without_weather
from proofs.flights import environment, publish, table
from proofs.report import Report

FIRST_DS, NEXT_DS = "2013-08-28", "2013-09-04"
AIRLINE = "AA"
PLAIN = Candidate(name="plain", build=without_weather, why="what is known without the weather?")
TREES = named("gradient_boosting", SPEC.candidates).model_copy(update={"name": "trees"})


def shuffled_labels(url: str, mlflow: str, folder: Path, seed: int) -> Report:
    """Labels that have nothing to do with their flights: nobody is promoted, and one alert says so once."""
    report = Report("shuffled labels")
    world = _World(url, mlflow, folder)
    world.fought(FIRST_DS, PLAIN)
    before, said = world.ledger(), world.alerts()
    outcomes = world.outcomes
    place = outcomes.column_names.index("label")
    label = outcomes.column("label").combine_chunks()
    order = np.random.default_rng(seed).permutation(len(label))
    publish(world.env, "outcomes", outcomes.set_column(place, outcomes.field(place), label.take(pa.array(order))))
    spec = world.trained(NEXT_DS, PLAIN, TREES)

    def attempt(number: int) -> str:
        context = RunContext(run_id=f"deployment of the proof, attempt {number}", code_commit="proof")
        try:
            deployment.judge(world.env, spec, NEXT_DS, context)
            return "the run succeeded"
        except ReleaseBlocked as error:
            return f"blocked by {error.facts.get('rule')}"

    with ThreadPoolExecutor(3) as side_by_side:
        told = list(side_by_side.map(attempt, (1, 1, 2)))
    told += [attempt(3)]
    world.trained(NEXT_DS, PLAIN, TREES)  # the training's own retry
    told += [attempt(4)]
    rows = [row for row in world.alerts() if row not in said]
    critical = [row for row in rows if row["severity"] == "critical"]
    verdict = world.verdict(NEXT_DS)
    baseline = verdict["best_baseline"] if verdict else None
    case = f"seed {seed}"
    report.check(f"{case}: every attempt fails visibly", set(told) == {"blocked by tripwire"}, told)
    report.check(f"{case}: champion, chain and aliases are untouched", world.ledger() == before, world.ledger()[:2])
    report.check(f"{case}: exactly one alert, and it is critical", len(rows) == len(critical) == 1, rows)
    named_it = bool(critical) and bool(baseline) and baseline in critical[0]["title"]
    report.check(f"{case}: it names the baseline {baseline}", named_it, [row["title"] for row in critical])
    report.check(f"{case}: one decision", len(world.decisions(NEXT_DS)) == 1, len(world.decisions(NEXT_DS)))
    report.say(f"{len(told)} attempts of {case} (3 side by side, then again, then after a new training): all blocked, "
               f"{len(critical)} critical alert: {critical[0]['title'] if critical else 'none'}")  # fmt: skip
    return report


def worse_on_a_slice(url: str, mlflow: str, folder: Path) -> Report:
    """The challenger knows the weather, and one airline's weather feed went wrong: each day of the holdout has that of
    a day which was late as seldom as this one often."""
    report = Report("better overall, worse on one slice")
    world = _World(url, mlflow, folder)
    world.fought(FIRST_DS, PLAIN)
    before = world.ledger()
    publish(world.env, "features", _wrong_weather(world, AIRLINE, cut(world.spec(PLAIN), NEXT_DS)))
    spec = world.trained(NEXT_DS, TREES)
    told, verdict = _judged(world, spec), world.verdict(NEXT_DS) or {"reason": ""}
    overall, ours, theirs = world.measured(spec, NEXT_DS, "trees", "carrier", AIRLINE)
    loss = 1 - ours / theirs
    named = re.findall(r"carrier=(\w+)", verdict["reason"])
    report.check("the challenger is better overall", overall > spec.smallest_effect, f"{overall:+.4f}")
    report.check(f"it is at least 10% worse on {AIRLINE}", loss >= 0.1, f"{loss:.1%}")
    report.check("it is refused", told == "blocked by slices", f"{told}: {verdict['reason']}")
    report.check("the slice is named, and no other airline", named == [AIRLINE], verdict["reason"])
    report.check("the champion stays", world.ledger() == before)
    report.say(
        f"the challenger is better by {overall:+.4f} AUC overall and {loss:.1%} worse on carrier={AIRLINE}: {told}"
    )
    return report


def inflated_metrics(url: str, mlflow: str, folder: Path) -> Report:
    """Whoever can write to MLflow says that the champion reaches 0.99: the better challenger takes its place all the
    same. And a challenger with such a number, which is no better, does not."""
    report = Report("inflated stored metrics")
    world = _World(url, mlflow, folder)
    world.fought(FIRST_DS, PLAIN)
    _inflate(world, world.ledger()[0][-1].run_id)
    spec = world.trained(NEXT_DS, TREES)
    told, verdict = _judged(world, spec), world.verdict(NEXT_DS) or {"rulings": []}
    king = next((one["score"] for one in verdict["rulings"] if one["role"] == "champion"), None)
    report.check("the better challenger is promoted", told == "promoted", told)
    report.check("the champion is measured anew", king is not None and king < 0.8, king)
    later = shift(NEXT_DS, 7)
    spec = world.trained(later, PLAIN)
    word = training.load_manifest(world.env, spec, later)
    _inflate(world, next(one["run_id"] for one in word["contestants"] if one["contestant"] == "plain"))
    before, told = world.ledger(), _judged(world, spec, later)
    said = {one["name"]: one["score"] for one in (world.verdict(later) or {"rulings": []})["rulings"]}
    report.check("the inflated challenger is measured anew", said.get("plain", 1.0) < 0.8, said)
    report.check("it stays outside", told in ("kept", "blocked by tripwire"), told)
    report.check("the champion stays", world.ledger() == before)
    report.say(f"the champion, said to reach 0.99, was measured at {king:.4f} and dethroned; then a challenger said to "
               f"reach 0.99: {told}")  # fmt: skip
    return report


# --- the world ------------------------------------------------------------------------------------------------------


class _World:
    """Days of the real year in an environment of its own."""

    def __init__(self, url: str, mlflow: str, folder: Path) -> None:
        self.env: Environment = environment(url, folder, mlflow)
        last = shift(NEXT_DS, 7)
        days = pa.array(days_between(cut(self.spec(PLAIN), FIRST_DS).train_first, last))
        kept = {name: table(folder, name) for name in ("features", "outcomes")}
        self.features, self.outcomes = (
            data.filter(pc.is_in(data.column("ds"), days)).combine_chunks() for data in kept.values()
        )
        publish(self.env, "features", self.features)
        publish(self.env, "outcomes", self.outcomes)

    def spec(self, *candidates: Candidate, rules: int = 2) -> ModelSpec:
        plan = SPEC.training.model_copy(update={"window_days": 120, "tuning_days": 0})
        plain = [one.model_copy(update={"search": None}) if hasattr(one, "search") else one for one in candidates]
        return SPEC.model_copy(
            update={
                "training": plan,
                "candidates": tuple(plain),
                "baselines": SPEC.baselines[:rules],
                "slices": ("carrier",),
            }
        )

    def trained(self, ds: str, *candidates: Candidate, rules: int = 2) -> ModelSpec:
        """The training DAG's tasks, one after the other."""
        spec, context = self.spec(*candidates, rules=rules), RunContext(run_id=f"training of {ds}", code_commit="proof")
        frozen = training.freeze(self.env, spec, ds, context)
        done = [training.fit(self.env, spec, frozen["snapshot"], name, context) for name in frozen["contestants"]]
        training.report(self.env, spec, ds, frozen["snapshot"], done, context)
        return spec

    def fought(self, ds: str, *candidates: Candidate) -> None:
        """A training that gives the first champion."""
        told = _judged(self, self.trained(ds, *candidates, rules=1), ds)
        assert told == "promoted", f"the world needs a champion to begin with: {told}"

    def ledger(self) -> tuple[Any, ...]:
        """All champions, what is wrong with their chain, and MLflow's aliases of them."""
        with ledger.connect(self.env).connect() as connection:
            rows = champions.history(connection, SPEC.name)
            problems = champions.verify(connection, SPEC.name)
        found = Tracker(self.env, SPEC.name).client.get_registered_model(f"{self.env.registry_prefix}{SPEC.name}")
        return sorted(rows, key=lambda row: row.id), problems, found.aliases.get("champion")

    def alerts(self) -> list[dict[str, Any]]:
        query = select(alerts.c.id, alerts.c.rule, alerts.c.severity, alerts.c.title).order_by(alerts.c.id)
        with ledger.connect(self.env).connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def decisions(self, ds: str) -> list[dict[str, Any]]:
        query = select(decisions).where(decisions.c.training_ds == ds)
        with ledger.connect(self.env).connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def verdict(self, ds: str) -> dict[str, Any] | None:
        found = self.decisions(ds)
        return found[-1]["verdict"] if found else None

    def measured(self, spec: ModelSpec, ds: str, name: str, column: str, value: str) -> tuple[float, float, float]:
        """(overall lead of a contestant over the champion, its AUC on a slice, the champion's there), by scikit-learn
        on the models as production loads them."""
        from imago.registry import load_model
        from imago.training import snapshot

        word = training.load_manifest(self.env, spec, ds)
        holdout = snapshot.load(self.env, word["snapshot"]).part("holdout")
        truth = snapshot.labels(holdout, spec)
        artifact = next(one["artifact"] for one in word["contestants"] if one["contestant"] == name)
        ours, theirs = (load_model(self.env, one).predict(holdout) for one in (artifact, self.ledger()[0][-1]))
        rows = holdout.column(column).to_numpy() == value
        lead = roc_auc_score(truth, ours) - roc_auc_score(truth, theirs)
        return float(lead), *(float(roc_auc_score(truth[rows], one[rows])) for one in (ours, theirs))  # type: ignore[return-value]


def _judged(world: _World, spec: ModelSpec, ds: str = NEXT_DS) -> str:
    try:
        return str(deployment.judge(world.env, spec, ds, RunContext(run_id="proof", code_commit="proof"))["outcome"])
    except ReleaseBlocked as error:
        return f"blocked by {error.facts.get('rule')}"


def _wrong_weather(world: _World, airline: str, where: Cut) -> pa.Table:
    """The features, in which each holdout day of an airline has the weather of its opposite."""
    features = world.features.sort_by([("ds", "ascending"), (SPEC.entity_key, "ascending")]).to_pandas()
    late = world.outcomes.to_pandas().groupby("ds")["label"].mean()
    days = sorted(where.days("holdout"), key=lambda day: late[day])
    of = dict(zip(days, reversed(days), strict=True))
    here = (features["carrier"] == airline) & features["ds"].isin(days)
    hour = features["departure_minute"] // 60
    weather = features[here].groupby([features["ds"], hour])[list(WEATHER)].mean()
    keys = list(zip(features.loc[here, "ds"].map(of), hour[here], strict=True))
    features.loc[here, list(WEATHER)] = weather.reindex(keys).to_numpy()
    return pa.Table.from_pandas(features, schema=world.features.schema, preserve_index=False)


def _inflate(world: _World, run_id: str) -> None:
    """A hand that writes 0.99 wherever MLflow keeps a number of this run."""
    client = Tracker(world.env, SPEC.name).client
    run = client.get_run(run_id)
    for name in run.data.metrics:
        client.log_metric(run_id, name, 0.99)
    result = json.loads(run.data.tags["imago.result"])
    result["metrics"] = dict.fromkeys(result["metrics"], 0.99)
    client.set_tag(run_id, "imago.result", json.dumps(result))
