"""Columns that join, leave and change their type in a live table: each version stays what it was, no value changes."""

from __future__ import annotations

import decimal
import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.casts import LossyCast, retyped
from imago.context import RunContext
from imago.errors import MissingPartition, RefusedPartition
from imago.tables import Table
from imago.tables.evolution import evolved

KEY = ("customer",)
RUN = RunContext(run_id="test")
D1, D2, D3 = "2013-03-01", "2013-03-02", "2013-03-03"


@pytest.fixture
def table(dev) -> Table:
    return Table(dev, "shop", "features")


def rows(ds: str, **columns) -> pa.Table:
    arrays = {
        name: pa.array(*given) if isinstance(given, tuple) else pa.array(given) for name, given in columns.items()
    }
    count = len(next(iter(arrays.values())))
    return pa.table({"customer": pa.array(range(count), pa.int64()), "ds": [ds] * count, **arrays})


def publish(table: Table, data: pa.Table, ds: str):
    return table.publish(data, days=[ds], key=KEY, fence=table.draw_fence(), context=RUN)


def test_a_column_joins_and_leaves_and_a_range_of_days_reads_null_where_it_is_not(table):
    first = publish(table, rows(D1, spent=[1.0, 2.0]), D1)
    publish(table, rows(D2, spent=[3.0, 4.0], visits=([7, None], pa.int32())), D2)
    publish(table, rows(D3, visits=([8, 9], pa.int32())), D3)

    found = table.read([D1, D2, D3])
    assert found.column("spent").to_pylist() == [1.0, 2.0, 3.0, 4.0, None, None]
    assert found.column("visits").to_pylist() == [None, None, 7, None, 8, 9]
    assert table.read([D1], version=first.version).column_names == ["customer", "ds", "spent"]
    with pytest.raises(MissingPartition, match=f"version {first.version} has no column visits"):
        table.read([D1], columns=["visits"], version=first.version)
    handle = table.require_open()
    assert {ds: set(names) for ds, names in table.columns_of(handle, None).items()} == {
        D1: {"customer", "spent"}, D2: {"customer", "spent", "visits"}, D3: {"customer", "visits"},
    }  # fmt: skip


def test_a_day_of_before_a_column_left_equals_itself_when_it_is_published_again(table):
    publish(table, rows(D1, spent=[1.0], visits=[2.0]), D1)
    publish(table, rows(D2, visits=[2.0]), D2)
    publish(table, rows(D2, visits=[2.0]), D2)
    again = publish(table, rows(D2, visits=[2.0]), D2)
    assert (again.changed, again.unchanged) == ((), (D2,))


WIDENINGS = [
    ([1, -5, None], pa.int32(), pa.int64()),
    ([1, 2**31 - 1, None], pa.int32(), pa.float64()),
    ([1.0, -3.0, None], pa.float64(), pa.int32()),
    ([2**53, None], pa.int64(), pa.float64()),
    (["12", None, "-3"], pa.string(), pa.int64()),
    ([0.5, None, float("nan")], pa.float32(), pa.float64()),
    ([decimal.Decimal("1.25"), None], pa.decimal128(10, 2), pa.float64()),
    ([decimal.Decimal("1.25")], pa.decimal128(10, 2), pa.decimal128(18, 4)),
    ([True, False, None], pa.bool_(), pa.int32()),
    ([3, None], pa.int64(), pa.string()),
]


@pytest.mark.parametrize(("values", "before", "after"), WIDENINGS)
def test_a_change_of_type_that_keeps_each_value_is_done_in_place(table, values, before, after):
    old = publish(table, rows(D1, x=(values, before)), D1)
    publish(table, rows(D2, x=pa.nulls(2, after)), D2)

    now = table.read([D1]).column("x")
    assert now.type == after
    back = now.cast(before).to_pylist()
    assert str(back) == str(pa.array(values, before).to_pylist())
    with table.stream(D1, key=KEY) as day:
        (batch,) = day.batches(100)
        assert batch.column("x").to_pylist() == now.to_pylist() or "nan" in str(values)
    was = table.read([D1], version=old.version).column("x")
    assert (was.type, str(was.to_pylist())) == (before, str(pa.array(values, before).to_pylist()))


