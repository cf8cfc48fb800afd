"""Random pipelines of every allowed kind, hostile rows, and three ways to a score: all of them the judged pipeline's.

Each pipeline is saved and loaded by the product. What is right is asked of scikit-learn itself, one row at a time: its
score, or that it refuses the row. A refused row has to be one without a score and with the name of a column, or to be
refused by name, as the policy says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imago.environments import Environment
from proofs.strangers.case import Case, Workplace

ROWS = 160
BATCH = 24  # hostile rows of one case
CASES = 8  # of one pipeline
NUMBERS = ("amount", "seconds", "ratio")
TEXTS = ("shop", "tariff")
FEATURES: list[tuple[str, Any]] = [*((name, "numeric") for name in NUMBERS), *((name, "categorical") for name in TEXTS)]
TOLERANCE = 1e-5


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    """So many cases, `CASES` of each drawn pipeline."""
    for number in range(-(-count // CASES)):
        stranger = Stranger(seed * 10_007 + number)
        drawn = [stranger.case(workplace, turn) for turn in range(CASES)]
        yield from drawn[: count - number * CASES]


@dataclass(frozen=True)
class Stranger:
    """One drawn pipeline on drawn data."""

    seed: int

    @cached_property
    def problem(self) -> str:
        return ("binary", "multiclass", "regression")[self.seed % 3]

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """What it learns from: some columns with missing values, some without."""
        draw = np.random.default_rng(self.seed)
        columns: dict[str, np.ndarray] = {
            "amount": draw.normal(50, 20, ROWS).round(int(draw.integers(0, 4))),
            "seconds": 1.3569e9 + draw.integers(0, 3 * 10**7, ROWS).astype(float),
            "ratio": draw.choice([0.1, 0.25, 0.5, 1 / 3, -2.5e-3, 1e6], ROWS) * draw.integers(0, 5, ROWS),
            "shop": draw.choice(["north/1", "süd", "東京", "x y", "-1"], ROWS).astype(object),
            "tariff": draw.choice([f"T{n}" for n in range(12)], ROWS).astype(object),
        }
        for name in draw.choice([*NUMBERS, *TEXTS], int(draw.integers(0, 4)), replace=False):
            columns[name][draw.random(ROWS) < 0.15] = np.nan if name in NUMBERS else ""
        if self.seed % 11 == 0:
            columns["ratio"] = np.full(ROWS, np.nan)
        return columns

    @cached_property
    def target(self) -> np.ndarray:
        draw = np.random.default_rng(self.seed + 1)
        signal = np.nan_to_num(self.rows["amount"]) / 20 + (self.rows["shop"] == "süd") + draw.normal(0, 0.5, ROWS)
        if self.problem == "regression":
            return signal * 10 + (1e6 if self.seed % 2 else 0)
        ranks = np.argsort(np.argsort(signal))
        return ranks * (2 if self.problem == "binary" else 3) // ROWS

    @cached_property
    def pipeline(self) -> Any:
        """Fitted; drawn again until scikit-learn takes it on these rows."""
        attempt = 0
        while True:
            made = _drawn(np.random.default_rng((self.seed, attempt)), self.problem)
            try:
                return made.fit(self.frame(self.rows), self.target)
            except (ValueError, TypeError):  # such as a linear model on missing values, or boosting on sparse columns
                attempt += 1

    @staticmethod
    def frame(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
        return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})

    def alone(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """scikit-learn's own answer to each row by itself; NaN where it refuses."""
        width = 3 if self.problem == "multiclass" else 1
        answers = np.full((len(columns["amount"]), width), np.nan)
        frame = self.frame(columns)
        for row in range(len(frame)):
            try:
                if self.problem == "regression":
                    answers[row] = self.pipeline.predict(frame.iloc[[row]])
                else:
                    chances = self.pipeline.predict_proba(frame.iloc[[row]])
                    answers[row] = chances[:, 1:] if self.problem == "binary" else chances
            except ValueError:
                continue
        return answers

    def saved(self, env: Environment) -> Any:
        """The scorer of the stored model."""
        from imago.registry import load_model, save

        key = f"strangers/{self.seed}"
        if key not in _SCORERS:
            _SCORERS.clear()  # of one pipeline at a time
            scores = self.alone(self.rows)
            artifact = save(
                env, key, self.pipeline, features=FEATURES, problem=self.problem, columns=self.rows,
                scores=scores if self.problem == "multiclass" else scores[:, 0],
                facts={"classes": ["a", "b", "c"] if self.problem == "multiclass" else []},
            )  # fmt: skip
            _SCORERS[key] = load_model(env, artifact)
        return _SCORERS[key]

    def hostile(self, turn: int) -> dict[str, np.ndarray]:
        """Rows of the training with one to all of their values exchanged."""
        draw = np.random.default_rng((self.seed, 7, turn))
        places = draw.integers(0, ROWS, BATCH)
        columns = {name: values[places].copy() for name, values in self.rows.items()}
        pools = {name: _numbers(self.rows[name], self.pipeline, draw) for name in NUMBERS}
        pools |= dict.fromkeys(
            TEXTS, np.array(["", "new", "T3", "süd", "t3", " ", "é\u0301", "東京", "nan"], dtype=object)
        )
        for row in range(BATCH):
            for name in draw.choice(list(pools), int(draw.choice([0, 1, 1, 2, len(pools)])), replace=False):
                columns[name][row] = draw.choice(pools[name])
        return columns

    def case(self, workplace: Workplace, turn: int) -> Case:
        policy = ("none", "null", "score", "none")[turn % 4]
        name = f"pipeline {self.seed} turn {turn} ({self.problem}, {policy})"
        if policy == "none":
            return Case(name, lambda: self._by_registry(workplace.environment, turn), refusable=False)
        return Case(name, lambda: self._by_batch(workplace.environment, turn, policy))

    def _by_registry(self, env: Environment, turn: int) -> tuple[object, object]:
        columns = self.hostile(turn)
        expected = self.alone(columns)
        scores = self.saved(env).predict(table(columns)).reshape(expected.shape)
        return apart(scores, expected, self.target), []

    def _by_batch(self, env: Environment, turn: int, policy: str) -> tuple[object, object]:
        """Scoring's own way, row by row under a policy."""
        from imago.errors import RefusedPartition
        from imago.scoring.inputs import judge_of, settle
        from imago.scoring.predictions import Predictor

        columns = self.hostile(turn)
        expected = self.alone(columns)
        scorer, spec = self.saved(env), spec_of(self.problem, policy)
        batch = table(columns).combine_chunks().to_batches()[0]
        answer = Predictor(spec, scorer, judge_of(spec, scorer, "1"), "1").answer(batch)
        refused = [row for row in range(BATCH) if not np.isfinite(expected[row]).all()]
        try:
            settle(spec, scorer, answer.tally, where={"model": "stranger", "partition": "2013-01-01"}, published={},
                   version="1")  # fmt: skip
        except RefusedPartition as refusal:
            if policy != "score" or not refused or not any(name in str(refusal) for name in (*NUMBERS, *TEXTS)):
                raise AssertionError(
                    f"refused without a row that has to be, or without its column: {refusal}"
                ) from None
            raise
        if policy == "score" and refused:
            raise AssertionError(f"rows {refused} were scored, for which scikit-learn has no score")
        rows = answer.rows
        if rows is None:
            raise AssertionError("the day was stopped, and nobody refused it")
        lost = [row for row, score in enumerate(rows.column("score").to_pylist()) if score is None]
        unnamed = [row for row in lost if not rows.column("reason")[row].as_py()]
        scores = np.full(expected.shape, np.nan)
        for place in range(expected.shape[1]):
            name = f"score_{'abc'[place]}" if self.problem == "multiclass" else "score"
            scores[:, place] = rows.column(name).to_numpy(zero_copy_only=False)
        return (lost, unnamed, apart(scores, expected, self.target)), (refused, [], [])


