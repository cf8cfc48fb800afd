"""Models are data: what is saved loads equal, and what was tampered with never loads."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, QuantileTransformer

from imago.contracts import Column, Contract
from imago.errors import ModelRefused
from imago.registry import allowed, load_model, save
from imago.registry.inputs import columns_of, frame_of
from imago.registry.outputs import scores_of
from imago.storage import Storage
from imago.training.baselines import GroupRate

FEATURES = [("gate", "categorical"), ("risk", "numeric")]
RANDOM = np.random.default_rng(3)
DATA = pa.table(
    {
        "gate": pa.array(RANDOM.choice(["A", "B", "C"], 400), pa.string(), mask=RANDOM.random(400) < 0.1),
        "risk": pa.array(RANDOM.normal(size=400), pa.float64(), mask=RANDOM.random(400) < 0.1),
        "unused": pa.array(range(400)),
    }
)
COLUMNS = columns_of(DATA, FEATURES)
LABEL = (np.nan_to_num(COLUMNS["risk"]) > 0).astype(int)


def trees():
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("c", encode, ["gate"]), ("n", "passthrough", ["risk"])])
    return Pipeline([("prepare", prepare), ("model", HistGradientBoostingClassifier(max_iter=5, random_state=0))])


def store(environment, pipeline):
    fitted = pipeline.fit(frame_of(COLUMNS), LABEL)
    scores = scores_of(fitted, frame_of(COLUMNS), "binary")
    artifact = save(
        environment, "models/m", fitted, features=FEATURES, problem="binary", columns=COLUMNS, scores=scores, facts={}
    )
    return artifact, scores


def test_trees_are_saved_in_both_formats_which_score_equally(dev):
    artifact, scores = store(dev, trees())
    assert artifact.artifact_format == "onnx"
    np.testing.assert_allclose(load_model(dev, artifact).predict(DATA), scores, atol=1e-5)
    np.testing.assert_array_equal(load_model(dev, artifact, format="skops").predict(DATA), scores)


def test_a_baseline_is_saved_and_loaded_by_the_same_code(dev):
    artifact, scores = store(dev, Pipeline([("model", GroupRate(columns=("gate",)))]))
    assert artifact.artifact_format == "skops"
    np.testing.assert_array_equal(load_model(dev, artifact).predict(DATA), scores)


def test_an_export_that_gives_other_scores_is_not_kept(dev):
    fitted = trees().fit(frame_of(COLUMNS), LABEL)
    artifact = save(
        dev, "models/m", fitted, features=FEATURES, problem="binary", columns=COLUMNS, scores=np.zeros(400), facts={}
    )
    assert artifact.artifact_format == "skops"
    card = json.loads(Storage(dev).read_bytes("models/m/model.json"))
    assert card["onnx"]["equal"] is False


def test_a_pipeline_that_has_no_export_is_kept_as_skops_with_the_reason(dev):
    numbers = make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=10))
    prepare = ColumnTransformer([("c", trees().steps[0][1].transformers[0][1], ["gate"]), ("n", numbers, ["risk"])])
    artifact, _ = store(dev, Pipeline([("prepare", prepare), trees().steps[1]]))
    assert artifact.artifact_format == "skops"
    reason = json.loads(Storage(dev).read_bytes("models/m/model.json"))["onnx"]["reason"]
    assert reason == "no export for QuantileTransformer of numbers"


def test_no_rows_give_no_scores(dev):
    artifact, _ = store(dev, trees())
    assert load_model(dev, artifact).predict(DATA.slice(0, 0)).shape == (0,)


def test_a_missing_column_is_refused_by_name(dev):
    artifact, _ = store(dev, trees())
    with pytest.raises(ModelRefused, match="risk"):
        load_model(dev, artifact).predict(DATA.drop_columns(["risk"]))


def test_a_frame_and_a_table_score_equally(dev):
    artifact, _ = store(dev, trees())
    scorer = load_model(dev, artifact)
    frame = pd.DataFrame({"gate": DATA["gate"].to_pylist(), "risk": DATA["risk"].to_pylist()})
    np.testing.assert_array_equal(scorer.predict(frame), scorer.predict(DATA))


@pytest.mark.parametrize("name", ["model.onnx", "model.skops", "model.json"])
def test_a_file_that_was_changed_is_refused_before_it_is_parsed(dev, name):
    artifact, _ = store(dev, trees())
    Storage(dev).write_bytes(f"models/m/{name}", b"not what the ledger knows")
    with pytest.raises(ModelRefused, match="digest"):
        load_model(dev, artifact, format="skops" if name == "model.skops" else None)


def test_an_address_outside_of_the_environment_is_refused(dev, make_environment):
    artifact, _ = store(dev, trees())
    with pytest.raises(ModelRefused, match="address"):
        load_model(make_environment("staging"), artifact)


def test_a_file_that_is_not_there_is_refused(dev):
    artifact, _ = store(dev, trees())
    with pytest.raises(ModelRefused, match="missing"):
        load_model(dev, dataclasses.replace(artifact, artifact_uri=artifact.artifact_uri + "x"))


def test_a_pipeline_with_a_function_of_its_own_cannot_be_saved(dev):
    with pytest.raises(ModelRefused, match="not allowed"):
        store(dev, Pipeline([trees().steps[0], ("odd", FunctionTransformer(np.nan_to_num)), trees().steps[1]]))


def hostile(change):
    """A skops file whose schema was changed by hand."""
    good = skops.io.dumps(trees().fit(frame_of(COLUMNS), LABEL))
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, change(json.loads(data)) if name == "schema.json" else data)
    return made.getvalue()


def as_system_call(schema):
    schema["content"]["content"]["steps"] = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "FunctionNode",
        "content": {},
    }
    return json.dumps(schema)


def as_other_class(schema):
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    return json.dumps(schema)


@pytest.mark.parametrize("change", [as_system_call, as_other_class, lambda _: "{", lambda _: '{"__class__": "dict"}'])
def test_a_schema_that_was_changed_by_hand_is_refused(change):
    with pytest.raises(ModelRefused):
        allowed.load(hostile(change))


def test_an_archive_with_a_foreign_member_is_refused():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("schema.json", "{}")
        target.writestr("../../evil.py", "print()")
    with pytest.raises(ModelRefused, match="archive"):
        allowed.check(made.getvalue())


def test_bytes_that_are_no_archive_are_refused():
    with pytest.raises(ModelRefused, match="not a skops file"):
        allowed.check(b"\x80\x04pickle")


def test_a_contract_comes_back_with_the_model_and_one_that_this_code_does_not_know_is_refused(dev):
    contract = Contract(model="m", columns=(Column(name="risk", data_type="double precision", at_least=0),))
    fitted = trees().fit(frame_of(COLUMNS), LABEL)
    scores = scores_of(fitted, frame_of(COLUMNS), "binary")
    given = {"features": FEATURES, "problem": "binary", "columns": COLUMNS, "scores": scores}
    kept = contract.as_dict()
    artifact = save(dev, "models/m", fitted, **given, facts={"contract": kept})
    newer = save(dev, "models/n", fitted, **given, facts={"contract": {**kept, "columns": [{"promise": "newer"}]}})

    assert load_model(dev, artifact).contract == contract
    assert load_model(dev, store(dev, trees())[0]).contract is None
    with pytest.raises(ModelRefused, match="this code does not know"):
        load_model(dev, newer)
