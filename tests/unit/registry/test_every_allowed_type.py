"""Whatever the allow-list names can be fitted, saved and loaded; what cannot is said before the fit."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from imago.errors import ModelRefused
from imago.registry import allowed, unfitted
from imago.registry.outputs import scores_of
from imago.training import baselines

warnings.simplefilter("ignore")
RANDOM = np.random.default_rng(11)
ROWS = 240
FRAME = pd.DataFrame({
    "risk": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(size=ROWS)).astype("float32"),
    "size": RANDOM.integers(0, 9, ROWS).astype("float32"),
    "gate": pd.Series(RANDOM.choice(["", "A", "B", "ü/x"], ROWS), dtype=object),
})  # fmt: skip
NUMBERS, TEXTS = ["risk", "size"], ["gate"]
SIGNAL = FRAME["size"].to_numpy() + 3 * (FRAME["gate"] == "A").to_numpy() + RANDOM.normal(size=ROWS)
TARGETS = {
    "binary": (np.median(SIGNAL) < SIGNAL).astype(int),
    "multiclass": np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.7])),
    "regression": np.abs(SIGNAL) + 0.1,
}
SCALES = [
    None, StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler(), QuantileTransformer(n_quantiles=20),
    PowerTransformer(), KBinsDiscretizer(4), KBinsDiscretizer(4, encode="onehot-dense"), PolynomialFeatures(2),
    FeatureUnion([("values", StandardScaler()), ("again", MinMaxScaler())]),
]  # fmt: skip
IMPUTERS = [
    SimpleImputer(), SimpleImputer(strategy="median", add_indicator=True), SimpleImputer(strategy="most_frequent"),
    SimpleImputer(strategy="constant", fill_value=-1.5, keep_empty_features=True),
]  # fmt: skip
ENCODERS = [
    OneHotEncoder(handle_unknown="ignore"), OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
    OneHotEncoder(dtype=np.float32, sparse_output=False, drop="first"), TargetEncoder(), TargetEncoder(cv=KFold(3)),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
]  # fmt: skip
LEARNERS = {
    "binary": [
        LogisticRegression(max_iter=50, class_weight={0: 1, 1: 2}), RandomForestClassifier(4, random_state=1),
        ExtraTreesClassifier(4, bootstrap=True), DecisionTreeClassifier(max_depth=3), ExtraTreeClassifier(),
        HistGradientBoostingClassifier(max_iter=4, early_stopping=True), GradientBoostingClassifier(n_estimators=4),
        GradientBoostingClassifier(n_estimators=4, loss="exponential", init="zero"),
        RandomForestClassifier(3, random_state=np.random.RandomState(3), class_weight="balanced"),
        HistGradientBoostingClassifier(max_iter=4, interaction_cst=[{0}, {1}], warm_start=True),
    ],
    "multiclass": [
        LogisticRegression(max_iter=50), RandomForestClassifier(4), HistGradientBoostingClassifier(max_iter=3),
        GradientBoostingClassifier(n_estimators=3), ExtraTreesClassifier(4, criterion="entropy"),
    ],
    "regression": [
        LinearRegression(), Ridge(alpha=0.5), RandomForestRegressor(4, criterion="absolute_error"),
        ExtraTreesRegressor(4), DecisionTreeRegressor(max_depth=3), ExtraTreeRegressor(max_depth=3),
        *(HistGradientBoostingRegressor(max_iter=3, loss=loss, quantile=0.4)
          for loss in ("squared_error", "absolute_error", "poisson", "gamma", "quantile")),
        *(GradientBoostingRegressor(n_estimators=3, loss=loss)
          for loss in ("squared_error", "absolute_error", "huber", "quantile")),
    ],
}  # fmt: skip
RULES = {
    "binary": [baselines.PriorRate(), baselines.GroupRate(("gate",)), baselines.RecentRate("size"),
               baselines.BestColumnRate()],
    "multiclass": [baselines.PriorRate(), baselines.RecentRates(("size", "size", "risk"))],
    "regression": [baselines.PriorMean(), baselines.PriorMedian(), baselines.GroupMean(("gate",)),
                   baselines.RecentMean("size"), baselines.BestColumnMean()],
}  # fmt: skip


@st.composite
def pipelines(draw):
    """(an unfitted pipeline of allowed types, its problem)"""
    problem = draw(st.sampled_from(sorted(LEARNERS)))
    scale = draw(st.sampled_from(SCALES))
    numbers = Pipeline([("fill", draw(st.sampled_from(IMPUTERS))), *([("scale", scale)] if scale is not None else [])])
    selected = draw(st.sampled_from([NUMBERS, make_column_selector(dtype_include=np.number)]))
    prepare = ColumnTransformer(
        [("numbers", numbers, selected), ("texts", draw(st.sampled_from(ENCODERS)), TEXTS)],
        remainder=draw(st.sampled_from(["drop", SimpleImputer(), "passthrough"])),
        sparse_threshold=draw(st.sampled_from([0.0, 0.3])),
    )
    return Pipeline([("prepare", prepare), ("model", draw(st.sampled_from(LEARNERS[problem])))]), problem


def round_trip(pipeline, problem):
    unfitted.check(pipeline)
    fitted = pipeline.fit(FRAME, TARGETS[problem])
    unfitted.check_saved(fitted, FRAME, problem)
    return allowed.dumped(fitted)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pipelines())
def test_a_pipeline_of_allowed_types_is_fitted_saved_and_loaded_and_answers_as_before(drawn):
    round_trip(*drawn)


def every_type():
    """One pipeline at least for each entry of the allow-list."""
    texts = ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)
    for problem, learners in LEARNERS.items():
        for learner in learners:
            yield (
                Pipeline([("prepare", ColumnTransformer([("n", SimpleImputer(), NUMBERS), texts])), ("m", learner)]),
                problem,
            )
        for rule in RULES[problem]:
            yield Pipeline([("model", rule)]), problem
    for scale in SCALES[1:]:
        for fill in IMPUTERS:
            yield (
                make_pipeline(
                    ColumnTransformer(
                        [("n", make_pipeline(fill, scale), make_column_selector(dtype_include="number"))]
                    ),
                    LinearRegression(),
                ),
                "regression",
            )
    for encode in (*ENCODERS, TargetEncoder(cv=StratifiedKFold(4))):
        columns = [("t", encode, make_column_selector(dtype_include=object)), ("n", "passthrough", NUMBERS)]
        yield make_pipeline(ColumnTransformer(columns), HistGradientBoostingClassifier(max_iter=2)), "binary"
    flags = FeatureUnion([("values", SimpleImputer()), ("missing", MissingIndicator(features="all"))])
    yield make_pipeline(ColumnTransformer([("n", flags, NUMBERS)], remainder="drop"), Ridge()), "regression"
    selector = make_column_selector(dtype_include=np.number)
    yield make_pipeline(ColumnTransformer([("n", SimpleImputer(), selector)]), Ridge()), "regression"


def test_every_entry_of_the_allow_list_occurs_in_a_model_that_is_saved_and_loaded():
    import io
    import json
    import zipfile

    seen = set()
    for pipeline, problem in every_type():
        data = round_trip(pipeline, problem)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            seen |= {(module, name) for module, name, _ in allowed._nodes(json.loads(archive.read("schema.json")))}
    sklearn = {(module, name) for module, names in allowed.TYPES.items() for name in names
               if module.startswith(("sklearn", "imago", "scipy"))}  # fmt: skip
    assert sorted(sklearn - seen) == []


class Own(BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


def doubled(frame):
    return frame * 2


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (SplineTransformer(), "numbers is a sklearn.preprocessing._polynomial.SplineTransformer"),
        (FunctionTransformer(np.log1p), "numbers.func holds the function numpy.log1p"),
        (FunctionTransformer(doubled), "numbers.func holds the function test_every_allowed_type.doubled"),
        (FunctionTransformer(lambda frame: frame), "numbers.func holds the function test_every_allowed_type.<lambda>"),
        (FunctionTransformer(inverse_func=np.expm1), "numbers.inverse_func holds the function numpy.expm1"),
        (Own(), "numbers is a test_every_allowed_type.Own"),
        (make_pipeline(SimpleImputer(), Own()), "numbers.own is a test_every_allowed_type.Own"),
    ],
)
def test_what_cannot_be_saved_is_said_before_the_fit_with_step_type_and_next_step(step, named):
    pipeline = Pipeline([("prepare", ColumnTransformer([("numbers", step, NUMBERS)])), ("model", LogisticRegression())])
    with pytest.raises(ModelRefused) as refusal:
        unfitted.check(pipeline)
    assert f"its step prepare.{named}" in str(refusal.value)
    assert refusal.value.next_step


def test_native_categories_are_refused_before_the_fit_and_so_is_a_search_inside_of_the_pipeline():
    from sklearn.model_selection import GridSearchCV

    for learner, named in (
        (HistGradientBoostingClassifier(categorical_features=[0]), "model.categorical_features asks for the native"),
        (HistGradientBoostingClassifier(categorical_features=np.array([True, False])), "native categories"),
        (GridSearchCV(LogisticRegression(), {"C": [1, 2]}), "model is a sklearn.model_selection._search.GridSearchCV"),
    ):
        with pytest.raises(ModelRefused, match=named):
            unfitted.check(Pipeline([("fill", SimpleImputer()), ("model", learner)]))


def test_what_only_a_fit_brings_to_light_is_refused_after_a_fit_on_a_few_rows():
    learner = HistGradientBoostingClassifier(max_iter=3, early_stopping=True, scoring="roc_auc")
    pipeline = Pipeline([("fill", ColumnTransformer([("n", SimpleImputer(), NUMBERS)])), ("model", learner)])
    unfitted.check(pipeline)
    with pytest.raises(ModelRefused, match="the pipeline cannot be saved"):
        unfitted.check_saved(pipeline.fit(FRAME, TARGETS["binary"]), FRAME, "binary")


def test_a_model_that_comes_back_answers_every_row_with_the_same_bits():
    pipeline = Pipeline([("p", ColumnTransformer([("n", SimpleImputer(), NUMBERS)])), ("m", LogisticRegression())])
    fitted = pipeline.fit(FRAME, TARGETS["binary"])
    loaded = allowed.load(allowed.dumped(fitted))
    assert scores_of(loaded, FRAME, "binary").tobytes() == scores_of(fitted, FRAME, "binary").tobytes()
