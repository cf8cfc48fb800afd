"""A late or corrected raw file makes new versions of the days that it touches, of no others, and the old ones stay."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import typer
from typer.testing import CliRunner

from imago.alerts.digest import close_digest
from imago.cli import data
from imago.context import RunContext
from imago.days import spans
from imago.errors import ImagoError, RefusedPartition
from imago.features.changes import differences, reasons, touched, versions
from imago.jobs import features, outcomes
from imago.jobs.corrections import correct, split
from imago.landing.deliver import write_delivery
from imago.ledger import connect
from imago.storage import Storage, checksum_of
from imago.tables import Table

CONTEXT = RunContext(run_id="test")
D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"
CORRECTION = f"raw/outcomes/ds={D1}/20130320T000000Z.parquet"


@pytest.fixture
def published(landed, spec):
    """Three days of features and outcomes, published."""
    outcomes.refresh(landed, spec, D1, D3, CONTEXT)
    features.refresh(landed, spec, D1, D3, CONTEXT)
    return landed


def corrected(env, known_at: datetime, ds: str = D1) -> str:
    """A later delivery that makes one flight that was on time 300 minutes late; its key."""
    storage = Storage(env)
    original = storage.read_parquet(
        next(name for name in storage.list(f"raw/outcomes/ds={ds}") if name.endswith(".parquet"))
    )
    rows = original.filter(pc.equal(original["arr_delay"], 0)).slice(0, 1)
    for name, value in (
        ("arr_delay", pa.array([300], pa.int64())),
        ("known_at", pa.array([known_at], pa.timestamp("us"))),
    ):
        rows = rows.set_column(rows.column_names.index(name), name, value)
    write_delivery(storage, f"raw/outcomes/ds={ds}/{known_at:%Y%m%dT%H%M%SZ}.parquet", rows)
    return rows["flight_key"][0].as_py()


def run(name: str) -> RunContext:
    return RunContext(run_id=name)


def test_nothing_is_touched_while_the_raw_files_stay(published, spec):
    assert touched(published, spec, "features") == {}
    assert touched(published, spec, "outcomes") == {}

    summary = correct(published, spec, "outcomes", run("quiet"))
    assert (summary["rebuilt"], summary["changed_days"]) == (0, [])


def test_a_correction_makes_a_new_version_of_its_outcomes_and_the_old_one_stays_readable(published, spec):
    key = corrected(published, datetime(2013, 3, 20))
    assert touched(published, spec, "outcomes") == {D1: (f"{CORRECTION} came",)}

    summary = correct(published, spec, "outcomes", run("correction"))

    assert summary["changed_days"] == [D1]
    assert (summary["rebuilt"], summary["refused"]) == (1, {})
    newest, first = versions(published, spec, "outcomes", D1)
    assert (newest.why, newest.mode, newest.run_id) == ((f"{CORRECTION} came",), "backfill", "correction")
    assert (first.why, first.is_readable) == (("first build",), True)
    table = Table(published, spec.name, "outcomes")
    label = {
        one.version: {row["flight_key"]: row["label"] for row in table.read([D1], version=one.version).to_pylist()}[key]
        for one in (first, newest)
    }
    assert label == {first.version: 0, newest.version: 1}
    assert touched(published, spec, "outcomes") == {}


def test_what_came_after_midnight_does_not_touch_features_made_at_midnight(published, spec):
    corrected(published, datetime(2013, 3, 20))

    assert touched(published, spec, "features") == {}
    assert correct(published, spec, "features", run("later"))["rebuilt"] == 0


def test_a_late_file_that_was_known_in_time_changes_the_features_that_read_it(published, spec):
    # 00:00 of 3 March in New York is 05:00 UTC: this correction of 1 March was known by then.
    moment = datetime(2013, 3, 3, 5)
    corrected(published, moment)
    name = f"raw/outcomes/ds={D1}/20130303T050000Z.parquet"
    assert touched(published, spec, "features") == {D3: (f"{name} came",)}

    summary = correct(published, spec, "features", run("late"))

    assert summary["changed_days"] == [D3]
    assert [one.why for one in versions(published, spec, "features", D3)] == [(f"{name} came",), ("first build",)]
    assert [len(versions(published, spec, "features", ds)) for ds in (D1, D2)] == [1, 1]


def test_a_file_that_was_written_again_with_the_same_rows_makes_no_new_version(published, spec):
    storage = Storage(published)
    rel = f"raw/schedule/ds={D2}/20130301T230000Z.parquet"
    data = storage.read_bytes(rel)
    storage.write_bytes(rel, data)
    assert touched(published, spec, "features") == {D2: (f"{rel} changed",)}

    summary = correct(published, spec, "features", run("copied"))

    assert (summary["rebuilt"], summary["changed_days"]) == (1, [])
    assert len(versions(published, spec, "features", D2)) == 1
    assert touched(published, spec, "features") == {}


def test_a_retry_announces_what_the_attempt_before_it_had_changed(published, spec):
    corrected(published, datetime(2013, 3, 20))
    assert correct(published, spec, "outcomes", run("twice"))["changed_days"] == [D1]

    again = correct(published, spec, "outcomes", RunContext(run_id="twice", attempt=2))
    assert (again["rebuilt"], again["changed_days"]) == (0, [D1])


def test_a_refused_day_stays_is_told_once_and_tried_again_only_when_its_files_change(published, spec):
    storage = Storage(published)
    key = corrected(published, datetime(2013, 3, 20))
    corrected(published, datetime(2013, 3, 21), ds=D2)
    storage.delete(checksum_of(CORRECTION))

    first = correct(published, spec, "outcomes", run("first"))
    again = correct(published, spec, "outcomes", run("again"))

    # One bad file does not hold up the good one beside it.
    assert first["changed_days"] == [D2]
    assert list(first["refused"]) == [D1]
    assert "checksum" in first["refused"][D1]
    assert (again["rebuilt"], again["refused"], again["given_up"]) == (0, {}, [D1])
    assert len(versions(published, spec, "outcomes", D1)) == 1
    with connect(published).begin() as connection:
        digest = close_digest(connection, spec.name, quiet_seconds=0)
    assert digest is not None
    assert digest["findings"] == 1

    write_delivery(storage, CORRECTION, storage.read_parquet(CORRECTION))
    mended = correct(published, spec, "outcomes", run("mended"))
    assert (mended["changed_days"], mended["given_up"]) == ([D1], [])
    labels = {
        row["flight_key"]: row["label"] for row in Table(published, spec.name, "outcomes").require(D1).to_pylist()
    }
    assert labels[key] == 1


def test_a_day_whose_only_file_went_stays_published_and_is_told(published, spec):
    storage = Storage(published)
    storage.delete(f"raw/outcomes/ds={D2}")
    name = f"raw/outcomes/ds={D2}/20130303T170000Z.parquet"
    assert touched(published, spec, "outcomes") == {D2: (f"{name} went",)}

    summary = correct(published, spec, "outcomes", run("gone"))

    assert list(summary["refused"]) == [D2]
    assert Table(published, spec.name, "outcomes").require(D2).num_rows == 765
    with connect(published).begin() as connection:
        digest = close_digest(connection, spec.name, quiet_seconds=0)
    assert digest is not None
    assert digest["findings"] == 1


def test_the_command_line_counts_versions_and_says_why(published, spec, monkeypatch):
    corrected(published, datetime(2013, 3, 20))
    correct(published, spec, "outcomes", run("correction"))
    monkeypatch.setattr("imago.cli.data.environment", lambda name: published)

    verbs = typer.Typer()
    data.register(verbs)

    def told(*arguments: str) -> str:
        result = CliRunner().invoke(verbs, ["partitions", "outcomes", spec.name, *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    days = json.loads(told("--json"))
    newest, first = json.loads(told("--ds", D1, "--json"))
    assert [(one["ds"], one["versions"]) for one in days] == [(D1, 2), (D2, 1), (D3, 1)]
    assert newest["why"] == [f"{CORRECTION} came"]
    assert newest["version"] > first["version"]
    assert first["why"] == ["first build"]
    assert "first build" in told("--ds", D1)
    assert "--ds DAY" in told()


def test_the_command_line_shows_what_is_touched_before_it_builds_it(published, spec, monkeypatch):
    corrected(published, datetime(2013, 3, 20))
    monkeypatch.setattr("imago.cli.data.environment", lambda name: published)
    monkeypatch.setattr("imago.specs.get_model", lambda name: spec)
    verbs = typer.Typer()
    data.register(verbs)

    plan = CliRunner().invoke(verbs, ["corrections", spec.name, "--plan", "--json"])
    assert json.loads(plan.stdout)["outcomes"] == {"touched": {D1: [f"{CORRECTION} came"]}}
    assert len(versions(published, spec, "outcomes", D1)) == 1

    done = CliRunner().invoke(verbs, ["corrections", spec.name])
    assert f"outcomes: 1 changed {D1}, 0 refused" in done.stdout
    assert "features: 0 changed" in done.stdout
    assert touched(published, spec, "outcomes") == {}


def test_days_in_a_row_are_one_run():
    assert spans(["2013-03-05", D1, D3, D2]) == [(D1, D3), ("2013-03-05", "2013-03-05")]


@pytest.mark.parametrize(
    ("facts", "bad", "rest"),
    [
        ({"partition": D2}, (D2,), [(D1, D1), (D3, D3)]),
        ({"partition": f"{D2}..{D3}"}, (D2, D3), [(D1, D1)]),
        ({"partition": f"{D1}..{D3}"}, (), [(D1, D1), (D2, D3)]),
        ({"partition": f"{D1}..{D3}", "file": "raw/planes/a.parquet"}, (D1, D2, D3), []),
        ({}, (), [(D1, D1), (D2, D3)]),
        ({"partition": "2012-01-01"}, (), [(D1, D1), (D2, D3)]),
    ],
)
def test_a_refusal_of_a_range_leaves_out_what_it_names_and_halves_what_it_does_not(facts, bad, rest):
    assert split((D1, D2, D3), RefusedPartition("no", **facts)) == (bad, rest)


def test_a_refusal_of_one_day_is_about_that_day():
    assert split((D1,), ImagoError("no")) == ((D1,), [])


def test_files_that_came_changed_and_went_are_told_apart():
    early, late = "weather/ds=2013-03-01/20130228T230000Z.parquet", "weather/ds=2013-03-01/20130320T000000Z.parquet"
    midnight = datetime(2013, 3, 1, 5)

    assert differences({}, {early: [1, 1]}, known_by=midnight) == (f"raw/{early} came",)
    assert differences({early: [1, 1]}, {early: [1, 2]}, known_by=midnight) == (f"raw/{early} changed",)
    assert differences({early: [1, 1]}, {}, known_by=midnight) == (f"raw/{early} went",)
    assert differences({early: [1, 1]}, {early: [1, 1], late: [1, 1]}, known_by=midnight) == ()
    assert differences({}, {late: [1, 1]}, known_by=None) == (f"raw/{late} came",)


def test_every_input_that_differs_is_a_reason():
    before = {"code_commit": "a" * 40, "inputs": {"model_version": "3", "features": {"digest": "x", "version": 7}}}
    same = {"code_commit": "a" * 40, "inputs": {"model_version": "3", "features": {"digest": "x", "version": 9}}}
    other = {"code_commit": "b" * 40, "inputs": {"model_version": "4", "features": {"digest": "y", "version": 9}}}

    assert reasons(before, None, known_by=None) == ("first build",)
    assert reasons(same, before, known_by=None) == ("nothing that was written down differs: compare the two runs",)
    assert reasons(other, before, known_by=None) == (
        "the champion changed: version 3 to 4",
        "the day's features changed",
        "the code changed: aaaaaaaaaaaa to bbbbbbbbbbbb",
    )
    project = [{"code_commit": "a", "inputs": {"dbt_project": digest}} for digest in ("1", "2")]
    assert reasons(project[1], project[0], known_by=None) == ("the dbt project changed",)
