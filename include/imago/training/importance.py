"""Permutation importance: by how much a model gets worse when one feature is shuffled (Breiman 2001).

It is taken on days that the model has not learned from, on at most `ROWS` rows drawn by the seed, each feature shuffled
`REPEATS` times: so it costs features x `REPEATS` predictions of that many rows, however large the training is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from imago.measures import metric as measured
from imago.registry.outputs import scores_of
from imago.specs.model import LOWER_IS_BETTER

ROWS = 2000
REPEATS = 3
FILE = "importance.json"


@dataclass(frozen=True)
class Importance:
    """Mean and standard deviation, over the repeats, of the loss in `metric`, by feature. Above 0 the model needs the
    feature; around 0, or below by chance, it does not."""

    metric: str
    rows: int
    repeats: int
    mean: dict[str, float]
    std: dict[str, float]
    days: str = "the tuning days"  # whose rows these are, in words

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def importance(
    pipeline: Any, X: pd.DataFrame, y: np.ndarray, metric: str, seed: int, *, problem: str
) -> dict[str, float]:
    """The mean loss in `metric` by feature; `y` is the truth as in `measures`."""
    return permuted(pipeline, X, y, metric, seed, problem=problem).mean


def permuted(
    pipeline: Any,
    X: pd.DataFrame,
    y: np.ndarray,
    metric: str,
    seed: int,
    *,
    problem: str,
    days: str = "the tuning days",
) -> Importance:
    """See `Importance`. The same rows, seed and pipeline give the same numbers."""
    rows = np.sort(np.random.default_rng(seed).choice(len(X), size=min(ROWS, len(X)), replace=False))
    X, y = X.iloc[rows].reset_index(drop=True), np.asarray(y)[rows]
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    whole = measured(metric, y, scores_of(pipeline, X, problem))
    # All repeats of a feature are predicted in one go: most of a small prediction's time is overhead.
    stacked = pd.concat([X] * REPEATS, ignore_index=True)
    mean, std = {}, {}
    for place, name in enumerate(X.columns):
        random = np.random.default_rng([seed, place])
        kept = stacked[name]
        orders = np.concatenate([random.permutation(len(X)) for _ in range(REPEATS)])
        stacked[name] = X[name].to_numpy()[orders]
        scores = np.split(scores_of(pipeline, stacked, problem), REPEATS)
        stacked[name] = kept
        lost = np.array([sign * (whole - measured(metric, y, part)) for part in scores])
        mean[str(name)], std[str(name)] = float(lost.mean()), float(lost.std(ddof=1))
    return Importance(metric, len(X), REPEATS, mean, std, days)
