"""Looks for the cause when a release is blocked: reads the frozen rows, decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from imago.registry.inputs import columns_of
from imago.selection import Verdict
from imago.selection.bootstrap import differences
from imago.selection.causes import Cause, Rows
from imago.selection.diagnosis import diagnose
from imago.selection.units import Units
from imago.specs import ModelSpec
from imago.training.snapshot import Snapshot, labels


def causes_of(
    spec: ModelSpec, frozen: Snapshot, verdict: Verdict, predictions: Mapping[str, np.ndarray]
) -> tuple[Cause, ...]:
    """The likely causes of a verdict that the baselines blocked, the likeliest first; none of any other verdict."""
    if verdict.outcome != "blocked":
        return ()
    fit, holdout = frozen.part("fit"), frozen.part("holdout")
    pair = (str(verdict.challenger), str(verdict.best_baseline))
    leads = differences(
        metric=spec.primary_metric,
        higher_is_better=not spec.lower_is_better,
        units=Units.of_rows(spec, holdout),
        truth=labels(holdout, spec),
        scores=predictions,
        pairs=[(one.name, pair[1]) for one in spec.candidates],
        seed=spec.training.seed,
    )
    found = diagnose(
        _rows(fit, spec), _rows(holdout, spec), problem=spec.problem, metric=spec.primary_metric,
        smallest_effect=spec.smallest_effect, lead=leads[pair],
    )  # fmt: skip
    return tuple(found)


def _rows(part: pa.Table, spec: ModelSpec) -> Rows:
    inputs = columns_of(part, [(feature.name, feature.kind) for feature in spec.features])
    return Rows(part.column("ds").to_numpy(), part.column(spec.label).to_numpy(), inputs)
