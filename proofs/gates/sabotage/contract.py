"""Sabotages of what a person writes: the contract in the `.yml`, and dbt's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from proofs.gates import mutators as m
from proofs.gates.cases import DAY
from proofs.gates.sabotage.base import Sabotage
from proofs.gates.spoiling import Spoil, own_project, scratch
from proofs.gates.world import World

Yml = dict[str, Any]


def sabotages() -> Iterable[Sabotage]:
    """All of them."""

    def of(name: str, change: Callable[[Yml], None], *, target: str = "dev") -> Sabotage:
        return Sabotage(name=name, act=_edited(change), target=target)

    yield Sabotage(name="the contract's .yml is deleted", act=_file(lambda path: path.unlink()))
    yield Sabotage(name="the contract's .yml is emptied", act=_file(lambda path: path.write_text("version: 2\n")))
    yield of("the contract is not enforced", lambda yml: _config(yml).update(contract={"enforced": False}))
    yield of("all rules of all columns are removed", _without_rules)
    yield of("the rules of one column are removed", lambda yml: _column(yml, "temperature_f").pop("config"))
    yield of("a column is taken out of the contract", lambda yml: yml["columns"].remove(_column(yml, "wind_mph")))
    yield of("a column is renamed in the contract", lambda yml: _column(yml, "dest").update(name="destination"))
    yield of("a rule is misspelt", lambda yml: _meta(yml, "temperature_f").update(at_lest=-30))
    yield of("the cap on missing values is 1", lambda yml: _meta(yml, "temperature_f").update(max_missing=1))
    yield of("the cap on unseen values is 1", lambda yml: _meta(yml, "dest").update(max_unseen=1.0))
    yield of("the cap on missing values is gone", lambda yml: _meta(yml, "pressure_mb").pop("max_missing"))
    yield of("a range reaches to infinity", lambda yml: _meta(yml, "wind_mph").update(at_most=float("inf")))
    yield of("a range is gone", lambda yml: _meta(yml, "block_minutes").pop("at_most"))
    yield of("the allowed values are none", lambda yml: _meta(yml, "origin").update(values=[]))
    yield of("the volume is gone", lambda yml: _config(yml)["meta"].pop("volume"))
    yield of("the volume begins below nothing", lambda yml: _config(yml)["meta"]["volume"].update(at_least=-1))
    yield of("a key may be null", lambda yml: _meta(yml, "flight_key").pop("nullable"))
    yield of("the dbt test of the contract is removed", lambda yml: yml["data_tests"].remove("within_contract"))
    yield of("all dbt tests of the model are removed", _without_tests)
    for what, config in _TURNED_DOWN.items():
        yield of(f"a dbt test is turned down: {what}", _configured(config))
    yield of(
        "severity is lowered in prod only",
        _configured({"severity": "{{ 'warn' if target.name == 'prod' else 'error' }}"}),
        target="prod",
    )
    # A pattern that matches all is a rule that a person may write; the cap on unseen values is what stops then.
    yield Sabotage(
        name="a pattern that matches everything, and mangled values",
        act=_edited(lambda yml: _meta(yml, "dest").update(pattern=".*")),
        bad=m.text("dest", str.lower),
    )


_TURNED_DOWN: dict[str, dict[str, Any]] = {
    "severity: warn": {"severity": "warn"},
    "enabled: false": {"enabled": False},
    "where 1 = 0": {"where": "1 = 0"},
    "limit: 1": {"limit": 1},
    "error_if above a million": {"error_if": "> 1000000"},
    "warn_if and no error": {"warn_if": "> 0", "error_if": "> 999999999"},
}


def _file(change: Callable[[Path], object]) -> Spoil:
    @contextmanager
    def act(world: World) -> Iterator[None]:
        with scratch() as folder, own_project(folder) as project:
            change(project / "models/features/flight_delays/flight_delays_features.yml")
            yield

    return act


def _edited(change: Callable[[Yml], None]) -> Spoil:
    def edit(path: Path) -> None:
        read = yaml.safe_load(path.read_text())
        change(read["models"][0])
        written = yaml.safe_dump(read, sort_keys=False)
        if yaml.safe_load(written) == yaml.safe_load(path.read_text()):
            raise AssertionError("this sabotage changes nothing")
        path.write_text(written)

    return _file(edit)


def _config(yml: Yml) -> Yml:
    found: Yml = yml["config"]
    return found


def _column(yml: Yml, name: str) -> Yml:
    return next(column for column in yml["columns"] if column["name"] == name)


def _meta(yml: Yml, name: str) -> Yml:
    found: Yml = _column(yml, name)["config"]["meta"]
    return found


def _without_rules(yml: Yml) -> None:
    for column in yml["columns"]:
        column.pop("config", None)


def _without_tests(yml: Yml) -> None:
    yml.pop("data_tests", None)
    for column in yml["columns"]:
        column.pop("data_tests", None)


def _configured(config: dict[str, Any]) -> Callable[[Yml], None]:
    def change(yml: Yml) -> None:
        at = yml["data_tests"].index("within_contract")
        yml["data_tests"][at] = {"within_contract": {"config": config}}

    return change


__all__ = ["DAY", "sabotages"]
