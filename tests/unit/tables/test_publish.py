"""Publishing: whole days, once, and never behind a newer attempt's back."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from imago import ledger
from imago.context import RunContext
from imago.errors import Fenced, MissingPartition, RefusedPartition
from imago.ledger import publications
from imago.tables import Table
from imago.tables.publish import Attempt

RUN = RunContext(run_id="run-1")
KEY = ("flight_key",)


def rows(*triples: tuple[str, str, float | None]) -> pa.Table:
    keys, days, values = zip(*triples, strict=True)
    return pa.table({"flight_key": keys, "ds": days, "value": pa.array(values, pa.float64())})


@pytest.fixture
def table(dev) -> Table:
    return Table(dev, "flight_delays", "features")


def publish(table: Table, data: pa.Table, days: list[str], fence: int | None = None):
    fence = table.draw_fence() if fence is None else fence
    return table.publish(data, days=days, key=KEY, fence=fence, context=RUN, inputs={"raw": "x"})


def test_a_published_day_reads_back_as_it_was_written(table: Table) -> None:
    publish(table, rows(("b", "2013-01-01", 2.0), ("a", "2013-01-01", None)), ["2013-01-01"])
    read = table.require("2013-01-01").sort_by("flight_key")
    assert read.to_pylist() == [
        {"flight_key": "a", "ds": "2013-01-01", "value": None},
        {"flight_key": "b", "ds": "2013-01-01", "value": 2.0},
    ]


def test_publishing_the_same_rows_in_another_order_makes_no_new_version(table: Table) -> None:
    first = publish(table, rows(("a", "2013-01-01", 1.0), ("b", "2013-01-01", 2.0)), ["2013-01-01"])
    again = publish(table, rows(("b", "2013-01-01", 2.0), ("a", "2013-01-01", 1.0)), ["2013-01-01"])
    assert again.changed == ()
    assert again.unchanged == ("2013-01-01",)
    assert again.version == first.version
    assert again.digests == first.digests


def test_a_range_is_one_commit_and_only_the_changed_days_are_rewritten(table: Table) -> None:
    days = ["2013-01-01", "2013-01-02"]
    first = publish(table, rows(("a", days[0], 1.0), ("a", days[1], 1.0)), days)
    second = publish(table, rows(("a", days[0], 1.0), ("a", days[1], 9.0)), days)
    assert second.version == first.version + 1
    assert second.changed == ("2013-01-02",)
    assert table.partition(days[0]).version == first.version
    assert table.partition(days[1]).version == second.version
    assert table.read(version=first.version).column("value").to_pylist() == [1.0, 1.0]


def test_an_attempt_that_was_overtaken_publishes_nothing_and_names_the_run_that_fenced_it(table: Table) -> None:
    slow = table.draw_fence()
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    with pytest.raises(Fenced, match="run run-1") as refusal:
        publish(table, rows(("a", "2013-01-01", 5.0)), ["2013-01-01"], fence=slow)
    assert refusal.value.facts["partition"] == "2013-01-01"
    assert table.require("2013-01-01").column("value").to_pylist() == [1.0]


def test_an_overtaken_attempt_may_still_publish_another_day(table: Table) -> None:
    slow = table.draw_fence()
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    publish(table, rows(("a", "2013-01-02", 5.0)), ["2013-01-02"], fence=slow)
    assert table.published_days() == ("2013-01-01", "2013-01-02")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (rows(("a", "2013-01-02", 1.0)), "only the asked days"),
        (rows(("a", "2013-01-01", 1.0), ("a", "2013-01-01", 2.0)), "unique key"),
        (rows(("a", "2013-01-01", 1.0)).slice(0, 0), "rows > 0"),
    ],
)
def test_foreign_days_repeated_keys_and_empty_days_are_refused(table: Table, data: pa.Table, rule: str) -> None:
    with pytest.raises(RefusedPartition) as refusal:
        publish(table, data, ["2013-01-01"])
    assert refusal.value.facts["rule"] == rule
    assert table.published_days() == ()


def test_a_missing_day_is_an_error_and_no_other_day_stands_in(table: Table) -> None:
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    with pytest.raises(MissingPartition, match="2013-01-02"):
        table.require("2013-01-02")


def test_provenance_stands_in_the_ledger_and_outside_of_the_rows(table: Table) -> None:
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    info = table.partition("2013-01-01")
    assert (info.run_id, info.mode, info.inputs, info.rows) == ("run-1", "live", {"raw": "x"}, 1)
    assert table.read().column_names == ["flight_key", "ds", "value"]


def test_an_attempt_that_was_overtaken_by_one_that_found_the_day_equal_publishes_nothing(table: Table) -> None:
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    slow = table.draw_fence()
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    with pytest.raises(Fenced):
        publish(table, rows(("a", "2013-01-01", 5.0)), ["2013-01-01"], fence=slow)


def test_an_overtaken_attempt_with_equal_rows_is_content(table: Table) -> None:
    slow = table.draw_fence()
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    late = publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"], fence=slow)
    assert late.changed == ()


def test_a_ledger_row_that_comes_late_does_not_hide_the_newer_attempt(dev, table: Table, monkeypatch) -> None:
    late: list[Any] = []
    slow, quick = table.draw_fence(), table.draw_fence()
    with monkeypatch.context() as stalled:
        stalled.setattr(Attempt, "_record", lambda *words: late.append(words))
        publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"], fence=slow)
    publish(table, rows(("a", "2013-01-01", 2.0)), ["2013-01-01"], fence=quick)
    for attempt, _, *words in late:
        with ledger.connect(dev).connect() as connection:
            attempt._record(connection, *words)
    assert table.partition("2013-01-01").fence == quick
    assert table.require("2013-01-01").column("value").to_pylist() == [2.0]


def test_day_inputs_stand_in_the_ledger_row_of_their_day_beside_the_inputs_of_all(dev, table: Table) -> None:
    days = ["2013-01-01", "2013-01-02"]
    table.publish(
        rows(("a", days[0], 1.0), ("a", days[1], 1.0)), days=days, key=KEY, fence=table.draw_fence(), context=RUN,
        inputs={"contract": "c"}, day_inputs={days[0]: {"raw": {"schedule": {"x.parquet": [1, 2]}}}},
    )  # fmt: skip
    first, second = (table.partition(ds).inputs for ds in days)
    assert first == {"contract": "c", "raw": {"schedule": {"x.parquet": [1, 2]}}}
    assert second == {"contract": "c"}


def test_a_commit_carries_its_provenance_and_the_sha256_of_each_file(table: Table) -> None:
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    handle = table.open()
    provenance = json.loads(handle.history(1)[0]["imago"])
    (path, sha256), *others = provenance["days"]["2013-01-01"]["files"].items()
    assert (provenance["run_id"], provenance["inputs"], others) == ("run-1", {"raw": "x"}, [])
    assert table.files() == [f"{table.uri}/{path}"]
    assert f".{sha256}." in path


@pytest.mark.parametrize(
    ("change", "column", "rule"),
    [
        (lambda rows: rows.drop_columns(["flight_key"]), "flight_key", "the key is among the columns"),
        (lambda rows: rows.append_column("VALUE", pa.array(["a"])), "value", "each column once, whatever its case"),
        *(
            (
                lambda rows, kind=kind: rows.append_column("seats", pa.nulls(1, kind)),
                "seats",
                "each column has a type that every reader knows",
            )
            for kind in (
                pa.null(),
                pa.uint8(),
                pa.uint64(),
                pa.float16(),
                pa.time32("s"),
                pa.duration("s"),
                pa.timestamp("ns"),
                pa.timestamp("us", "UTC"),
                pa.dictionary(pa.int32(), pa.string()),
            )
        ),
    ],
)
def test_columns_that_no_table_can_have_are_refused_by_name(table: Table, change, column, rule) -> None:
    publish(table, rows(("a", "2013-01-01", 1.0)), ["2013-01-01"])
    with pytest.raises(RefusedPartition) as refusal:
        publish(table, change(rows(("a", "2013-01-02", 1.0))), ["2013-01-02"])
    assert (refusal.value.facts["column"], refusal.value.facts["rule"]) == (column, rule)
    assert refusal.value.next_step
    assert table.published_days() == ("2013-01-01",)


def test_a_day_may_lose_all_its_rows_where_that_is_allowed_and_stays_published(table: Table) -> None:
    day = ["2013-01-01"]
    publish(table, rows(("a", day[0], 1.0)), day)
    empty = rows(("a", day[0], 1.0)).slice(0, 0)
    named = {"days": day, "key": KEY, "context": RUN, "allow_empty": True}
    first = table.publish(empty, fence=table.draw_fence(), **named)
    again = table.publish(empty, fence=table.draw_fence(), **named)
    assert (first.changed, again.changed) == (("2013-01-01",), ())
    assert table.require(day[0]).num_rows == 0


def test_a_ledger_row_that_a_killed_attempt_could_not_write_is_made_up_for(dev, table: Table, monkeypatch) -> None:
    data = rows(("a", "2013-01-01", 1.0))
    with monkeypatch.context() as killed:
        killed.setattr(Attempt, "_record", lambda *words: None)
        publish(table, data, ["2013-01-01"])
    assert table.partition("2013-01-01") is None
    again = publish(table, data, ["2013-01-01"])
    assert (again.changed, table.version()) == ((), again.version)
    with ledger.connect(dev).connect() as connection:
        history = publications.history(connection, table.model, table.name, "2013-01-01")
    assert [(row["changed"], row["digest"]) for row in history] == [(True, again.digests["2013-01-01"])]
