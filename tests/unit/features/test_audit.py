"""The audit of staged rows: what it lets through and what it refuses, with which facts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from imago.contracts import Column, Contract
from imago.errors import RefusedPartition
from imago.features.audit import Audit, check_declared

CONTRACT = Contract(
    model="m",
    columns=(
        Column(name="key", data_type="varchar", nullable=False),
        Column(name="ds", data_type="varchar", nullable=False),
        Column(name="at", data_type="timestamp"),
        Column(name="seats", data_type="double precision", at_least=1, at_most=900),
        Column(name="origin", data_type="varchar", nullable=False, values=("EWR", "JFK")),
    ),
)
WHERE = {"environment": "dev", "model": "flights", "table": "features"}


def good(**changes: Any) -> pa.Table:
    columns = {
        "key": ["a", "b", "c"],
        "ds": ["2013-01-01", "2013-01-01", "2013-01-02"],
        "at": pa.array([dt.datetime(2013, 1, 1)] * 3, pa.timestamp("us")),
        "seats": [100.0, None, 200.0],
        "origin": ["EWR", "JFK", "EWR"],
        **changes,
    }
    return pa.table({name: values for name, values in columns.items() if values is not None})


def audit() -> Audit:
    return Audit(CONTRACT, key="key", days=("2013-01-01", "2013-01-02"), where=WHERE)


def test_good_rows_come_back_in_the_contracts_order():
    staged = good().select(["origin", "seats", "key", "ds", "at"])

    assert audit().run(staged).column_names == ["key", "ds", "at", "seats", "origin"]


def test_every_check_is_counted():
    done = audit()
    done.run(good())

    assert done.checks == 2 + 5 + 1  # columns, days, each column's values, key


@pytest.mark.parametrize(
    ("staged", "column", "rule", "rows"),
    [
        (good(extra=[1, 2, 3]), "extra", "only the contract's columns", None),
        (good(seats=None), "seats", "all of the contract's columns", None),
        (good(seats=["1", "2", "3"]), "seats", "type", None),
        (good(seats=pa.array([1, 2, 3])), "seats", "type", None),
        (good(origin=["EWR", None, "JFK"]), "origin", "not null", 1),
        (good(origin=["EWR", "jfk", "JFK "]), "origin", "allowed values", 2),
        (good(seats=[0.0, 901.0, 5.0]), "seats", "range", 2),
        (good(seats=[float("nan"), float("inf"), 5.0]), "seats", "range", 2),
        (good(key=["a", "a", "c"]), "key", "unique key", 1),
        (good(ds=["2013-01-01", "2013-01-02", "2013-01-03"]), "ds", "only the asked days", 1),
        (good(ds=["2013-01-01", None, "2013-01-02"]), "ds", "only the asked days", 1),
        (good(ds=["2013-01-01"] * 3), None, "rows > 0", 0),
        (good().slice(0, 0), None, "rows > 0", 0),
    ],
)
def test_a_broken_rule_is_refused_with_its_column_and_rows(staged, column, rule, rows):
    with pytest.raises(RefusedPartition) as refused:
        audit().run(staged)

    facts = refused.value.facts
    assert (facts.get("column"), facts["rule"], facts.get("rows")) == (column, rule, rows)
    assert WHERE.items() <= facts.items()
    assert refused.value.next_step


def test_the_one_row_of_nulls_that_stands_for_an_empty_model_counts_as_no_rows():
    nulls = pa.table({field.name: pa.nulls(1, field.type) for field in good().schema})

    with pytest.raises(RefusedPartition, match="no rows"):
        audit().run(nulls)


def test_an_outcome_column_is_refused_even_where_the_contract_allows_it():
    with pytest.raises(RefusedPartition, match="not known at prediction time") as refused:
        audit().run(good(), forbidden=frozenset({"seats"}))

    assert refused.value.facts["column"] == "seats"


def test_a_feature_of_the_spec_that_the_contract_lacks_is_refused():
    keys = ("key", "ds", "at")
    check_declared(CONTRACT, declared=("origin", "seats"), keys=keys, where=WHERE)

    with pytest.raises(RefusedPartition, match="in the spec but not in the dbt contract"):
        check_declared(CONTRACT, declared=("origin", "seats", "engines"), keys=keys, where=WHERE)
    with pytest.raises(RefusedPartition, match="in the dbt contract but not in the spec"):
        check_declared(CONTRACT, declared=("origin",), keys=keys, where=WHERE)
