"""Each mutator changes its input, and only what it names."""

from __future__ import annotations

import datetime as dt
import math

import pyarrow as pa
import pytest

from proofs.gates import corpus, variations
from proofs.gates import mutators as m
from proofs.gates.sabotage import all_sabotages

KEY = "2013-10-01-UA1545-EWR-0515"
GOOD = pa.table(
    {
        "flight_key": [KEY, "2013-10-01-AA7-JFK-0600", "2013-10-01-B671-LGA-0700", "2013-10-01-UA2-EWR-0800"],
        "flight": [1545, 7, 71, 2],
        "carrier": ["UA", "AA", "B6", "UA"],
        "dest": ["IAH", "MIA", "BQN", "ORD"],
        "temp": [50.0, 51.5, None, 60.0],
        "humid": [40.0, 41.0, 42.0, 43.0],
        "at": pa.array([dt.datetime(2013, 10, 1, 9)] * 4, pa.timestamp("us")),
    }
)


@pytest.mark.parametrize(
    ("mutator", "column", "values"),
    [
        (m.null("temp"), "temp", [None] * 4),
        (m.null("humid", share=0.5), "humid", [None, 41.0, None, 43.0]),
        (m.put("carrier", "ZZ", share=0.25), "carrier", ["ZZ", "AA", "B6", "UA"]),
        (m.scale("temp", 1000), "temp", [50_000.0, 51_500.0, None, 60_000.0]),
        (m.scale("flight", 1000), "flight", [1_545_000, 7000, 71_000, 2000]),
        (m.flip("temp"), "temp", [-50.0, -51.5, None, -60.0]),
        (m.shifted("humid", -32, 0.5), "humid", [4.0, 4.5, 5.0, 5.5]),
        (m.added("flight", 1, share=0.25), "flight", [1546, 7, 71, 2]),
        (m.text("dest", str.lower, share=0.5), "dest", ["iah", "MIA", "bqn", "ORD"]),
        (m.swap("carrier", "dest"), "carrier", ["IAH", "MIA", "BQN", "ORD"]),
        (m.move("at", dt.timedelta(hours=1)), "at", [dt.datetime(2013, 10, 1, 10)] * 4),
        (m.retype("flight", pa.string()), "flight", ["1545", "7", "71", "2"]),
    ],
)
def test_a_mutator_changes_the_values_that_it_names(mutator, column, values):
    spoiled = mutator(GOOD)

    assert spoiled[column].to_pylist() == values
    assert m.changes(GOOD, spoiled)
    assert spoiled.column_names == GOOD.column_names


@pytest.mark.parametrize(
    ("mutator", "columns", "rows"),
    [
        (m.rename("dest", "to"), ["flight_key", "flight", "carrier", "to", "temp", "humid", "at"], 4),
        (m.drop("temp"), ["flight_key", "flight", "carrier", "dest", "humid", "at"], 4),
        (m.add("note", "x"), [*GOOD.column_names, "note"], 4),
        (m.empty, GOOD.column_names, 0),
        (m.keep(0.5), GOOD.column_names, 2),
        (m.repeat(), GOOD.column_names, 8),
        (m.repeat(1), GOOD.column_names, 5),
        (m.doubled, GOOD.column_names, 8),
    ],
)
def test_a_mutator_changes_the_shape(mutator, columns, rows):
    spoiled = mutator(GOOD)

    assert (spoiled.column_names, spoiled.num_rows) == (columns, rows)
    assert m.changes(GOOD, spoiled)


def test_twice_the_flights_have_keys_of_their_own():
    keys = m.doubled(GOOD)["flight_key"].to_pylist()

    assert len(set(keys)) == 8
    assert "2013-10-01-UA8454-EWR-0515" in keys


def test_nothing_changed_is_no_change_even_where_nan_stands():
    nan = pa.table({"a": [1.0, math.nan]})

    assert not m.changes(nan, pa.table({"a": [1.0, math.nan]}))
    assert m.changes(nan, pa.table({"a": [1.0, 2.0]}))


def test_bytes_are_spoiled_where_it_is_said():
    assert m.flip_bit(b"\x00\x00\x00\x00", 0.5) == b"\x00\x00\x10\x00"
    assert m.cut_off(b"abcd", 0.5) == b"ab"


@pytest.mark.parametrize(("cases", "least"), [(corpus.cases, 100), (variations.cases, 100), (all_sabotages, 25)])
def test_the_proof_is_as_long_as_promised_and_every_case_has_a_name(cases, least):
    names = [case.name for case in cases()]

    assert len(names) >= least
    assert len(set(names)) == len(names)
