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

from imago.errors import ModelRefused

LARGEST_FILE = 512 * 1024 * 1024
LARGEST_UNPACKED = 2 * LARGEST_FILE

_MEMBER = re.compile(r"schema\.json|[0-9]+\.(npy|npz)")

_PLAIN = {
    "builtins": {
        "object", "dict", "list", "tuple", "set", "slice", "bool", "int", "float", "str", "type", "NoneType", "bytes",
    },
    "collections": {"OrderedDict", "defaultdict"},
    "numpy": {
        "ndarray", "dtype", "generic", "number", "integer", "floating",
        "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
        "uint64", "float16", "float32", "float64", "str_", "object_", "intp",
    },
    "numpy.ma": {"MaskedArray"},
    "numpy.random.mtrand": {"RandomState"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._generator": {"Generator"},
    "numpy.random._pcg64": {"PCG64"},
    "imago.training.baselines": {
        "PriorRate", "PriorMean", "PriorMedian", "GroupRate", "GroupMean", "RecentRate", "RecentRates", "RecentMean",
        "BestColumnRate", "BestColumnMean",
    },
}  # fmt: skip
_SKLEARN = {
    "sklearn.pipeline": {"Pipeline", "FeatureUnion"},
    "sklearn.compose._column_transformer": {"ColumnTransformer", "make_column_selector"},
    "sklearn.impute._base": {"SimpleImputer", "MissingIndicator"},
    "sklearn.preprocessing._data": {
        "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "QuantileTransformer", "PowerTransformer",
    },
    "sklearn.preprocessing._polynomial": {"PolynomialFeatures"},  # a fitted SplineTransformer holds functions
    "sklearn.preprocessing._discretization": {"KBinsDiscretizer"},
    "sklearn.preprocessing._encoders": {"OneHotEncoder", "OrdinalEncoder"},
    "sklearn.preprocessing._target_encoder": {"TargetEncoder"},
    "sklearn.preprocessing._function_transformer": {"FunctionTransformer"},  # what "passthrough" is saved as
    "sklearn.model_selection._split": {"KFold", "StratifiedKFold"},
    "sklearn.preprocessing._label": {"LabelEncoder"},
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
    "sklearn.ensemble._gb": {"GradientBoostingClassifier", "GradientBoostingRegressor"},
    "sklearn.dummy": {"DummyClassifier", "DummyRegressor"},  # where gradient boosting begins
    "sklearn.tree._tree": {"Tree"},
    "sklearn._loss.loss": {
        "HalfBinomialLoss", "HalfSquaredError", "HalfMultinomialLoss", "AbsoluteError", "HalfPoissonLoss",
        "HalfGammaLoss", "PinballLoss", "HuberLoss", "ExponentialLoss",
    },
    "sklearn._loss.link": {"LogitLink", "HalfLogitLink", "LogLink", "IdentityLink", "MultinomialLogit", "Interval"},
    "sklearn._loss._loss": {
        "CyHalfBinomialLoss", "CyHalfSquaredError", "CyHalfMultinomialLoss", "CyAbsoluteError", "CyHalfPoissonLoss",
        "CyHalfGammaLoss", "CyPinballLoss", "CyHuberLoss", "CyExponentialLoss",
    },
}  # fmt: skip
TYPES: dict[str, set[str]] = {**_PLAIN, **_SKLEARN}


# How a node is rebuilt. Functions, methods, partials and reductions are not among them: those could call anything.
LOADERS = {
    "DTypeNode", "DefaultDictNode", "DictNode", "JsonNode", "ListNode", "LossNode", "MaskedArrayNode", "NdArrayNode",
    "ObjectNode", "RandomGeneratorNode", "RandomStateNode", "SetNode", "SliceNode", "SparseMatrixNode", "TreeNode",
    "TupleNode", "TypeNode",
}  # fmt: skip


def check(data: bytes) -> None:
    """Raises ModelRefused unless the bytes are a skops file of allowed types, in a plain archive of a bearable size."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(len(data), archive.infolist())
            if archive.comment or min(member.header_offset for member in archive.infolist()):
                raise _refused("its archive is glued to something else", allowed="an archive and nothing else")
            schema = json.loads(archive.read("schema.json"))
    except ModelRefused:
        raise
    except Exception as error:  # a crafted archive makes the parsers stumble in many ways
        raise _refused("it is not a skops file", seen=type(error).__name__) from error
    for module, name, loader in _nodes(schema):
        if loader not in LOADERS:
            raise _refused("it would be rebuilt in a way that is not allowed", seen=loader)
        if name not in TYPES.get(module, ()):
            raise _refused("it holds a type that is not allowed", seen=f"{module}.{name}")


def dumped(pipeline: Any) -> bytes:
    """The pipeline as a skops file. Raises ModelRefused when it cannot be written, or when `load` would refuse it."""
    import skops.io

    try:
        data = bytes(skops.io.dumps(pipeline))
    except Exception as error:  # whatever the library stumbles over in an object that it cannot take apart
        lines = str(error).strip().splitlines() or [""]
        raise _unsaved("it cannot be written as data", f"{type(error).__name__}: {lines[0]}") from error
    try:
        check(data)
    except ModelRefused as error:
        raise _unsaved(error.message.partition(": ")[2], error.facts.get("seen")) from error
    return data


def load(data: bytes) -> Any:
    """The pipeline in a skops file, after `check`. The bytes' digest is the caller's to check before this."""
    import skops.io  # brings scikit-learn along, which an ONNX file does not need

    check(data)
    # Every type of the file is on our own list by now, so the library's question is answered with our list.
    try:
        return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    except Exception as error:
        raise _refused("it could not be rebuilt", seen=type(error).__name__) from error


def _check_members(size: int, members: list[zipfile.ZipInfo]) -> None:
    if size > LARGEST_FILE or sum(member.file_size for member in members) > LARGEST_UNPACKED:
        raise _refused("it is too large", seen=f"{size} bytes", allowed=f"at most {LARGEST_FILE} bytes")
    names = [member.filename for member in members]
    odd = [name for name in names if not _MEMBER.fullmatch(name)]
    if odd or len(set(names)) != len(names):
        first = (odd or names)[0]
        raise _refused("its archive holds what no model needs", seen=first, allowed="schema.json and *.npy")


def _nodes(schema: Any) -> Iterator[tuple[str, str, str]]:
    """Every (module, class, loader) of the file. A node without a loader is shown as such, and so refused."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__class__" in node or "__loader__" in node:
                yield str(node.get("__module__")), str(node.get("__class__")), str(node.get("__loader__"))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _unsaved(what: str, seen: Any) -> ModelRefused:
    return ModelRefused(
        f"the pipeline cannot be saved: {what}",
        rule="models are data",
        seen=seen,
        next_step="use the estimators of imago.registry.allowed, with settings that hold no function: an encoder "
        "instead of native categories, no `scoring`, no spline",
    )


def _refused(what: str, **facts: Any) -> ModelRefused:
    return ModelRefused(
        f"the model file was not loaded: {what}",
        rule="models are data",
        next_step="train with the estimators in imago.registry.allowed, or add the type there once its code was read",
        **facts,
    )
