"""The log of a table, damaged: refused wherever it would give other rows than were published."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from imago.context import RunContext
from imago.errors import DamagedPartition
from imago.tables import Table, commits
from imago.tables.publish import Attempt
from imago.tables.witness import contradicted

FIRST, NEXT = "2013-01-01", "2013-01-02"
RUN = RunContext(run_id="run-1")


def rows(ds: str, value: float) -> pa.Table:
    return pa.table({"flight_key": ["a", "b"], "ds": [ds, ds], "rate": [value, value]})


def publish(table: Table, ds: str, value: float):
    key = ("flight_key",)
    return table.publish(rows(ds, value), days=[ds], key=key, fence=table.draw_fence(), context=RUN)


@pytest.fixture
def table(dev) -> Table:
    """Two days, the first of them twice: version 1 holds its 1.0, version 2 the second day, version 3 its 2.0."""
    table = Table(dev, "flight_delays", "features")
    publish(table, FIRST, 1.0)
    publish(table, NEXT, 1.0)
    publish(table, FIRST, 2.0)
    return table


def commit_of(table: Table, version: int) -> Path:
    return Path(table.uri) / f"_delta_log/{version:020d}.json"


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def looks(table: Table):
    """Every way to read the first day."""
    return (
        lambda: table.require(FIRST),
        lambda: table.read([FIRST]),
        lambda: table.read(),
        lambda: table.files([FIRST]),
        lambda: table.read([FIRST], version=3),
        lambda: table.stream(FIRST, key=("flight_key",)).__enter__(),
    )


@pytest.mark.parametrize("kept", [0, 1, 2])  # only its own provenance stands behind them
def test_a_commit_that_was_cut_short_at_a_line_is_not_read_as_the_day_before_it(table, kept):
    newest = commit_of(table, 3)
    newest.write_text("".join(lines_of(newest)[:kept]))
    for look in looks(table):
        with pytest.raises(DamagedPartition) as refusal:
            look()
        assert refusal.value.facts["file"] == "tables/flight_delays/features/_delta_log"
        assert refusal.value.facts["partition"] == FIRST
    assert table.require(NEXT).column("rate").to_pylist() == [1.0, 1.0]  # the other day is as it was


def test_publishing_the_day_again_heals_a_lost_commit(table):
    commit_of(table, 3).write_text("")
    assert publish(table, FIRST, 2.0).changed == (FIRST,)
    assert table.require(FIRST).column("rate").to_pylist() == [2.0, 2.0]


def test_a_file_that_the_log_gives_to_another_day_is_refused(table):
    newest = commit_of(table, 3)
    newest.write_text(newest.read_text().replace(f'{{"ds":"{FIRST}"}}', f'{{"ds":"{NEXT}"}}'))
    for ds in (FIRST, NEXT):
        with pytest.raises(DamagedPartition, match="log"):
            table.require(ds)


def test_an_old_file_that_the_log_no_longer_removes_is_refused(table):
    newest = commit_of(table, 3)
    kept = [line for line in lines_of(newest) if "remove" not in json.loads(line)]
    newest.write_text("".join(kept))
    with pytest.raises(DamagedPartition):
        table.require(FIRST)


def test_a_column_that_has_another_name_in_the_log_is_not_read_as_missing_values(table):
    first = commit_of(table, 0)
    first.write_text(first.read_text().replace('\\"rate\\"', '\\"rbte\\"'))
    for look in (lambda: table.require(FIRST), lambda: table.stream(FIRST, key=("flight_key",)).__enter__()):
        with pytest.raises(DamagedPartition, match="no column rate"):
            look()


def test_a_log_that_cannot_be_read_is_named(table):
    newest = commit_of(table, 3)
    newest.write_text(newest.read_text()[:-40])
    with pytest.raises(DamagedPartition) as refusal:
        table.require(FIRST)
    assert refusal.value.facts["file"] == "tables/flight_delays/features/_delta_log"


@pytest.mark.parametrize(("whole", "hurt"), [('"appId"', '"appIe"'), (f"ds={FIRST}/", f"fs={FIRST}/")])
def test_a_damage_that_delta_finds_late_or_never_names_the_log_too(table, whole, hurt):
    newest = commit_of(table, 3)
    newest.write_text(newest.read_text().replace(whole, hurt))
    with pytest.raises(DamagedPartition) as refusal:
        table.require(FIRST)
    assert refusal.value.facts["file"] == "tables/flight_delays/features/_delta_log"


def test_a_commit_that_is_not_written_down_yet_is_read(table, monkeypatch):
    monkeypatch.setattr(Attempt, "_record", lambda *_: None)  # as after a kill right behind the commit
    publish(table, FIRST, 3.0)
    assert table.require(FIRST).column("rate").to_pylist() == [3.0, 3.0]


def test_an_old_handle_is_judged_by_what_was_known_of_its_version(table):
    handle = table.open(version=2)
    assert commits.fence_of(handle, "features", FIRST) == 1
    assert table.read([FIRST], version=2).column("rate").to_pylist() == [1.0, 1.0]


def test_log_and_ledger_have_to_agree_only_where_both_speak_of_one_publish():
    digest, other = "a" * 64, "b" * 64
    file = f"/t/ds={FIRST}/{digest}.{'c' * 64}.7.parquet"
    known = {FIRST: {"digest": digest, "rows": 2, "fence": 7}}
    assert list(contradicted(known, {FIRST: [file]}, {FIRST: 7})) == []
    assert list(contradicted({FIRST: {**known[FIRST], "digest": other}}, {FIRST: [file]}, {FIRST: 7})) == [
        (FIRST, "a" * 12)
    ]
    assert list(contradicted(known, {}, {FIRST: 7})) == [(FIRST, "no file")]
    assert list(contradicted(known, {}, {FIRST: 8})) == []  # a later attempt, not written down yet
    assert list(contradicted({FIRST: {**known[FIRST], "rows": 0}}, {}, {FIRST: 7})) == []  # a day without rows
    assert list(contradicted(known, {FIRST: [f"/t/ds={FIRST}/part-0.parquet"]}, {FIRST: 7})) == []  # another writer's
