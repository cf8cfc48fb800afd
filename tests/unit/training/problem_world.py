"""One toy world with a label of each problem type: was it late; early, on_time or late; how many minutes.

`risk` and `gate` tell much of all three, and each of the 30 entities has a luck of its own, of which `lately` (a recent
mean) and `often_...` (recent shares) tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from toy_world import DAYS, ROWS, make_spec

from imago.days import parse_day
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec

CLASSES = ("early", "on_time", "late")
NUMBERS = ("risk", "noise", "lately", *(f"often_{name}" for name in CLASSES))
PROBLEMS = ("binary", "multiclass", "regression")


def linear(spec, seed):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    last = Ridge() if spec.problem == "regression" else LogisticRegression(max_iter=500, random_state=seed)
    return pipeline(OneHotEncoder(handle_unknown="ignore"), last, StandardScaler())


def boosting(spec, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.preprocessing import OrdinalEncoder

    kind = HistGradientBoostingRegressor if spec.problem == "regression" else HistGradientBoostingClassifier
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return pipeline(encode, kind(max_iter=30, learning_rate=0.15, random_state=seed))


def forest(spec, seed):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.preprocessing import OneHotEncoder

    kind = RandomForestRegressor if spec.problem == "regression" else RandomForestClassifier
    last = kind(20, max_depth=5, random_state=seed)
    return pipeline(OneHotEncoder(handle_unknown="ignore"), last)


def pipeline(encode, last, *scale):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    numbers = Pipeline([("fill", SimpleImputer()), *(("scale", one) for one in scale)])
    prepare = ColumnTransformer([("gate", encode, ["gate"]), ("numbers", numbers, list(NUMBERS))])
    return Pipeline([("prepare", prepare), ("model", last)])


def rule(name):
    """A builder of the baseline that is called so for the spec's problem."""

    def build(spec, seed):
        from sklearn.pipeline import Pipeline

        from imago.training import baselines as kinds

        number = spec.problem == "regression"
        recent = {
            "binary": lambda: kinds.RecentRate(column="often_late"),
            "multiclass": lambda: kinds.RecentRates(columns=tuple(f"often_{one}" for one in CLASSES)),
            "regression": lambda: kinds.RecentMean(column="lately"),
        }
        made = {
            "prior": kinds.PriorMean if number else kinds.PriorRate,
            "median": kinds.PriorMedian,
            "by_gate": lambda: (kinds.GroupMean if number else kinds.GroupRate)(columns=("gate",)),
            "lately": recent[spec.problem],
            "best_column": kinds.BestColumnMean if number else kinds.BestColumnRate,
        }
        return Pipeline([("model", made[name]())])

    return build


FIELDS = {
    "binary": {"primary_metric": "roc_auc", "smallest_effect": 0.01, "guardrails": Guardrails(floor=0.6, ceiling=0.97)},
    "multiclass": {
        "classes": CLASSES,
        "primary_metric": "log_loss",
        "smallest_effect": 0.02,
        "guardrails": Guardrails(floor=1.05, ceiling=0.2),
        "business": None,
    },
    "regression": {
        "primary_metric": "rmse",
        "smallest_effect": 0.2,
        "guardrails": Guardrails(floor=20.0, ceiling=2.0),
        "business": None,
    },
}


def spec_of(problem: str, *candidates, **changes) -> ModelSpec:
    rules = ("prior", "by_gate", "lately", "best_column", *(["median"] if problem == "regression" else []))
    fields = {
        "problem": problem,
        "label": {"binary": "was_late", "multiclass": "came", "regression": "minutes"}[problem],
        "feature_model": "recent_features",
        "features": (
            Feature(name="gate", kind="categorical"),
            *(Feature(name=name, kind="numeric") for name in NUMBERS),
        ),
        "candidates": tuple(Candidate(name=one.__name__, build=one, why="w") for one in candidates or (linear,)),
        "baselines": tuple(Baseline(name=name, build=rule(name), why="w") for name in rules),
        "slices": ("gate",),
    }
    return ModelSpec(**{**dict(make_spec()), **fields, **FIELDS[problem], **changes})


def world_rows(problem: str, *, days=DAYS, seed: int = 5, shift: float = 0.0, shuffled: bool = False):
    """(features, outcomes) with the label of that problem; `shift` moves what tells it."""
    random = np.random.default_rng(seed)
    count = len(days) * ROWS
    ds = np.repeat(np.array(days, dtype=object), ROWS)
    entity = np.arange(count) % ROWS
    luck = np.random.default_rng(99).normal(size=ROWS)[entity]
    risk, gate = random.normal(size=count) + shift, random.choice(["A", "B", "C"], count)
    told = 1.5 * risk + 0.8 * (gate == "A") + 0.7 * luck
    minutes = np.round(60 + 8 * told + random.normal(0, 6, count), 1)
    place = np.digitize(minutes, [52.0, 72.0])
    label = {"binary": (place == 2).astype("int32"), "multiclass": np.array(CLASSES, dtype=object)[place],
             "regression": minutes}[problem]  # fmt: skip
    if shuffled:
        label = random.permutation(label)
    at = [datetime.combine(parse_day(day), datetime.min.time()) for day in ds]
    known = {
        "key": pa.array([f"{one:03d}" for one in entity], pa.string()),
        "ds": pa.array(ds, pa.string()),
        "event_time": pa.array(at, pa.timestamp("us")),
    }
    # As a mean over earlier days would be: the entity's luck, and some noise.
    usual = 60 + 8 * (0.27 + 0.7 * luck)
    often = np.stack([1 / (1 + np.exp((usual - 50) / 4)), np.full(count, 0.4), 1 / (1 + np.exp((74 - usual) / 4))])
    often = (often / often.sum(axis=0)).clip(0.02)
    features = pa.table(
        {
            **known,
            "gate": pa.array(gate, pa.string(), mask=random.random(count) < 0.05),
            "risk": pa.array(risk, pa.float64(), mask=random.random(count) < 0.05),
            "noise": pa.array(random.normal(size=count), pa.float64()),
            "lately": pa.array(usual + random.normal(0, 1.5, count), pa.float64(), mask=random.random(count) < 0.05),
            **{f"often_{name}": pa.array(often[number], pa.float64()) for number, name in enumerate(CLASSES)},
        }
    )
    moments = pa.array([moment + timedelta(hours=36) for moment in at], pa.timestamp("us"))
    missing = random.random(count) < 0.03
    name = {"binary": "was_late", "multiclass": "came", "regression": "minutes"}[problem]
    return features, pa.table({**known, name: pa.array(label, mask=missing), "known_at": moments})
