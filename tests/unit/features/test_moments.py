"""Moments as pandas, Spark and others write them: taken where they say the same, else refused with the cast to make."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.context import RunContext
from imago.contracts.types import OtherType, as_promised, cast_to, may_become
from imago.errors import RefusedPartition
from imago.jobs import features
from imago.storage import Storage
from imago.tables import Table

CONTEXT, FIRST = RunContext(run_id="test"), "2013-03-01"
MOMENT = pa.timestamp("us")
SCHEDULE = f"raw/schedule/ds={FIRST}"


def rewrite(env, change, **options):
    """Rewrites the schedule of the first day, as another writer would; returns its path."""
    import hashlib
    import io

    storage = Storage(env)
    (name,) = [found for found in storage.list(SCHEDULE) if found.endswith(".parquet")]
    sink = io.BytesIO()
    pq.write_table(change(pq.read_table(io.BytesIO(storage.read_bytes(name)))), sink, **options)
    storage.write_bytes(name, sink.getvalue())
    checksum = next(found for found in storage.list(SCHEDULE) if found.endswith(".sha256"))
    storage.write_bytes(checksum, hashlib.sha256(sink.getvalue()).hexdigest().encode())
    return name


def recast(kind, *columns):
    def change(rows):
        for column in columns or ("event_time", "known_at"):
            place = rows.schema.get_field_index(column)
            stored = rows.column(place)
            if pa.types.is_timestamp(kind):
                parts = [one.cast(pa.timestamp(kind.unit)).view(kind) for one in stored.chunks]
                rows = rows.set_column(place, column, pa.chunked_array(parts))
            else:
                rows = rows.set_column(place, column, stored.cast(kind))
        return rows

    return change


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (pa.timestamp("ns"), {"version": "2.6"}),
        (pa.timestamp("us", "UTC"), {}),
        (pa.timestamp("ns", "UTC"), {"version": "2.6"}),
        (pa.timestamp("ms"), {}),
        (pa.timestamp("s"), {}),
        (pa.timestamp("us", "America/New_York"), {}),
        (pa.timestamp("us"), {"use_deprecated_int96_timestamps": True}),
    ],
    ids=["ns", "UTC", "ns UTC", "ms", "s", "zone", "96 bits"],
)
def test_moments_of_other_writers_give_the_same_partition(landed, spec, kind, options):
    features.refresh(landed, spec, FIRST, FIRST, CONTEXT)
    rewrite(landed, recast(kind), **options)
    again = features.refresh(landed, spec, FIRST, FIRST, CONTEXT)

    assert (again["changed"], again["unchanged"]) == (0, 1)
    assert Table(landed, spec.name, "features").schema().field("event_time").type == MOMENT


def one_nanosecond_later(rows):
    place = rows.schema.get_field_index("event_time")
    later = [
        pa.array(one.cast(pa.int64()).to_numpy() * 1000 + 1).view(pa.timestamp("ns"))
        for one in rows["event_time"].chunks
    ]
    return rows.set_column(place, "event_time", pa.chunked_array(later))


@pytest.mark.parametrize(
    ("change", "options", "column", "seen", "cast"),
    [
        (one_nanosecond_later, {"version": "2.6"}, "event_time", "timestamp[ns]",
         "timestamp_ns in sources.yml, and cast it in the staging model: cast(event_time as timestamp) as event_time"),
        (one_nanosecond_later, {"use_deprecated_int96_timestamps": True}, "event_time", "timestamp[ns]", "cast("),
        (recast(pa.date32(), "event_time"), {}, "event_time", "date32[day]", "as date in sources.yml"),
        (recast(pa.string(), "event_time"), {}, "event_time", "string", "as varchar in sources.yml"),
        (recast(pa.string(), "known_at"), {}, "known_at", "string",
         "known_at as timestamp[us]: cast(known_at as timestamp) as known_at"),
        (recast(pa.int64(), "event_time"), {}, "event_time", "int64", "make_timestamp(event_time * 1000000)"),
    ],
)  # fmt: skip
def test_what_says_something_else_is_refused_with_file_column_type_and_cast(
    landed, spec, change, options, column, seen, cast
):
    name = rewrite(landed, change, **options)
    with pytest.raises(RefusedPartition) as refused:
        features.refresh(landed, spec, FIRST, FIRST, CONTEXT)

    facts = refused.value.facts
    assert (facts["file"], facts["column"], facts["rule"], facts["seen"]) == (name, column, "type", seen)
    assert cast in refused.value.next_step


@given(
    micros=st.lists(st.integers(-(2**50), 2**50) | st.none(), min_size=1, max_size=5),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from([None, "UTC", "+02:00", "Asia/Kolkata", "America/New_York"]),
    extra=st.integers(0, 999),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_moment_is_the_same_moment_or_is_refused(micros, unit, zone, extra):
    per = {"s": 10**-6, "ms": 10**-3, "us": 1, "ns": 1000}[unit]
    stored = [None if one is None else (one * 1000 + extra if unit == "ns" else int(one * per)) for one in micros]
    values = pa.chunked_array([pa.array(stored, pa.int64()).view(pa.timestamp(unit, zone))])

    assert may_become(values.type, MOMENT)
    whole = unit != "ns" or not extra or all(one is None for one in stored)
    if not whole:
        with pytest.raises(OtherType):
            as_promised(values, MOMENT)
        return
    nanos = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[unit]
    expected = [None if one is None else one * nanos // 1000 for one in stored]
    assert as_promised(values, MOMENT).cast(pa.int64()).to_pylist() == expected


def test_the_cast_to_paste_keeps_a_zones_moment():
    import duckdb

    zoned = pa.table({"seen": pa.array([dt.datetime(2024, 7, 1, 12)], pa.timestamp("us", "Europe/Berlin"))})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone='Asia/Tokyo'")
        connection.register("raw", zoned)
        sql = cast_to("seen", zoned.schema.field("seen").type, "timestamp")
        told = connection.execute(f"select {sql} from raw").fetchone()
    assert told == (zoned["seen"][0].as_py().astimezone(dt.UTC).replace(tzinfo=None),)
