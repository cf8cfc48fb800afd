"""ONNX files that read, call, loop or claim what no model needs."""

from __future__ import annotations

from typing import Any

from proofs.fight.bait import Bait
from proofs.fight.corpus.cases import Case, listed

CASES: list[Case] = []
case = listed(CASES)


@case("an ONNX file cut off in the middle")
def _(bait: Bait) -> None:
    bait.write("model.onnx", bait.read("model.onnx")[:-100])


@case("an ONNX operator of a domain of somebody's own")
def _(bait: Bait) -> None:
    import onnx

    def change(model: Any) -> None:
        model.graph.node[0].domain = "evil"
        model.opset_import.append(onnx.helper.make_opsetid("evil", 1))

    bait.graph(change)


def _initialiser(model: Any, name: str = "extra") -> Any:
    import onnx

    tensor = onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [4], [0.0, 0.0, 0.0, 0.0])
    model.graph.initializer.append(tensor)
    return model.graph.initializer[-1]


@case("an ONNX initialiser that lies in a file elsewhere")
def _(bait: Bait) -> None:
    import onnx

    def change(model: Any) -> None:
        tensor = _initialiser(model)
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)
        model.graph.node.append(onnx.helper.make_node("Identity", ["extra"], ["unused"]))

    bait.graph(change)


@case("an ONNX initialiser that claims 8 TB")
def _(bait: Bait) -> None:
    def change(model: Any) -> None:
        tensor = _initialiser(model)
        del tensor.dims[:]
        tensor.dims.extend([1_000_000, 2_000_000])

    bait.graph(change)


@case("an ONNX loop without an end")
def _(bait: Bait) -> None:
    import onnx
    from onnx import helper

    def change(model: Any) -> None:
        flag = onnx.TensorProto.BOOL
        body = helper.make_graph(
            [helper.make_node("Identity", ["on"], ["on_out"])], "body",
            [helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
             helper.make_tensor_value_info("on", flag, [])],
            [helper.make_tensor_value_info("on_out", flag, [])],
        )  # fmt: skip
        model.graph.initializer.append(helper.make_tensor("always", flag, [], [True]))
        model.graph.node.append(helper.make_node("Loop", ["", "always"], [], body=body))

    bait.graph(change)


@case("an ONNX operator that makes 4 TB of nothing")
def _(bait: Bait) -> None:
    import onnx
    from onnx import helper

    def change(model: Any) -> None:
        model.graph.initializer.append(helper.make_tensor("size", onnx.TensorProto.INT64, [1], [10**12]))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["huge"]))
        model.graph.output.append(helper.make_tensor_value_info("huge", onnx.TensorProto.FLOAT, [10**12]))

    bait.graph(change)


@case("an ONNX function that hides its operators")
def _(bait: Bait) -> None:
    from onnx import helper

    def change(model: Any) -> None:
        body = [helper.make_node("Identity", ["x"], ["y"])]
        opset = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("evil", "hidden", ["x"], ["y"], body, opset))
        model.opset_import.append(helper.make_opsetid("evil", 1))

    bait.graph(change)


@case("an ONNX graph with random scores")
def _(bait: Bait) -> None:
    from onnx import helper

    def change(model: Any) -> None:
        model.graph.node.append(helper.make_node("RandomUniform", [], ["dice"], shape=[1]))

    bait.graph(change)


@case("an ONNX file of inputs that the card does not know")
def _(bait: Bait) -> None:
    import onnx
    from onnx import helper

    def change(model: Any) -> None:
        model.graph.input.append(helper.make_tensor_value_info("label", onnx.TensorProto.FLOAT, [None, 1]))

    bait.graph(change)
