"""A model loads by MLflow's own documented calls, in a process without Imago, and gives its own scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imago.errors import ModelRefused
from imago.registry import load_model, outside, save
from imago.registry.inputs import frame_of
from imago.registry.outputs import scores_of
from imago.storage import Storage
from proofs.strangers.pipelines import FEATURES, TEXTS, Stranger

# What a stranger writes: the two calls of MLflow's documentation, on a frame of pandas.
STRANGER = """
import json, sys
import mlflow, numpy as np, pandas as pd

told = []
for uri in json.load(sys.stdin):
    frame = pd.read_parquet(uri + ".parquet")
    by_sklearn = mlflow.sklearn.load_model(uri)
    answer = "predict_proba" if hasattr(by_sklearn, "predict_proba") else "predict"
    generic = mlflow.pyfunc.load_model(uri)
    told.append({
        "pyfunc": np.asarray(generic.predict(frame)).tolist(),
        "pyfunc, other order": np.asarray(generic.predict(frame[frame.columns[::-1]])).tolist(),
        "sklearn": getattr(by_sklearn, answer)(frame).tolist(),
        "classes": generic.metadata.metadata["classes"],
        "inputs": generic.metadata.get_input_schema().input_names(),
        "needs": mlflow.pyfunc.get_model_dependencies(uri),
    })
assert not any(name.split(".")[0] == "imago" for name in sys.modules)
print(json.dumps(told))
"""


def outsider(uris: list[str]) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STRANGER], input=json.dumps(uris), capture_output=True, text=True,
        check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stranger_frame(columns: dict[str, np.ndarray], turn: int) -> pd.DataFrame:
    """The rows as pandas reads them from Parquet: a missing text is missing, and a column more is there."""
    frame = frame_of(columns)
    for name in TEXTS:
        texts = [None if text == "" else text for text in columns[name]]
        frame[name] = pd.Series(texts, dtype=object if turn % 2 else "str")
    return frame.assign(loaded_at="2026-01-01")


def test_drawn_pipelines_give_their_own_scores_in_a_process_without_imago(dev):
    drawn = [Stranger(seed) for seed in range(300, 318)]
    uris = []
    for turn, one in enumerate(drawn):
        save(
            dev, f"models/{turn}", one.pipeline, features=FEATURES, problem=one.problem, columns=one.rows,
            scores=scores_of(one.pipeline, frame_of(one.rows), one.problem),
            facts={"classes": ["a", "b", "c"] if one.problem == "multiclass" else []},
        )  # fmt: skip
        uris.append(Storage(dev).uri(f"models/{turn}"))
        stranger_frame(one.rows, turn).to_parquet(f"{uris[-1]}.parquet")

    for one, answer in zip(drawn, outsider(uris), strict=True):
        expected = scores_of(one.pipeline, frame_of(one.rows), one.problem)
        for call in ("pyfunc", "pyfunc, other order", "sklearn"):
            got = np.asarray(answer[call])
            np.testing.assert_array_equal(got[:, 1] if one.problem == "binary" else got.squeeze(), expected, call)
        assert answer["classes"] == (["a", "b", "c"] if one.problem == "multiclass" else [])
        assert answer["inputs"] == [name for name, _ in FEATURES]
        assert "scikit-learn==" in Path(str(answer["needs"])).read_text()
    assert {one.problem for one in drawn} == {"binary", "multiclass", "regression"}
    assert any((one.rows[name] == "").any() for one in drawn for name in TEXTS), "no text was missing"


@pytest.fixture
def stored(dev):
    """(the artifact, the rows, the scores) of a saved model."""
    one = Stranger(300)
    scores = scores_of(one.pipeline, frame_of(one.rows), one.problem)
    artifact = save(
        dev, "models/m", one.pipeline, features=FEATURES, problem=one.problem, columns=one.rows, scores=scores,
        facts={},
    )  # fmt: skip
    return artifact, frame_of(one.rows), scores


def test_a_changed_mlmodel_is_noticed_although_imago_does_not_read_it(dev, stored):
    artifact, rows, scores = stored
    np.testing.assert_allclose(load_model(dev, artifact).predict(rows), scores, atol=1e-5)
    Storage(dev).write_bytes("models/m/MLmodel", b"flavors: {python_function: {loader_module: evil}}")
    with pytest.raises(ModelRefused, match="digest") as refused:
        load_model(dev, artifact)
    assert refused.value.facts["seen"].endswith("models/m/MLmodel")


def test_the_same_model_gives_the_same_files(dev, stored):
    artifact, _, _ = stored
    one = Stranger(300)
    again = save(
        dev, "models/n", one.pipeline, features=FEATURES, problem=one.problem, columns=one.rows,
        scores=scores_of(one.pipeline, frame_of(one.rows), one.problem), facts={},
    )  # fmt: skip
    for name in (outside.MLMODEL, outside.REQUIREMENTS):
        assert artifact.artifacts[name] == again.artifacts[name]


def test_a_file_that_imago_did_not_save_is_no_model():
    with pytest.raises(ModelRefused, match="no pipeline that Imago saved"):
        outside.judged(Stranger(300).pipeline)
