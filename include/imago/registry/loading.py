"""Loading a champion: its digest first, then its bytes, and never anything that could run code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imago.contracts import Contract
from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import allowed, encoding, exporting, folders, graphs, outside
from imago.registry.answering import Answers
from imago.registry.artifacts import FILES, MODEL_JSON
from imago.registry.inputs import columns_of, frame_of
from imago.registry.outputs import no_scores, scores_by_row

log = logging.getLogger(__name__)
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Scorer:
    """A loaded model. `predict` gives the rows' `outputs.scores_of`, in their order; memory stays flat at any number of
    rows.

    `card` is the model's model.json: features, problem, trained_until, snapshot, onnx proof, what the model can answer.
    `contract` is that of the features that it was trained on; None for a model of before contracts were frozen at the
    fit. Where the export was not proved, the pipeline of `load_pipeline` scores instead.
    """

    model: Any
    format: str
    sha256: str
    card: Mapping[str, Any]
    contract: Contract | None = None
    quick: encoding.CutGraph | None = None  # the same model, by a shorter way to the same scores
    load_pipeline: Callable[[], Any] | None = None

    @cached_property
    def features(self) -> tuple[tuple[str, str], ...]:
        """The inputs in order, as (name, "numeric" | "categorical")."""
        return tuple((str(name), str(kind)) for name, kind in self.card["features"])

    @property
    def problem(self) -> str:
        return str(self.card["problem"])

    @cached_property
    def answers(self) -> Answers:
        """What the model cannot answer."""
        return Answers.from_dict(self.card.get("answers", {}))

    @cached_property
    def largest(self) -> float:
        """The size of numbers up to which the export was proved."""
        return float(self.card.get("onnx", {}).get("largest", np.inf))

    @cached_property
    def pipeline(self) -> Any:
        """The pipeline that was judged, which is what every other way of scoring has to equal."""
        if self.format == "skops":
            return self.model
        if self.load_pipeline is None:
            raise ModelRefused(
                "the model's pipeline is not at hand",
                rule="model files",
                next_step="load the model with `imago.registry.load_model`",
            )
        return self.load_pipeline()

    def as_pipeline(self) -> Scorer:
        """The same model, with the pipeline that was judged in every row."""
        return self if self.format == "skops" else replace(self, model=self.pipeline, format="skops", quick=None)

    def predict(self, data: pa.Table | pa.RecordBatch | pd.DataFrame) -> np.ndarray:
        """Scores of all rows, NaN for a row that the model refuses; extra columns are ignored, a missing one is refused
        by name."""
        if isinstance(data, pd.DataFrame):
            data = pa.Table.from_pandas(data, preserve_index=False)
        return np.concatenate([no_scores(self.card), *(self._predict_batch(part) for part in _batches(data))])

    def _predict_batch(self, data: pa.Table | pa.RecordBatch) -> np.ndarray:
        if self.format != "onnx":
            return scores_by_row(self.pipeline, frame_of(columns_of(data, self.features)), self.problem)
        numbers = columns_of(data, [(name, kind) for name, kind in self.features if kind == "numeric"])
        beyond = self._beyond(data, numbers)
        if beyond is None:
            return self._by_graph(data, numbers)
        scores = np.empty((data.num_rows, *no_scores(self.card).shape[1:]))
        for chosen, score in ((beyond, self._by_pipeline), (~beyond, self._by_graph)):
            if chosen.any():
                scores[chosen] = score(
                    data.filter(pa.array(chosen)), {name: values[chosen] for name, values in numbers.items()}
                )
        return scores

    def _beyond(self, data: pa.Table | pa.RecordBatch, numbers: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """The rows for which the export was not proved; None where it was for all."""
        answers, masks = self.answers, []
        for name, values in numbers.items():
            low, high = np.fmin.reduce(values, initial=np.inf), np.fmax.reduce(values, initial=-np.inf)
            if low < -self.largest or high > self.largest:
                masks.append(np.abs(values) > self.largest)
            if name in answers.missing and np.isnan(values).any():
                masks.append(np.isnan(values))
        for name, kind in self.features:
            if kind == "categorical" and name in (answers.missing | answers.unseen):
                masks.append(encoding.strange(data[name], answers.known.get(name), name in answers.missing))
        masks = [mask for mask in masks if mask.any()]
        return np.logical_or.reduce(masks) if masks else None

    def _by_graph(self, data: pa.Table | pa.RecordBatch, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        try:
            if self.quick is not None:
                return self.quick.run(data, numbers)
            texts = columns_of(data, [(name, kind) for name, kind in self.features if kind == "categorical"])
            return exporting.run(self.model, {**numbers, **texts})
        except ModelRefused:
            raise
        except Exception:  # onnxruntime has no common base for what it says of a row
            log.warning("the ONNX file of model %.12s failed; its pipeline scores", self.sha256, exc_info=True)
            return self._by_pipeline(data, numbers)

    def _by_pipeline(self, data: pa.Table | pa.RecordBatch, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        texts = columns_of(data, [(name, kind) for name, kind in self.features if kind == "categorical"])
        columns = {name: texts[name] if kind == "categorical" else numbers[name] for name, kind in self.features}
        return scores_by_row(self.pipeline, frame_of(columns), self.problem)


def load_model(environment: Environment, champion: Any, *, format: str | None = None, threads: int = 1) -> Scorer:
    """The model of a champion: a ledger row, an `Artifact`, or a mapping with their four artifact fields.

    `format` asks for `skops` where the ledger prefers `onnx`. Raises ModelRefused, before anything is parsed, when the
    address lies outside of the environment's storage, a file is missing, or a digest differs from the given one.
    """
    facts = _facts(champion)
    digests = facts["artifacts"]
    chosen = format or facts["artifact_format"]
    if chosen not in FILES or FILES[chosen] not in digests:
        raise ModelRefused(
            f"the model has no file in the format {chosen}",
            environment=environment.name,
            allowed=", ".join(name for name, file in FILES.items() if file in digests),
            seen=chosen,
            next_step="ask for an allowed format",
        )
    if digests[FILES[facts["artifact_format"]]] != facts["artifact_sha256"]:
        raise ModelRefused(
            "the champion's digest and the digests of its files disagree",
            environment=environment.name,
            rule="digest",
            next_step="look at the row with `imago champion history`, and roll back to a version that is whole",
        )
    folder = facts["artifact_uri"]
    folders.check(environment, folder, digests)
    card = folders.card(environment, folder, digests)
    contract = _contract(environment, folder, card)
    for name in sorted(
        {outside.MLMODEL, outside.REQUIREMENTS} & set(digests)
    ):  # for others: whole, and never used here
        folders.read(environment, folder, name, digests[name])
    data = folders.read(environment, folder, FILES[chosen], digests[FILES[chosen]])
    names = [name for name, _ in card["features"]]
    sha256 = digests[FILES[chosen]]
    if chosen != "onnx":
        return Scorer(outside.judged(allowed.load(data)), chosen, sha256, card, contract)
    model = graphs.session(data, names, threads)
    inputs = [(str(name), str(kind)) for name, kind in card["features"]]
    quick = encoding.cut(data, inputs, model, threads)

    def load_pipeline() -> Any:
        saved = folders.read(environment, folder, FILES["skops"], digests[FILES["skops"]])
        return outside.judged(allowed.load(saved))

    return Scorer(model, chosen, sha256, card, contract, quick, load_pipeline)


def _contract(environment: Environment, folder: str, card: Mapping[str, Any]) -> Contract | None:
    if card.get("contract") is None:
        return None
    try:
        return Contract.from_dict(card["contract"])
    except (KeyError, TypeError) as error:
        raise ModelRefused(
            f"the contract in the model's card says what this code does not know: {error}",
            environment=environment.name,
            rule="model card",
            seen=f"{folder}/{MODEL_JSON}",
            next_step="run the code that trained it or a later one, or train again",
        ) from error


def _facts(champion: Any) -> dict[str, Any]:
    names = ("artifact_uri", "artifact_sha256", "artifact_format", "artifacts")
    if isinstance(champion, Mapping):
        return {name: champion[name] for name in names}
    return {name: getattr(champion, name) for name in names}


def _batches(data: pa.Table | pa.RecordBatch) -> Iterator[pa.Table | pa.RecordBatch]:
    for start in range(0, data.num_rows, BATCH_ROWS):
        yield data.slice(start, BATCH_ROWS)
