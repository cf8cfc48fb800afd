"""A fresh process loads a model as production does, and answers what the fit answered; or the model is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from test_models import COLUMNS, LABEL, store, trees

from imago.errors import ModelRefused
from imago.registry import Artifact, golden, rehearsal
from imago.registry.inputs import columns_of
from imago.storage import Storage


def test_the_golden_batch_comes_back_as_it_was(dev):
    scores = np.linspace(0, 1, 400)
    rows, answers = golden.read(golden.written(COLUMNS, scores))
    assert rows.num_rows == golden.ROWS
    chosen = np.searchsorted(scores, answers)
    np.testing.assert_array_equal(scores[chosen], answers)
    assert (chosen[0], chosen[-1]) == (0, 399)
    for name, values in columns_of(rows, [("gate", "categorical"), ("risk", "numeric")]).items():
        np.testing.assert_array_equal(values, COLUMNS[name][chosen])


def test_answers_of_many_classes_keep_their_order():
    scores = np.arange(24.0).reshape(2, 12)
    rows, answers = golden.read(golden.written({"risk": np.array([1.0, np.nan], dtype=np.float32)}, scores))
    np.testing.assert_array_equal(answers, scores)
    assert rows.column_names == ["risk"]


def test_a_fresh_process_answers_what_the_fit_answered(dev):
    artifact, _ = store(dev, trees())
    seen = rehearsal.rehearse(dev, artifact.as_dict())
    np.testing.assert_allclose(seen.answers, seen.golden, atol=1e-5)
    assert len(seen.answers) == golden.ROWS
    assert seen.milliseconds > 0
    assert 20 < seen.memory_mb < 4000


def test_a_process_that_refuses_the_model_says_why(dev):
    artifact, _ = store(dev, trees())
    Storage(dev).write_bytes("models/m/model.onnx", b"something else")
    with pytest.raises(ModelRefused, match="the file's digest is"):
        rehearsal.rehearse(dev, artifact.as_dict())


def test_a_golden_batch_that_was_changed_is_refused(dev):
    artifact, _ = store(dev, trees())
    Storage(dev).write_bytes("models/m/golden.parquet", golden.written(COLUMNS, LABEL.astype(float)))
    with pytest.raises(ModelRefused, match="the file's digest is"):
        rehearsal.rehearse(dev, artifact.as_dict())


def test_a_model_without_golden_batch_is_refused(dev):
    artifact, _ = store(dev, trees())
    files = {name: digest for name, digest in artifact.artifacts.items() if name != golden.FILE}
    with pytest.raises(ModelRefused, match="no golden batch"):
        rehearsal.rehearse(dev, dataclasses.replace(artifact, artifacts=files).as_dict())


def test_a_process_that_takes_too_long_is_ended(dev, monkeypatch):
    artifact, _ = store(dev, trees())
    monkeypatch.setattr(rehearsal, "LONGEST", 0.01)
    with pytest.raises(ModelRefused, match="gave no answer"):
        rehearsal.rehearse(dev, artifact.as_dict())


@pytest.mark.parametrize("said", ["", "warm", '{"answers": [0.5]}', '{"answers": ["x"], "golden": [0.5]}'])
def test_an_answer_that_cannot_be_read_is_none(dev, monkeypatch, tmp_path, said):
    """Something else stands where the process's Python should be."""
    artifact, _ = store(dev, trees())
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{said}'\n")
    other.chmod(0o755)
    monkeypatch.setattr(rehearsal.sys, "executable", str(other))
    with pytest.raises(ModelRefused, match="no answer that can be read"):
        rehearsal.rehearse(dev, artifact.as_dict())


def test_what_lives_only_in_this_process_does_not_count(dev, monkeypatch):
    """A loader that was patched here, as a careless training script may do, is not there in production."""
    artifact, _ = store(dev, trees())
    from imago.registry import loading

    monkeypatch.setattr(loading.Scorer, "predict", lambda self, data: np.full(data.num_rows, 0.5))
    seen = rehearsal.rehearse(dev, artifact.as_dict())
    np.testing.assert_allclose(seen.answers, seen.golden, atol=1e-5)


def test_secrets_go_through_the_pipe_alone(dev, monkeypatch):
    artifact, _ = store(dev, trees())
    called = {}

    def spy(command, **given):
        called.update(command=command, **given)
        raise rehearsal.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(rehearsal.subprocess, "run", spy)
    with pytest.raises(ModelRefused):
        rehearsal.rehearse(dev, Artifact(**artifact.as_dict()).as_dict())
    secret = dev.ledger_url.get_secret_value()
    assert secret in called["input"]
    assert secret not in " ".join(called["command"])
    assert not any(secret in value for name, value in called["env"].items() if name == "PYTHONPATH")


def test_rows_are_spread_over_the_whole_holdout():
    table = pa.table({"n": np.arange(1000, dtype=np.float32)})
    rows, _ = golden.read(golden.written(columns_of(table, [("n", "numeric")]), np.zeros(1000)))
    assert rows.column("n").to_pylist()[-1] == 999
