"""What hostile artifacts are made of: an honest model to spoil, and payloads that leave a marker where their code runs.

A case gets a `Bait` and changes files or the ledger's facts. Unless it wants otherwise, the digests follow the changed
files: the attacker is one who could write the ledger's row too, or who trained the model.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from imago.environments import Environment
from imago.registry import Artifact, save

FEATURES = [("gate", "categorical"), ("risk", "numeric")]
MODEL = "model"  # the folder below the storage root


class Payload:
    """Unpickling it makes the marker: proof that code ran."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@dataclass
class Bait:
    """One copy of the honest model. `facts` is what the ledger says of it."""

    env: Environment
    marker: Path
    facts: dict[str, Any]
    format: str | None = None
    sealed: bool = True  # digests follow the files
    outside: Path = field(default_factory=Path)

    @property
    def folder(self) -> Path:
        return Path(self.env.storage_root) / MODEL

    @property
    def payload(self) -> bytes:
        return pickle.dumps(Payload(self.marker))

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def skops(self, data: bytes) -> None:
        self.format = "skops"
        self.write("model.skops", data)

    def members(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.read("model.skops"))) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def schema(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Changes the skops file's description of what is rebuilt."""
        members = self.members()
        schema = json.loads(members["schema.json"])
        changed = change(schema)
        members["schema.json"] = json.dumps(schema if changed is None else changed).encode()
        self.skops(zipped(members))

    def graph(self, change: Callable[[Any], Any]) -> None:
        """Changes the ONNX graph."""
        import onnx

        model = onnx.load_model_from_string(self.read("model.onnx"))
        change(model)
        self.format = "onnx"
        self.write("model.onnx", model.SerializeToString())

    def card(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Changes model.json."""
        card = json.loads(self.read("model.json"))
        changed = change(card)
        self.write("model.json", json.dumps(card if changed is None else changed).encode())

    def seal(self, folder: Path | None = None) -> None:
        """Lets the ledger's digests be those of the files as they lie there (or in `folder`, for good)."""
        self.sealed = folder is None
        for name in self.facts["artifacts"]:
            path = (folder or self.folder) / name
            if path.is_file():
                self.facts["artifacts"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
        preferred = {"onnx": "model.onnx", "skops": "model.skops"}[self.facts["artifact_format"]]
        self.facts["artifact_sha256"] = self.facts["artifacts"].get(preferred, self.facts["artifact_sha256"])


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        for name, data in members.items():
            target.writestr(name, data)
    return made.getvalue()


def frame() -> Any:
    """The rows as a pipeline wants them."""
    from imago.registry.inputs import columns_of, frame_of

    return frame_of(columns_of(rows(), FEATURES))


def rows(count: int = 300) -> pa.Table:
    random = np.random.default_rng(3)
    return pa.table({"gate": random.choice(["A", "B"], count), "risk": random.normal(size=count)})


def honest(env: Environment) -> Artifact:
    """Trees, saved by the product itself in both formats."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from imago.registry.inputs import columns_of, frame_of
    from imago.registry.outputs import scores_of

    columns = columns_of(rows(), FEATURES)
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("c", encode, ["gate"]), ("n", "passthrough", ["risk"])])
    trees = Pipeline([("prepare", prepare), ("model", HistGradientBoostingClassifier(max_iter=5, random_state=0))])
    fitted = trees.fit(frame_of(columns), (columns["risk"] > 0).astype(int))
    scores = scores_of(fitted, frame_of(columns), "binary")
    return save(env, MODEL, fitted, features=FEATURES, problem="binary", columns=columns, scores=scores, facts={})


def fresh(env: Environment, kept: Path, artifact: Artifact, marker: Path) -> Bait:
    """The honest model again, whatever the case before did to it."""
    folder = Path(env.storage_root) / MODEL
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)
    return Bait(env, marker, artifact.as_dict(), outside=kept.parent)
