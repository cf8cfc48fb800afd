"""Pickles and code, in the place of a model or beside it."""

from __future__ import annotations

import gzip
import io
import marshal
import pickle
import zipfile
from typing import Any

import numpy as np

from proofs.fight import naive
from proofs.fight.bait import Bait, Payload, zipped
from proofs.fight.corpus.cases import Case, listed

CASES: list[Case] = []
case = listed(CASES)


def _source(bait: Bait) -> bytes:
    """Python that makes the marker wherever it runs."""
    return f"import os; os.path.exists({str(bait.marker)!r}) or os.mkdir({str(bait.marker)!r})\n".encode()


@case("a pickle named model.skops", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(bait.payload)


@case("a pickle named model.onnx", naive.unpickled("model.onnx"))
def _(bait: Bait) -> None:
    bait.write("model.onnx", bait.payload)


@case("a pickle named model.json", naive.unpickled("model.json"))
def _(bait: Bait) -> None:
    bait.write("model.json", bait.payload)


@case("a pickle of plain text named model.json", naive.unpickled("model.json"))
def _(bait: Bait) -> None:
    bait.write("model.json", pickle.dumps(Payload(bait.marker), protocol=0))


@case("a pickle in front of an honest archive", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(bait.payload + bait.read("model.skops"))


@case("a pickle in the archive's comment", naive.comment_unpickled)
def _(bait: Bait) -> None:
    made = io.BytesIO(bait.read("model.skops"))
    with zipfile.ZipFile(made, "a") as archive:
        archive.comment = bait.payload
    bait.skops(made.getvalue())


@case("a pickle as a member of the archive", naive.members_unpickled(".pkl"))
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "0.pkl": bait.payload}))


@case("an archive of torch's kind, whose data is a pickle", naive.members_unpickled("data.pkl"))
def _(bait: Bait) -> None:
    bait.skops(zipped({"archive/data.pkl": bait.payload, "archive/version": b"3\n"}))


@case("a pickle gzipped", naive.pandas_unpickled("model.skops", "gzip"))
def _(bait: Bait) -> None:
    bait.skops(gzip.compress(bait.payload))


@case("a pickle beside an honest model", naive.pandas_unpickled("features.pkl", None))
def _(bait: Bait) -> None:
    bait.write("features.pkl", bait.payload)


@case("a joblib file named model.skops", naive.joblib_loaded("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(_joblib(bait, 0))


@case("a compressed joblib file named model.onnx", naive.joblib_loaded("model.onnx"))
def _(bait: Bait) -> None:
    bait.write("model.onnx", _joblib(bait, 3))


@case("a joblib file as the model, asked for by its format", naive.joblib_loaded("model.joblib"))
def _(bait: Bait) -> None:
    bait.write("model.joblib", _joblib(bait, 0))
    bait.facts["artifacts"]["model.joblib"] = ""
    bait.format = "joblib"


@case("a cloudpickled function", naive.called("model.skops"))
def _(bait: Bait) -> None:
    import cloudpickle

    place = str(bait.marker)

    def build() -> None:
        import os

        os.mkdir(place)

    cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["_"]))
    bait.skops(cloudpickle.dumps(build))


@case("an array of objects named model.skops", naive.arrays("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(_objects(bait))


@case("an .npz of objects named model.skops", naive.arrays("model.skops"))
def _(bait: Bait) -> None:
    made = io.BytesIO()
    np.savez(made, weights=np.array([Payload(bait.marker)], dtype=object))
    bait.skops(made.getvalue())


@case("an array of objects as a member of the archive", naive.member_arrays)
def _(bait: Bait) -> None:
    members = bait.members()
    name = next(name for name in members if name.endswith(".npy"))
    bait.skops(zipped({**members, name: _objects(bait)}))


@case("compiled code named model.skops", naive.unmarshalled("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(marshal.dumps(compile(_source(bait), "model", "exec")))


@case("a card that is an expression", naive.evaluated("model.json"))
def _(bait: Bait) -> None:
    bait.write("model.json", f"__import__('os').mkdir({str(bait.marker)!r})".encode())


@case("a card of YAML that builds an object", naive.unsafe_yaml("model.json"))
def _(bait: Bait) -> None:
    bait.write("model.json", f"!!python/object/apply:os.mkdir [{bait.marker}]".encode())


@case("an MLmodel of YAML that builds an object, beside an honest model", naive.unsafe_yaml("MLmodel"))
def _(bait: Bait) -> None:
    bait.write("MLmodel", f"flavors: !!python/object/apply:os.mkdir [{bait.marker}]\n".encode())


def _flavor(bait: Bait, **settings: str) -> None:
    lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
    bait.write("MLmodel", f"flavors:\n  python_function:\n{lines}".encode())


@case("an MLmodel with a loader_module in a code/ folder", naive.with_mlflow)
def _(bait: Bait) -> None:
    bait.write("code/evil_loader.py", _source(bait) + b"def _load_pyfunc(path): return object()\n")
    _flavor(bait, loader_module="evil_loader", code="code")


@case("an MLmodel with a loader_module beside an honest model", naive.with_mlflow)
def _(bait: Bait) -> None:
    bait.write("evil_beside.py", _source(bait) + b"def _load_pyfunc(path): return object()\n")
    _flavor(bait, loader_module="evil_beside", code=".")


@case("an MLmodel with a python_model.pkl", naive.with_mlflow)
def _(bait: Bait) -> None:
    bait.write("python_model.pkl", bait.payload)
    _flavor(bait, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl", cloudpickle_version="3.0")


@case("an MLmodel of MLflow's scikit-learn kind with a pickle", naive.with_mlflow)
def _(bait: Bait) -> None:
    bait.write("model.pkl", bait.payload)
    _flavor(bait, loader_module="mlflow.sklearn", model_path="model.pkl", predict_fn="predict")
    with (bait.folder / "MLmodel").open("a") as file:
        file.write("  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n")


@case("a code/ folder with a sitecustomize.py", naive.started)
def _(bait: Bait) -> None:
    bait.write("code/sitecustomize.py", _source(bait))


@case("a .pth file beside an honest model", naive.installed_site)
def _(bait: Bait) -> None:
    bait.write("model.pth", _source(bait))


@case("an __init__.py beside an honest model", naive.imported)
def _(bait: Bait) -> None:
    bait.write("__init__.py", _source(bait))


@case("a setup.py beside an honest model", naive.ran("setup.py"))
def _(bait: Bait) -> None:
    bait.write("setup.py", _source(bait))


@case("a model of Python code, named model.skops", naive.ran("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(_source(bait))


@case("an archive of Python code, which an interpreter runs", naive.ran("model.skops"))
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "__main__.py": _source(bait)}))


def _joblib(bait: Bait, compress: int) -> bytes:
    import joblib

    made: Any = io.BytesIO()
    joblib.dump(Payload(bait.marker), made, compress=compress)
    return bytes(made.getvalue())


def _objects(bait: Bait) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([Payload(bait.marker)], dtype=object), allow_pickle=True)
    return made.getvalue()
