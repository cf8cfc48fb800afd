"""The fault of one candidate or baseline: turned into one refusal that names it, the step and the reason, so that the
others can go on without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from imago.errors import (
    DamagedPartition,
    FitFailed,
    ImagoError,
    LedgerUnavailable,
    MissingPartition,
    SettingsError,
    StackError,
    shown,
)
from imago.specs import ModelSpec

# What no candidate can help: another try may well succeed, so the task fails and Airflow repeats it.
INFRASTRUCTURE = (StackError, SettingsError, LedgerUnavailable, MissingPartition, DamagedPartition)
_LONGEST = 300
_ROUNDING = 1e-6


@contextmanager
def blamed(model: str, name: str, step: str, next_step: str) -> Iterator[None]:
    """Raises FitFailed for whatever goes wrong inside, even a `sys.exit` in a builder. `step` completes the sentence
    "the contestant NAME could not be ..."."""
    try:
        yield
    except (FitFailed, *INFRASTRUCTURE):
        raise
    except (Exception, SystemExit) as error:
        facts = {
            key: value for key, value in getattr(error, "facts", {}).items() if key in ("column", "allowed", "seen")
        }
        raise FitFailed(
            f"{name} could not be {step}: {reason_of(error)}",
            model=model,
            next_step=getattr(error, "next_step", "") or next_step,
            **{"rule": "a candidate's fault is its own", **facts},
        ) from error


def reason_of(error: BaseException) -> str:
    """The first line of an error, with its type unless it is a refusal of Imago's own."""
    if isinstance(error, ImagoError):
        seen = error.facts.get("seen")
        return str(shown(error.message)) + (f" ({seen})" if seen is not None else "")
    lines = str(error).strip().splitlines()
    first = lines[0].strip() if lines else ""
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return str(shown(text))[:_LONGEST]


def check_shape(spec: ModelSpec, name: str, scores: np.ndarray, rows: int, part: str) -> None:
    """Raises FitFailed unless there is one score for each row (for `multiclass`, one for each of the classes)."""
    expected = (rows, len(spec.classes)) if spec.problem == "multiclass" else (rows,)
    if scores.shape != expected:
        raise FitFailed(
            f"{name} predicts an array of the wrong shape for the {part} rows",
            model=spec.name,
            rule="one score for each row",
            allowed=str(expected),
            seen=str(scores.shape),
            next_step="let the pipeline end in an estimator that answers one row with one prediction",
        )


def check_values(spec: ModelSpec, name: str, scores: np.ndarray, part: str) -> None:
    """Raises FitFailed for scores that are not finite, and for probabilities outside of 0 to 1."""
    rows = scores.reshape(len(scores), -1)
    for wrong, what, next_step in (
        (~np.isfinite(rows), "NaN or infinity", "impute missing values and scale large ones inside of the pipeline"),
        (
            (rows < -_ROUNDING) | (rows > 1 + _ROUNDING)
            if spec.problem != "regression"
            else np.zeros_like(rows, dtype=bool),
            "a probability outside of 0 to 1",
            "end the pipeline with a classifier whose predict_proba gives probabilities",
        ),
    ):
        count = int(wrong.any(axis=1).sum())
        if count:
            raise FitFailed(
                f"{name} predicts {what} for {count} of {len(rows)} {part} rows",
                model=spec.name,
                rule="finite scores",
                seen=str(rows[wrong][0]),
                rows=count,
                next_step=f"{next_step}, in include/imago_models",
            )
