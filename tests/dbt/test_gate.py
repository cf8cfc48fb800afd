"""dbt's own tests as a gate: one that was turned down stops the build, and what fails says column, rule and rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imago.dbt import build
from imago.errors import RefusedPartition

D1, D2 = "2013-03-01", "2013-03-02"
OUTCOMES = "models/outcomes/flight_delays/flight_delays_outcomes.yml"


@pytest.fixture
def own_project(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project that a test may spoil."""
    folder = tmp_path / "dbt_project"
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(folder))
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, old
    file.write_text(text.replace(old, new, 1))


def refused(dev, tmp_path: Path, first: str = D1, last: str = D1) -> RefusedPartition:
    staging = tmp_path / "staged"
    staging.mkdir(exist_ok=True)
    with pytest.raises(RefusedPartition) as found:
        build(dev, select=["flight_delays_outcomes"], first=first, last=last, staging=str(staging))
    assert found.value.facts["environment"] == "dev"
    assert found.value.facts["partition"]
    assert found.value.next_step
    return found.value


@pytest.mark.parametrize(
    ("file", "old", "new", "seen"),
    [
        (OUTCOMES, "- within_contract", "- within_contract: {config: {severity: warn}}", "warn"),
        (OUTCOMES, "- within_contract", "- within_contract: {config: {enabled: false}}", "False"),
        (OUTCOMES, "- unique\n", "- unique: {config: {where: \"ds > '2013'\"}}\n", "ds > '2013'"),
        (OUTCOMES, "- in_run\n", "- in_run: {config: {error_if: '>100'}}\n", ">100"),
        (OUTCOMES, "      - within_contract\n", "", "no such test"),
        (OUTCOMES, "      - not_empty\n", "", "no such test"),
        ("dbt_project.yml", "models:\n", "data_tests: {+limit: 10}\nmodels:\n", "10"),
    ],
    ids=["warns", "switched off", "looks at a part", "tolerates", "lost its rules", "lost its count", "project-wide"],
)
def test_a_test_that_was_turned_down_stops_the_build_before_it_starts(dev, tmp_path, own_project, file, old, new, seen):
    edit(own_project / file, old, new)

    facts = refused(dev, tmp_path).facts

    assert (facts["rule"], facts["seen"]) == ("gate turned down", seen)
    assert facts["allowed"]
    assert not list((tmp_path / "staged").iterdir())


@pytest.fixture
def landed(dev):
    """The environment dev with the raw files of two days."""
    from imago.context import RunContext
    from imago.jobs.landing import land

    land(dev, D1, D2, RunContext(run_id="test"))
    return dev


def test_a_column_that_is_not_there_is_named(landed, tmp_path, own_project):
    edit(own_project / "models/staging/stg_outcomes.sql", "'arr_delay', ", "'arrival', ")

    facts = refused(landed, tmp_path).facts

    assert (facts["column"], facts["rule"]) == ("arrival", "all of the contract's columns")


def test_a_value_that_cannot_be_converted_is_a_refusal_that_does_not_quote_it(landed, tmp_path, own_project):
    edit(own_project / "models/staging/stg_outcomes.sql", "cast(carrier as varchar)", "cast(flight_key as integer)")

    error = refused(landed, tmp_path)

    assert (error.facts["rule"], error.facts["allowed"]) == ("type", "INT32")
    assert "2013-03-01-" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "column", "rule", "seen"),
    [
        ("at_most: 1800", "at_most: 200", "arr_delay", "range", "201.0 to 434.0"),
        (
            "not cancelled or arr_delay is null",
            "cancelled or arr_delay < 200",
            "arr_delay",
            "none when cancelled",
            None,
        ),
    ],
)
def test_a_broken_rule_names_its_column_worst_day_and_rows(landed, tmp_path, own_project, old, new, column, rule, seen):
    edit(own_project / OUTCOMES, old, new)

    facts = refused(landed, tmp_path, D1, D2).facts

    assert (facts["table"], facts["column"], facts["rule"]) == ("flight_delays_outcomes", column, rule)
    assert facts["partition"].startswith("2013-03-0")
    assert facts["rows"] > 0
    assert facts["allowed"]
    print(facts)


def test_a_test_that_cannot_run_is_a_refusal(landed, tmp_path, own_project):
    edit(own_project / OUTCOMES, "known_at >= event_time", "known_at >= nowhere")

    facts = refused(landed, tmp_path).facts

    assert (facts["rule"], facts["allowed"]) == ("within_contract", "every test runs")
