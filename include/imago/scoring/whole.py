"""Predictions of features that are held as a whole, where a day is small enough."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import pyarrow as pa

from imago.registry import Scorer
from imago.scoring.inputs import check_stored, judge_of, no_scores, settle
from imago.scoring.judging import Judge, Tally
from imago.scoring.predictions import BATCH_ROWS, Predictor, Scores, empty
from imago.specs import ModelSpec, Scoring
from imago.tables.order import in_order


def predict(spec: ModelSpec, scorer: Scores, features: pa.Table, *, model_version: str) -> pa.Table:
    """The predictions of features that nobody judges, ordered by key.

    Raises RefusedPartition when a score is not a finite number, ModelRefused when the model's problem or classes are
    not the spec's.
    """
    rows, tally = _answers(Predictor(spec, scorer, Judge(Scoring(), None, ()), model_version), features)
    if tally.bad:
        raise no_scores({"model": spec.name}, tally.bad, tally.rows)
    return rows


def predict_day(
    spec: ModelSpec,
    scorer: Scorer,
    features: pa.Table,
    *,
    where: Mapping[str, str],
    published: Mapping[str, Any],
    version: str,
) -> pa.Table:
    """The predictions of a day as scoring would publish them.

    Raises as `settle` and `check_stored` do, and ModelRefused when the model's problem or classes are not the spec's.
    """
    return judge_day(spec, scorer, features, where=where, published=published, version=version)[0]


def judge_day(
    spec: ModelSpec,
    scorer: Scorer,
    features: pa.Table,
    *,
    where: Mapping[str, str],
    published: Mapping[str, Any],
    version: str,
) -> tuple[pa.Table, Tally]:
    """The same with what was found in the rows."""
    check_stored(
        [name for name, _ in scorer.features], features.schema.names, where, version=version, rows=features.num_rows
    )
    rows, tally = _answers(Predictor(spec, scorer, judge_of(spec, scorer, version), version), features)
    settle(spec, scorer, tally, where=where, published=published, version=version)
    return rows, tally


def _answers(predictor: Predictor, features: pa.Table) -> tuple[pa.Table, Tally]:
    predictor.check()
    ordered = in_order(features, predictor.spec.entity_keys).combine_chunks()
    answers = [
        predictor.answer(batch) for batch in ordered.to_batches(max_chunksize=BATCH_ROWS) or [empty(features.schema)]
    ]
    rows = [answer.rows for answer in answers if answer.rows is not None]
    return (
        pa.Table.from_batches(rows, predictor.schema(features.schema)),
        reduce(Tally.plus, (answer.tally for answer in answers)),
    )
