"""Saving a fitted pipeline as files that hold data and no code.

A model's folder holds `model.skops` always, `model.onnx` where the export was proved equal, `golden.parquet` (rows of
the holdout with the fit's own answers), and `model.json`: inputs in order, problem type, the digests of the other
files, and what it was trained on. The digest of `model.json` and of the
preferred file go into the ledger, so that nothing in the folder can be exchanged unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import allowed, exporting, golden, graphs
from imago.registry.answering import answers_of
from imago.storage import Storage

MODEL_JSON = "model.json"
FILES: dict[str, str] = {"onnx": "model.onnx", "skops": "model.skops"}


@dataclass(frozen=True)
class Artifact:
    """Where a model lies and what its files must hash to; the same fields as the ledger's row."""

    artifact_uri: str
    artifact_sha256: str  # of the file of `artifact_format`
    artifact_format: Literal["onnx", "skops"]
    artifacts: Mapping[str, str]  # file name -> sha256, model.json included

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "artifacts": dict(self.artifacts)}


def save(
    environment: Environment,
    folder: str,
    pipeline: Any,
    *,
    features: Sequence[tuple[str, str]],
    problem: str,
    columns: Mapping[str, np.ndarray],
    scores: np.ndarray,
    facts: Mapping[str, Any],
) -> Artifact:
    """Writes the model's files below `folder` (relative to the storage root).

    `columns` and `scores` are the holdout's inputs and the pipeline's own scores there: the ONNX export is kept only
    when it gives the same. `facts` go into model.json as they are (trained_until, snapshot, seed, the contract of the
    features). Raises ModelRefused when the pipeline holds a type that the production loader would refuse, so that this
    shows at training and not at night.
    """
    import skops.io

    storage = Storage(environment)
    files = {"model.skops": skops.io.dumps(pipeline)}
    allowed.check(files["model.skops"])
    answers = answers_of(pipeline, columns, features, problem)
    exported = exporting.export(pipeline, features, problem)
    if isinstance(exported, bytes):
        exported = _if_allowed(exported, [name for name, _ in features])
    if isinstance(exported, bytes):
        proof = exporting.prove(exported, pipeline, features, columns, scores, problem, answers)
        if proof.equal:
            files["model.onnx"] = exported
    else:
        proof = exporting.unproved(len(scores), exported)
    files[golden.FILE] = golden.written(columns, scores)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    chosen: Literal["onnx", "skops"] = "onnx" if "model.onnx" in files else "skops"
    card = {
        "format": 1,
        "features": [list(feature) for feature in features],
        "problem": problem,
        "files": digests,
        "onnx": asdict(proof),
        "answers": answers.as_dict(),
        **facts,
    }
    files[MODEL_JSON] = json.dumps(card, indent=1, sort_keys=True).encode()
    digests = {name: storage.write_bytes(f"{folder}/{name}", data) for name, data in files.items()}
    return Artifact(storage.uri(folder), digests[FILES[chosen]], chosen, digests)


def _if_allowed(model: bytes, features: Sequence[str]) -> bytes | str:
    """The ONNX file, or why production would not load it; the model is then kept as skops alone."""
    try:
        graphs.check(model, features)
    except ModelRefused as error:
        return f"{error.message} ({error.facts.get('seen')})"
    return model
