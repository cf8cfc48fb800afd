"""Stored files: proved on every read, readable by others, and written anew when they were damaged."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from imago.context import RunContext
from imago.errors import DamagedPartition
from imago.tables import Table

DAY = "2013-01-01"
RUN = RunContext(run_id="run-1")


def day_of_rows(n: int = 200) -> pa.Table:
    values = random.Random(3)
    return pa.table(
        {
            "flight_key": [f"k{i:05d}" for i in range(n)],
            "ds": [DAY] * n,
            "carrier": [values.choice(["AA", "UA", None]) for _ in range(n)],
            "rate": [values.random() for _ in range(n)],
            "counts": pa.array([[i, i + 1] for i in range(n)], pa.list_(pa.int64())),
            "event_time": pa.array(range(n), pa.timestamp("us")),
        }
    )


@pytest.fixture
def table(dev) -> Table:
    return Table(dev, "flight_delays", "features")


def publish(table: Table, data: pa.Table):
    return table.publish(data, days=[DAY], key=("flight_key",), fence=table.draw_fence(), context=RUN)


def stored(table: Table) -> Path:
    (uri,) = DeltaTable(table.uri).file_uris()
    return Path(uri)


def test_no_flipped_bit_is_ever_read(table: Table) -> None:
    publish(table, day_of_rows())
    path = stored(table)
    whole = path.read_bytes()
    places = random.Random(5)
    for _ in range(200):
        broken = bytearray(whole)
        broken[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        path.write_bytes(broken)
        for look in (table.read, table.files, lambda: table.require(DAY, columns=["rate"])):
            with pytest.raises(DamagedPartition):
                look()


def test_a_damaged_file_is_refused_with_its_place_and_the_next_step_and_a_re_run_heals_it(table: Table) -> None:
    data = day_of_rows()
    publish(table, data)
    path = stored(table)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DamagedPartition) as refusal:
        table.require(DAY)
    facts = refusal.value.facts
    assert (facts["table"], facts["partition"]) == ("features", DAY)
    assert facts["file"] == f"tables/flight_delays/features/ds={DAY}/{path.name}"
    assert "feature_refresh" in refusal.value.next_step

    assert publish(table, data).changed == (DAY,)
    assert table.require(DAY).to_pylist() == table.read([DAY]).to_pylist()
    assert table.require(DAY).num_rows == data.num_rows


def test_a_file_that_is_gone_is_not_an_empty_day(table: Table) -> None:
    data = day_of_rows()
    publish(table, data)
    stored(table).unlink()
    with pytest.raises(DamagedPartition, match="gone"):
        table.require(DAY)
    assert publish(table, data).changed == (DAY,)


def test_other_readers_of_delta_and_parquet_see_the_same_rows(table: Table) -> None:
    data = day_of_rows()
    publish(table, data)
    columns = data.column_names
    expected = data.to_pylist()
    handle = DeltaTable(table.uri)
    delta = handle.to_pyarrow_table().select(columns).sort_by("flight_key")
    plain = pq.read_table(str(stored(table)), partitioning=None).append_column("ds", data["ds"]).select(columns)
    duck = duckdb.execute(f"select {', '.join(columns)} from read_parquet({table.files()}) order by 1").to_arrow_table()
    assert delta.to_pylist() == expected
    assert plain.to_pylist() == expected
    assert [{**row, "ds": str(row["ds"])} for row in duck.to_pylist()] == expected
    assert pa.table(handle.get_add_actions(flatten=True))["num_records"].to_pylist() == [len(expected)]


def test_files_of_another_writer_are_read_and_judged_by_their_rows(table: Table) -> None:
    data = day_of_rows()
    publish(table, data)
    write_deltalake(DeltaTable(table.uri), data, mode="overwrite")
    assert table.require(DAY).sort_by("flight_key").to_pylist() == data.to_pylist()
    assert publish(table, data).changed == ()
