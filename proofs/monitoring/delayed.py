"""Labels that come over 30 days, the positives later: does anything early raise an alarm, and is a real drop found in
the first mature cohort?

A world of its own with a ledger, tables and a champion. Each day is scored; the outcomes of earlier days are published
again and again as they trickle in, and `metric_refresh` runs after each publish, as a correction would have it. The
clock of the ledger is set to the simulated day. From one day on the features mean nothing any more: the scores stay as
they are, so only the truth can show it, and it does when that day's cohort is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import select, text

from imago import ledger
from imago.context import RunContext
from imago.contracts import Column, Contract
from imago.days import days_between, parse_day, shift
from imago.environments import Environment
from imago.jobs import metrics, scoring
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.ledger.schema import alerts
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec, Training
from imago.tables import Table
from proofs.postgres import new_environment
from proofs.report import Report

DELAY = 30
ROWS = 300
HISTORY = days_between("2013-01-01", "2013-04-30")
TRAINED = shift(HISTORY[-1], 0)
CONTEXT = RunContext(run_id="proof", code_commit="proof")
SIZES = {"small": (12, (10, 25)), "full": (45, (3, 10, 17, 24, 29))}  # scored days, ages at which labels are looked at
CONTRACT = Contract(
    model="delayed_features",
    columns=tuple(
        Column(name=name, data_type="double precision", at_least=-50, at_most=50) for name in ("risk", "rest")
    ),
)


def line(spec: ModelSpec, seed: int) -> object:
    """A logistic regression."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    prepare = ColumnTransformer([("numbers", "passthrough", list(spec.feature_names))])
    return Pipeline([("prepare", prepare), ("model", LogisticRegression(random_state=seed))])


SPEC = ModelSpec(
    name="delayed", owner="proof", description="Will the customer leave within 30 days?", entity_key="key",
    problem="binary", label="label", label_delay_days=DELAY, first_day=HISTORY[0], timezone="UTC",
    feature_model="delayed_features", outcome_model="delayed_outcomes",
    features=(Feature(name="risk", kind="numeric"), Feature(name="rest", kind="numeric")),
    candidates=(Candidate(name="line", build=line, why="a line"),),
    baselines=(Baseline(name="same", build=line, why="not used here"),),
    primary_metric="roc_auc", smallest_effect=0.01, guardrails=Guardrails(floor=0.6, ceiling=0.95),
    training=Training(warmup_days=0, tuning_days=0, holdout_days=21, seed=1),
)  # fmt: skip


