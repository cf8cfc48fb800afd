"""Hostile model artifacts, each with a name that says what was done."""

from __future__ import annotations

import io
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from proofs.fight.bait import Bait, zipped

Case = Callable[[Bait], None]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        assert name not in CASES
        CASES[name] = function
        return function

    return add


# --- pickle, code and loaders ---------------------------------------------------------------------------------------


@case("a pickle named model.skops")
def _(bait: Bait) -> None:
    bait.skops(bait.payload)


@case("a pickle named model.onnx")
def _(bait: Bait) -> None:
    bait.write("model.onnx", bait.payload)


@case("a pickle named model.json")
def _(bait: Bait) -> None:
    bait.write("model.json", bait.payload)


@case("a pickle in front of an honest archive")
def _(bait: Bait) -> None:
    bait.skops(bait.payload + bait.read("model.skops"))


@case("a pickle in the archive's comment")
def _(bait: Bait) -> None:
    made = io.BytesIO(bait.read("model.skops"))
    with zipfile.ZipFile(made, "a") as archive:
        archive.comment = bait.payload
    bait.skops(made.getvalue())


@case("a joblib file as the model, asked for by its format")
def _(bait: Bait) -> None:
    bait.write("model.joblib", bait.payload)
    bait.facts["artifacts"]["model.joblib"] = ""
    bait.format = "joblib"


@case("a pickle as a member of the archive")
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "0.pkl": bait.payload}))


@case("an array of objects, which is a pickle inside of .npy")
def _(bait: Bait) -> None:
    made = io.BytesIO()
    np.save(made, np.array([_Payload(bait)], dtype=object), allow_pickle=True)
    members = bait.members()
    name = next(name for name in members if name.endswith(".npy"))
    bait.skops(zipped({**members, name: made.getvalue()}))


class _Payload:
    def __init__(self, bait: Bait) -> None:
        self.marker = str(bait.marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


@case("a code/ folder beside an honest model")
def _(bait: Bait) -> None:
    bait.write("code/sitecustomize.py", f"import os; os.mkdir({str(bait.marker)!r})".encode())


@case("an MLmodel with a loader_module beside an honest model")
def _(bait: Bait) -> None:
    bait.write("evil.py", f"import os; os.mkdir({str(bait.marker)!r})".encode())
    bait.write("MLmodel", b"flavors:\n  python_function:\n    loader_module: evil\n    code: .\n")


@case("a python_model.pkl beside an honest model")
def _(bait: Bait) -> None:
    bait.write("python_model.pkl", bait.payload)


@case("a conda.yaml and requirements.txt beside an honest model")
def _(bait: Bait) -> None:
    bait.write("requirements.txt", b"--index-url http://127.0.0.1:9/\nevil\n")


# --- what skops would rebuild ---------------------------------------------------------------------------------------


def _steps(schema: dict[str, Any], node: dict[str, Any]) -> None:
    schema["content"]["content"]["steps"] = node


@case("a skops function node: os.mkdir")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: _steps(schema, {"__class__": "mkdir", "__module__": "os", "__loader__": "FunctionNode",
                                               "content": {"module_path": "os", "function": "mkdir"}}))  # fmt: skip


@case("a skops object of subprocess.Popen")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: schema.update(__module__="subprocess", __class__="Popen"))


@case("a skops partial node")
def _(bait: Bait) -> None:
    node = {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {}}
    bait.schema(lambda schema: _steps(schema, node))


@case("a skops method node")
def _(bait: Bait) -> None:
    node = {"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode", "content": {}}
    bait.schema(lambda schema: _steps(schema, node))


@case("a skops reduce node")
def _(bait: Bait) -> None:
    node = {"__class__": "bitgenerator", "__module__": "numpy.random", "__loader__": "ReduceNode",
            "__reduce__": {"args": str(bait.marker)}, "content": {}}  # fmt: skip
    bait.schema(lambda schema: _steps(schema, node))


