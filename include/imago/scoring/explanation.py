"""What an explanation says of one prediction, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imago.specs import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

_NO_EFFECT = 1e-12


def differences(stored: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns in which two rows are not the same, with both values; `ds` is the partition, not the row."""
    names = [name for name in dict.fromkeys([*stored, *rebuilt]) if name != "ds"]
    return {
        name: [stored.get(name), rebuilt.get(name)] for name in names if not _same(stored.get(name), rebuilt.get(name))
    }


def verdict(key: str, ds: str, differing: Mapping[str, Sequence[Any]]) -> str:
    """Whether the prediction could be made again, in one sentence."""
    if not differing:
        return f"The prediction of {key} on {ds} was made again from its provenance, and is equal."
    told = ", ".join(f"{name} is {then} and comes out as {now}" for name, (then, now) in differing.items())
    return f"The prediction of {key} on {ds} was made again from its provenance, and is NOT equal: {told}."


def usual_value(typical: float | str | None, kind: pa.DataType) -> Any:
    """A feature's usual value as its column can hold it: of whole numbers the nearest one, of yes and no the more
    frequent one, since the middle of a training's values lies between two of them.

    >>> usual_value(15280.16, pa.int64())
    15280
    """
    import pyarrow as pa

    if typical is None:
        return None
    if isinstance(typical, str):
        return pa.scalar(typical).cast(kind).as_py()
    if pa.types.is_boolean(kind):
        return typical >= 0.5
    if pa.types.is_integer(kind):
        return round(typical)
    return pa.scalar(typical, pa.float64()).cast(kind).as_py()


def of_driver(spec: ModelSpec, name: str, value: Any, usual: Any, effect: float, decision: Any) -> str:
    """What one feature did to the score.

    The effect is measured against the usual value of the champion's training data, all other features as they are.
    """
    if spec.problem == "regression":
        what = "the predicted number"
    elif spec.problem == "multiclass":
        what = f"the chance of {decision}"
    else:
        what = f"the chance of {spec.label}"
    was = "is missing" if value is None or value != value else f"is {shown(value)}"
    normal = "it is usually missing" if usual is None else f"usually {shown(usual)}"
    if abs(effect) < _NO_EFFECT:
        return f"{name} {was} ({normal}), which does not move {what}"
    size = shown(abs(effect)) if spec.problem == "regression" else f"{100 * abs(effect):.1f} points"
    return f"{name} {was} ({normal}), which {'raises' if effect > 0 else 'lowers'} {what} by {size}"


def of_reason(column: str, rule: str, seen: str, allowed: str) -> str:
    """Why a row has no score."""
    return f"{column} is {seen}, which breaks the rule '{rule}' (allowed: {allowed})"


def shown(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one is None and other is None) or bool(one != one and other != other)
