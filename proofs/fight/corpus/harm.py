"""Artifacts that leave no marker and do harm all the same: they fill memory or disk, never end, crash a parser, name a
function that would be called later, or are not the model that the ledger knows."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

from proofs.fight.bait import Bait, zipped
from proofs.fight.corpus.cases import Case, listed

CASES: list[Case] = []
case = listed(CASES)


@case("a conda.yaml and requirements.txt beside an honest model")
def _(bait: Bait) -> None:
    bait.write("requirements.txt", b"--index-url http://127.0.0.1:9/\nevil\n")


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


@case("a skops operator.methodcaller")
def _(bait: Bait) -> None:
    node = {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": {},
            "content": {}}  # fmt: skip
    bait.schema(lambda schema: _steps(schema, node))


@case("a skops type that lies outside of the list: builtins.eval")
def _(bait: Bait) -> None:
    node = {"__class__": "eval", "__module__": "builtins", "__loader__": "TypeNode", "content": {}}
    bait.schema(lambda schema: _steps(schema, node))


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


@case("an address on another server")
def _(bait: Bait) -> None:
    bait.facts["artifact_uri"] = "s3://elsewhere/model"


@case("a second model file whose name only looks like model.onnx")
def _(bait: Bait) -> None:
    bait.write("mоdel.onnx", bait.payload)  # a Cyrillic letter
