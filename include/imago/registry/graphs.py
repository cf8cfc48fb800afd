"""What may stand in an ONNX file: operators of an explicit list, which read nothing but the graph and make nothing
larger than their inputs.

ONNX holds no code of its own, but a graph may name files, operators of somebody else's library, loops without an end,
and tensors of any size. None of the allowed operators does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imago.errors import ModelRefused
from imago.registry import exporting
from imago.registry.allowed import LARGEST_FILE

# Exactly those that `writing`, `preparing` and `predicting` write.
OPERATORS: dict[str, set[str]] = {
    "": {
        "Add", "Cast", "Clip", "Concat", "Div", "Equal", "Gather", "GreaterOrEqual", "Identity", "IsNaN", "MatMul",
        "Mul", "ReduceSum", "Reshape", "Sigmoid", "Softmax", "Sub", "Where",
    },
    "ai.onnx.ml": {"LabelEncoder", "TreeEnsembleRegressor"},
}  # fmt: skip
OPERATORS["ai.onnx"] = OPERATORS[""]  # two names of one domain


def check(data: bytes, features: Iterable[str]) -> None:
    """Raises ModelRefused unless the bytes are an ONNX graph of allowed operators over these inputs, and no more."""
    import onnx

    if len(data) > LARGEST_FILE:
        raise _refused("it is too large", seen=f"{len(data)} bytes", allowed=f"at most {LARGEST_FILE} bytes")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # the parser's own errors, of which there are many
        raise _refused("it is not an ONNX file", seen=type(error).__name__) from error
    if len(model.functions) or len(model.training_info) or len(model.graph.sparse_initializer):
        raise _refused("it holds functions, training steps or sparse tensors", allowed="one plain graph")
    unknown = {entry.name for entry in model.graph.input} - set(features)
    if unknown:
        raise _refused("it wants inputs that the model's card does not name", seen=", ".join(sorted(unknown)))
    for node in model.graph.node:
        if node.op_type not in OPERATORS.get(node.domain, ()):
            raise _refused("it holds an operator that is not allowed", seen=f"{node.domain}.{node.op_type}".lstrip("."))
        if any(attribute.HasField("g") or len(attribute.graphs) for attribute in node.attribute):
            raise _refused("an operator holds a graph of its own", seen=node.op_type)
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.external_data):
            raise _refused("a tensor lies in another file", seen=tensor.name)


def session(data: bytes, features: Sequence[str], threads: int) -> Any:
    """The graph ready to run, after `check`. The bytes' digest is the caller's to check before this."""
    check(data, features)
    try:
        return exporting.session_of(data, threads)
    except Exception as error:  # onnxruntime has no common base for what it says of a graph that does not hold together
        raise _refused("it does not hold together", seen=type(error).__name__) from error


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t


def _refused(what: str, **facts: Any) -> ModelRefused:
    return ModelRefused(
        f"the ONNX file was not loaded: {what}",
        rule="models are data",
        next_step="load it as skops; add an operator to imago.registry.graphs once it was read what it does",
        **facts,
    )
