"""The ONNX graph of a fitted pipeline, written for exactly those kinds that `imago.registry.allowed` lets in.

Numbers stay doubles from the input to the score, as in scikit-learn. A text column becomes a code by its category, and
what its encoders make of each category stands in a table that the encoders filled themselves. See ADR 15 for why this
is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8
SCORES = "scores"
# No category of anybody: what stands for a text that no encoder knows.
UNKNOWN = "\x00 a text that no encoder knows"


class NotExported(Exception):
    """Why a pipeline has no graph."""


@dataclass(frozen=True)
class Text:
    """A text column, by its input's name."""

    name: str


@dataclass(frozen=True)
class Coded:
    """Columns that take their values from the rows of `table`, by the codes in a tensor of shape (rows,)."""

    codes: str
    table: np.ndarray


@dataclass(frozen=True)
class Dense:
    """Doubles: a tensor of shape (rows, width)."""

    tensor: str
    width: int


Block = Text | Coded | Dense


class Graph:
    """Nodes and constants as they are added; each method gives the name of what it added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._columns: dict[str, str] = {}

    def add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, values: Any, kind: Any = np.float64) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def doubles(self, tensor: str) -> str:
        from onnx import TensorProto

        return self.add("Cast", [tensor], to=TensorProto.DOUBLE)

    def columns(self, tensor: str, places: Sequence[int]) -> str:
        """The named columns of a matrix, in this order."""
        return self.add("Gather", [tensor, self.constant(list(places), np.int64)], axis=1)

    def codes(self, column: str, categories: Sequence[str]) -> str:
        """The place of each text among the categories; a text that is none of them has the place after the last."""
        encoded = self.add(
            "LabelEncoder", [column], "ai.onnx.ml",
            keys_strings=list(categories), values_int64s=list(range(len(categories))), default_int64=len(categories),
        )  # fmt: skip
        return self.add("Reshape", [encoded, self.constant([-1], np.int64)])

    def dense(self, blocks: Sequence[Block]) -> Dense:
        """The blocks side by side as one matrix."""
        parts = []
        for block in blocks:
            if isinstance(block, Text):
                raise NotExported(f"{block.name} is read as a text where numbers are due")
            if isinstance(block, Coded):
                parts.append(self.add("Gather", [self.constant(block.table), block.codes], axis=0))
            else:
                parts.append(block.tensor)
        if not parts:
            raise NotExported("nothing is left of the inputs")
        tensor = parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=1)
        return Dense(tensor, sum(map(width_of, blocks)))


def width_of(block: Block) -> int:
    """How many columns a block is."""
    if isinstance(block, Text):
        return 1
    return block.table.shape[1] if isinstance(block, Coded) else block.width


def select(graph: Graph, blocks: Sequence[Block], places: Sequence[int]) -> list[Block]:
    """The columns at these places among all columns of the blocks, neighbours of one matrix together."""
    where = [(block, inner) for block in blocks for inner in range(width_of(block))]
    chosen: list[Block] = []
    runs: list[tuple[Block, list[int]]] = []
    for place in places:
        block, inner = where[place]
        if runs and runs[-1][0] is block and not isinstance(block, Text):
            runs[-1][1].append(inner)
        else:
            runs.append((block, [inner]))
    for block, inner_places in runs:
        if inner_places == list(range(width_of(block))):
            chosen.append(block)
        elif isinstance(block, Coded):
            chosen.append(Coded(block.codes, block.table[:, inner_places]))
        else:
            assert isinstance(block, Dense)
            chosen.append(Dense(graph.columns(block.tensor, inner_places), len(inner_places)))
    return chosen


def steps_of(estimator: Any) -> Iterator[Any]:
    """An estimator and all that it is made of."""
    yield estimator
    inner = [step for _, step in getattr(estimator, "steps", ())]
    inner += [entry[1] for entry in getattr(estimator, "transformers_", ())]
    inner += [entry[1] for entry in getattr(estimator, "transformer_list", ())]
    for step in inner:
        if not isinstance(step, str) and step is not None:
            yield from steps_of(step)


def model_bytes(graph: Graph, features: Sequence[tuple[str, str]], scores: str, classes: int) -> bytes:
    """The file of a graph with one input of shape (rows, 1) for each feature that it reads, and the scores."""
    from onnx import TensorProto, helper

    read = {name for node in graph.nodes for name in node.input}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE if kind == "numeric" else TensorProto.STRING, [None, 1])
        for name, kind in features
        if name in read
    ]
    last = helper.make_node("Identity", [scores], [SCORES])
    shape = [None, classes] if classes > 1 else [None]
    output = helper.make_tensor_value_info(SCORES, TensorProto.DOUBLE, shape)
    whole = helper.make_graph([*graph.nodes, last], "model", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return bytes(helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString())