_SCORERS: dict[str, Any] = {}


def apart(scores: np.ndarray, expected: np.ndarray, target: np.ndarray) -> list[tuple[int, Any, Any]]:
    """The rows whose scores are not those expected: another number, or a number where none is expected."""
    scale = np.maximum(np.abs(expected), np.ptp(target)) if target.dtype.kind == "f" else 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        same = (np.isnan(scores) & ~np.isfinite(expected)) | (np.abs(scores - expected) <= TOLERANCE * scale)
    rows = np.flatnonzero(~same.all(axis=1)).tolist()
    return [(row, scores[row].tolist(), expected[row].tolist()) for row in rows]


def table(columns: Mapping[str, np.ndarray]) -> pa.Table:
    """The rows as the feature table holds them: null for what is missing, now and then a NaN."""
    rows = len(columns["amount"])
    made: dict[str, pa.Array] = {
        "key": pa.array([f"k{row:03d}" for row in range(rows)]),
        "ds": pa.repeat("2013-01-01", rows),
        "event_time": pa.repeat(pa.scalar(0, pa.timestamp("us")), rows),
    }
    for name, values in columns.items():
        if name in TEXTS:
            made[name] = pa.array([text or None for text in values], pa.string())
        else:
            made[name] = pa.array([None if math.isnan(value) and place % 2 else value
                                   for place, value in enumerate(values.tolist())], pa.float64())  # fmt: skip
    return pa.table(made)