@case("a skops operator.methodcaller")
def _(bait: Bait) -> None:
    node = {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": {},
            "content": {}}  # fmt: skip
    bait.schema(lambda schema: _steps(schema, node))


@case("a skops type that lies outside of the list: builtins.eval")
def _(bait: Bait) -> None:
    node = {"__class__": "eval", "__module__": "builtins", "__loader__": "TypeNode", "content": {}}
    bait.schema(lambda schema: _steps(schema, node))


@case("a forbidden estimator: a FunctionTransformer over os.mkdir, dumped by skops")
def _(bait: Bait) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    bait.skops(skops.io.dumps(FunctionTransformer(os.mkdir)))


@case("a class of the list under another module's name")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: schema.update(__module__="evil.pipeline"))


@case("a class whose name only looks like Pipeline")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: schema.update(__class__="Pipеline"))  # a Cyrillic letter


@case("a node without a loader")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: {name: value for name, value in schema.items() if name != "__loader__"})


@case("a node whose loader does not exist")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: schema.update(__loader__="NoSuchNode"))


@case("a dangerous type hidden below a dict's content")
def _(bait: Bait) -> None:
    bait.schema(lambda schema: schema["content"].update(
        extra={"deep": [{"__class__": "system", "__module__": "posix", "__loader__": "ObjectNode"}]}))  # fmt: skip


@case("a schema that holds itself 100,000 levels deep")
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "schema.json": b'{"content":' * 100_000 + b"1" + b"}" * 100_000}))


@case("a schema that names a file which is not in the archive")
def _(bait: Bait) -> None:
    members = bait.members()
    name = next(name for name in members if name.endswith(".npy"))
    del members[name]
    bait.skops(zipped(members))


# --- the archive itself ---------------------------------------------------------------------------------------------


@case("an archive member with a path that climbs out")
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "../../evil.py": b"x"}))


@case("an archive member with an absolute path")
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), "/etc/evil": b"x"}))


@case("an archive member that is a symbolic link")
def _(bait: Bait) -> None:
    members = bait.members()
    name = next(name for name in members if name.endswith(".npy"))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        for other, data in members.items():
            info = zipfile.ZipInfo(other)
            if other == name:
                info.create_system, info.external_attr, data = 3, 0o120777 << 16, b"/etc/passwd"
            target.writestr(info, data)
    bait.skops(made.getvalue())


@case("two archive members of one name")
def _(bait: Bait) -> None:
    made = io.BytesIO(bait.read("model.skops"))
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("schema.json", b"{}")
    bait.skops(made.getvalue())


@case("a member whose name only looks like schema.json")
def _(bait: Bait) -> None:
    members = bait.members()
    members["schemа.json"] = members.pop("schema.json")  # a Cyrillic letter
    bait.skops(zipped(members))


@case("a zip bomb: 1.1 GB of zeros in 5 MB")
def _(bait: Bait) -> None:
    made = io.BytesIO(bait.read("model.skops"))
    with (
        zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("999.npy", "w") as stream,
    ):
        for _ in range(70):
            stream.write(bytes(16 * 1024 * 1024))
    bait.skops(made.getvalue())


@case("a member that claims to be smaller than it is")
def _(bait: Bait) -> None:
    members = bait.members()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(name, data + (bytes(50_000_000) if name == "schema.json" else b""))
    data = made.getvalue()
    lie = struct.pack("<L", len(members["schema.json"]))
    bait.skops(data.replace(struct.pack("<L", len(members["schema.json"]) + 50_000_000), lie))


@case("an array whose header asks for 8 TB")
def _(bait: Bait) -> None:
    members = bait.members()
    name = next(name for name in members if name.endswith(".npy"))
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + "\n"
    bait.skops(zipped({**members, name: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()}))


@case("an encrypted archive")
def _(bait: Bait) -> None:
    data = bytearray(bait.read("model.skops"))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    bait.skops(bytes(data))


