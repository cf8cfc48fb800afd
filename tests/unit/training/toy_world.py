"""A toy world: 60 days of 30 rows, in which `risk` tells much about the label and `gate` a little."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from imago.context import RunContext
from imago.contracts import Column, Contract
from imago.days import days_between, parse_day
from imago.specs import Baseline, BusinessMetric, Candidate, Feature, Guardrails, ModelSpec, Training
from imago.tables import Table

DAYS = days_between("2013-01-01", "2013-03-01")
ROWS = 30
LIVE = RunContext(run_id="test", code_commit="abc")
BACKFILL = dataclasses.replace(LIVE, mode="backfill")
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

    numbers = [feature.name for feature in spec.features if feature.kind == "numeric"]
    prepare = ColumnTransformer(
        [("categories", OneHotEncoder(handle_unknown="ignore"), ["gate"]), ("numbers", SimpleImputer(), numbers)]
    )
    return Pipeline([("prepare", prepare), ("model", LogisticRegression(random_state=seed))])


def trees(spec, seed):
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers = [feature.name for feature in spec.features if feature.kind == "numeric"]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("categories", encode, ["gate"]), ("numbers", "passthrough", numbers)])
    return Pipeline([("prepare", prepare), ("model", HistGradientBoostingClassifier(max_iter=10, random_state=seed))])


def prior(spec, seed):
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import PriorRate

    return Pipeline([("model", PriorRate())])


def by_gate(spec, seed):
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import GroupRate

    return Pipeline([("model", GroupRate(columns=("gate",)))])


def make_spec(*candidates):
    return ModelSpec(
        name="toy",
        owner="tests",
        description="a toy",
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
        candidates=tuple(Candidate(name=build.__name__, build=build, why="w") for build in candidates or (line,)),
        baselines=(Baseline(name="prior", build=prior, why="w"), Baseline(name="by_gate", build=by_gate, why="w")),
        primary_metric="roc_auc",
        smallest_effect=0.01,
        guardrails=Guardrails(floor=0.6, ceiling=0.95),
        training=Training(window_days=365, warmup_days=0, tuning_days=7, holdout_days=14, seed=1),
        business=BusinessMetric(name="saved", unit="USD", caught=10.0, false_alarm=-5.0, missed=0.0),
    )


def rows(*, shuffled: bool = False, days=DAYS, seed: int = 5):
    """(features, outcomes) of the toy world; with `shuffled` the label has nothing to do with the features."""
    random = np.random.default_rng(seed)
    count = len(days) * ROWS
    ds = np.repeat(np.array(days, dtype=object), ROWS)
    key = np.array([f"{place % ROWS:03d}" for place in range(count)], dtype=object)
    at = [datetime.combine(parse_day(day), datetime.min.time()) for day in ds]
    risk, gate = random.normal(size=count), random.choice(["A", "B", "C"], count)
    chance = 1 / (1 + np.exp(-(1.6 * risk + 0.5 * (gate == "A") - 0.8)))
    label = (random.random(count) < chance).astype("int32")
    if shuffled:
        label = random.permutation(label)
    known = {
        "key": pa.array(key, pa.string()),
        "ds": pa.array(ds, pa.string()),
        "event_time": pa.array(at, pa.timestamp("us")),
    }
    absent = random.random(count) < 0.1
    features = pa.table(
        {
            **known,
            "gate": pa.array(gate, pa.string(), mask=random.random(count) < 0.05),
            "risk": pa.array(risk, pa.float64(), mask=absent),
            "noise": pa.array(random.normal(size=count), pa.float64()),
        }
    )
    cancelled = random.random(count) < 0.03
    told = pa.array([moment + timedelta(hours=36) for moment in at], pa.timestamp("us"))
    label = pa.array(label, pa.int32(), mask=cancelled)
    return features, pa.table({**known, "label": label, "known_at": told})


def publish(environment, features, outcomes, days=DAYS):
    for name, data in (("features", features), ("outcomes", outcomes)):
        table = Table(environment, "toy", name)
        table.publish(data, days=days, key=("key",), fence=table.draw_fence(), context=LIVE)


def train(environment, spec, ds, context=LIVE):
    """The training DAG's tasks, one after the other."""
    from imago.jobs import training

    frozen = training.freeze(environment, spec, ds, context)
    fitted = [training.fit(environment, spec, frozen["snapshot"], name, context) for name in frozen["contestants"]]
    return training.report(environment, spec, ds, frozen["snapshot"], fitted, context)
