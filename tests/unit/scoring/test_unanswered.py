"""A row that the model cannot answer: it alone has no score, or the day is refused with its column and value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, TargetEncoder

from imago.errors import RefusedPartition
from imago.registry import load_model, save
from imago.registry.inputs import frame_of
from imago.registry.outputs import scores_of
from imago.scoring.inputs import judge_of, settle
from imago.scoring.predictions import Predictor
from imago.specs import Scoring
from proofs.strangers.pipelines import spec_of

FEATURES = [("shop", "categorical"), ("size", "numeric"), ("code", "numeric")]
DRAW = np.random.default_rng(2)
ROWS = {
    "shop": DRAW.choice(["a/1", "ü", "東"], 150).astype(object),
    "size": DRAW.normal(size=150),
    "code": DRAW.integers(0, 50, 150).astype(float),
}
LABEL = (ROWS["size"] + (ROWS["shop"] == "ü") > 0.3).astype(int)
BINS = KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf")
MODELS = {
    "one-hot": (OneHotEncoder(), "passthrough", LogisticRegression()),
    "ordinal": (OrdinalEncoder(), "passthrough", RandomForestClassifier(5, random_state=0)),
    "target": (TargetEncoder(cv=2), "passthrough", LogisticRegression()),
    "bins": (OneHotEncoder(handle_unknown="ignore"), BINS, LogisticRegression()),
    "boosting": (OrdinalEncoder(), "passthrough", HistGradientBoostingClassifier(max_iter=5)),
}
# By model: what it refuses.
REFUSES = {
    "one-hot": {"new", "gone", "empty", "missing", "infinite", "whole"},
    "ordinal": {"new", "gone", "empty", "infinite", "huge", "whole"},
    "target": {"missing", "infinite", "whole"},
    "bins": {"missing", "infinite", "whole"},
    "boosting": {"new", "gone", "empty", "whole"},
}
SPOILS = {
    "new": ("shop", "new one", "unseen:shop"),
    "gone": ("shop", None, "missing:shop"),
    "empty": ("shop", "", "unseen:shop"),
    "missing": ("size", None, "missing:size"),
    "infinite": ("size", float("-inf"), "range:size"),
    "huge": ("size", 1e39, "range:size"),
    "whole": ("code", 2**53 + 1, "range:code"),
}


@pytest.fixture(scope="module")
def scorers(postgres_url, tmp_path_factory):
    from proofs.postgres import new_environment

    env = new_environment(postgres_url, tmp_path_factory.mktemp("unanswered"), "dev")
    made = {}
    for name, (texts, numbers, model) in MODELS.items():
        parts = ColumnTransformer([("c", texts, ["shop"]), ("n", numbers, ["size", "code"])], sparse_threshold=0)
        pipeline = Pipeline([("prepare", parts), ("model", model)]).fit(frame_of(ROWS), LABEL)
        scores = scores_of(pipeline, frame_of(ROWS), "binary")
        artifact = save(
            env, f"models/{name}", pipeline, features=FEATURES, problem="binary", columns=ROWS, scores=scores,
            facts={"categories": {"shop": ["a/1", "ü", "東"]}},
        )  # fmt: skip
        made[name] = (load_model(env, artifact), pipeline)
    return made


def day(rows, **spoiled):
    """A batch of good rows; `spoiled` are values by column and row."""
    columns = {name: values[:rows].tolist() for name, values in ROWS.items()}
    columns["code"] = [int(value) for value in columns["code"]]
    for name, cells in spoiled.items():
        for row, value in cells.items():
            columns[name][row] = value
    types = {"shop": pa.string(), "size": pa.float64(), "code": pa.int64()}
    arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
    known = {"key": pa.array([f"k{row}" for row in range(rows)]), "ds": pa.repeat("2013-02-01", rows),
             "event_time": pa.repeat(pa.scalar(0, pa.timestamp("us")), rows)}  # fmt: skip
    return pa.RecordBatch.from_pydict(known | arrays)


def answered(scorer, batch, **policy):
    spec = spec_of("binary", "score").model_copy(update={"scoring": Scoring(max_bad_rate=1.0, **policy)})
    answer = Predictor(spec, scorer, judge_of(spec, scorer, "3"), "3").answer(batch)
    where = {"environment": "dev", "model": "stranger", "table": "features", "partition": "2013-02-01"}
    settle(spec, scorer, answer.tally, where=where, published={}, version="3")
    return answer.rows.to_pylist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    model=st.sampled_from(sorted(MODELS)),
    spoils=st.dictionaries(st.integers(0, 19), st.sampled_from(sorted(SPOILS)), min_size=1, max_size=6),
    policy=st.sampled_from([{"bad_rows": "null"}, {"bad_rows": "null", "unseen": "null"}]),
)
def test_under_null_only_the_rows_that_the_model_refuses_lose_their_score(scorers, model, spoils, policy):
    scorer, pipeline = scorers[model]
    spoiled = {}
    for row, kind in spoils.items():
        name, value, _ = SPOILS[kind]
        spoiled.setdefault(name, {})[row] = value
    rows = answered(scorer, day(20, **spoiled), **policy)
    good = day(20).to_pydict()
    for row, told in enumerate(rows):
        kind = spoils.get(row)
        if kind in REFUSES[model] or (kind in ("new", "empty") and policy.get("unseen") == "null"):
            assert (told["score"], told["decision"], told["reason"]) == (None, None, SPOILS[kind][2])
            continue
        alone = {name: np.array([good[name][row]], dtype=ROWS[name].dtype) for name, _ in FEATURES}
        if kind is not None:
            name, value, _ = SPOILS[kind]
            missing = np.nan if ROWS[name].dtype.kind == "f" else ""
            alone[name][0] = missing if value is None else value
        assert told["score"] == pytest.approx(scores_of(pipeline, frame_of(alone), "binary")[0], abs=1e-5)


@pytest.mark.parametrize("policy", ["score", "stop"])
@pytest.mark.parametrize(("model", "kind"), [(model, kind) for model in MODELS for kind in sorted(REFUSES[model])])
def test_without_null_the_day_is_refused_with_column_value_and_a_way_out(scorers, model, kind, policy):
    name, value, _ = SPOILS[kind]
    with pytest.raises(RefusedPartition) as refused:
        answered(scorers[model][0], day(20, **{name: {4: value}}), bad_rows=policy)
    facts = refused.value.facts
    assert (facts["environment"], facts["model"], facts["partition"], facts["column"], facts["rows"]) == (
        "dev", "stranger", "2013-02-01", name, 1,
    )  # fmt: skip
    assert ("missing" if value is None else repr(value)) in facts["seen"]
    assert "imago run batch_scoring stranger --ds 2013-02-01" in refused.value.next_step
    assert '="null"' in refused.value.next_step


def test_a_new_category_that_is_stopped_is_stopped_before_the_model_is_asked(scorers):
    with pytest.raises(RefusedPartition, match="never saw in training"):
        answered(scorers["target"][0], day(20, shop={3: "new one"}), bad_rows="null", unseen="stop")
