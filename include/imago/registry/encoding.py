"""An ONNX graph cut behind its encoders of text.

A model's texts are categories: a batch of 65,536 rows holds a few dozen different ones. So each encoder is asked once
for each different text, and the rows take its answers by their codes, as Arrow keeps them; the rest of the graph sees
the very numbers that the whole graph would have made. The cut is believed only after it gave the whole graph's scores,
bit by bit, for all categories that the encoders know.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from imago.registry import exporting
from imago.registry.inputs import MISSING_CATEGORY, columns_of

log = logging.getLogger(__name__)

ENCODERS = ("LabelEncoder", "OneHotEncoder")
_STRANGE = "\x00 a text that no encoder knows"


@dataclass(frozen=True)
class CutGraph:
    """`encoders` by the input that `body` has in their text's stead: the text column, and the encoder's session."""

    features: Sequence[tuple[str, str]]
    encoders: Mapping[str, tuple[str, Any]]
    body: Any
    problem: str

    def run(self, data: pa.Table | pa.RecordBatch) -> np.ndarray:
        """The scores of one batch."""
        texts = {column: codes_of(data[column]) for column, _ in self.encoders.values()}
        numbers = columns_of(data, [(name, kind) for name, kind in self.features if kind == "numeric"])
        feed: dict[str, np.ndarray] = {}
        for entry in self.body.get_inputs():
            if entry.name in self.encoders:
                column, encoder = self.encoders[entry.name]
                distinct, codes = texts[column]
                (known,) = encoder.run(None, {column: distinct.reshape(-1, 1)})
                feed[entry.name] = known.take(codes, axis=0)
            else:
                feed[entry.name] = numbers[entry.name].reshape(-1, 1)
        return exporting.answers(self.body.run(None, feed), self.problem)


def codes_of(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(the different texts, each row's place among them); a missing text counts as `MISSING_CATEGORY`."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    texts = column.dictionary.cast(pa.string()).fill_null(MISSING_CATEGORY).to_numpy(zero_copy_only=False)
    codes = column.indices
    if codes.null_count:
        codes = codes.fill_null(len(texts))
        texts = np.append(texts, MISSING_CATEGORY)
    return np.asarray(texts, dtype=object), codes.to_numpy(zero_copy_only=False)


def cut(data: bytes, features: Sequence[tuple[str, str]], problem: str, whole: Any, threads: int) -> CutGraph | None:
    """The graph of these bytes, cut and proved against the session `whole` of the same bytes; None where it has no
    texts, or uses one for something else than to encode it, or the proof fails. The bytes must have passed
    `graphs.check`."""
    import onnx

    model = onnx.load_model_from_string(data)
    graph = model.graph
    texts = {entry.name for entry in graph.input if entry.type.tensor_type.elem_type == onnx.TensorProto.STRING}
    joined, columns = _plumbing(graph, texts)
    encoding = [node for node in graph.node if node.op_type in ENCODERS and node.input[0] in columns]
    # What an encoder does not read in is an input that is put beside others, or taken out from among them.
    done = {*joined, *columns, *(node.output[0] for node in encoding)}
    body = [node for node in graph.node if node.output[0] not in done]
    if not texts or any(name in joined or name in columns for node in body for name in node.input):
        return None
    encoders: dict[str, tuple[str, Any]] = {}
    numbers = [entry for entry in graph.input if entry.name not in texts]
    for node in encoding:
        column = columns[node.input[0]]
        encoder = exporting.session_of(_alone(model, node, column), threads)
        (answer,) = encoder.run(None, {column: np.array([[MISSING_CATEGORY]], dtype=object)})
        encoders[node.output[0]] = (column, encoder)
        kind = onnx.helper.np_dtype_to_tensor_dtype(answer.dtype)
        numbers.append(onnx.helper.make_tensor_value_info(node.output[0], kind, [None, *answer.shape[1:]]))
    rest = _model(model, onnx.helper.make_graph(body, "body", numbers, graph.output, graph.initializer))
    made = CutGraph(features, encoders, exporting.session_of(rest, threads), problem)
    if _equal(made, whole, {columns[node.input[0]]: _known(node) for node in encoding}):
        return made
    log.warning("the graph that was cut behind its encoders gives other scores than the whole one, which is used")
    return None


def _plumbing(graph: Any, texts: set[str]) -> tuple[set[str], dict[str, str]]:
    """(the tensors that are texts put side by side; the tensors that are one text column, by that column's name: the
    inputs, and what is taken out from among those put side by side)."""
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor).ravel() for tensor in graph.initializer}
    joined = {
        node.output[0]: list(node.input)
        for node in graph.node
        if node.op_type == "Concat" and texts.issuperset(node.input)
    }
    columns = {name: name for name in texts}
    for node in graph.node:
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in joined:
            place = constants.get(node.input[1], np.empty(0))
            if len(place) == 1:
                columns[node.output[0]] = joined[node.input[0]][int(place[0])]
    return set(joined), columns


def _alone(model: Any, node: Any, column: str) -> bytes:
    """A graph of one encoder, from its column of texts to its answer."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[0] = column
    texts = onnx.helper.make_tensor_value_info(column, onnx.TensorProto.STRING, [None, 1])
    answer = onnx.helper.make_empty_tensor_value_info(node.output[0])
    return _model(model, onnx.helper.make_graph([copy], "encoder", [texts], [answer]))


def _model(of: Any, graph: Any) -> bytes:
    from onnx import helper

    return bytes(helper.make_model(graph, opset_imports=of.opset_import, ir_version=of.ir_version).SerializeToString())


def _known(encoder: Any) -> list[str]:
    """The texts that an encoder knows."""
    from onnx import helper, numpy_helper

    texts: list[str] = []
    for attribute in encoder.attribute:
        if attribute.name in ("keys_strings", "cats_strings"):
            texts += [text.decode() for text in helper.get_attribute_value(attribute)]
        elif attribute.name == "keys_tensor":
            texts += [str(text) for text in numpy_helper.to_array(attribute.t).tolist()]
    return texts


def _equal(made: CutGraph, whole: Any, known: Mapping[str, Sequence[str]]) -> bool:
    """Whether both give the same scores, bit by bit, for every text that is known, a missing one and a strange one."""
    rows = max(len(texts) for texts in known.values()) + 2
    # From thousandths to hundreds, of both signs: large numbers alone would drive a model to 0 or 1 whatever its texts.
    ramp = np.linspace(-1.0, 1.0, rows) * 10.0 ** (np.arange(rows) % 6 - 3)
    data = pa.table(
        {
            name: pa.array(np.roll(ramp, place))
            if kind == "numeric"
            else pa.array(np.resize(np.array([None, _STRANGE, *known.get(name, ())], dtype=object), rows), pa.string())
            for place, (name, kind) in enumerate(made.features)
        }
    )
    expected = exporting.run(whole, columns_of(data, made.features), made.problem)
    return bool(np.array_equal(made.run(data), expected, equal_nan=True))
