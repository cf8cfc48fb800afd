"""The audit of staged rows: what it lets through, what it refuses with which facts, and that no check goes missing."""

from __future__ import annotations

import datetime as dt
import re
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from imago.contracts import Column, Contract, Volume
from imago.contracts.contract import check_complete
from imago.features import suite
from imago.features.audit import AuditResult, audit
from imago.features.daily import History
from imago.features.findings import COUNTED

D1, D2 = "2013-01-01", "2013-01-02"
VOLUME = Volume(at_least=2, at_most=3, of_weekday=(0.5, 2.0), warn_of_weekday=(0.8, 1.5))
CONTRACT = Contract(
    model="m",
    columns=(
        Column(name="key", data_type="varchar", nullable=False, pattern="[a-z]+"),
        Column(name="ds", data_type="varchar", nullable=False),
        Column(name="at", data_type="timestamp", max_missing=0.5),
        Column(
            name="seats", data_type="double precision", at_least=1, at_most=900, max_missing=0.5, warn_missing=0.4
        ),
        Column(name="origin", data_type="varchar", nullable=False, values=("EWR", "JFK")),
        Column(
            name="dest", data_type="varchar", nullable=False, pattern="[A-Z]{3}", max_unseen=0.5, warn_unseen=0.0
        ),
        Column(name="late", data_type="integer", values=(0, 1), max_missing=0.9),
    ),
    volume=VOLUME,
)  # fmt: skip
WHERE = {"environment": "dev", "model": "flights", "table": "features"}
HOUR = dt.datetime(2013, 1, 1)


def good(**changes: Any) -> pa.Table:
    columns = {
        "key": ["a", "b", "c", "d"],
        "ds": [D1, D1, D2, D2],
        "at": pa.array([HOUR] * 4, pa.timestamp("us")),
        "seats": [100.0, 300.0, 200.0, 2.0],
        "origin": ["EWR", "JFK", "EWR", "JFK"],
        "dest": ["IAH", "ORD", "IAH", "ORD"],
        "late": pa.array([0, 1, None, 1], pa.int32()),
        **changes,
    }
    return pa.table({name: values for name, values in columns.items() if values is not None})


def audited(staged: pa.Table, before: History | None = None, **more: Any) -> AuditResult:
    return audit(CONTRACT, staged, key=("key",), days=(D1, D2), before=before or History(), **more)


def test_the_contract_of_these_tests_is_complete():
    check_complete(CONTRACT, key=("key", "ds"))


def test_good_rows_pass_in_the_contracts_order_with_every_check_run():
    result = audited(good().select(["late", "dest", "origin", "seats", "key", "ds", "at"]))

    assert result.failures == result.warnings == ()
    assert result.rows is not None
    assert result.rows.column_names == list(CONTRACT.names)
    # The types of 7 columns; columns, days and key; 9 rules of values; rows, volume, 2 of the weekday; 6 shares.
    assert result.run == result.declared == 7 + 3 + 9 + 4 + 6
    assert [len(validation.results) for validation in result.validations] == [12, 10]


@pytest.mark.parametrize(
    ("changes", "column", "rule", "partition", "rows"),
    [
        ({"extra": [1, 2, 3, 4]}, "extra", "only the contract's columns", None, 4),
        ({"seats": None}, "seats", "all of the contract's columns", None, 4),
        ({"seats": ["1", "2", "3", "4"]}, "seats", "type", None, 4),
        ({"seats": pa.array([1, 2, 3, 4])}, "seats", "type", None, 4),
        ({"origin": ["EWR", None, "JFK", "EWR"]}, "origin", "not null", D1, 1),
        ({"origin": ["EWR", "jfk", "JFK ", "Jfk"]}, "origin", "allowed values", D2, 3),
        ({"late": pa.array([0, 2, 1, 1], pa.int32())}, "late", "allowed values", D1, 1),
        ({"dest": ["IAH", "ORD", "ORD\n", "ORDO"]}, "dest", "pattern", D2, 2),
        ({"seats": [0.0, 901.0, 5.0, 1.0]}, "seats", "range", D1, 2),
        ({"seats": [5.0, float("nan"), 5.0, 1.0]}, "seats", "range", D1, 1),
        ({"seats": [5.0, 5.0, float("-inf"), float("inf")]}, "seats", "range", D2, 2),
        ({"key": ["a", "a", "c", "a"]}, "key", "unique key", D1, 2),
        ({"ds": [D1, D2, D2, "2013-01-03"]}, "ds", "only the asked days", None, 1),
        ({"ds": [D1, D1, D2, None]}, "ds", "not null", None, 1),
        ({"ds": [D1, D1, D1, D1]}, None, "rows > 0", D2, 0),
        ({"ds": [D1, D2, D2, D2], "dest": ["IAH"] * 4}, None, "volume", D1, 1),
        ({"seats": [None, None, 5.0, 1.0]}, "seats", "max_missing", D1, 2),
        ({"at": pa.nulls(4, pa.timestamp("us"))}, "at", "max_missing", D1, 2),
    ],
)
def test_a_broken_rule_is_refused_with_its_column_day_and_rows(changes, column, rule, partition, rows):
    result = audited(good(**changes))

    worst = result.failures[0]
    assert (worst.column, worst.rule, worst.partition, worst.rows) == (column, rule, partition, rows)
    assert worst.critical
    assert worst.allowed
    assert worst.seen


