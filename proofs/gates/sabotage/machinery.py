"""Sabotages of what runs: the validator, dbt, the staged file, the audit's page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from imago.dbt import runner
from imago.errors import ImagoError
from imago.features import audit as audit_module
from imago.features import refresh, suite
from proofs.gates import mutators as m
from proofs.gates.cases import DAY, YESTERDAY
from proofs.gates.sabotage.base import Sabotage
from proofs.gates.spoiling import Spoil, written
from proofs.gates.world import World

_TIMES_1000 = m.scale("distance_miles", 1000)


def sabotages() -> Iterable[Sabotage]:
    """All of them."""
    yield Sabotage(name="the suite is emptied", act=_suite(lambda made: []))
    yield Sabotage(name="one expectation is dropped from the suite", act=_suite(lambda made: made[:-1]))
    yield Sabotage(
        name="the suite is that of its first rule, many times", act=_suite(lambda made: made[:1] * len(made))
    )
    yield Sabotage(name="mostly=0 in the suite", act=_suite(_mostly_0))
    yield Sabotage(
        name="mostly=0 wherever an expectation is made, and bad rows", act=_mostly_0_everywhere, bad=_TIMES_1000
    )
    yield Sabotage(name="a check looks at a column that is not there", act=_suite(_lost_column))
    yield Sabotage(name="a check raises an error", act=_result(_raised))
    yield Sabotage(name="the validator raises an error", act=_patched(suite, "validate", _raise))
    yield Sabotage(name="the validator says success and shows no results", act=_patched(suite, "validate", _success))
    yield Sabotage(name="the list of results is cut", act=_result(lambda told: told.results.pop()))
    yield Sabotage(name="a result is of another check", act=_result(_exchanged))
    yield Sabotage(
        name="the validator looks at a part of the rows", act=_of_frame(lambda frame: frame.head(len(frame) - 1))
    )
    yield Sabotage(name="the validator says yes to everything, and bad rows", act=_result(_all_fine), bad=_TIMES_1000)
    yield Sabotage(name="the validator is killed", act=_nothing, run=_killed)
    yield Sabotage(name="the audit returns without a check", act=_unaudited)
    yield Sabotage(
        name="the check of the contract raises an error", act=_patched(refresh, "check_complete", _raise), crashes=True
    )
    yield Sabotage(
        name="the history of the table cannot be read", act=_patched(refresh, "history", _raise), crashes=True
    )
    yield Sabotage(name="dbt ran fewer tests than declared", act=_dbt_told("--exclude", "within_contract*"))
    yield Sabotage(name="dbt ran no test", act=_dbt_told("--exclude", "test_type:data"))
    yield Sabotage(name="no rows are staged", act=written("features", m.empty))
    yield Sabotage(name="the partition of another day is staged", act=_staged_from(YESTERDAY))
    yield Sabotage(name="dbt wrote to another attempt's place", act=_elsewhere)
    yield Sabotage(
        name="the staged file is replaced after dbt tested it",
        act=written("features", m.shifted("temperature_f", 1, 1), owned=False),
    )
    yield Sabotage(name="the audit's page cannot be written", act=_no_page, crashes=True)


@contextmanager
def _nothing(world: World) -> Iterator[None]:
    yield


def _patched(module: Any, name: str, stand_in: Any) -> Spoil:
    @contextmanager
    def act(world: World) -> Iterator[None]:
        with patch.object(module, name, stand_in):
            yield

    return act


def _raise(*given: Any, **named: Any) -> Any:
    raise RuntimeError("sabotaged")


def _success(*given: Any, **named: Any) -> Any:
    from great_expectations.core import ExpectationSuiteValidationResult

    return ExpectationSuiteValidationResult(success=True, results=[], suite_name="none", statistics={}, meta={})


def _suite(change: Callable[[list[Any]], list[Any]]) -> Spoil:
    """Another list of expectations in the suites."""
    real = suite.suite

    def made(name: str, rules: Iterable[Any]) -> Any:
        whole = real(name, rules)
        expectations = change(list(whole.expectations))
        whole.expectations = []
        for one in expectations:
            whole.expectations.append(one)
        return whole

    return _patched(suite, "suite", made)


def _mostly_0(made: list[Any]) -> list[Any]:
    for one in made:
        if hasattr(one, "mostly"):
            one.mostly = 0
    return made


@contextmanager
def _mostly_0_everywhere(world: World) -> Iterator[None]:
    real = suite.expectation
    with patch.object(suite, "expectation", lambda rule: _mostly_0([real(rule)])[0]):
        yield


def _lost_column(made: list[Any]) -> list[Any]:
    for one in made[3:4]:
        one.column = "no_such_column"
    return made


def _result(change: Callable[[Any], object]) -> Spoil:
    """The real results, changed."""
    real = suite.validate

    def validate(frame: Any, against: Any) -> Any:
        told = real(frame, against)
        change(told)
        return told

    return _patched(suite, "validate", validate)


def _raised(told: Any) -> None:
    told.results[-1].exception_info = {"raised_exception": True, "exception_message": "x", "exception_traceback": "x"}


def _exchanged(told: Any) -> None:
    told.results[-1].expectation_config = told.results[0].expectation_config


def _all_fine(told: Any) -> None:
    told.success = True
    for one in told.results:
        one.success = True
        if "unexpected_count" in one.result:
            one.result["unexpected_count"] = 0


def _of_frame(change: Callable[[Any], Any]) -> Spoil:
    real = suite.validate
    return _patched(suite, "validate", lambda frame, against: real(change(frame), against))


@contextmanager
def _unaudited(world: World) -> Iterator[None]:
    real = refresh.audit

    def nothing(*given: Any, **named: Any) -> Any:
        rows = real(*given, **named).rows
        return audit_module.AuditResult(declared=0, run=0, failures=(), warnings=(), validations=(), rows=rows)

    with patch.object(refresh, "audit", nothing):
        yield


def _dbt_told(*words: str) -> Spoil:
    real = runner.arguments
    return _patched(runner, "arguments", lambda *given: [*real(*given), *words])


def _staged_from(ds: str) -> Spoil:
    @contextmanager
    def act(world: World) -> Iterator[None]:
        rows = world.table("features").require(ds)

        def other(staged: pa.Table) -> pa.Table:
            return rows.select(staged.column_names).cast(staged.schema)

        with written("features", other)(world):
            yield

    return act


@contextmanager
def _elsewhere(world: World) -> Iterator[None]:
    real = refresh.build
    other = Path(world.env.storage_root) / f"staging/{world.spec.name}/features-{DAY}-1"
    other.mkdir(parents=True, exist_ok=True)
    with patch.object(refresh, "build", lambda env, **told: real(env, **{**told, "staging": str(other)})):
        yield


@contextmanager
def _no_page(world: World) -> Iterator[None]:
    """A file stands where the folder of pages should be."""
    folder = Path(world.env.storage_root) / f"audits/{world.spec.name}/features"
    kept = folder.rename(folder.with_name("features-kept")) if folder.exists() else None
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")
    try:
        yield
    finally:
        folder.unlink()
        if kept:
            kept.rename(folder)


def _killed(world: World) -> None:
    """The run in a process of its own that is killed (SIGKILL) while the validator works."""
    told = {**os.environ, "IMAGO_PROOF_ENV": _plain(world)}
    done = subprocess.run([sys.executable, "-m", "proofs.gates.sabotage.killed", DAY], env=told, capture_output=True)
    if done.returncode == -9:
        raise ImagoError("killed", rule="SIGKILL", next_step="none")
    raise AssertionError(f"the run ended by itself: {done.returncode} {done.stderr.decode()[-500:]}")


def _plain(world: World) -> str:
    told = world.env.model_dump(mode="json")
    return json.dumps({**told, "ledger_url": world.env.ledger_url.get_secret_value()})
