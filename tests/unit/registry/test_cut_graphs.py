"""The short way through a model's graph gives the scores of the long way, bit by bit, in whatever batches."""

from __future__ import annotations

import numpy as np
import onnx
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from imago.registry import encoding, exporting
from imago.registry.inputs import columns_of, frame_of
from imago.registry.loading import Scorer

FEATURES = [("gate", "categorical"), ("risk", "numeric"), ("maker", "categorical"), ("age", "numeric")]
NAMES = [name for name, _ in FEATURES]
RANDOM = np.random.default_rng(3)
ROWS = 301
DATA = pa.table(
    {
        "gate": pa.array(RANDOM.choice(["A", "B", "C"], ROWS), pa.string(), mask=RANDOM.random(ROWS) < 0.1),
        "risk": pa.array(RANDOM.normal(size=ROWS), pa.float64(), mask=RANDOM.random(ROWS) < 0.1),
        "maker": pa.array(RANDOM.choice([f"M{n}" for n in range(20)], ROWS), pa.string()),
        "age": pa.array(RANDOM.integers(0, 30, ROWS)),
    }
)
COLUMNS = columns_of(DATA, FEATURES)
LABEL = (np.nan_to_num(COLUMNS["risk"]) + 0.1 * COLUMNS["age"] > 1).astype(int)
STRANGE = DATA.set_column(0, "gate", pa.array(["Q", None, "A"] * 100 + ["Z"], pa.string()))


def made(encoder, model) -> tuple[bytes, Pipeline]:
    numbers = SimpleImputer()
    prepare = ColumnTransformer([("texts", encoder, ["gate", "maker"]), ("numbers", numbers, ["risk", "age"])])
    pipeline = Pipeline([("prepare", prepare), ("model", model)]).fit(frame_of(COLUMNS), LABEL)
    exported = exporting.export(pipeline, FEATURES, "binary")
    assert isinstance(exported, bytes)
    return exported, pipeline


ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
ENCODERS = {
    "ordinal": (ORDINAL, HistGradientBoostingClassifier(max_iter=20, random_state=0)),
    "one-hot": (OneHotEncoder(handle_unknown="ignore", min_frequency=5), LogisticRegression()),
    "target": (TargetEncoder(cv=3, random_state=0), RandomForestClassifier(10, max_depth=5, random_state=0)),
}


@pytest.fixture(params=ENCODERS)
def graph(request) -> bytes:
    return made(*ENCODERS[request.param])[0]


def dictionaries(rows: pa.Table) -> pa.Table:
    for place, (name, kind) in enumerate(FEATURES):
        if kind == "categorical":
            rows = rows.set_column(place, name, rows[name].dictionary_encode())
    return rows


def test_the_cut_graph_gives_the_same_bits_for_texts_dictionaries_and_strangers(graph):
    whole = exporting.session_of(graph)
    short = encoding.cut(graph, FEATURES, whole, 1)
    assert short is not None
    assert len(short.encoders) == 2
    for rows in (DATA, STRANGE, DATA.slice(17, 40)):
        expected = exporting.run(whole, columns_of(rows, FEATURES))
        for given in (rows, dictionaries(rows), pa.concat_tables([rows.slice(0, 9), rows.slice(9)])):
            np.testing.assert_array_equal(short.run(given, columns_of(given, FEATURES)), expected)


def test_a_row_has_the_same_score_alone_and_in_any_company(graph):
    whole = exporting.session_of(graph)
    short = encoding.cut(graph, FEATURES, whole, 1)
    card = {"features": FEATURES, "problem": "binary"}
    for quick in (short, None):
        scorer = Scorer(whole, "onnx", "", card, None, quick)
        expected = scorer.predict(DATA)
        for size in (1, 2, 7, 100):
            parts = [scorer.predict(DATA.slice(start, size)) for start in range(0, ROWS, size)]
            np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_a_graph_that_answers_otherwise_when_it_is_cut_is_not_used(caplog):
    exported, _ = made(*ENCODERS["one-hot"])
    other = onnx.load_model_from_string(exported)
    (last,) = [node for node in other.graph.node if node.op_type == "MatMul"]
    (weights,) = [tensor for tensor in other.graph.initializer if tensor.name == last.input[1]]
    changed = 1.01 * onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    assert encoding.cut(exported, FEATURES, exporting.session_of(other.SerializeToString()), 1) is None
    assert "gives other scores" in caplog.text


def test_a_graph_without_texts_is_left_whole():
    numbers = [feature for feature in FEATURES if feature[1] == "numeric"]
    rows = {name: COLUMNS[name] for name, _ in numbers}
    prepare = ColumnTransformer([("numbers", SimpleImputer(), ["risk", "age"])])
    pipeline = Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(frame_of(rows), LABEL)
    exported = exporting.export(pipeline, numbers, "binary")
    assert encoding.cut(exported, numbers, exporting.session_of(exported), 1) is None
