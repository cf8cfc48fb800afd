"""A model for other people's programs: an `MLmodel` beside it, so that MLflow's own documented calls load it and give
the stored scores.

    mlflow.pyfunc.load_model("models:/dev_flight_delays@champion").predict(frame)
    mlflow.sklearn.load_model("models:/dev_flight_delays@champion").predict_proba(frame)

Imago never reads these files, and loads models in its own way alone (`registry.loading`). What a stranger's frame has
otherwise than Imago's rows is a missing text: None or NaN there, "" here. So the saved pipeline begins with a step that
makes it so, and `judged` takes that step off again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any

import numpy as np

from imago.errors import ModelRefused
from imago.registry.inputs import MISSING_CATEGORY, frame_of

MLMODEL = "MLmodel"
REQUIREMENTS = "requirements.txt"
_STEPS = ("missing_texts", "judged")
_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")


def outer(pipeline: Any, features: Sequence[tuple[str, str]], columns: Mapping[str, np.ndarray]) -> Any:
    """The fitted pipeline behind a step that makes a missing text "". `columns` are rows of its inputs, one is enough.

    The order of the columns stays: a pipeline that names none of them goes by it.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    def filled() -> Any:
        empty = {"strategy": "constant", "fill_value": MISSING_CATEGORY}
        # NaN first: an imputer of None refuses a NaN, and not the other way round.
        return Pipeline([(name, SimpleImputer(missing_values=value, **empty))
                         for name, value in (("nan", np.nan), ("none", None))])  # fmt: skip

    runs = [(kind, [name for name, _ in run]) for kind, run in groupby(features, key=lambda feature: feature[1])]
    if not any(kind == "categorical" for kind, _ in runs):
        return Pipeline([(_STEPS[0], "passthrough"), (_STEPS[1], pipeline)])
    fill = ColumnTransformer(
        [(f"{place}", filled() if kind == "categorical" else "passthrough", names)
         for place, (kind, names) in enumerate(runs)],
        verbose_feature_names_out=False,
    )  # fmt: skip
    fill.set_output(transform="pandas").fit(frame_of({name: columns[name][:1] for name, _ in features}))
    return Pipeline([(_STEPS[0], fill), (_STEPS[1], pipeline)])


def judged(saved: Any) -> Any:
    """The pipeline that `outer` wrapped. Raises ModelRefused for anything else."""
    steps = list(getattr(saved, "steps", ()))
    if tuple(name for name, _ in steps) != _STEPS:
        raise ModelRefused(
            "the model file holds no pipeline that Imago saved",
            rule="models are data",
            allowed=f"a pipeline of the steps {' and '.join(_STEPS)}",
            seen=type(saved).__name__,
            next_step="train again, or roll back with `imago champion rollback` to a version that Imago saved",
        )
    return steps[1][1]


def files(data: bytes, features: Sequence[tuple[str, str]], problem: str, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """`MLmodel` and `requirements.txt` for the bytes of a skops file, by name. The same model gives the same bytes."""
    import skops.io

    versions = {name: version(name) for name in _PACKAGES}
    answers = "predict" if problem == "regression" else "predict_proba"
    classes = [str(name) for name in facts.get("classes", ())]
    shape = [-1] if problem == "regression" else [-1, len(classes) or 2]
    described = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.skops",
                "predict_fn": answers,
            },
            "sklearn": {
                "code": None,
                "pickled_model": "model.skops",
                "serialization_format": "skops",
                "skops_trusted_types": sorted(skops.io.get_untrusted_types(data=data)),
                "sklearn_version": versions["scikit-learn"],
            },
        },
        "metadata": {"problem": problem, "classes": classes},
        "mlflow_version": versions["mlflow"],
        "signature": {
            "inputs": json.dumps([_input(name, kind) for name, kind in features]),
            "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]),
            "params": None,
        },
    }
    # JSON is YAML, which is what MLflow reads.
    return {
        MLMODEL: json.dumps(described, indent=1, sort_keys=True).encode(),
        REQUIREMENTS: "".join(f"{name}=={number}\n" for name, number in versions.items()).encode(),
    }


def _input(name: str, kind: str) -> dict[str, Any]:
    # A number may be of any numeric type, as in the pipeline: MLflow's "double" refuses whole numbers.
    return {"name": name, "type": "string" if kind == "categorical" else "any", "required": True}
