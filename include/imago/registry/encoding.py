"""An ONNX graph cut behind its encoders of text.

A model's texts are categories: a batch of 65,536 rows holds a few dozen different ones. So each encoder is asked once
for each different text, and the rows take its answers by their codes, as Arrow keeps them; the rest of the graph sees
the very numbers that the whole graph would have made. The cut is believed only after it gave the whole graph's scores,
bit by bit, for all categories that the encoders know.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from imago.registry import exporting
from imago.registry.inputs import MISSING_CATEGORY, columns_of
from imago.registry.writing import UNKNOWN

log = logging.getLogger(__name__)

ENCODER = "LabelEncoder"


@dataclass(frozen=True)
class CutGraph:
    """`encoders` by the input that `body` has in their text's stead: the text column, and the encoder's session."""

    features: Sequence[tuple[str, str]]
    encoders: Mapping[str, tuple[str, Any]]
    body: Any

    def run(self, data: pa.Table | pa.RecordBatch, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores of one batch, of which `numbers` are the numeric columns."""
        texts = {column: codes_of(data[column]) for column, _ in self.encoders.values()}
        feed: dict[str, np.ndarray] = {}
        for entry in self.body.get_inputs():
            if entry.name in self.encoders:
                column, encoder = self.encoders[entry.name]
                distinct, codes = texts[column]
                (known,) = encoder.run(None, {column: distinct.reshape(-1, 1)})
                feed[entry.name] = known.take(codes, axis=0)
            else:
                feed[entry.name] = numbers[entry.name].reshape(-1, 1)
        return exporting.fed(self.body, feed)


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


def strange(column: pa.ChunkedArray | pa.Array, known: Collection[str] | None, missing: bool) -> np.ndarray:
    """The rows whose text is none of the known ones (None: all are known), or missing where that counts."""
    texts, codes = codes_of(column)
    odd = [missing if text == MISSING_CATEGORY else known is not None and text not in known for text in texts.tolist()]
    return np.asarray(np.array(odd, dtype=bool).take(codes) if len(codes) else np.zeros(0, dtype=bool))


def cut(data: bytes, features: Sequence[tuple[str, str]], whole: Any, threads: int) -> CutGraph | None:
    """The graph of these bytes, cut and proved against the session `whole` of the same bytes; None where it has no
    texts, or uses one for something else than to encode it, or the proof fails. The bytes must have passed
    `graphs.check`."""
    import onnx

    model = onnx.load_model_from_string(data)
    graph = model.graph
    texts = {entry.name for entry in graph.input if entry.type.tensor_type.elem_type == onnx.TensorProto.STRING}
    encoding = [node for node in graph.node if node.op_type == ENCODER and node.input[0] in texts]
    body = [node for node in graph.node if node not in encoding]
    if not encoding or any(name in texts for node in body for name in node.input):
        return None
    encoders: dict[str, tuple[str, Any]] = {}
    numbers = [entry for entry in graph.input if entry.name not in texts]
    for node in encoding:
        column = node.input[0]
        encoder = exporting.session_of(_alone(model, node, column), threads)
        (answer,) = encoder.run(None, {column: np.array([[MISSING_CATEGORY]], dtype=object)})
        encoders[node.output[0]] = (column, encoder)
        kind = onnx.helper.np_dtype_to_tensor_dtype(answer.dtype)
        numbers.append(onnx.helper.make_tensor_value_info(node.output[0], kind, [None, *answer.shape[1:]]))
    rest = _model(model, onnx.helper.make_graph(body, "body", numbers, graph.output, graph.initializer))
    made = CutGraph(features, encoders, exporting.session_of(rest, threads))
    if _equal(made, whole, {node.input[0]: _known(node) for node in encoding}):
        return made
    log.warning("the graph that was cut behind its encoders gives other scores than the whole one, which is used")
    return None


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
    from onnx import helper

    texts: list[str] = []
    for attribute in encoder.attribute:
        if attribute.name == "keys_strings":
            texts += [text.decode() for text in helper.get_attribute_value(attribute)]
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
            else pa.array(np.resize(np.array([None, UNKNOWN, *known.get(name, ())], dtype=object), rows), pa.string())
            for place, (name, kind) in enumerate(made.features)
        }
    )
    columns = columns_of(data, made.features)
    return bool(np.array_equal(made.run(data, columns), exporting.run(whole, columns), equal_nan=True))
