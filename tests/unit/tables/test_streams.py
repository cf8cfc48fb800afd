"""A day that is published and read as a stream: the same rows, the same digest, the same refusals."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from imago.context import RunContext
from imago.errors import DamagedPartition, Fenced, RefusedPartition
from imago.tables import Table, files
from imago.tables.days import DayInFile
from imago.tables.digest import ContentDigest, content_digest

DAY = "2013-01-01"
RUN = RunContext(run_id="run-1")
KEY = ("flight_key",)


def rows_of(count: int = 100) -> pa.Table:
    values = random.Random(3)
    return pa.table(
        {
            "flight_key": [f"k{number:05d}" for number in range(count)],
            "ds": [DAY] * count,
            "carrier": [values.choice(["AA", "UA", None]) for _ in range(count)],
            "rate": pa.array([values.choice([0.5, None, float("nan")]) for _ in range(count)], pa.float64()),
            "late": [values.random() < 0.5 for _ in range(count)],
            "counts": pa.array([[number] * (number % 3) for number in range(count)], pa.list_(pa.int64())),
            "event_time": pa.array(range(count), pa.timestamp("us")),
        }
    )


def cut(rows: pa.Table, *sizes: int) -> list[pa.RecordBatch]:
    batches, start = [], 0
    for size in sizes:
        batches += rows.slice(start, size).combine_chunks().to_batches()
        start += size
    return batches


@pytest.fixture
def table(dev) -> Table:
    return Table(dev, "flight_delays", "predictions")


def stream(table: Table, batches: list[pa.RecordBatch], fence: int | None = None, **options):
    return table.publish_stream(
        iter(batches), rows_of(1).schema, ds=DAY, key=KEY, fence=fence or table.draw_fence(), context=RUN, **options
    )


def stored(table: Table) -> Path:
    (uri,) = DeltaTable(table.uri).file_uris()
    return Path(uri)


@pytest.mark.parametrize("sizes", [(100,), (1, 99), (7,) * 14 + (2,), (64, 0, 36)])
def test_the_digest_does_not_know_how_rows_were_cut_into_batches(sizes):
    rows = rows_of()
    digest = ContentDigest(rows.schema)
    for batch in cut(rows, *sizes):
        digest.update(batch)
    assert digest.hexdigest() == content_digest(rows, KEY)


def test_a_null_that_moves_from_one_batch_to_the_next_changes_the_digest():
    def digest(first: list[str | None], second: list[str | None]) -> str:
        made = ContentDigest(pa.schema([("s", pa.string())]))
        for part in (first, second):
            made.update(pa.RecordBatch.from_arrays([pa.array(part, pa.string())], names=["s"]))
        return made.hexdigest()

    assert len({digest([None, ""], ["", ""]), digest(["", None], ["", ""]), digest(["", ""], [None, ""])}) == 3


def test_a_stream_and_a_table_of_the_same_rows_are_the_same_partition(table):
    rows = rows_of()
    first = stream(table, cut(rows, 30, 70))
    second = table.publish(rows, days=[DAY], key=KEY, fence=table.draw_fence(), context=RUN)
    third = stream(table, cut(rows, 99, 1))
    assert (first.changed, second.changed, third.changed) == ((DAY,), (), ())
    assert {first.digests[DAY], second.digests[DAY], third.digests[DAY]} == {content_digest(rows, KEY)}
    assert table.require(DAY).select(rows.column_names).to_pylist()[:3] == rows.to_pylist()[:3]
    assert table.partition(DAY).rows == first.rows == 100
    assert not list(Path(table.environment.storage_root, "staging", "scratch").iterdir())


def test_what_a_table_would_refuse_a_stream_refuses_too_and_publishes_nothing(table):
    rows = rows_of()
    for batches, rule in (
        ([*cut(rows, 60), *cut(rows, 60)], "unique key, in order"),
        ([*cut(rows, 60), *cut(rows.slice(59), 41)], "unique key, in order"),
        (cut(rows.take([1, 0]), 2), "unique key, in order"),
        (cut(rows.set_column(1, "ds", pa.array(["2013-01-02"] * 100)), 100), "only the asked days"),
        ([], "rows > 0"),
    ):
        with pytest.raises(RefusedPartition) as refused:
            stream(table, batches)
        assert refused.value.facts["rule"] == rule
    assert table.version() is None


def test_a_stream_that_was_overtaken_is_fenced_and_says_by_whom(table):
    early = table.draw_fence()
    stream(table, cut(rows_of(), 100))
    with pytest.raises(Fenced, match="drawn by run run-1"):
        stream(table, cut(rows_of(50), 50), fence=early)


def test_a_column_may_join_and_leave_again_and_each_version_keeps_its_own(table):
    rows = rows_of()
    plain = stream(table, cut(rows, 100))
    told = rows.append_column("reason", pa.array(["odd", *[None] * 99], pa.string()))
    options = {"ds": DAY, "key": KEY, "context": RUN}
    joined = table.publish_stream(cut(told, 100), told.schema, fence=table.draw_fence(), **options)
    assert table.require(DAY).column("reason").to_pylist()[:2] == ["odd", None]
    assert "reason" not in table.read([DAY], version=plain.version).column_names

    back = stream(table, cut(rows, 100))
    assert back.digests == plain.digests
    assert table.require(DAY).column("reason").null_count == 100
    assert table.read([DAY], version=joined.version).column("reason").to_pylist()[0] == "odd"
    with table.stream(DAY, key=KEY) as day:
        assert "reason" in day.schema.names
        assert "reason" not in day.stored


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (0, 30), (30, 100), (45, 46), (10, 10)])
def test_a_slice_of_a_stored_day_comes_in_even_batches_whatever_its_row_groups(tmp_path, start, stop):
    rows = rows_of()
    pq.write_table(rows.drop_columns(["ds"]), tmp_path / "day.parquet", row_group_size=33)
    with pa.OSFile(str(tmp_path / "day.parquet")) as file:
        day = DayInFile(file, DAY, rows.schema, ["carrier"])
        batches = list(day.batches(16, start=start, stop=stop))
    sizes = [batch.num_rows for batch in batches]
    assert sizes == [16] * ((stop - start) // 16) + ([(stop - start) % 16] if (stop - start) % 16 else [])
    found = [row for batch in batches for row in batch.to_pylist()]
    assert str(found) == str(rows.slice(start, stop - start).to_pylist())


def test_what_a_stream_holds_does_not_grow_with_the_row_groups_that_it_has_left(tmp_path):
    values = random.Random(5)
    schema = pa.schema([("ds", pa.string()), ("noise", pa.binary())])
    with pq.ParquetWriter(tmp_path / "day.parquet", schema.remove(0), compression="none") as writer:
        for _ in range(40):
            noise = pa.array([values.randbytes(10_000) for _ in range(100)])
            writer.write_table(pa.Table.from_arrays([noise], names=["noise"]), row_group_size=100)
    before, held = pa.total_allocated_bytes(), []
    with pa.OSFile(str(tmp_path / "day.parquet")) as file:
        for batch in DayInFile(file, DAY, schema).batches(100):
            held.append(pa.total_allocated_bytes() - before)
            assert batch.num_rows == 100
    assert len(held) == 40
    assert max(held) < 10_000_000  # of the file's 40


def test_a_changed_byte_or_a_lost_end_is_caught_before_the_first_batch(table):
    stream(table, cut(rows_of(), 100))
    path = stored(table)
    whole = path.read_bytes()
    places = random.Random(7)
    for spoiled in (*(places.randrange(len(whole)) for _ in range(20)), None):
        broken = bytearray(whole if spoiled is not None else whole[:-3])
        if spoiled is not None:
            broken[spoiled] ^= 1 << places.randrange(8)
        path.write_bytes(broken)
        with pytest.raises(DamagedPartition, match="does not hold"), table.stream(DAY, key=KEY):
            pass
    path.unlink()
    with pytest.raises(DamagedPartition, match="gone"), table.stream(DAY, key=KEY):
        pass


def test_a_day_of_another_writer_is_read_as_a_whole_and_put_in_order(table):
    rows = rows_of()
    stream(table, cut(rows, 100))
    write_deltalake(DeltaTable(table.uri), rows.take(list(range(99, -1, -1))), mode="overwrite")
    with table.stream(DAY, key=KEY) as day:
        keys = [key for batch in day.batches(40) for key in batch.column("flight_key").to_pylist()]
    assert keys == rows.column("flight_key").to_pylist()


def test_row_groups_are_small_enough_to_be_held_one_at_a_time(table, monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP", 25)
    stream(table, cut(rows_of(), 10, 10, 10, 70))
    metadata = pq.ParquetFile(stored(table)).metadata
    assert max(metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)) <= 25


def test_on_s3_a_day_is_uploaded_whole_and_read_from_a_proved_copy(make_on_s3, monkeypatch):
    table = Table(make_on_s3(), "flight_delays", "predictions")
    rows = rows_of()
    first = stream(table, cut(rows, 60, 40))
    assert stream(table, cut(rows, 100)).changed == ()
    (uri,) = table.live(table.open(), [DAY])
    data = table.storage.read_bytes(table.storage.relative(uri))
    for small in (len(data), 0):  # in memory, and as a copy on this machine's disk
        monkeypatch.setattr(files, "_SMALL", small)
        table.storage.write_bytes(table.storage.relative(uri), data)
        with table.stream(DAY, key=KEY) as day:
            assert sum(batch.num_rows for batch in day.batches(30)) == first.rows == 100
        table.storage.write_bytes(table.storage.relative(uri), data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(DamagedPartition, match="does not hold"), table.stream(DAY, key=KEY):
            pass