def test_a_refusal_carries_all_facts_and_counts_the_other_broken_rules():
    result = audited(good(seats=[0.0, 901.0, 902.0, 5.0], origin=["EWR", "X", "JFK", "JFK"]))
    refused = result.refusal(WHERE, days=(D1, D2))

    assert refused.facts == {
        **WHERE, "partition": f"{D1} (the worst of 2 days)", "column": "seats", "rule": "range",
        "allowed": "1 to 900, finite", "seen": "0.0 to 902.0", "rows": 3,
    }  # fmt: skip
    assert "1 more rule is broken" in refused.message
    assert refused.next_step


def test_no_key_and_no_personal_value_is_quoted():
    personal = Contract.from_dict(
        {
            **CONTRACT.as_dict(),
            "columns": [{**c, "personal": c["name"] == "dest"} for c in CONTRACT.as_dict()["columns"]],
        }
    )
    staged = good(key=["a", "b", "SECRET 1", "SECRET 1"], dest=["IAH", "ORD", "hidden", "hidden"])
    before = History(values={"dest": {"2012-12-31": frozenset({"IAH"})}})

    result = audit(personal, staged, key=("key",), days=(D1, D2), before=before)
    told = " ".join(
        str(part) for part in (*result.failures, *result.warnings, *(v.to_json_dict() for v in result.validations))
    )

    assert {(one.column, one.rule) for one in result.failures} >= {
        ("key", "unique key"), ("key", "pattern"), ("dest", "pattern"), ("dest", "max_unseen"),
    }  # fmt: skip
    assert not re.search("SECRET|hidden|ORD", told)


@pytest.mark.parametrize("staged", [good().slice(0, 0), pa.table({f.name: pa.nulls(1, f.type) for f in good().schema})])
def test_no_rows_and_the_row_of_nulls_that_stands_for_none_are_refused(staged):
    worst = audited(staged).failures[0]

    assert (worst.rule, worst.rows) == ("rows > 0", 0)


def test_an_outcome_column_is_refused_even_where_the_contract_allows_it():
    worst = audited(good(), forbidden=frozenset({"seats"})).failures[0]

    assert (worst.column, worst.rule) == ("seats", "no outcome among the features")


# --- days ------------------------------------------------------------------------------------------------------


def test_unseen_values_are_judged_against_published_days_and_earlier_days_of_the_range():
    before = History(values={"dest": {"2012-12-31": frozenset({"IAH"}), "2012-12-01": frozenset({"LAX"})}})

    result = audited(good(dest=["IAH", "ORD", "ORD", "LAX"]), before)

    # ORD is new on the first day and known on the second; LAX was last there 32 days before.
    assert [(one.partition, one.column, one.rule, one.seen) for one in result.warnings] == [
        (D1, "dest", "warn_unseen", "50.0% of 2 rows: ORD"),
        (D2, "dest", "warn_unseen", "50.0% of 2 rows: LAX"),
    ]
    assert result.failures == ()
    assert audited(good(dest=["LAX", "ORD", "IAH", "IAH"]), before).failures[0].rule == "max_unseen"


def test_without_any_history_only_the_pattern_of_a_value_is_judged():
    assert audited(good(dest=["XXX", "YYY", "XXX", "YYY"])).failures == ()


@pytest.mark.parametrize(
    ("rows", "rule"), [((4, 4, 4), None), ((1, 5, 5), "of_weekday"), ((3, 3, 3), "warn_of_weekday"), ((5, 5), None)]
)
def test_a_days_rows_are_compared_with_the_median_of_its_weekday(rows, rule):
    before = History(rows=dict(zip(("2012-12-25", "2012-12-18", "2012-12-11"), rows, strict=False)))
    wide = Contract.from_dict(
        {**CONTRACT.as_dict(), "volume": {**CONTRACT.as_dict()["volume"], "of_weekday": [0.5, 2]}}
    )

    result = audit(wide, good(), key=("key",), days=(D1, D2), before=before)

    found = (*result.failures, *result.warnings)
    # 2 rows against a median of 4 are 0.5 (allowed, but unusual), of 5 are 0.4, of 3 are 0.67; two weeks say nothing.
    expected = {None: [], "of_weekday": ["of_weekday", "warn_of_weekday"], "warn_of_weekday": ["warn_of_weekday"]}[rule]
    assert [one.rule for one in found] == (["warn_of_weekday"] if rows == (4, 4, 4) else expected)


