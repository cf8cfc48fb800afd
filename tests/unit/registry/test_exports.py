"""An ONNX file is believed where it was proved: on missing, unseen and extreme values, and at the thresholds."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from imago.errors import ModelRefused
from imago.registry import exporting, load_model, save
from imago.registry.answering import answers_of
from imago.registry.inputs import check, columns_of, frame_of
from imago.registry.outputs import scores_by_row, scores_of
from imago_models.flight_delays import CATEGORICAL, FLIGHT_DELAYS, NUMERIC
from proofs.strangers.pipelines import FEATURES as STRANGE
from proofs.strangers.pipelines import Stranger, apart, table

FEATURES = [("gate", "categorical"), ("risk", "numeric"), ("age", "numeric")]
ROWS = 240
RANDOM = np.random.default_rng(5)
WHOLE = {
    "gate": RANDOM.choice(["A", "B", "C"], ROWS).astype(object),
    "risk": RANDOM.normal(size=ROWS),
    "age": RANDOM.integers(0, 40, ROWS).astype(float),
}
GAPS = {**WHOLE, "risk": np.where(RANDOM.random(ROWS) < 0.2, np.nan, WHOLE["risk"])}
LABEL = ((np.nan_to_num(GAPS["risk"], nan=1.5) + 0.05 * GAPS["age"]) > 1.2).astype(int)
ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
SCALED = make_pipeline(SimpleImputer(), StandardScaler())


def fitted(model, numbers="passthrough", texts=ORDINAL, rows=GAPS, label=LABEL):
    parts = ColumnTransformer([("c", texts, ["gate"]), ("n", numbers, ["risk", "age"])], sparse_threshold=0)
    return Pipeline([("prepare", parts), ("model", model)]).fit(frame_of(rows), label)


def proof_of(graph, pipeline, rows=GAPS, problem="binary"):
    answers = answers_of(pipeline, rows, FEATURES, problem)
    expected = scores_of(pipeline, frame_of(rows), problem)
    return exporting.prove(graph, pipeline, FEATURES, rows, expected, problem, answers)


def stored(env, pipeline, rows=GAPS, problem="binary", features=FEATURES):
    return save(
        env, "models/m", pipeline, features=features, problem=problem, columns=rows,
        scores=scores_of(pipeline, frame_of(rows), problem), facts={},
    )  # fmt: skip


USUAL = {
    "logistic regression": (LogisticRegression(), SCALED, OneHotEncoder(handle_unknown="ignore")),
    "rare categories": (LogisticRegression(), SCALED, OneHotEncoder(handle_unknown="ignore", min_frequency=90)),
    "indicators": (LogisticRegression(), SimpleImputer(add_indicator=True), OneHotEncoder(handle_unknown="ignore")),
    "polynomials": (LogisticRegression(), make_pipeline(SCALED, PolynomialFeatures()), ORDINAL),
    "sparse bins": (
        LogisticRegression(),
        make_pipeline(SimpleImputer(), KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf")),
        ORDINAL,
    ),
    "boosting": (HistGradientBoostingClassifier(max_iter=8), "passthrough", ORDINAL),
    "a forest of missing values": (RandomForestClassifier(8, random_state=0), "passthrough", ORDINAL),
    "a forest": (RandomForestClassifier(8, random_state=0), SimpleImputer(), OneHotEncoder()),
    "a tree": (DecisionTreeClassifier(random_state=0), "passthrough", ORDINAL),
}


@pytest.mark.parametrize("kind", USUAL)
def test_the_usual_models_are_scored_by_an_onnx_file(dev, kind):
    assert stored(dev, fitted(*USUAL[kind])).artifact_format == "onnx"


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(), ExtraTreesRegressor(8, random_state=0)])
def test_numbers_are_predicted_by_an_onnx_file_wherever_they_lie(dev, model):
    pipeline = fitted(model, SCALED, label=1e6 + LABEL * 3.0 + GAPS["age"])
    assert stored(dev, pipeline, problem="regression").artifact_format == "onnx"


@pytest.mark.parametrize("candidate", FLIGHT_DELAYS.candidates, ids=lambda candidate: candidate.name)
def test_each_candidate_of_the_demo_has_its_onnx_file(dev, candidate):
    features = [*((name, "categorical") for name in CATEGORICAL), *((name, "numeric") for name in NUMERIC)]
    draw = np.random.default_rng(1)
    rows = {name: draw.choice([f"{name}{n}" for n in range(9)], 1200).astype(object) for name in CATEGORICAL}
    for name in NUMERIC:
        rows[name] = np.where(draw.random(1200) < 0.1, np.nan, draw.normal(100, 30, 1200))
    label = (draw.random(1200) < 0.3).astype(int)
    pipeline = candidate.build(FLIGHT_DELAYS, 7).fit(frame_of(rows), label)
    assert stored(dev, pipeline, rows, features=features).artifact_format == "onnx"


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), turn=st.integers(0, 40))
def test_a_drawn_pipeline_scores_drawn_rows_as_scikit_learn_does(strange_environment, seed, turn):
    stranger = Stranger(seed)
    rows = stranger.hostile(turn)
    expected = stranger.alone(rows)
    scores = stranger.saved(strange_environment).predict(table(rows)).reshape(expected.shape)
    assert apart(scores, expected, stranger.target) == []


@pytest.fixture(scope="module")
def strange_environment(postgres_url, tmp_path_factory):
    from proofs.postgres import new_environment

    return new_environment(postgres_url, tmp_path_factory.mktemp("strangers"), "dev")


def test_a_forest_answers_a_value_that_is_missing_for_the_first_time_as_the_pipeline_does(dev):
    pipeline = fitted(RandomForestClassifier(20, random_state=0))
    whole = {**GAPS, "risk": np.nan_to_num(GAPS["risk"])}
    scorer = load_model(dev, stored(dev, pipeline, whole))
    assert scorer.format == "onnx"
    day = {name: values[:60].copy() for name, values in WHOLE.items()}
    day["risk"][::2] = np.nan
    expected = pipeline.predict_proba(frame_of(day))[:, 1]
    assert np.ptp(expected) > 0.2
    np.testing.assert_allclose(scorer.predict(pa.table(day)), expected, atol=1e-5)


def changed(graph, attribute, change):
    """The graph with one attribute of its trees written otherwise."""
    model = onnx.load_model_from_string(graph)
    for node in model.graph.node:
        for entry in node.attribute:
            if entry.name == attribute:
                values = np.array(onnx.helper.get_attribute_value(entry))
                entry.CopyFrom(onnx.helper.make_attribute(attribute, change(values).tolist()))
    return model.SerializeToString()


def test_a_graph_without_the_way_of_missing_values_is_not_believed_on_a_holdout_without_any():
    pipeline = fitted(RandomForestClassifier(20, random_state=0))
    whole = {**GAPS, "risk": np.nan_to_num(GAPS["risk"])}
    graph = exporting.export(pipeline, FEATURES, "binary")
    assert proof_of(graph, pipeline, whole).equal
    wrong = proof_of(changed(graph, "nodes_missing_value_tracks_true", np.zeros_like), pipeline, whole)
    assert (wrong.equal, "missing value" in wrong.reason) == (False, True)


@pytest.mark.parametrize("end", [np.inf, -np.inf])
def test_a_threshold_that_is_one_float_off_is_not_believed(end):
    pipeline = fitted(DecisionTreeClassifier(max_depth=3, random_state=0))
    graph = exporting.export(pipeline, FEATURES, "binary")
    assert proof_of(graph, pipeline).equal

    def beside(values):
        return np.where(values == 0, values, np.nextafter(values.astype(np.float32), np.float32(end)))

    assert not proof_of(changed(graph, "nodes_values", beside), pipeline).equal


def test_a_graph_that_does_not_run_is_no_reason_to_fail():
    pipeline = fitted(DecisionTreeClassifier(max_depth=3, random_state=0))
    proof = proof_of(b"no graph", pipeline)
    assert (proof.equal, proof.reason.startswith("does not run")) == (False, True)


def test_a_pipeline_is_asked_what_it_refuses():
    refusing = fitted(RandomForestClassifier(5, random_state=0), texts=OneHotEncoder(), rows=WHOLE)
    answers = answers_of(refusing, WHOLE, FEATURES, "binary")
    assert answers.missing == {"gate"}
    assert answers.unseen == {"gate"}
    assert answers.known == {"gate": frozenset("ABC")}
    assert answers.infinite == answers.huge == {"risk", "age"}
    assert type(answers).from_dict(answers.as_dict()) == answers
    strict = answers_of(fitted(LogisticRegression(), rows=WHOLE), WHOLE, FEATURES, "binary")
    assert (strict.missing, strict.unseen, strict.huge) == ({"risk", "age"}, frozenset(), frozenset())
    bearing = answers_of(fitted(HistGradientBoostingClassifier(max_iter=3)), GAPS, FEATURES, "binary")
    assert not (bearing.missing | bearing.unseen | bearing.infinite | bearing.huge)


def test_rows_that_the_pipeline_refuses_have_no_score_and_the_others_theirs():
    pipeline = fitted(LogisticRegression(), SCALED, OneHotEncoder(), WHOLE)
    day = {name: values[:50].copy() for name, values in WHOLE.items()}
    day["gate"][[3, 30]] = "Z"
    day["age"][7] = np.inf
    scores = scores_by_row(pipeline, frame_of(day), "binary")
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3, 7, 30]
    good = np.delete(np.arange(50), [3, 7, 30])
    expected = pipeline.predict_proba(frame_of({name: values[good] for name, values in day.items()}))[:, 1]
    np.testing.assert_array_equal(scores[good], expected)


LARGE = {
    "dates": np.array([20130101 + 100 * month + day for month in range(12) for day in range(28)], dtype=float),
    "seconds": 1.3569984e9 + np.arange(336, dtype=float),
    "huge": 1e39 * (1 + np.arange(336) / 336),
    "whole": 2.0**53 - np.arange(336, dtype=float),
}


@pytest.mark.parametrize("kind", LARGE)
def test_numbers_that_float32_would_merge_stay_apart(dev, kind):
    values = LARGE[kind]
    rows = {"value": values}
    label = (np.arange(336) % 2).astype(int)
    trees = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=1, max_leaf_nodes=None, learning_rate=0.5)
    for model in (trees, make_pipeline(StandardScaler(), LogisticRegression())):
        pipeline = Pipeline([("model", model)]) if model is trees else model
        pipeline.fit(frame_of(rows), label)
        scorer = load_model(dev, stored(dev, pipeline, rows, features=[("value", "numeric")]))
        assert scorer.format == "onnx"
        scores = scorer.predict(pa.table(rows))
        np.testing.assert_allclose(scores, pipeline.predict_proba(frame_of(rows))[:, 1], atol=1e-5)
        if model is not trees:
            assert len(np.unique(scores)) > 300


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array([1, 2**53 + 1], pa.int64()), "9007199254740993"),
        (pa.array([1, -(2**60)], pa.int64()), "-1152921504606846976"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([Decimal("0.1"), None]), "decimal128"),
        (pa.array([date(2013, 1, 15)]), "date32"),
        (pa.array([datetime(2013, 1, 15)]), "timestamp"),
        (pa.array(["12"]), "string"),
    ],
)
def test_a_number_that_a_double_cannot_hold_is_refused_by_name_with_a_way_out(column, names):
    with pytest.raises(ModelRefused) as refused:
        columns_of(pa.table({"value": column}), [("value", "numeric")])
    assert refused.value.facts["column"] == "value"
    assert names in str(refused.value.facts["seen"])
    assert "dbt" in refused.value.next_step


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([True, None, False]), [1.0, np.nan, 0.0]),
        (pa.array([2**53, -(2**53), None], pa.int64()), [2.0**53, -(2.0**53), np.nan]),
        (pa.array([0.1, None, -0.0]), [0.1, np.nan, -0.0]),
        (pa.array([0.1], pa.float32()), [float(np.float32(0.1))]),
        (pa.nulls(2), [np.nan, np.nan]),
    ],
)
def test_what_a_double_holds_is_kept_exactly(column, values):
    kept = columns_of(pa.table({"value": column}), [("value", "numeric")])["value"]
    assert kept.dtype == np.float64
    np.testing.assert_array_equal(kept, values)


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([2**60 + 1, None], pa.int64()), [str(2**60 + 1), ""]),
        (pa.array([1.5, float("nan")]), ["1.5", ""]),
        (pa.array(["süd", "", None]), ["süd", "", ""]),
        (pa.array(["a", None]).dictionary_encode(), ["a", ""]),
    ],
)
def test_a_category_is_its_text(column, texts):
    assert columns_of(pa.table({"value": column}), [("value", "categorical")])["value"].tolist() == texts


def test_a_category_that_is_no_text_is_refused_by_name():
    with pytest.raises(ModelRefused, match="value") as refused:
        columns_of(pa.table({"value": pa.array([b"\xff\xfe"])}), [("value", "categorical")])
    assert refused.value.facts["column"] == "value"


def test_the_strangers_know_the_features_that_they_are_made_of():
    assert {name for name, _ in STRANGE} == set(Stranger(1).rows)


def test_a_training_is_refused_with_the_partition_before_anything_is_fitted():
    rows = pa.table({"id": pa.array([5, 2**53 + 1]), "gate": pa.array([2**60, None])})
    check(rows, [("gate", "categorical")], environment="dev")
    with pytest.raises(ModelRefused) as refused:
        check(rows, [("id", "numeric")], environment="dev", model="shop", table="features", partition="2013-01-05")
    assert refused.value.facts == {
        "environment": "dev", "model": "shop", "table": "features", "partition": "2013-01-05", "column": "id",
        "rule": "the model's inputs", "allowed": f"-{2**53} to {2**53}", "seen": str(2**53 + 1), "rows": 1,
    }  # fmt: skip