def _numbers(column: np.ndarray, pipeline: Any, draw: np.random.Generator) -> np.ndarray:
    """Values that a stranger's day may hold: missing, infinite, tiny, huge, beside the training's, at a threshold."""
    finite = column[np.isfinite(column)]
    some = draw.choice(finite, 6) if len(finite) else np.zeros(1)
    thresholds = _thresholds(pipeline)
    some = np.concatenate([some, draw.choice(thresholds, min(12, len(thresholds)))])
    floats = some.astype(np.float32)
    beside = [np.nextafter(some, np.inf), np.nextafter(some, -np.inf), floats.astype(float),
              np.nextafter(floats, np.float32(np.inf)).astype(float), (some[:-1] + some[1:]) / 2]  # fmt: skip
    odd = [np.nan, np.nan, np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e-40, 1e39, -1e39, 3.4028236e38, 1e154, 1.7e308,
           2.0**53, 2.0**24 + 1, 20130115.0, 1e30]  # fmt: skip
    return np.concatenate([some, *beside, odd])


def _thresholds(pipeline: Any) -> np.ndarray:
    last = pipeline.steps[-1][1]
    if hasattr(last, "_predictors"):
        return np.concatenate([tree.nodes["num_threshold"] for stage in last._predictors for tree in stage])
    trees = [tree.tree_ for tree in getattr(last, "estimators_", [last])] if hasattr(last, "n_outputs_") else []
    return np.concatenate([tree.threshold for tree in trees]) if trees else np.zeros(1)


def _drawn(draw: np.random.Generator, problem: str) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    def one(*choices: Any) -> Any:
        return choices[int(draw.integers(len(choices)))]

    parts: list[tuple[str, Any, list[str]]] = []
    texts, numbers = list(TEXTS), list(NUMBERS)
    if draw.random() < 0.15:
        texts = texts[:1]
    if texts and draw.random() < 0.9:
        parts.append(("texts", _encoder(one, problem), texts))
    cut = int(draw.integers(1, len(numbers) + 1))
    for place, names in enumerate((numbers[:cut], numbers[cut:])):
        if names:
            parts.append((f"numbers{place}", _numeric(one), names))
    draw.shuffle(parts)
    remainder = one("drop", "drop", "drop", "passthrough") if len(texts) == 2 and parts[0][0] != "texts" else "drop"
    if any(part[0] == "texts" for part in parts) is False:
        remainder = "drop"
    columns = ColumnTransformer(parts, remainder=remainder, sparse_threshold=one(0.0, 0.3))
    steps = [("columns", columns), *([("scale", StandardScaler(with_mean=False))] if draw.random() < 0.15 else [])]
    return Pipeline([*steps, ("model", _model(one, problem))])


