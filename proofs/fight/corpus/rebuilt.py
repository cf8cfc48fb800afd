"""skops files that call what they like while they are rebuilt, or in the first prediction, once their types are
believed."""

from __future__ import annotations

import functools
import json
import operator
from typing import Any

import numpy as np

from proofs.fight import naive
from proofs.fight.bait import Bait
from proofs.fight.corpus.cases import Case, Spoil, listed

CASES: list[Case] = []
case = listed(CASES)
Node = dict[str, Any]


def _value(value: Any) -> Node:
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value),
            "is_json": True}  # fmt: skip


def _tuple(values: tuple[Any, ...]) -> Node:
    nodes = [value if isinstance(value, dict) else _value(value) for value in values]
    return {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": nodes}


def _call(module: str, name: str, *given: Any) -> Node:
    """A node that calls `module.name(*given)` when it is rebuilt."""
    return {
        "__class__": name,
        "__module__": module,
        "__loader__": "ConstructorFromReduceNode",
        "content": _tuple(given),
    }


def _loss(module: str, name: str, *given: Any) -> Node:
    """The same, as scikit-learn's losses are rebuilt."""
    keys = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    empty = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}, "key_types": keys}
    return {"__class__": name, "__module__": module, "__loader__": "LossNode", "__reduce__": {"args": _tuple(given)},
            "content": empty}  # fmt: skip


def _as_steps(node: Node) -> Any:
    """Puts the node in the place of the pipeline's steps."""

    def change(schema: Node) -> None:
        schema["content"]["content"]["steps"] = node

    return change


def _calls(name: str, module: str, function: str, *given: Any) -> None:
    """A case whose file calls a function while it is rebuilt; `...` stands for the marker."""

    def spoil(bait: Bait) -> None:
        filled = (str(bait.marker) if value is ... else _filled(value, bait) for value in given)
        bait.schema(_as_steps(_call(module, function, *filled)))

    CASES.append(Case(name, spoil, naive.with_skops))


def _filled(value: Any, bait: Bait) -> Any:
    if isinstance(value, list):
        return [str(bait.marker) if part is ... else part for part in value]
    return value.replace("MARKER", str(bait.marker)) if isinstance(value, str) else value


_calls("a skops node that calls os.mkdir", "os", "mkdir", ...)
_calls("a skops node that calls os.system", "os", "system", "mkdir 'MARKER'")
_calls("a skops node that calls subprocess.check_call", "subprocess", "check_call", ["mkdir", ...])
_calls("a skops node that calls eval", "builtins", "eval", "__import__('os').mkdir('MARKER')")
_calls("a skops node that calls exec", "builtins", "exec", "import os; os.mkdir('MARKER')")
_calls("a skops node that opens a file", "builtins", "open", ..., "w")
_calls("a skops object that is a raw file", "io", "FileIO", ..., "w")
_calls("a skops object that is an archive to write to", "zipfile", "ZipFile", ..., "w")
_calls("a skops object that logs to a file", "logging", "FileHandler", ...)
_calls("a skops object that is a memory map", "numpy", "memmap", ..., "uint8", "w+", 0, [1])
_calls("a skops node that copies a file", "shutil", "copyfile", "/dev/null", ...)


@case("a skops node that calls os.mkdir as a loss function would be rebuilt", naive.with_skops)
def _(bait: Bait) -> None:
    bait.schema(_as_steps(_loss("os", "mkdir", str(bait.marker))))


@case("a skops file that is nothing but a call", naive.with_skops)
def _(bait: Bait) -> None:
    def change(schema: Node) -> Node:
        kept = {name: schema[name] for name in ("protocol", "_skops_version")}
        return {**_call("os", "mkdir", str(bait.marker)), **kept}

    bait.schema(change)


@case("a call hidden deep below lists and tuples", naive.with_skops)
def _(bait: Bait) -> None:
    node = _call("os", "mkdir", str(bait.marker))
    for _ in range(40):
        node = _tuple((node, "honest"))
    bait.schema(lambda schema: schema["content"]["content"].update(verbose=node))


@case("a partial function that is rebuilt with a call among its arguments", naive.with_skops)
def _(bait: Bait) -> None:
    function = {"__class__": "len", "__module__": "builtins", "__loader__": "FunctionNode"}
    content = {"func": function, "args": _tuple((_call("os", "mkdir", str(bait.marker)),)), "kwds": _value({}),
               "namespace": _value(None)}  # fmt: skip
    node = {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": content}
    bait.schema(_as_steps(node))


@case("a method of an object that is rebuilt by a call", naive.with_skops)
def _(bait: Bait) -> None:
    content = {"func": "close", "obj": _call("io", "FileIO", str(bait.marker), "w")}
    bait.schema(_as_steps({"__class__": "FileIO", "__module__": "io", "__loader__": "MethodNode", "content": content}))


def _imports(loader: str) -> Spoil:
    """Names a module of the code folder, so that looking for the name imports it."""

    def spoil(bait: Bait) -> None:
        bait.write("code/evil_types.py", f"import os; os.mkdir({str(bait.marker)!r})\nclass Scaler: pass\n".encode())
        bait.schema(_as_steps({"__class__": "Scaler", "__module__": "evil_types", "__loader__": loader}))

    return spoil


for _loader in ("TypeNode", "FunctionNode", "ObjectNode"):
    CASES.append(Case(f"a {_loader} whose module lies in a code/ folder", _imports(_loader), naive.with_skops_and_code))


def _transformer(function: Any) -> bytes:
    """A pipeline that calls `function` with the rows of the first prediction, dumped by skops itself."""
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    line = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    steps = [("look", FunctionTransformer(function)), ("model", line)]
    return bytes(skops.io.dumps(Pipeline(steps)))


@case("a transformer over numpy.savetxt", naive.with_skops)
def _(bait: Bait) -> None:
    bait.skops(_transformer(functools.partial(np.savetxt, str(bait.marker), fmt="%s")))


@case("a transformer over a method that the rows have", naive.with_skops)
def _(bait: Bait) -> None:
    bait.skops(_transformer(operator.methodcaller("to_csv", str(bait.marker))))


@case("a transformer over another method that the rows have", naive.with_skops)
def _(bait: Bait) -> None:
    bait.skops(_transformer(operator.methodcaller("to_pickle", str(bait.marker))))


@case("a transformer over another transformer's method", naive.with_skops)
def _(bait: Bait) -> None:
    from sklearn.preprocessing import FunctionTransformer

    inner = FunctionTransformer(functools.partial(np.savetxt, str(bait.marker), fmt="%s"))
    bait.skops(_transformer(inner.transform))
