"""What may stand in a skops file: an explicit list of types, read from the file before anything of it is built.

The list that an artifact brings along is never believed, and neither is the library's wider default.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import skops.io

from imago.errors import ModelRefused

LARGEST_FILE = 512 * 1024 * 1024
LARGEST_UNPACKED = 2 * LARGEST_FILE

_MEMBER = re.compile(r"schema\.json|[0-9]+\.(npy|npz)")

_PLAIN = {
    "builtins": {"dict", "list", "tuple", "set", "slice", "bool", "int", "float", "str", "type", "NoneType", "bytes"},
    "collections": {"OrderedDict", "defaultdict"},
    "numpy": {
        "ndarray", "dtype", "generic", "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
        "uint64", "float16", "float32", "float64", "str_", "object_", "intp",
    },
    "numpy.ma": {"MaskedArray"},
    "numpy.dtypes": set(),
    "numpy.random.mtrand": {"RandomState"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._generator": {"Generator"},
    "numpy.random._pcg64": {"PCG64"},
    "scipy.sparse._csr": {"csr_matrix", "csr_array"},
    "scipy.sparse": {"csr_matrix", "csr_array"},
    "imago.training.baselines": {
        "PriorRate", "PriorMean", "GroupRate", "GroupMean", "RecentRate", "LastValue", "BestColumnRate", "BestColumnMean",
    },
}  # fmt: skip
_SKLEARN = {
    "sklearn.pipeline": {"Pipeline", "FeatureUnion"},
    "sklearn.compose._column_transformer": {"ColumnTransformer", "_RemainderColsList"},
    "sklearn.impute._base": {"SimpleImputer", "MissingIndicator"},
    "sklearn.preprocessing._data": {
        "StandardScaler", "MinMaxScaler", "RobustScaler", "PolynomialFeatures", "QuantileTransformer",
    },
    "sklearn.preprocessing._polynomial": {"SplineTransformer", "PolynomialFeatures"},
    "sklearn.preprocessing._discretization": {"KBinsDiscretizer"},
    "sklearn.preprocessing._encoders": {"OneHotEncoder", "OrdinalEncoder"},
    "sklearn.preprocessing._target_encoder": {"TargetEncoder"},
    "sklearn.preprocessing._label": {"LabelEncoder", "LabelBinarizer"},
    "sklearn.linear_model._logistic": {"LogisticRegression"},
    "sklearn.linear_model._base": {"LinearRegression"},
    "sklearn.linear_model._ridge": {"Ridge"},
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": {
        "HistGradientBoostingClassifier", "HistGradientBoostingRegressor",
    },
    "sklearn.ensemble._hist_gradient_boosting.binning": {"_BinMapper"},
    "sklearn.ensemble._hist_gradient_boosting.predictor": {"TreePredictor"},
    "sklearn.ensemble._forest": {
        "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
    },
    "sklearn.tree._classes": {
        "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
    },
    "sklearn.tree._tree": {"Tree"},
    "sklearn._loss.loss": {"HalfBinomialLoss", "HalfSquaredError", "HalfMultinomialLoss", "AbsoluteError"},
    "sklearn._loss.link": {"LogitLink", "IdentityLink", "MultinomialLogit", "Interval"},
    "sklearn._loss._loss": {
        "CyHalfBinomialLoss", "CyHalfSquaredError", "CyHalfMultinomialLoss", "CyAbsoluteError",
    },
}  # fmt: skip
TYPES: dict[str, set[str]] = {**_PLAIN, **_SKLEARN}


def check(model: bytes, *, model_name: str | None = None, model_: None = None, **where: Any) -> list[str]:
    raise NotImplementedError


def _types(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if "__class__" in node:
            yield str(node.get("__module__")), str(node["__class__"])
        for part in node.values():
            yield from _types(part)
    elif isinstance(node, list):
        for part in node:
            yield from _types(part)
