"""From features to predictions, batch by batch. No storage, no ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago.answers import told
from imago.contracts.inputs import Broken
from imago.registry.outputs import check_outputs
from imago.scoring.judging import Judge, Tally, not_finite
from imago.specs import ModelSpec

REASON = "reason"
# Every batch but a day's last has as many rows: its profile, like its rows, does not depend on how a day was split.
BATCH_ROWS = 32_768


class Scores(Protocol):
    """What scoring needs of a model: its card, and scores as `registry.outputs.scores_of` gives them."""

    @property
    def card(self) -> Mapping[str, Any]: ...
    def predict(self, data: pa.Table | pa.RecordBatch) -> np.ndarray: ...


@dataclass(frozen=True)
class Answer:
    """What became of one batch: its features in the types of the champion's training, its predictions (None when the
    day is refused for it), and what was found."""

    features: pa.RecordBatch
    rows: pa.RecordBatch | None
    tally: Tally


@dataclass(frozen=True)
class Predictor:
    """A champion that answers batches of feature rows, under the spec's policy for bad rows.

    Nothing stands in a row but key, ds, event_time, what `told` gives, model_version, and `reason` where the policy
    gives any: the same model on the same features gives the same rows in any run, and in any batch.
    """

    spec: ModelSpec
    scorer: Scores
    judge: Judge
    model_version: str

    def check(self) -> None:
        """Raises ModelRefused when the model's problem or classes are not the spec's."""
        check_outputs(self.spec, self.scorer.card)

    def answer(self, features: pa.RecordBatch) -> Answer:
        """The predictions of one batch, in its order."""
        features = self.judge.as_trained(features)
        checks, broken = self.judge.look(features)
        if self.judge.stops(broken):
            return Answer(features, None, self.judge.verdict(features.num_rows, checks, broken).tally)
        unanswered = self.judge.unanswered(broken)
        scores = self._scores(features, unanswered)
        lost = not_finite(scores, unanswered)
        if self.judge.stops(lost):
            lost = [replace(one, seen=self._blamed(features, scores, one)) for one in lost]
        verdict = self.judge.verdict(features.num_rows, checks, [*broken, *lost])
        if verdict.tally.stops:
            return Answer(features, None, verdict.tally)
        rows = self._rows(features, scores, verdict.nulled, verdict.reasons)
        return Answer(features, rows, verdict.tally)

    def _scores(self, features: pa.RecordBatch, unanswered: np.ndarray | None) -> np.ndarray:
        """The scores of all rows; NaN for those that the model is not asked for."""
        rows = features if unanswered is None else features.filter(pa.array(~unanswered))
        # An estimator refuses no rows, which are right for a day that was published empty.
        asked = np.asarray(self.scorer.predict(rows) if rows.num_rows else self._no_scores, dtype=np.float64)
        if unanswered is None:
            return asked
        scores = np.full((features.num_rows, *asked.shape[1:]), np.nan)
        scores[~unanswered] = asked
        return scores

    def _blamed(self, features: pa.RecordBatch, scores: np.ndarray, lost: Broken) -> str:
        """Which single values of the first lost row keep it from a score: with that of a row that has one, it has."""
        finite = np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)
        first = pa.Table.from_batches([features.slice(pc.index(lost.mask, True).as_py(), 1)])
        names = [name for name in self.judge.features if name in features.schema.names]
        if not finite.any() or not names:
            return lost.seen
        good = pa.Table.from_batches([features.slice(int(finite.argmax()), 1)])
        healed = pa.concat_tables(
            first.set_column(first.schema.get_field_index(name), first.schema.field(name), good.column(name))
            for name in names
        )
        answers = np.asarray(self.scorer.predict(healed)).reshape(len(names), -1)
        shown = {name: repr(first.column(name)[0].as_py())[:80] for name in names}
        shown |= dict.fromkeys(self.judge.personal, "a personal value")
        causes = [
            f"{name} = {shown[name]}" for name, answer in zip(names, answers, strict=True) if np.isfinite(answer).all()
        ]
        return f"{lost.seen}; it comes from {' or '.join(causes)}" if causes else lost.seen

    def schema(self, features: pa.Schema) -> pa.Schema:
        """The columns of the answers to such features."""
        return self._rows(empty(features), self._no_scores, None, None).schema

    @property
    def _no_scores(self) -> np.ndarray:
        return np.empty((0, len(self.spec.classes)) if self.spec.problem == "multiclass" else 0)

    def _rows(
        self,
        features: pa.RecordBatch,
        scores: np.ndarray,
        nulled: pa.BooleanArray | None,
        reasons: pa.Array | None,
    ) -> pa.RecordBatch:
        rows, spec = features.num_rows, self.spec
        answers = told(spec, scores)
        if nulled is not None:
            answers = {
                name: pc.if_else(nulled, pa.scalar(None, column.type), column) for name, column in answers.items()
            }
        columns = {
            **{name: _plain(features.column(name)) for name in spec.entity_keys},
            "ds": features.column("ds").cast(pa.string()),
            "event_time": features.column(spec.event_time),
            **answers,
            "model_version": pa.repeat(pa.scalar(self.model_version, pa.string()), rows),
        }
        if spec.scoring.gives_reasons:
            columns[REASON] = pa.nulls(rows, pa.string()) if reasons is None else reasons
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _plain(column: pa.Array) -> pa.Array:
    """A part of the key that is a feature too may come dictionary-encoded."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def empty(schema: pa.Schema) -> pa.RecordBatch:
    """No rows, of these columns: a day without rows is judged too."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
