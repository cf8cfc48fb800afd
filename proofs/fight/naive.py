"""Loaders as they are found in the wild. Each runs what a hostile artifact hides, which is what makes it a bait.

They are called in a process of their own, and only by the proof.
"""

from __future__ import annotations

import io
import os
import pickle
import runpy
import site
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from proofs.fight.bait import Bait, frame

Loader = Callable[[Bait], Any]


def unpickled(name: str) -> Loader:
    """`pickle.load(open(...))`, which follows whatever address and link it is given."""
    return lambda bait: pickle.loads(Path(f"{bait.facts['artifact_uri']}/{name}").read_bytes())


def joblib_loaded(name: str) -> Loader:
    def load(bait: Bait) -> Any:
        import joblib

        return joblib.load(bait.folder / name)

    return load


def pandas_unpickled(name: str, compression: Any) -> Loader:
    def load(bait: Bait) -> Any:
        import pandas as pd

        return pd.read_pickle(bait.folder / name, compression=compression)

    return load


def called(name: str) -> Loader:
    """A cloudpickled function, called for its model."""

    def load(bait: Bait) -> Any:
        import cloudpickle

        return cloudpickle.loads(bait.read(name))()

    return load


def arrays(name: str) -> Loader:
    def load(bait: Bait) -> Any:
        found = np.load(bait.folder / name, allow_pickle=True)
        return {key: found[key] for key in found} if hasattr(found, "keys") else found

    return load


def unmarshalled(name: str) -> Loader:
    """Compiled code out of a file, as frameworks keep a layer's function."""

    def load(bait: Bait) -> None:
        import marshal

        exec(marshal.loads(bait.read(name)), {})

    return load


def evaluated(name: str) -> Loader:
    return lambda bait: eval(bait.read(name).decode())


def unsafe_yaml(name: str) -> Loader:
    def load(bait: Bait) -> Any:
        import yaml

        return yaml.unsafe_load(bait.read(name))

    return load


def with_mlflow(bait: Bait) -> Any:
    """MLflow's own loader, on the folder."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(bait.folder))


def with_skops(bait: Bait) -> Any:
    """skops, trusting the types that the file itself names, and one prediction."""
    import skops.io

    data = bait.read("model.skops")
    loaded = skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    return loaded.predict(frame())


def with_skops_and_code(bait: Bait) -> Any:
    """The same, with the model's own code folder in reach."""
    sys.path.insert(0, str(bait.folder / "code"))
    return with_skops(bait)


def imported(bait: Bait) -> None:
    """The folder as a package."""
    sys.path.insert(0, str(bait.folder.parent))
    __import__(bait.folder.name)


def started(bait: Bait) -> None:
    """A fresh interpreter that has the model's code folder in its path."""
    code = str(bait.folder / "code")
    subprocess.run([sys.executable, "-c", "pass"], env={**os.environ, "PYTHONPATH": code}, check=True)


def installed_site(bait: Bait) -> None:
    """The folder as a place for packages."""
    site.addsitedir(str(bait.folder))


def ran(name: str) -> Loader:
    return lambda bait: runpy.run_path(str(bait.folder / name))


def members_unpickled(suffix: str) -> Loader:
    """Members of the archive that look like pickles, as torch keeps its data."""

    def load(bait: Bait) -> list[Any]:
        with zipfile.ZipFile(bait.folder / "model.skops") as archive:
            return [pickle.loads(archive.read(name)) for name in archive.namelist() if name.endswith(suffix)]

    return load


def comment_unpickled(bait: Bait) -> Any:
    with zipfile.ZipFile(bait.folder / "model.skops") as archive:
        return pickle.loads(archive.comment)


def member_arrays(bait: Bait) -> list[Any]:
    """The arrays of a skops file, read by hand."""
    with zipfile.ZipFile(bait.folder / "model.skops") as archive:
        arrays = [archive.read(name) for name in archive.namelist() if name.endswith(".npy")]
    return [np.load(io.BytesIO(data), allow_pickle=True) for data in arrays]


def unzipped(bait: Bait) -> None:
    """An archive unpacked by hand: each member to the path that it names, links as links."""
    with zipfile.ZipFile(bait.folder / "model.skops") as archive:
        for info in archive.infolist():
            target = Path(os.path.join(bait.folder, info.filename))
            target.parent.mkdir(parents=True, exist_ok=True)
            if info.external_attr >> 16 & 0o170000 == 0o120000:
                target.symlink_to(archive.read(info).decode())
            else:
                target.write_bytes(archive.read(info))


def untarred(bait: Bait) -> None:
    """`tarfile` as it was before it had filters."""
    with tarfile.open(bait.folder / "model.skops") as archive:
        if hasattr(tarfile, "fully_trusted_filter"):
            archive.extraction_filter = tarfile.fully_trusted_filter
        archive.extractall(bait.folder)


def of_the_ledger(bait: Bait) -> list[Any]:
    """Every file that the ledger names, unpickled, but for those that say that they are something else."""
    folder = bait.facts["artifact_uri"]
    named = [
        name for name in bait.facts["artifacts"] if not name.endswith((".json", ".onnx", ".parquet", ".txt", "MLmodel"))
    ]
    return [pickle.loads(Path(f"{folder}/{name}").read_bytes()) for name in named]


def by_its_format(bait: Bait) -> Any:
    """The file of the format that is asked for, whatever that says."""
    return pickle.loads(Path(f"{bait.facts['artifact_uri']}/{bait.format}").read_bytes())
