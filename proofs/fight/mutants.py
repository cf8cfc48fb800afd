"""Mutation testing of the rule: does a unit test notice when one sign of the code is another one?

Each mutant is a module with one change in its syntax tree, put in the place of the real one in a forked process that
then runs the unit tests of its area. A mutant that no test notices has to stand in `equivalent.py` with the reason why
nobody could notice it.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.abc
import importlib.util
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofs.fight.equivalent import EQUIVALENT
from proofs.report import Report

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "include/imago/selection"
TESTS = ROOT / "tests/unit/selection"
# What is mutated, and the unit tests that have to notice it.
MODULES: dict[str, tuple[str, ...]] = {
    "rule": ("test_rule.py", "test_rulings.py", "test_contest.py", "test_rule_generated.py"),
    "terms": ("test_rule.py", "test_rulings.py", "test_contest.py", "test_rule_generated.py"),
    "bootstrap": ("test_bootstrap.py", "test_contest.py"),
    "slices": ("test_contest.py",),
    "gates": ("test_gates.py",),
    "contest": ("test_contest.py", "test_gates.py"),
}
# A mutant that goes on for ever counts as noticed: after so many seconds of processor time, which a busy machine does
# not use up, or, where it only waits, after so many by the clock.
LONGEST_BUSY, LONGEST = 120, 1800
WORKERS = 2

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_CALLS = {"max": "min", "min": "max", "any": "all", "all": "any", "minimum": "maximum", "unique": "sort"}


@dataclass(frozen=True)
class Mutant:
    """One change: `where` is the function, `was` and `now` the changed piece of source."""

    module: str
    where: str
    line: int
    was: str
    now: str
    code: Any
    nth: int = 1  # of those that read alike in their function

    @property
    def text(self) -> str:
        was, now = (" ".join(text.split()) for text in (self.was, self.now))
        nth = "" if self.nth == 1 else f" (no. {self.nth})"
        return f"{self.module}.py:{self.line} {self.where}: {was:.90} -> {now:.90}{nth}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.module, self.where, self.was, self.now if self.nth == 1 else f"{self.now} (no. {self.nth})"


def run(every: int = 1, only: str = "") -> Report:
    """Tries every `every`-th mutant of each module, or those of the module `only`."""
    report = Report("mutants of the rule and the gates")
    _preload()
    chosen = {module: list(mutants(module)) for module in MODULES if only in ("", module)}
    as_it_is = dict(_noticed((module, None) for module in chosen))
    for (module, _), noticed in as_it_is.items():
        report.check(f"{module}: the tests pass on the code as it is", not noticed)
    if any(as_it_is.values()):
        return report
    tried = [(mutant.module, mutant) for found in chosen.values() for mutant in found[::every]]
    killed: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for (module, mutant), noticed in _noticed(tried):
        assert mutant is not None
        explained = mutant.key in EQUIVALENT
        (killed if noticed else survived)[module] += 1
        seen = "it stands among the equivalent ones, yet a test notices it" if noticed else "no test notices it"
        report.check(mutant.text, noticed != explained, seen)
    known = {mutant.key for found in chosen.values() for mutant in found}
    unused = [key for key in EQUIVALENT if key not in known and only in ("", key[0])]
    report.check("every explained survivor is a mutant of today's code", not unused, unused[:3])
    unexplained = sum(text.endswith("no test notices it") for text in report.failures)
    report.say(
        f"{len(tried)} mutants of {', '.join(f'{module} ({killed[module] + survived[module]})' for module in chosen)}: "
        f"{killed.total()} killed, {survived.total() - unexplained} survive with a reason, {unexplained} without"
    )
    return report


def mutants(module: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse((SOURCES / f"{module}.py").read_text())
    alike: Counter[tuple[str, str, str]] = Counter()
    for scope, node in _nodes(tree):
        for change in _changes(node):
            other = copy.deepcopy(tree)
            twin = next(found for found in ast.walk(other) if _same_place(found, node))
            before = ast.unparse(twin)
            after = change(twin)
            if after is not twin:
                other = _Replace(twin, after).visit(other)
            text = ast.unparse(after) if after is not None else "pass"
            code = compile(ast.fix_missing_locations(other), f"{module}.py", "exec")
            alike[scope, before, text] += 1
            nth = alike[scope, before, text]
            yield Mutant(module, scope, getattr(node, "lineno", 0), before, text, code, nth)


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        scope, node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}".strip(".")
        if isinstance(node, ast.JoinedStr | ast.ImportFrom | ast.Import):
            continue  # wording is not logic
        yield scope, node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            waiting += [(scope, part) for part in (value if isinstance(value, list) else [value])
                        if isinstance(part, ast.AST)]  # fmt: skip


def _changes(node: ast.AST) -> Iterator[Any]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARE[type(operator)]:
                yield lambda twin, place=place, other=other: _set(twin.ops, place, other(), twin)
    elif isinstance(node, ast.BoolOp):
        yield lambda twin: _attribute(twin, "op", ast.Or() if isinstance(twin.op, ast.And) else ast.And())
        for place in range(len(node.values)):
            yield lambda twin, place=place: _without(twin, place)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield lambda twin: twin.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield lambda twin: _attribute(twin, "op", _ARITHMETIC[type(twin.op)]())
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield lambda twin: _attribute(twin, "value", not twin.value)
        elif isinstance(node.value, int | float):
            yield lambda twin: _attribute(twin, "value", twin.value + 1)
    elif isinstance(node, ast.IfExp):
        yield lambda twin: twin.body
        yield lambda twin: twin.orelse
    elif isinstance(node, ast.If):
        yield lambda twin: _attribute(twin, "test", ast.Constant(False))
    elif isinstance(node, ast.Return) and not _is_nothing(node.value):
        yield lambda twin: _attribute(twin, "value", ast.Constant(None))
    elif _is_statement(node):
        yield lambda twin: ast.Pass()
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield lambda twin: _attribute(twin, "ifs", [])
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in _CALLS:
            yield lambda twin, name=name: _renamed(twin, _CALLS[name])


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _is_statement(node: ast.AST) -> bool:
    wording = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Expr) and not wording


def _set(items: list[Any], place: int, value: Any, twin: ast.AST) -> ast.AST:
    items[place] = value
    return twin


def _attribute(twin: Any, name: str, value: Any) -> ast.AST:
    setattr(twin, name, value)
    return twin


def _without(twin: Any, place: int) -> ast.AST:
    rest = [value for other, value in enumerate(twin.values) if other != place]
    return rest[0] if len(rest) == 1 else ast.BoolOp(twin.op, rest)


def _renamed(twin: Any, name: str) -> ast.AST:
    if isinstance(twin.func, ast.Attribute):
        twin.func.attr = name
    else:
        twin.func.id = name
    return twin


def _same_place(found: ast.AST, node: ast.AST) -> bool:
    if type(found) is not type(node):
        return False
    if isinstance(node, ast.comprehension):
        return ast.dump(found) == ast.dump(node) and found.target.lineno == node.target.lineno  # type: ignore[attr-defined]
    names = ("lineno", "col_offset", "end_lineno", "end_col_offset")
    return all(getattr(found, name, None) == getattr(node, name, None) for name in names)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


# --- running the tests ----------------------------------------------------------------------------------------------


def _preload() -> None:
    """What the tests import beside the code under test, so that a fork begins warm."""
    for name in ("hypothesis", "pytest", "scipy.special", "sklearn.metrics"):
        importlib.import_module(name)


class _Exchanged(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant's code when its module is imported."""

    def __init__(self, name: str, code: Any) -> None:
        self.name, self.code = name, code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(self.code, module.__dict__)


