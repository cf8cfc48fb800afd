"""A model's folder, read as what the ledger says of it: these files with these digests, and nothing else.

All of it is judged before a byte is parsed. A file that no digest covers (code, a loader's settings, a pickle) is
harmless here, since nobody reads it; it is refused because somebody else's loader might.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from imago.environments import Environment
from imago.errors import ImagoError, ModelRefused
from imago.registry.allowed import LARGEST_FILE
from imago.registry.artifacts import MODEL_JSON
from imago.storage import Storage

_DATA = re.compile(r"[a-z][a-z0-9_]*\.(json|onnx|skops|parquet)|MLmodel|requirements\.txt")
_STEP = "train again, or roll back with `imago champion rollback` to a version whose files are whole"


def check(environment: Environment, folder: str, digests: Mapping[str, str]) -> None:
    """Raises ModelRefused unless the folder lies in the environment's storage and holds exactly the files of
    `digests`, all of them plain data: no other file, no folder, no symbolic link."""
    odd = [name for name in digests if not _DATA.fullmatch(name)]
    if odd:
        raise _refused(environment, "the ledger names a file that no model has", rule="model files", seen=odd[0])
    storage = Storage(environment)
    try:
        inside = storage.relative(folder)
        place = storage.path(inside)
    except ImagoError as error:
        said = f"the model's address was refused: {error.message}"
        raise _refused(environment, said, rule="model files", seen=folder) from error
    found = _listed(environment, storage, inside, place)
    for name in sorted(set(digests) - set(found)):
        raise _refused(environment, "a file of the model is missing", rule="model files", seen=f"{folder}/{name}")
    for name in sorted(set(found) - set(digests)):
        raise _refused(
            environment, "the model's folder holds what the ledger does not know", rule="model files",
            allowed=", ".join(sorted(digests)), seen=f"{folder}/{name}",
        )  # fmt: skip


def read(environment: Environment, folder: str, name: str, digest: str | None) -> bytes:
    """The bytes of one file of a checked folder, if they are of this digest. Raises ModelRefused."""
    storage = Storage(environment)
    path = storage.path(storage.relative(f"{folder}/{name}"))
    size = storage.filesystem.get_file_info(path).size or 0
    seen = f"{folder}/{name}"
    if size > LARGEST_FILE:
        raise _refused(environment, "a file of the model is too large", allowed=f"{LARGEST_FILE} bytes", seen=seen)
    try:
        data = storage.read_bytes(storage.relative(seen))
    except FileNotFoundError as error:  # taken away this very moment
        raise _refused(environment, "a file of the model is missing", rule="model files", seen=seen) from error
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        said = f"the file's digest is {found[:12]}, the ledger says {str(digest)[:12]}; nothing was loaded"
        raise _refused(environment, said, rule="digest", seen=seen)
    return data


def card(environment: Environment, folder: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """What model.json says: inputs in order, problem, and the digests of the other files, which have to be those of
    the ledger."""
    data = read(environment, folder, MODEL_JSON, digests.get(MODEL_JSON))
    try:
        said = json.loads(data)
        inputs = [(name, kind) for name, kind in said["features"]]
        whole = (
            all(isinstance(name, str) and kind in ("numeric", "categorical") for name, kind in inputs)
            and said["problem"] in ("binary", "multiclass", "regression")
            and all(digests.get(name) == digest for name, digest in said["files"].items())
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refused(environment, "the model's card cannot be read", rule="model card", seen=f"{error}") from error
    if not whole:
        raise _refused(environment, "the model's card does not fit the model", rule="model card", seen=folder)
    return dict(said)


def _listed(environment: Environment, storage: Storage, inside: str, place: str) -> list[str]:
    if environment.on_s3:
        return [path[len(inside) + 1 :] for path in storage.list(inside)]
    step = environment.storage_root
    for part in inside.split("/"):
        step = f"{step}/{part}"
        if os.path.islink(step):
            raise _refused(environment, "the model's address is a symbolic link", rule="model files", seen=step)
    found = []
    for entry in os.scandir(place) if os.path.isdir(place) else ():
        if not entry.is_file(follow_symlinks=False):
            what = "symbolic link" if entry.is_symlink() else "folder"
            raise _refused(environment, f"the model's folder holds a {what}", rule="model files", seen=entry.path)
        found.append(entry.name)
    return found


def _refused(environment: Environment, what: str, **facts: Any) -> ModelRefused:
    return ModelRefused(what, environment=environment.name, next_step=_STEP, **{"rule": "models are data", **facts})
