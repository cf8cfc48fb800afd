"""What an unfitted pipeline holds that could not be saved: said before a fit is paid for.

`check` reads types and parameters, and takes no time. What only a fit brings to light (an estimator that keeps an
object of another library) is seen by `check_saved`, on a copy that was fitted on a few rows.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from imago.errors import ModelRefused
from imago.registry import allowed
from imago.registry.outputs import scores_of

_PLAIN = (type(None), bool, int, float, str, bytes, np.generic, np.ndarray)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, np.ufunc, partial)
_DBT = "compute it in the dbt feature model, where every stage reads it, or use a transformer of imago.registry.allowed"
_CATEGORIES = "put an OrdinalEncoder or a TargetEncoder in front of it and leave `categorical_features` out"
_TYPE = "use an estimator of imago.registry.allowed, or add the type there once its code was read"


class _Without:
    """The settings of `categorical_features` that ask for none; an array compares to no text."""

    def __contains__(self, value: Any) -> bool:
        return value is None or isinstance(value, str)


_WITHOUT_CATEGORIES = _Without()


def check(pipeline: Any) -> None:
    """Raises ModelRefused naming step and type when the pipeline holds a type that production would not load, or a
    function."""
    for path, value, what, next_step in _refused(pipeline, (), set()):
        step = ".".join(path) or "the pipeline itself"
        name = _name(value)
        raise ModelRefused(
            f"its step {step} {what} {name}, which cannot be saved",
            rule="models are data",
            seen=f"{step}: {name}",
            next_step=next_step,
        )


def check_saved(fitted: Any, frame: pd.DataFrame, problem: str) -> None:
    """Raises ModelRefused unless the fitted pipeline can be saved and loaded, and answers as before."""
    loaded = allowed.load(allowed.dumped(fitted))
    before, after = (scores_of(one, frame, problem) for one in (fitted, loaded))
    if not np.array_equal(before, after, equal_nan=True):
        raise ModelRefused(
            "it answers otherwise once it was saved and loaded",
            rule="models are data",
            seen=f"differs by up to {float(np.nanmax(np.abs(before - after))):.3g}",
            next_step=_TYPE,
        )


def _refused(value: Any, path: tuple[str, ...], above: set[int]) -> Iterator[tuple[tuple[str, ...], Any, str, str]]:
    """(where, what, words, next step) of everything in this value that cannot be saved, the first one first."""
    if isinstance(value, _PLAIN) or id(value) in above:
        return
    above = above | {id(value)}
    if isinstance(value, type):
        if not _is_allowed(value):
            yield path, value, "names the type", _TYPE
    elif isinstance(value, _FUNCTIONS):
        yield path, value, "holds the function", _DBT
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _refused(inner, (*path, str(key)), above)
    elif isinstance(value, tuple) and len(value) > 1 and isinstance(value[0], str):  # a named step
        for inner in value[1:]:
            yield from _refused(inner, (*path, value[0]), above)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _refused(inner, path, above)
    elif not _is_allowed(type(value)):
        yield path, value, "is a", _TYPE
    elif getattr(value, "categorical_features", None) not in _WITHOUT_CATEGORIES:
        yield (*path, "categorical_features"), value, "asks for the native categories of", _CATEGORIES
    elif hasattr(value, "get_params"):
        for name, inner in value.get_params(deep=False).items():
            inside = path if name in ("steps", "transformers", "transformer_list", "estimators") else (*path, name)
            yield from _refused(inner, inside, above)
    else:
        for name, inner in getattr(value, "__dict__", {}).items():
            yield from _refused(inner, (*path, name), above)


def _is_allowed(kind: type) -> bool:
    return kind.__qualname__ in allowed.TYPES.get(kind.__module__, ())


def _name(value: Any) -> str:
    if isinstance(value, partial):
        return f"partial of {_name(value.func)}"
    kind = value if isinstance(value, (type, *_FUNCTIONS)) else type(value)
    module = getattr(kind, "__module__", None) or "numpy"
    return f"{module}.{getattr(kind, '__qualname__', None) or getattr(kind, '__name__', kind)}"
