"""Candidates and baselines of the worlds, made from a spec's own columns. scikit-learn is imported when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imago.specs import ModelSpec

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def columns(spec: ModelSpec, kind: str) -> list[str]:
    """The features of one kind."""
    return [feature.name for feature in spec.features if feature.kind == kind]


def linear(spec: ModelSpec, seed: int) -> Pipeline:
    """A line through everything: medians for missing numbers, a column for each category."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    last = Ridge(alpha=1.0) if spec.problem == "regression" else LogisticRegression(max_iter=500, random_state=seed)
    return _pipeline(spec, OneHotEncoder(handle_unknown="ignore"), numbers, last)


def boosting(spec: ModelSpec, seed: int) -> Pipeline:
    """Boosted trees that take missing numbers as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if spec.problem == "regression" else HistGradientBoostingClassifier
    trees = kind(max_iter=40, max_leaf_nodes=7, learning_rate=0.1, early_stopping=False, random_state=seed)
    return _pipeline(spec, _ordinal(), "passthrough", trees)


def forest(spec: ModelSpec, seed: int) -> Pipeline:
    """A forest without an imputer: it learns where a missing number goes."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if spec.problem == "regression" else RandomForestClassifier
    return _pipeline(spec, _ordinal(), "passthrough", kind(30, max_depth=7, min_samples_leaf=3, random_state=seed))


def rule(name: str, *given: Any, **options: Any) -> Callable[[ModelSpec, int], Pipeline]:
    """A builder of one of Imago's baselines by the name of its class."""

    def build(spec: ModelSpec, seed: int) -> Pipeline:
        from sklearn.pipeline import Pipeline

        from imago.training import baselines

        return Pipeline([("model", getattr(baselines, name)(*given, **options))])

    return build


def _ordinal() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _pipeline(spec: ModelSpec, encode: Any, numbers: Any, last: Any) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    parts = [("categories", encode, columns(spec, "categorical")), ("numbers", numbers, columns(spec, "numeric"))]
    return Pipeline([("prepare", ColumnTransformer(parts)), ("model", last)])
