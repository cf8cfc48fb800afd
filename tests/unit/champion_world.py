"""A small world with a champion: 60 days of 40 rows, a model trained on the first of them, crowned in the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from imago import ledger
from imago.context import RunContext
from imago.contracts import Column, Contract
from imago.days import days_between, parse_day
from imago.ledger import champions
from imago.ledger.champions import Champion
from imago.specs import Baseline, BusinessMetric, Candidate, Feature, Guardrails, ModelSpec, Training
from imago.tables import Table

DAYS = days_between("2013-01-01", "2013-03-01")
TRAINED = "2013-02-10"
FIRST = "2013-02-11"  # the first day that the champion scores
ROWS = 40
LIVE = RunContext(run_id="test", code_commit="abc")
BACKFILL = replace(LIVE, mode="backfill")
CONTRACT = Contract(
    model="toy_features",
    columns=(
        Column(name="gate", data_type="varchar", values=("A", "B", "C")),
        Column(name="risk", data_type="double precision", at_least=-50, at_most=50),
        Column(name="noise", data_type="double precision", at_least=-50, at_most=50),
    ),
)


def line(spec, seed):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    prepare = ColumnTransformer(
        [("gates", OneHotEncoder(handle_unknown="ignore"), ["gate"]), ("numbers", SimpleImputer(), ["risk", "noise"])]
    )
    return Pipeline([("prepare", prepare), ("model", LogisticRegression(C=10.0 / (1 + seed), random_state=seed))])


SPEC = ModelSpec(
    name="toy",
    owner="tests",
    description="Will it be late?",
    entity_key="key",
    problem="binary",
    label="label",
    label_delay_days=1,
    first_day=DAYS[0],
    timezone="UTC",
    feature_model="toy_features",
    outcome_model="toy_outcomes",
    features=(
        Feature(name="gate", kind="categorical"),
        Feature(name="risk", kind="numeric"),
        Feature(name="noise", kind="numeric"),
    ),
    candidates=(Candidate(name="line", build=line, why="a line"),),
    baselines=(Baseline(name="same", build=line, why="not used here"),),
    primary_metric="roc_auc",
    smallest_effect=0.01,
    guardrails=Guardrails(floor=0.6, ceiling=0.95),
    slices=("gate",),
    training=Training(window_days=365, warmup_days=0, tuning_days=0, holdout_days=7, seed=1),
    decision_threshold=0.5,
    business=BusinessMetric(name="money saved", unit="USD", caught=10.0, false_alarm=-5.0, missed=0.0),
)


def world_rows(days=DAYS, *, shift: float = 0.0, seed: int = 5):
    """(features, outcomes); `risk` tells the label, `shift` moves it."""
    random = np.random.default_rng(seed)
    count = len(days) * ROWS
    ds = np.repeat(np.array(days, dtype=object), ROWS)
    risk, gate = random.normal(size=count), random.choice(["A", "B", "C"], count)
    label = (random.random(count) < 1 / (1 + np.exp(-(2 * risk + (gate == "A") - 0.5)))).astype("int32")
    at = [datetime.combine(parse_day(day), datetime.min.time()) for day in ds]
    known = {
        "key": pa.array([f"{day}-{place % ROWS:03d}" for place, day in enumerate(ds)], pa.string()),
        "ds": pa.array(ds, pa.string()),
        "event_time": pa.array(at, pa.timestamp("us")),
    }
    features = pa.table(
        {
            **known,
            "gate": pa.array(gate, pa.string()),
            "risk": pa.array(risk + shift, pa.float64()),
            "noise": pa.array(random.normal(size=count), pa.float64(), mask=random.random(count) < 0.05),
        }
    )
    told = pa.array([moment + timedelta(hours=36) for moment in at], pa.timestamp("us"))
    label = pa.array(label, pa.int32(), mask=random.random(count) < 0.03)
    return features, pa.table({**known, "label": label, "known_at": told})


def publish(env, name, data, days):
    table = Table(env, SPEC.name, name)
    return table.publish(data, days=days, key=("key",), fence=table.draw_fence(), context=LIVE)


def crown(env, *, seed: int = 1, ds: str = TRAINED, version: str = "1", contract: bool = True) -> Champion:
    """Trains on the snapshot of `ds`, saves the model as the registry does (without a contract as before it was kept
    with models), and writes the champion's row."""
    from imago.registry import save
    from imago.training import fitting, snapshot

    frozen = snapshot.freeze(env, SPEC, ds, contract=CONTRACT, run_id=LIVE.run_id)
    spec = SPEC.model_copy(update={"training": SPEC.training.model_copy(update={"seed": seed})})
    fitted = fitting.fit(spec, frozen, SPEC.candidates[0])
    artifact = save(
        env,
        f"mlflow/toy/{version}/model",
        fitted.pipeline,
        features=[(feature.name, feature.kind) for feature in SPEC.features],
        problem="binary",
        columns=fitted.columns,
        scores=fitted.scores,
        facts={
            "snapshot": frozen.folder,
            "trained_until": frozen.cut.trained_until,
            **({"contract": frozen.manifest["contract"]} if contract else {}),
        },
    )
    with ledger.connect(env).begin() as connection:
        reigning = champions.reigning(connection, SPEC.name)
        entry = Champion(
            model=SPEC.name,
            action="promote",
            version=version,
            run_id=f"run-{version}",
            training_ds=ds,
            trained_until=frozen.cut.trained_until,
            effective_ds=frozen.cut.effective_ds,
            decided_at=datetime.now(UTC),
            decided_by="test",
            decision_id=None,
            reason="it is the only one",
            **artifact.as_dict(),
        )
        return champions.crown(connection, entry, expected=reigning.id if reigning else None)