@dataclass
class World:
    """The environment, and what is true of each row: its label, and after how many days that shows."""

    env: Environment
    random: np.random.Generator
    broken_from: str

    def __post_init__(self) -> None:
        self.truth: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def features(self, ds: str) -> None:
        """A day's rows. Who leaves shows late, most of it in the last ten days; who stays shows at the very end, but
        for those who renew early."""
        risk, rest = self.random.normal(size=(2, ROWS))
        told = 1.6 * risk if ds < self.broken_from else np.zeros(ROWS)
        label = (self.random.random(ROWS) < 1 / (1 + np.exp(-(told - 0.8)))).astype(int)
        late = self.random.integers(18, DELAY + 1, ROWS)
        early = np.where(self.random.random(ROWS) < 0.6, self.random.integers(1, 12, ROWS), DELAY)
        self.truth[ds] = label, np.where(label == 1, late, early)
        self._publish("features", ds, risk=pa.array(risk), rest=pa.array(rest))

    def outcomes(self, ds: str, age: int) -> None:
        """What is known of a day's rows after so many days, published on that day."""
        label, shows = self.truth[ds]
        known = pa.array(label, pa.int32(), mask=shows > age)
        moment = datetime.combine(parse_day(ds), time())
        told = pa.array([moment + timedelta(days=int(days)) for days in shows], pa.timestamp("us"))
        self._publish("outcomes", ds, label=known, known_at=told)
        # Just after the end of the day on which it was looked at.
        seen = datetime.combine(parse_day(shift(ds, age + 1)), time(1), tzinfo=UTC)
        with ledger.connect(self.env).begin() as connection:
            connection.execute(
                text("update publications set published_at = :seen where id = (select max(id) from publications "
                     "where model = :model and table_name = 'outcomes' and ds = :ds)"),
                {"seen": seen, "model": SPEC.name, "ds": ds},
            )  # fmt: skip

    def _publish(self, name: str, ds: str, **columns: pa.Array) -> None:
        at = datetime.combine(parse_day(ds), time())
        known = {
            "key": pa.array([f"{ds}-{number:04d}" for number in range(ROWS)]),
            "ds": pa.array([ds] * ROWS),
            "event_time": pa.array([at] * ROWS, pa.timestamp("us")),
        }
        table = Table(self.env, SPEC.name, name)
        data = pa.table({**known, **columns})
        table.publish(data, days=(ds,), key=("key",), fence=table.draw_fence(), context=CONTEXT)

    def crown(self) -> None:
        """Trains on the history and crowns the model."""
        from imago.registry import save
        from imago.training import fitting, snapshot

        frozen = snapshot.freeze(self.env, SPEC, TRAINED, contract=CONTRACT, run_id=CONTEXT.run_id)
        fitted = fitting.fit(SPEC, frozen, SPEC.candidates[0])
        artifact = save(
            self.env, "mlflow/delayed/1/model", fitted.pipeline,
            features=[(feature.name, feature.kind) for feature in SPEC.features], problem="binary",
            columns=fitted.columns, scores=fitted.scores,
            facts={"snapshot": frozen.folder, "trained_until": frozen.cut.trained_until,
                   "contract": frozen.manifest["contract"]},
        )  # fmt: skip
        with ledger.connect(self.env).begin() as connection:
            entry = Champion(
                model=SPEC.name, action="promote", version="1", run_id="run-1", training_ds=TRAINED,
                trained_until=frozen.cut.trained_until, effective_ds=frozen.cut.effective_ds,
                decided_at=datetime.now(UTC), decided_by="proof", decision_id=None, reason="it is the only one",
                **artifact.as_dict(),
            )  # fmt: skip
            champions.crown(connection, entry, expected=None)

    def alerts(self) -> list[tuple[str, str]]:
        """The rules that fired, and of which day."""
        with ledger.connect(self.env).connect() as connection:
            query = select(alerts.c.rule, alerts.c.ds).where(alerts.c.severity != "info").order_by(alerts.c.id)
            return [(row.rule, row.ds) for row in connection.execute(query)]


def run(url: str, home: Path, size: str) -> Report:
    """Plays the days one after another."""
    report = Report("delayed labels")
    count, ages = SIZES[size]
    days = days_between(shift(TRAINED, 1), shift(TRAINED, count))
    broken_from = days[count * 2 // 3]
    world = World(new_environment(url, home), np.random.default_rng(30), broken_from)
    for ds in HISTORY:
        world.features(ds)
        world.outcomes(ds, DELAY)
    world.crown()
    for ds in days:
        world.features(ds)
        scoring.score(world.env, SPEC, ds, CONTEXT)
    refreshed = alarming = 0
    for today in days_between(days[0], shift(days[-1], DELAY)):
        for age in (*ages, DELAY):
            ds = shift(today, -age)
            if ds not in world.truth or ds < days[0]:
                continue
            world.outcomes(ds, age)
            before = len(world.alerts())
            told = metrics.refresh(world.env, SPEC, ds, CONTEXT)
            refreshed += 1
            news = world.alerts()[before:]
            if age < DELAY:
                report.check(f"{ds} after {age} days is not judged", bool(told.get("immature") or told.get("skipped")))
                report.check(f"{ds} after {age} days raises nothing", not news, news)
                alarming += _would_alarm(world.env, ds, told)
            elif ds < broken_from:
                report.check(f"{ds} is judged when it is mature", told["immature"] is None, told["immature"])
                report.check(f"{ds}, complete and well, raises nothing", not news, news)
            elif ds == broken_from:
                report.check("the drop is told by its first mature cohort", ("metric_drop", ds) in news, news)
                report.say(f"the drop of {ds} is told on the day after it is complete: {told['roc_auc']:.3f}")
    report.check("early labels would have been a false alarm", alarming > 0, "so nothing was proved")
    report.say(
        f"{refreshed} refreshes of {count} cohorts; judged at once, {alarming} of the early ones would have alarmed"
    )
    return report


def _would_alarm(env: Environment, ds: str, told: dict[str, object]) -> bool:
    """Whether the early metric would have fallen through the champion's noise if it had been judged."""
    value, rows = told.get("roc_auc"), told.get("rows")
    if not isinstance(value, float) or not isinstance(rows, int):
        return False
    info = Table(env, SPEC.name, "predictions").partition(ds)
    assert info is not None
    return metrics.drop_of(env, SPEC, info.inputs["artifact_sha256"], value, rows) is not None