def _encoder(one: Any, problem: str) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

    kind = {"binary": "binary", "multiclass": "multiclass", "regression": "continuous"}[problem]
    return one(
        OneHotEncoder(), OneHotEncoder(handle_unknown="ignore"), OneHotEncoder(drop="if_binary"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=15),
        OneHotEncoder(handle_unknown="ignore", max_categories=4, sparse_output=False),
        OrdinalEncoder(), OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=15),
        TargetEncoder(target_type=kind, cv=2),
        make_pipeline(SimpleImputer(missing_values="", strategy="constant", fill_value="none"), OneHotEncoder()),
        make_pipeline(
            SimpleImputer(missing_values="", strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
        ),
    )  # fmt: skip


def _numeric(one: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import (
        KBinsDiscretizer,
        MinMaxScaler,
        PolynomialFeatures,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    )

    fill = one(
        SimpleImputer(), SimpleImputer(strategy="median", add_indicator=True), SimpleImputer(keep_empty_features=True),
        SimpleImputer(strategy="constant", fill_value=-1.0), SimpleImputer(strategy="most_frequent"),
    )  # fmt: skip
    scale = one(
        StandardScaler(), RobustScaler(), MinMaxScaler(), MinMaxScaler(clip=True), StandardScaler(with_std=False)
    )
    bins = KBinsDiscretizer(
        4, encode=one("ordinal", "onehot", "onehot-dense"), strategy=one("uniform", "quantile"),
        quantile_method="averaged_inverted_cdf",
    )  # fmt: skip
    return one(
        "passthrough", "passthrough", fill, scale, make_pipeline(fill, scale), make_pipeline(fill, bins),
        make_pipeline(fill, scale, PolynomialFeatures(2, include_bias=one(True, False))),
        make_pipeline(fill, PolynomialFeatures(2, interaction_only=True)),
        make_pipeline(fill, QuantileTransformer(n_quantiles=20)), make_pipeline(scale, fill),
        FeatureUnion([("as it is", fill), ("scaled", make_pipeline(SimpleImputer(), StandardScaler()))]),
    )  # fmt: skip


def _model(one: Any, problem: str) -> Any:
    from sklearn import ensemble, linear_model, tree

    if problem == "regression":
        return one(
            linear_model.LinearRegression(), linear_model.Ridge(), linear_model.Ridge(alpha=10, fit_intercept=False),
            ensemble.HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=5),
            ensemble.HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=5, loss="absolute_error"),
            ensemble.RandomForestRegressor(6, max_depth=6, random_state=0),
            ensemble.ExtraTreesRegressor(6, random_state=0), tree.DecisionTreeRegressor(max_depth=5, random_state=0),
        )  # fmt: skip
    return one(
        linear_model.LogisticRegression(max_iter=50), linear_model.LogisticRegression(C=0.01, fit_intercept=False),
        ensemble.HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5),
        ensemble.RandomForestClassifier(6, max_depth=6, random_state=0, class_weight=one(None, "balanced")),
        ensemble.ExtraTreesClassifier(6, random_state=0), tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    )  # fmt: skip


def spec_of(problem: Any, policy: Any) -> Any:
    from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec, Scoring

    metric: Any = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[problem]
    return ModelSpec(
        name="stranger", owner="proof", description="A stranger's model.", entity_key="key", event_time="event_time",
        problem=problem, label="label", label_delay_days=1, first_day="2013-01-01", last_day="2013-12-31",
        timezone="UTC", feature_model="strangers", outcome_model="outcomes", metrics_model="metrics",
        classes=("a", "b", "c") if problem == "multiclass" else (),
        features=tuple(Feature(name=name, kind=kind) for name, kind in FEATURES),
        candidates=(Candidate(name="drawn", build=lambda spec, seed: None, why="it was drawn"),),
        baselines=(Baseline(name="none", build=lambda spec, seed: None, why="nothing is compared"),),
        primary_metric=metric, smallest_effect=0.01,
        guardrails=Guardrails(floor=0.1, ceiling=0.9) if metric == "roc_auc" else Guardrails(floor=9.0, ceiling=0.0),
        scoring=Scoring(bad_rows=policy, unseen=policy, max_bad_rate=1.0),
    )  # fmt: skip
