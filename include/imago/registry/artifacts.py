"""Saving a fitted pipeline as files that hold data and no code.

A model's folder holds `model.skops` always, `model.onnx` where the export was proved equal, `golden.parquet` (rows of
the holdout with the fit's own answers), `MLmodel` and `requirements.txt` for MLflow's own loaders, and `model.json`:
inputs in order, problem type, the digests of the other files, and what it was trained on. The digests of all of them go
into the ledger, so that nothing in the folder can be exchanged unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from imago.environments import Environment
from imago.errors import ModelRefused
from imago.registry import allowed, encoding, exporting, golden, graphs, outside
from imago.registry.answering import Answers, answers_of
from imago.storage import Storage

log = logging.getLogger(__name__)

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
    storage = Storage(environment)
    data = allowed.dumped(outside.outer(pipeline, features, columns))
    files = {"model.skops": data, **outside.files(data, features, problem, facts)}
    answers = answers_of(pipeline, columns, features, problem)
    exported, proof = _exported(pipeline, features, problem, columns, scores, answers)
    if exported is not None:
        files["model.onnx"] = exported
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


def _exported(
    pipeline: Any,
    features: Sequence[tuple[str, str]],
    problem: str,
    columns: Mapping[str, np.ndarray],
    scores: np.ndarray,
    answers: Answers,
) -> tuple[bytes | None, exporting.Proof]:
    """The ONNX file, loaded and run as production does it, if it is proved equal; and the proof, or why there is none.

    Converter and runtime meet what they do not know with errors of every kind, also while they load or run a graph. An
    export is only a faster way to the same scores, so none of them costs the model more than that.
    """
    try:
        made = exporting.export(pipeline, features, problem)
        if not isinstance(made, bytes):
            return None, exporting.unproved(len(scores), made)
        session = graphs.session(made, [name for name, _ in features], 1)
        encoding.cut(made, features, session, 1)
        proof = exporting.prove(made, pipeline, features, columns, scores, problem, answers)
        return (made if proof.equal else None), proof
    except ModelRefused as error:
        reason = f"{error.message} ({error.facts.get('seen')})"
    except Exception as error:
        log.warning("the ONNX export of %s failed", type(pipeline).__name__, exc_info=True)
        lines = str(error).strip().splitlines() or [""]
        reason = f"the export failed: {type(error).__name__}: {lines[0]:.200}"
    return None, exporting.unproved(len(scores), reason)
