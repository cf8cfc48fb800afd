"""The gates beside the fight itself: what a winner has to keep to before it may reign. Each gives one `Check`, and one
that could not be told is one that was not passed. Pure.

The gate of the slices has a module of its own, see `slices`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from imago.amounts import amount
from imago.measures import calibration_error
from imago.selection.bootstrap import RESAMPLES
from imago.selection.terms import Check
from imago.selection.units import Units
from imago.selection.worth import difference

INPUTS, FRESH, TIME, MEMORY = "inputs", "fresh process", "prediction time", "memory"
CALIBRATION, BUSINESS = "calibration", "business metric"
OF_A_MODEL = (INPUTS, FRESH, TIME, MEMORY, CALIBRATION)  # those that every candidate has to pass
EQUAL = 1e-5  # how far two answers may lie apart that are the same but for float32 arithmetic
_TYPES = {"numeric": ("double precision", "integer", "bigint", "boolean"), "categorical": ("varchar",)}


def check_inputs(features: Sequence[tuple[str, str]], offered: Mapping[str, str]) -> Check:
    """Is each of the model's inputs, given as (name, "numeric" | "categorical"), a column that the contract of the
    features offers? `offered` maps its columns to their SQL types."""
    faults = []
    for name, kind in features:
        if name not in offered:
            faults.append(f"the contract offers no column {name}")
        elif offered[name] not in _TYPES[kind]:
            faults.append(f"{name} is {offered[name]} in the contract, and the model takes a {kind} column")
    if not features:
        faults.append("the model names no inputs")
    return Check(INPUTS, not faults, "; ".join(faults) or f"the contract offers all {len(features)} inputs")


def check_answers(answers: np.ndarray, golden: np.ndarray, problem: str) -> Check:
    """Are the answers of a fresh process those of the fit on the golden rows? Probabilities within `EQUAL`, predicted
    numbers within that share of their range."""
    if answers.shape != golden.shape or not golden.size:
        seen = f"answers of shape {answers.shape} to {golden.shape}"
        return Check(FRESH, False, f"a fresh process gave {seen}")
    scale = float(np.ptp(golden)) or 1.0 if problem == "regression" else 1.0
    furthest = float(np.abs(answers - golden).max()) / scale
    # NaN is no distance: what cannot be compared is not equal.
    same = furthest <= EQUAL
    how = f"equally (within {EQUAL:.5f})" if same else f"differently, by up to {furthest:g}"
    return Check(FRESH, same, f"a fresh process loads it and answers {len(golden)} golden rows {how}")


def check_at_most(gate: str, seen: float, allowed: float, unit: str) -> Check:
    """Is a cost within its bound?"""
    said = f"{seen:,.1f} {unit}, allowed {allowed:,.1f}"
    return Check(gate, seen <= allowed, said)


def check_calibration(problem: str, truth: np.ndarray, scores: np.ndarray, allowed: float) -> Check:
    """Does the holdout keep what the scores promise? The mean distance between promised and observed over ten groups of
    equal size: of the chance of 1; of each class's chance, the worst class counting; of predicted numbers, in standard
    deviations of the label."""
    error = _calibration(problem, truth, scores)
    if not math.isfinite(error):
        return Check(CALIBRATION, False, "no calibration error could be told on this holdout")
    return Check(CALIBRATION, error <= allowed, f"calibration error {error:.4f}, allowed {allowed}")


def _calibration(problem: str, truth: np.ndarray, scores: np.ndarray) -> float:
    if not len(truth):
        return math.nan
    if problem == "multiclass":
        classes = range(scores.shape[1])
        return max(calibration_error((truth == place).astype(float), scores[:, place]) for place in classes)
    spread = float(np.std(truth)) if problem == "regression" else 1.0
    return calibration_error(truth, scores) / spread if spread else math.nan


def check_business(
    units: Units,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    opponent: str,
    allowed: float,
    seed: int,
    resamples: int = RESAMPLES,
    unit: str = "",
) -> Check:
    """Are a candidate's decisions worth less than the opponent's by more than is allowed, and surely so (the upper
    bound of the difference lies below 0)? `ours` and `theirs` are the money of each row, in `unit`."""
    gap = difference(units, ours - theirs, seed=seed, resamples=resamples)
    if gap.estimate is None or gap.high is None or not math.isfinite(gap.estimate):
        return Check(BUSINESS, False, f"no difference in worth to {opponent} could be told")
    lost = gap.estimate < -allowed and gap.high < 0
    seen, bound = amount(abs(gap.estimate), unit), amount(allowed, unit)
    said = f"{seen} {'more' if gap.estimate >= 0 else 'less'} than {opponent} on this holdout"
    return Check(BUSINESS, not lost, f"its decisions are worth {said}, allowed {bound} less")
