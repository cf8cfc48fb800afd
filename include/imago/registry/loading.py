"""Loading a champion: its digest first, then its bytes, and never anything that could run code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imago.contracts import Contract
from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import allowed, encoding, exporting, folders, graphs
from imago.registry.artifacts import FILES, MODEL_JSON
from imago.registry.inputs import columns_of, frame_of
from imago.registry.outputs import no_scores, scores_of

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Scorer:
    """A loaded model. `predict` gives the rows' `outputs.scores_of`, in their order; memory stays flat at any number of
    rows.

    `card` is the model's model.json: features, problem, trained_until, snapshot, onnx proof. `contract` is that of the
    features that it was trained on; None for a model of before contracts were frozen at the fit.
    """

    model: Any
    format: str
    sha256: str
    card: Mapping[str, Any]
    contract: Contract | None = None
    quick: encoding.CutGraph | None = None  # the same model, by a shorter way to the same scores

    @cached_property
    def features(self) -> tuple[tuple[str, str], ...]:
        """The inputs in order, as (name, "numeric" | "categorical")."""
        return tuple((str(name), str(kind)) for name, kind in self.card["features"])

    @property
    def problem(self) -> str:
        return str(self.card["problem"])

    def predict(self, data: pa.Table | pa.RecordBatch | pd.DataFrame) -> np.ndarray:
        """Scores of all rows; extra columns are ignored, a missing one is refused by name."""
        if isinstance(data, pd.DataFrame):
            data = pa.Table.from_pandas(data, preserve_index=False)
        return np.concatenate([no_scores(self.card), *(self._predict_batch(part) for part in _batches(data))])

    def _predict_batch(self, data: pa.Table | pa.RecordBatch) -> np.ndarray:
        if data.num_rows == 1 and self.format == "onnx":
            # A matrix of one row is multiplied by other instructions, with other last bits, and a row's score must not
            # depend on the company that it came in.
            return self._predict_batch(pa.concat_tables([pa.table(data)] * 2))[:1]
        if self.quick is not None:
            return self.quick.run(data)
        columns = columns_of(data, self.features)
        if self.format == "onnx":
            return exporting.run(self.model, columns, self.problem)
        return scores_of(self.model, frame_of(columns), self.problem)


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
    data = folders.read(environment, folder, FILES[chosen], digests[FILES[chosen]])
    names = [name for name, _ in card["features"]]
    sha256 = digests[FILES[chosen]]
    if chosen != "onnx":
        return Scorer(allowed.load(data), chosen, sha256, card, contract)
    model = graphs.session(data, names, threads)
    inputs = [(str(name), str(kind)) for name, kind in card["features"]]
    quick = encoding.cut(data, inputs, str(card["problem"]), model, threads)
    return Scorer(model, chosen, sha256, card, contract, quick)


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
