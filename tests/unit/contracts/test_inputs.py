"""The model's input check: which rows it lets through, and what it says of the others."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from imago.contracts import Column, Contract
from imago.contracts.inputs import check_inputs

NAN, INFINITE = float("nan"), float("inf")
CONTRACT = Contract(
    model="m",
    columns=(
        Column(name="seats", data_type="double precision", at_least=1, at_most=900),
        Column(name="legs", data_type="integer", nullable=False, at_least=1, at_most=9),
        Column(name="origin", data_type="varchar", nullable=False, values=("EWR", "JFK")),
        Column(name="carrier", data_type="varchar", pattern="[A-Z0-9]{2}"),
        Column(name="guest", data_type="varchar", pattern="[A-Z]+", personal=True),
        Column(name="rate", data_type="double precision"),
    ),
)
WHERE = {"environment": "dev", "model": "flights", "table": "features", "partition": "2013-03-10"}


def rows(**changes: Any) -> pa.Table:
    columns = {
        "seats": [100.0, None, 900.0],
        "legs": pa.array([1, 2, 9], pa.int32()),
        "origin": ["EWR", "JFK", "EWR"],
        "carrier": ["UA", None, "9E"],
        "guest": ["ANN", "BOB", None],
        "rate": [0.5, None, -1e9],
        **changes,
    }
    return pa.table({name: values for name, values in columns.items() if values is not None})


def check(table: pa.Table, features: tuple[str, ...] = CONTRACT.names):
    return check_inputs(CONTRACT, table, features, WHERE)


def test_good_rows_break_nothing_and_every_rule_is_counted():
    found = check(rows())
    assert (found.broken, found.rows, found.mask.to_pylist()) == ((), 3, [False] * 3)
    # Rows; six columns that are there; range, not null + range, not null + values, pattern, pattern, range.
    assert found.checks == 1 + 6 + 8


@pytest.mark.parametrize(
    ("table", "column", "rule", "seen", "mask"),
    [
        (rows(seats=[0.0, 901.0, 5.0]), "seats", "range", "0.0 to 901.0", [True, True, False]),
        (rows(seats=[5.0, NAN, INFINITE]), "seats", "range", "2 not finite", [False, True, True]),
        (rows(seats=[-INFINITE, 5.0, 100_000.0]), "seats", "range", "100000.0 to 100000.0; 1 not finite", [1, 0, 1]),
        (rows(rate=[NAN, 5.0, 5.0]), "rate", "range", "1 not finite", [True, False, False]),
        (rows(legs=pa.array([0, 1, 10], pa.int32())), "legs", "range", "0 to 10", [True, False, True]),
        (rows(legs=pa.array([1, None, 1], pa.int32())), "legs", "not null", "missing", [False, True, False]),
        (rows(origin=["EWR", "jfk", "JFK "]), "origin", "allowed values", "'jfk', 'JFK '", [False, True, True]),
        (rows(origin=["EWR", None, "JFK"]), "origin", "not null", "missing", [False, True, False]),
        (rows(carrier=["UA", "UA\n", "U"]), "carrier", "pattern", r"'UA\n', 'U'", [False, True, True]),
        (rows(carrier=["UAL"] * 3), "carrier", "pattern", "'UAL'", [True, True, True]),
    ],
)
def test_a_broken_rule_is_told_with_its_column_what_was_seen_and_which_rows(table, column, rule, seen, mask):
    found = check(table)
    (one,) = found.broken
    assert (one.column, one.rule, one.seen) == (column, rule, seen)
    assert one.mask.to_pylist() == found.mask.to_pylist() == [bool(value) for value in mask]
    assert found.counts == {(column, rule): sum(mask)}


@pytest.mark.parametrize(
    ("table", "column", "rule", "seen"),
    [
        (rows(seats=None), "seats", "all of the contract's columns", "no such column"),
        (rows(seats=["1", "2", "3"]), "seats", "type", "string"),
        (rows(seats=pa.array([1, 2, 3])), "seats", "type", "int64"),
        (rows(seats=pa.nulls(3)), "seats", "type", "null"),
        (rows(origin=[1, 2, 3]), "origin", "type", "int64"),
    ],
)
def test_a_column_that_is_missing_or_of_another_type_is_at_fault_as_a_whole(table, column, rule, seen):
    found = check(table)
    (one,) = found.broken
    assert (one.column, one.rule, one.seen, one.rows, one.mask) == (column, rule, seen, 3, None)
    assert found.mask.to_pylist() == [True] * 3


def test_no_rows_are_no_proof():
    found = check(rows().slice(0, 0))
    assert [(one.rule, one.rows) for one in found.broken] == [("rows > 0", 0)]


def test_a_feature_that_the_contract_does_not_know_is_a_broken_rule():
    found = check(rows(extra=[1.0, 2.0, 3.0]), ("seats", "extra"))
    assert [(one.column, one.rule) for one in found.broken] == [("extra", "in the contract")]


def test_other_columns_are_not_looked_at():
    assert not check(rows(legs=pa.array([None] * 3, pa.int32()), origin=None), ("seats", "carrier")).broken


def test_texts_may_be_kept_in_the_large_layout():
    assert not check(rows(origin=pa.array(["EWR"] * 3, pa.large_string()))).broken


def test_rows_in_many_chunks_are_one_column():
    found = check(pa.concat_tables([rows(), rows(seats=[0.0, 1.0, None]), rows(carrier=["UA", "?", None])]))
    assert found.counts == {("seats", "range"): 1, ("carrier", "pattern"): 1}
    assert found.mask.to_pylist() == [False] * 3 + [True, False, False] + [False, True, False]


def test_a_refusal_names_the_first_broken_rule_how_many_more_and_where():
    refusal = check(rows(legs=None, origin=["EWR", "x", "y"])).refusal("the rows are not as promised", "look at them")
    assert (
        refusal.message
        == "the rows are not as promised: legs: all of the contract's columns (and 1 more: origin: allowed values)"
    )
    assert refusal.facts == {**WHERE, "column": "legs", "rule": "all of the contract's columns", "allowed": "legs",
                             "seen": "no such column", "rows": 3}  # fmt: skip
    assert refusal.next_step == "look at them"


def test_a_personal_value_is_never_quoted():
    refusal = check(rows(guest=["ann@example.org", "BOB", None])).refusal("no", "look")
    assert (refusal.facts["column"], refusal.facts["rows"]) == ("guest", 1)
    assert "ann" not in str(refusal)


def test_long_and_many_values_are_cut_short():
    wild = [f"<!channel> {place} {'x' * 100}" for place in range(9)]
    seen = check(pa.concat_tables([rows(origin=wild[at : at + 3]) for at in (0, 3, 6)])).broken[0].seen
    assert len(seen) < 5 * 45
    assert seen.endswith("...")