LOSSES = [
    ([1.5, 2.0], pa.float64(), pa.int32(), 1),
    ([float("nan")], pa.float64(), pa.int64(), 1),
    ([2**53 + 1, 3], pa.int64(), pa.float64(), 1),
    ([2**40, 2**40, 3], pa.int64(), pa.int32(), 2),
    (["007", "7"], pa.string(), pa.int64(), 1),
    (["seven"], pa.string(), pa.float64(), 1),
    ([0.1], pa.float64(), pa.float32(), 1),
    ([decimal.Decimal("0.10"), decimal.Decimal("0.12")], pa.decimal128(4, 2), pa.decimal128(4, 1), 1),
]


@pytest.mark.parametrize(("values", "before", "after", "lost"), LOSSES)
def test_a_value_that_the_new_type_cannot_hold_is_refused_by_its_day_until_it_is_published_anew(
    table, values, before, after, lost
):
    old = publish(table, rows(D1, x=(values, before)), D1)
    publish(table, rows(D2, x=pa.nulls(2, after)), D2)

    for read in (lambda: table.read([D1, D2]), lambda: table.require(D1)):
        with pytest.raises(RefusedPartition) as refused:
            read()
        facts = refused.value.facts
        assert (facts["column"], facts["partition"], facts["rows"]) == ("x", D1, lost)
        assert f"imago run feature_refresh shop --ds {D1} --to {D1} --env dev" in refused.value.next_step
    assert table.read([D2]).num_rows == 2
    assert table.read([D1], columns=["customer"]).num_rows == len(values)
    assert str(table.read([D1], version=old.version).column("x").to_pylist()) == str(values)
    publish(table, rows(D1, x=pa.nulls(1, after)), D1)
    assert table.read([D1, D2]).column("x").null_count == 3


NUMBERS = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats() | st.integers(-99, 99).map(float),
    pa.float32(): st.floats(width=32),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.integers(-9, 9).map(str),
    pa.bool_(): st.booleans(),
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(list(NUMBERS)), st.sampled_from(list(NUMBERS)))
def test_another_type_gives_each_value_back_or_names_how_many_it_cannot_hold(data, before, after):
    values = data.draw(st.lists(st.none() | NUMBERS[before], max_size=8))
    held = pa.table({"x": pa.array(values, before)})
    lossy, cast = None, None
    try:
        cast = retyped(held, pa.schema([("x", after)])).column("x")
    except LossyCast as error:
        lossy = error
    if cast is None:
        assert 1 <= lossy.rows <= len(values)
        assert (lossy.column, lossy.before, lossy.after) == ("x", str(before), str(after))
        return
    assert cast.type == after
    for old, new in zip(held.column("x").to_pylist(), cast.to_pylist(), strict=True):
        if old is None or new is None:
            assert old is new
        elif isinstance(old, str) or isinstance(new, str):
            assert pa.scalar(new, after).cast(before).as_py() == old or old != old
        else:
            assert old == new or (old != old and new != new)


def test_a_schema_grows_by_name_and_stays_where_nothing_is_new():
    table = pa.schema([("a", pa.int32()), ("b", pa.string())])
    assert evolved(table, pa.schema([("b", pa.large_string())])) is None
    assert evolved(table, pa.schema([("c", pa.bool_()), ("a", pa.int64())])) == pa.schema(
        [("a", pa.int64()), ("b", pa.string()), ("c", pa.bool_())]
    )


def test_days_that_are_published_at_once_with_other_columns_all_get_theirs(table):
    publish(table, rows(D1, spent=[0.0]), D1)
    days = [f"2013-04-{n:02d}" for n in range(1, 9)]
    raised: list[BaseException] = []

    def one(ds: str) -> None:
        try:
            publish(Table(table.environment, "shop", "features"), rows(ds, **{f"x{int(ds[-2:])}": [1.0]}), ds)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(ds,)) for ds in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    found = {row["ds"]: row for row in table.read(days).to_pylist()}
    assert all(found[ds][f"x{int(ds[-2:])}"] == 1.0 for ds in days)
    assert sum(value is not None for row in found.values() for name, value in row.items() if name[0] == "x") == len(
        days
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_a_decimal_becomes_the_double_that_is_nearest_to_it(value):
    held = pa.table({"x": pa.array([value], pa.decimal128(12, 2))})
    assert retyped(held, pa.schema([("x", pa.float64())])).column("x").to_pylist() == [float(str(value))]
