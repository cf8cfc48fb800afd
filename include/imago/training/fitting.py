"""Fitting one contestant: on the train days to see how it does on the tuning days, then on both for the holdout.

A candidate with a search is fitted on the train days once for each of its trials, and the best goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from imago.errors import SpecError
from imago.memory import peak_mb
from imago.registry import unfitted
from imago.registry.inputs import columns_of, frame_of
from imago.registry.outputs import scores_of
from imago.specs import Baseline, Candidate, ModelSpec
from imago.specs.search import Value
from imago.training import search
from imago.training.evaluation import measure
from imago.training.faults import blamed, check_shape, check_values
from imago.training.importance import Importance, permuted
from imago.training.snapshot import Snapshot, labels

log = logging.getLogger(__name__)
MOST_CATEGORIES = 10_000
FEW_ROWS = 200
_CORRECT = "correct it in include/imago_models, then clear the failed task"
LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "skops", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Fitted:
    """A contestant after its fit. `metrics` are named `{part}_{metric}`; `columns` and `scores` are those of the
    holdout. `seconds` are those of all its fits. None without tuning days: `found`, what its search gave, and `needed`,
    what each feature is worth there."""

    pipeline: Any
    metrics: dict[str, float]
    columns: dict[str, np.ndarray]
    truth: np.ndarray
    scores: np.ndarray
    seconds: float
    memory_mb: float
    found: search.Found | None
    needed: Importance | None = None


def contestants(spec: ModelSpec) -> dict[str, Candidate | Baseline]:
    """All that take part, by name, candidates first."""
    everyone: list[Candidate | Baseline] = [*spec.candidates, *spec.baselines]
    return {one.name: one for one in everyone}


def contestant(spec: ModelSpec, name: str) -> Candidate | Baseline:
    try:
        return contestants(spec)[name]
    except KeyError:
        raise SpecError(
            f"the spec {spec.name} has no contestant {name!r}",
            model=spec.name,
            allowed=", ".join(contestants(spec)),
            seen=name,
            next_step="name one of them",
        ) from None


def role_of(one: Candidate | Baseline) -> str:
    return "baseline" if isinstance(one, Baseline) else "candidate"


def libraries() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def build(spec: ModelSpec, one: Candidate | Baseline) -> Any:
    """The unfitted pipeline. Raises FitFailed when the builder fails, or gives something that is no estimator."""
    with blamed(spec.name, one.name, "built", _CORRECT):
        pipeline = one.build(spec, spec.training.seed)
        missing = [name for name in ("fit", "predict", "get_params", "set_params") if not hasattr(pipeline, name)]
        if missing or isinstance(pipeline, type):
            raise TypeError(f"its builder gave {pipeline!r:.80}, which is no scikit-learn estimator")
    with blamed(spec.name, one.name, "trained", _CORRECT):
        unfitted.check(pipeline)
    return pipeline


def identity(spec: ModelSpec, snapshot: Snapshot, one: Candidate | Baseline, code_commit: str) -> str:
    """What makes two fits the same fit: data, contract, pipeline with its settings, seed, code and libraries."""
    pipeline = build(spec, one)
    facts = [
        snapshot.digest,
        snapshot.manifest["cut"],
        snapshot.manifest.get("contract"),
        one.name,
        _settings(pipeline),
        one.search.plain() if isinstance(one, Candidate) and one.search else None,
        spec.training.seed,
        code_commit,
        libraries(),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def categories(spec: ModelSpec, snapshot: Snapshot) -> dict[str, list[str]]:
    """The categories that the model learned from, by column, for scoring to tell which it never saw. A column with more
    than `MOST_CATEGORIES` is left out: there a new one is no news."""
    rows = snapshot.part("fit")
    known = {
        feature.name: sorted(pc.unique(rows.column(feature.name)).drop_null().cast(pa.string()).to_pylist())
        for feature in spec.features
        if feature.kind == "categorical"
    }
    return {name: values for name, values in known.items() if len(values) <= MOST_CATEGORIES}


def fit(spec: ModelSpec, snapshot: Snapshot, one: Candidate | Baseline, book: search.Book | None = None) -> Fitted:
    """Fits a contestant with the spec's seed. The same snapshot and seed give the same scores, bit by bit.

    The tuning metrics come from a fit that has not seen the tuning days; the model itself learns from them too. The
    train metrics are those of the model on all rows that it learned from. `book` keeps the trials of a search.

    Raises FitFailed for whatever the contestant does wrong: its build, its search or its fit fails, or its predictions
    are not one finite number for each row.
    """
    _try_on_a_few(spec, one, snapshot)
    metrics: dict[str, float] = {}
    found, needed = None, None
    early: dict[str, Any] = {}
    if snapshot.cut.tuning_first:
        train, tuning = _inputs(spec, snapshot.part("train")), _inputs(spec, snapshot.part("tuning"))

        def attempt(settings: Mapping[str, Value]) -> dict[str, float]:
            early["settings"], early["model"] = settings, _fitted(spec, one, train, settings)
            scores = _scores(spec, one, early["model"], tuning, "tuning")
            if not (isinstance(one, Candidate) and one.search):
                check_values(spec, one.name, scores, "tuning")  # of a search, such a trial merely has no metric
            return _named("tuning", spec, tuning.truth, scores)

        with blamed(spec.name, one.name, "searched", "correct its search in include/imago_models"):
            found = search.run(spec, one, attempt, book)
        metrics |= found.best.metrics
        # Of a search only the last trial's model is at hand, which need not be the best; on record there is none.
        known = early.get("settings") == found.changes
        chosen = early["model"] if known else _fitted(spec, one, train, found.changes)
        needed = _needed(spec, one.name, chosen, tuning.frame, tuning.truth, "the tuning days")
        log.info("%s: fitted on the train days, %.1f s", one.name, found.seconds)
    started = time.perf_counter()
    rows = _inputs(spec, snapshot.part("fit"))
    pipeline = _fitted(spec, one, rows, found.changes if found else {})
    seconds = time.perf_counter() - started + (found.seconds if found else 0.0)
    learned = _scores(spec, one, pipeline, rows, "train")
    check_values(spec, one.name, learned, "train")
    metrics |= _named("train", spec, rows.truth, learned)
    holdout = _inputs(spec, snapshot.part("holdout"))
    scores = _scores(spec, one, pipeline, holdout, "holdout")
    check_values(spec, one.name, scores, "holdout")
    metrics |= _named("holdout", spec, holdout.truth, scores)
    return Fitted(pipeline, metrics, holdout.columns, holdout.truth, scores, seconds, peak_mb(), found,
                  needed)  # fmt: skip


def importance_of(spec: ModelSpec, fitted: Fitted) -> Importance:
    """What each feature is worth: on the tuning days, without any on the holdout, by which nothing is chosen."""
    if fitted.needed is not None:
        return fitted.needed
    return _needed(spec, "the model", fitted.pipeline, frame_of(fitted.columns), fitted.truth, "the holdout")


def _needed(spec: ModelSpec, name: str, pipeline: Any, frame: pd.DataFrame, truth: np.ndarray, days: str) -> Importance:
    with threadpool_limits(limits=1), blamed(spec.name, name, "asked for its features' importance", _CORRECT):
        return permuted(
            pipeline, frame, truth, spec.primary_metric, spec.training.seed, problem=spec.problem, days=days
        )


def _try_on_a_few(spec: ModelSpec, one: Candidate | Baseline, snapshot: Snapshot) -> None:
    """Raises FitFailed when the pipeline, fitted on a few rows, cannot be saved and loaded: the long fit would be
    lost. A fit that fails on so few rows says nothing; the fit on all of them will."""
    rows = _inputs(spec, snapshot.part("train" if snapshot.cut.tuning_first else "fit"))
    few = set(np.linspace(0, len(rows.truth) - 1, min(FEW_ROWS, len(rows.truth))).astype(int).tolist())
    if spec.problem != "regression":
        for value in np.unique(rows.truth):
            few |= set(np.flatnonzero(rows.truth == value)[:20].tolist())
    chosen = sorted(few)
    sample = _Inputs({}, rows.frame.iloc[chosen].reset_index(drop=True), rows.truth[chosen])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = _fitted(spec, one, sample, {})
            scores_of(fitted, sample.frame, spec.problem)
    except Exception as error:
        log.info("%s could not be fitted on %s rows to try it: %s", one.name, len(chosen), error)
        return
    with threadpool_limits(limits=1), blamed(spec.name, one.name, "trained", _CORRECT):
        unfitted.check_saved(fitted, sample.frame, spec.problem)


@dataclass(frozen=True)
class _Inputs:
    columns: dict[str, np.ndarray]
    frame: pd.DataFrame
    truth: np.ndarray


def _inputs(spec: ModelSpec, rows: pa.Table) -> _Inputs:
    columns = columns_of(rows, [(feature.name, feature.kind) for feature in spec.features])
    return _Inputs(columns, frame_of(columns), labels(rows, spec))


def _fitted(spec: ModelSpec, one: Candidate | Baseline, rows: _Inputs, changes: Mapping[str, Value]) -> Any:
    target = rows.truth if spec.problem == "regression" else rows.truth.astype(int)
    # Contestants are fitted side by side: with as many threads as cores each, they wait for each other (12 times slower
    # was seen), and sums would depend on the number of threads.
    with threadpool_limits(limits=1), blamed(spec.name, one.name, "fitted", _CORRECT):
        return build(spec, one).set_params(**changes).fit(rows.frame, target)


def _scores(spec: ModelSpec, one: Candidate | Baseline, pipeline: Any, rows: _Inputs, part: str) -> np.ndarray:
    with threadpool_limits(limits=1), blamed(spec.name, one.name, f"asked for the scores of the {part} rows", _CORRECT):
        scores = scores_of(pipeline, rows.frame, spec.problem)
    check_shape(spec, one.name, scores, len(rows.truth), part)
    return scores


def _named(part: str, spec: ModelSpec, truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in measure(spec.problem, truth, scores).items()}


def _settings(pipeline: Any) -> str:
    return str(pipeline.__repr__(N_CHAR_MAX=10**6))


def settings(pipeline: Any) -> dict[str, str]:
    """The settings of the last step, which is what people compare in MLflow."""
    last = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
    return {name: str(value) for name, value in last.get_params(deep=False).items()}