def _noticed(tried: Iterable[tuple[str, Mutant | None]]) -> Iterator[tuple[tuple[str, Mutant | None], bool]]:
    """Whether a test fails on each (module, mutant), in the order in which their processes end."""
    waiting = list(tried)
    running: dict[int, tuple[tuple[str, Mutant | None], float]] = {}
    while waiting or running:
        while waiting and len(running) < WORKERS:
            module, mutant = waiting.pop(0)
            child = os.fork()
            if child == 0:
                os._exit(_tested(module, mutant.code if mutant else None, MODULES[module]))
            running[child] = (module, mutant), time.monotonic() + LONGEST
        for child, (which, until) in list(running.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() < until:
                continue
            if not done:
                os.kill(child, 9)
                _, status = os.waitpid(child, 0)
            del running[child]
            yield which, status != 0
        time.sleep(0.005)


def _tested(module: str, code: Any, tests: tuple[str, ...]) -> int:
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_BUSY, LONGEST_BUSY))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for name in [name for name in sys.modules if name.startswith("imago.selection")]:
        del sys.modules[name]
    if code is not None:
        sys.meta_path.insert(0, _Exchanged(f"imago.selection.{module}", code))
    # A fixed seed: a mutant that only a lucky draw notices is a survivor, today and tomorrow.
    return int(pytest.main([
        "-x", "-q", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, "--rootdir", str(TESTS),
        "--hypothesis-seed=2013", *(str(TESTS / name) for name in tests),
    ]))  # fmt: skip