@case("an archive with a compression that nobody knows")
def _(bait: Bait) -> None:
    data = bytearray(bait.read("model.skops"))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] = 77
            at = data.find(mark, at + 4)
    bait.skops(bytes(data))


@case("a skops file cut off in the middle")
def _(bait: Bait) -> None:
    bait.skops(bait.read("model.skops")[:-200])


@case("an empty skops file")
def _(bait: Bait) -> None:
    bait.skops(b"")


# --- files, folders, digests ----------------------------------------------------------------------------------------


@case("the model file exchanged, the ledger's digest as it was")
def _(bait: Bait) -> None:
    bait.sealed = False
    bait.skops(bait.payload)


@case("the digests of two files swapped in the ledger")
def _(bait: Bait) -> None:
    bait.sealed = False
    named = bait.facts["artifacts"]
    named["model.onnx"], named["model.skops"] = named["model.skops"], named["model.onnx"]


@case("the preferred file's digest differs from its entry in the list of files")
def _(bait: Bait) -> None:
    bait.sealed = False
    bait.facts["artifact_sha256"] = "0" * 64


@case("a ledger row without a digest for model.json")
def _(bait: Bait) -> None:
    bait.sealed = False
    del bait.facts["artifacts"]["model.json"]


@case("a card that was changed, the ledger's digest as it was")
def _(bait: Bait) -> None:
    bait.sealed = False
    bait.card(lambda card: card.update(features=[["risk", "numeric"]]))


@case("a card whose own digests are not those of the files")
def _(bait: Bait) -> None:
    bait.card(lambda card: card["files"].update({"model.skops": "0" * 64}))


@case("a card that is not JSON")
def _(bait: Bait) -> None:
    bait.write("model.json", b"{")


@case("a card that says nothing of the inputs")
def _(bait: Bait) -> None:
    bait.card(lambda card: {name: value for name, value in card.items() if name != "features"})


@case("a card that is a list")
def _(bait: Bait) -> None:
    bait.card(lambda card: [card])


@case("an address that climbs out by ..")
def _(bait: Bait) -> None:
    bait.facts["artifact_uri"] = f"{bait.env.storage_root}/../{bait.outside.name}/kept"


@case("an absolute address elsewhere")
def _(bait: Bait) -> None:
    bait.facts["artifact_uri"] = str(bait.outside / "kept")


@case("an address on another server")
def _(bait: Bait) -> None:
    bait.facts["artifact_uri"] = "s3://elsewhere/model"


@case("an address below a folder whose name only begins like the root")
def _(bait: Bait) -> None:
    twin = f"{bait.env.storage_root}-twin"
    shutil.copytree(bait.folder, f"{twin}/model", dirs_exist_ok=True)
    bait.facts["artifact_uri"] = f"{twin}/model"


@case("a model file that is a symbolic link to outside")
def _(bait: Bait) -> None:
    target = bait.outside / "kept" / "model.onnx"
    (bait.folder / "model.onnx").unlink()
    (bait.folder / "model.onnx").symlink_to(target)


@case("a model folder that is a symbolic link to outside")
def _(bait: Bait) -> None:
    shutil.rmtree(bait.folder)
    bait.folder.symlink_to(bait.outside / "kept")


@case("a model file with a second name elsewhere, a hard link")
def _(bait: Bait) -> None:
    other = bait.outside / "other-name"
    other.unlink(missing_ok=True)
    os.link(bait.folder / "model.onnx", other)


@case("a second model file whose name only looks like model.onnx")
def _(bait: Bait) -> None:
    bait.write("mоdel.onnx", bait.payload)  # a Cyrillic letter


@case("a ledger row whose file name only looks like model.skops")
def _(bait: Bait) -> None:
    bait.format = "skops"
    bait.facts["artifacts"]["model.skорs"] = bait.facts["artifacts"].pop("model.skops")


@case("a ledger row with a format that is a path")
def _(bait: Bait) -> None:
    bait.format = "../../evil"


# --- ONNX -----------------------------------------------------------------------------------------------------------


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