def test_in_the_warm_up_no_share_is_judged_and_every_check_still_counts():
    before = History(values={"dest": {"2012-12-31": frozenset({"LAX"})}}, warmup=frozenset({D1}))

    result = audited(good(seats=pa.nulls(4, pa.float64())), before)

    assert [(one.column, one.rule, one.partition) for one in result.failures] == [("seats", "max_missing", D2)]
    assert (result.waived, result.run) == (1, result.declared)


# --- the gate itself --------------------------------------------------------------------------------------------


def unchecked(result: AuditResult) -> list[str | None]:
    assert result.failures[0].rule == COUNTED
    assert result.run < result.declared
    return [one.column for one in result.failures if one.rule == COUNTED]


def test_an_empty_suite_checks_nothing_and_is_refused(monkeypatch):
    real = suite.suite
    monkeypatch.setattr(suite, "suite", lambda name, rules: real(name, ()))

    assert len(unchecked(audited(good()))) == 12 + 10


def test_a_rule_that_is_left_out_of_the_suite_is_refused_by_name(monkeypatch):
    real = suite.suite
    monkeypatch.setattr(
        suite, "suite", lambda name, rules: real(name, [r for r in rules if (r.column, r.name) != ("seats", "range")])
    )

    assert unchecked(audited(good())) == ["seats"]


def _changed(**changes: Any) -> Any:
    real = suite.suite

    def tampered(name: str, rules: Any) -> Any:
        made = real(name, rules)
        for one in made.expectations:
            if one.meta == {"rule": "range", "column": "seats"}:
                for field, value in changes.items():
                    setattr(one, field, value)
        return made

    return tampered


@pytest.mark.parametrize(
    "changes",
    [{"mostly": 0.0}, {"max_value": 1e9}, {"column": "elsewhere"}, {"column": "late"}, {"meta": {}}],
    ids=str,
)
def test_an_expectation_that_was_turned_down_is_refused_although_it_passes(monkeypatch, changes):
    monkeypatch.setattr(suite, "suite", _changed(**changes))

    assert unchecked(audited(good(seats=[5000.0, 1.0, 1.0, 1.0])))[0] == "seats"


def test_a_turned_down_expectation_of_the_platform_itself_is_found_by_the_plain_count(monkeypatch):
    real = suite.expectation

    def lenient(rule: Any) -> Any:
        made = real(rule)
        if hasattr(made, "mostly"):
            made.mostly = 0.0
        return made

    monkeypatch.setattr(suite, "expectation", lenient)

    assert unchecked(audited(good(seats=[5000.0, 1.0, 1.0, 1.0]))) == ["seats"]


def test_a_validator_that_raises_is_refused(monkeypatch):
    def killed(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(suite, "validate", killed)
    result = audited(good())

    assert unchecked(result) == [None, None]
    assert "MemoryError" in result.failures[0].seen


def test_a_result_over_fewer_rows_is_refused(monkeypatch):
    real = suite.validate
    monkeypatch.setattr(suite, "validate", lambda frame, against: real(frame.head(1), against))

    assert "key" in unchecked(audited(good()))


@pytest.mark.parametrize(
    "tampered",
    [
        lambda one: setattr(one, "success", None),
        lambda one: setattr(one, "result", {}),
        lambda one: setattr(one, "exception_info", {"('metric',)": {"raised_exception": True}}),
    ],
    ids=["skipped", "without a result", "errored"],
)
def test_a_skipped_errored_or_missing_result_is_refused(monkeypatch, tampered):
    real = suite.validate

    def validate(frame: Any, against: Any) -> Any:
        told = real(frame, against)
        for one in told.results:
            if one.expectation_config.meta == {"rule": "not null", "column": "origin"}:
                tampered(one)
        return told

    monkeypatch.setattr(suite, "validate", validate)

    assert unchecked(audited(good())) == ["origin"]


def test_a_result_that_stands_twice_is_refused(monkeypatch):
    real = suite.validate

    def validate(frame: Any, against: Any) -> Any:
        told = real(frame, against)
        return SimpleNamespace(results=[*told.results, told.results[0]])

    monkeypatch.setattr(suite, "validate", validate)

    assert len(unchecked(audited(good()))) == 2
