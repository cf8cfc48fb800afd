"""The audit of a staged partition: what dbt wrote is what its contract promises, or nothing is published.

Great Expectations judges every rule of the contract, of the rows as they are and of each day as a whole. It fails open
(an empty suite and an empty table pass, a null or NaN is left out), so nothing is taken from it on trust: a check
counts when there is exactly one result for its rule, of the rule's own expectation, that raised nothing, saw all rows,
and counted the broken rows that a plain count finds too. Checks run must be the checks that the contract declares.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts import Contract
from imago.contracts.inputs import Broken, check_inputs
from imago.contracts.rules import Rule, checks_of, rules_of
from imago.contracts.types import OtherType, arrow_type, as_promised
from imago.errors import RefusedPartition
from imago.features import suite
from imago.features.daily import History, days_of
from imago.features.findings import COUNTED, SHOWN, Finding, found, worst_first

log = logging.getLogger(__name__)

OUTCOME_AMONG_FEATURES = "no outcome among the features"


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """What an audit did: checks `declared` by the contract and `run`, the worst failure first, one warning for each
    rule and day, and what Great Expectations said of rows and days. `waived` days are in the warm-up: their shares were
    not judged. `rows` are the staged rows in the contract's columns, None when they cannot be brought there."""

    declared: int
    run: int
    failures: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    validations: tuple[Any, ...]
    waived: int = 0
    rows: pa.Table | None = None

    def refusal(self, where: Mapping[str, str], *, days: tuple[str, ...]) -> RefusedPartition:
        """The error that says the worst failure, and how many other rules are broken; without any, that checks were
        left out."""
        failures = self.failures or (_unchecked(None, "every check of the contract", f"{self.run} checks"),)
        worst, others = failures[0], len(failures) - 1
        partition = worst.partition or (days[0] if len(days) == 1 else f"{days[0]}..{days[-1]}")
        more = f"; {others} more {'rule is' if others == 1 else 'rules are'} broken" if others else ""
        return RefusedPartition(
            f"{worst.column or 'the table'}: {worst.rule} does not hold{more}",
            **where,
            partition=partition + (f" (the worst of {worst.days} days)" if worst.days > 1 else ""),
            column=worst.column,
            rule=worst.rule,
            allowed=worst.allowed,
            seen=worst.seen,
            rows=worst.rows,
            next_step=_next_step(worst),
        )


def audit(
    contract: Contract,
    staged: pa.Table,
    *,
    key: tuple[str, ...],
    days: tuple[str, ...],
    before: History,
    forbidden: frozenset[str] = frozenset(),
) -> AuditResult:
    """Checks the staged rows of `days` against a complete contract.

    `key` are the columns whose values are unique together on each day, and are never quoted. `forbidden` names columns
    that may not be there whatever the contract says: a feature table that carries the outcome is a leak. Never raises
    for what is wrong with the rows or with the checks: that is told as failures.
    """
    rules = rules_of(contract, key=key, days=days)
    declared = checks_of(contract, key=key, days=days)
    staged = _as_promised(contract, _without_stand_in(staged))
    unfit = [*_structure(contract, staged, forbidden), *_no_nul(staged, key)]
    plain = check_inputs(contract, staged.select(sorted(set(staged.column_names))), contract.names, {})
    unfit += [_whole(one) for one in plain.broken if one.mask is None and one.column is not None]
    if unfit:
        return AuditResult(declared=declared, run=0, failures=tuple(unfit), warnings=(), validations=())
    types = pa.schema([(column.name, arrow_type(column.data_type)) for column in contract.columns])
    rows = staged.select(list(contract.names)).cast(types)
    numbers = days_of(contract, rows, days, before)
    broken = {(one.column, one.rule): one for one in (*plain.broken, *_of_table(rows, key, days))}

    failures: list[Finding] = []
    warnings: list[Finding] = []
    validations: list[Any] = []
    run = len(contract.columns)
    for of, frame in (("row", _frame(rows)), ("day", numbers.frame())):
        mine = [rule for rule in rules if rule.of == of]
        try:
            told = suite.validate(frame, suite.suite(f"{contract.model} {of}s", mine))
            validations.append(told)
        except Exception as error:
            # Whatever kills the validator must not let the rows through.
            log.exception("the checks of %ss could not run", of)
            failures.append(_unchecked(None, f"all {len(mine)} rules of {of}s", f"raised {type(error).__name__}"))
            continue
        for rule in mine:
            told_of, count = found(rule, broken, numbers, rows, key=key)
            doubt = _doubt(rule, told, count, frame)
            if doubt:
                failures.append(_unchecked(rule.column, f"{rule.name}: {rule.allowed}", doubt))
                continue
            run += 1
            (failures if rule.critical else warnings).extend(told_of)
    if run != declared and not failures:
        failures.append(_unchecked(None, f"{declared} checks", f"{run} checks"))
    return AuditResult(
        declared=declared,
        run=run,
        failures=tuple(sorted(failures, key=worst_first)),
        warnings=tuple(warnings),
        validations=tuple(validations),
        waived=len(before.warmup),
        rows=rows,
    )


def _next_step(worst: Finding) -> str:
    if worst.rule == COUNTED:
        return "bring the gate back into order: nothing is published unchecked"
    if worst.rule == OUTCOME_AMONG_FEATURES:
        return (
            f"take {worst.column} out of the feature model's .sql and .yml: it is known only afterwards; if it is "
            "known at prediction time and has this name by chance, rename it in the outcome model"
        )
    return "look at the audit's page and the raw files of the day; the last good partition still stands"


def _without_stand_in(staged: pa.Table) -> pa.Table:
    # What dbt-duckdb writes for a model without rows: one row of nulls.
    if staged.num_rows == 1 and all(column.null_count for column in staged.columns):
        return staged.slice(0, 0)
    return staged


def _as_promised(contract: Contract, staged: pa.Table) -> pa.Table:
    """The rows with moments in UTC and UUIDs as texts, where nothing is lost by it: other types stay, to be refused."""
    for column in contract.columns:
        wanted = arrow_type(column.data_type)
        if wanted is None or staged.column_names.count(column.name) != 1:
            continue
        place = staged.schema.get_field_index(column.name)
        try:
            staged = staged.set_column(place, column.name, as_promised(staged.column(place), wanted))
        except OtherType:
            continue
    return staged


def _no_nul(staged: pa.Table, key: tuple[str, ...]) -> list[Finding]:
    """Keys with the character NUL, which Postgres cannot hold: the endpoint could never answer for them."""
    found = []
    for name in key:
        if name in staged.column_names and pa.types.is_string(staged.schema.field(name).type):
            rows = pc.sum(pc.match_substring(staged.column(name), "\x00")).as_py()
            if rows:
                found.append(Finding(column=name, rule="no NUL in a key", partition=None, rows=rows,
                                     allowed="any text without the character NUL",
                                     seen="not shown: the column is a key"))  # fmt: skip
    return found


def _structure(contract: Contract, staged: pa.Table, forbidden: frozenset[str]) -> list[Finding]:
    """What is wrong with the columns that are there, or that there is no row."""
    names = staged.column_names
    leaks = [name for name in names if name in forbidden]
    strangers = [name for name in sorted(set(names)) if name not in contract.names or names.count(name) > 1]
    found = [
        *((name, OUTCOME_AMONG_FEATURES, "what is known at prediction time") for name in leaks),
        *(() if staged.num_rows or contract.allows_empty else ((None, "rows > 0", "at least one row"),)),
        *((name, "only the contract's columns", "the columns of the contract, each once") for name in strangers),
    ]
    return [
        Finding(
            column=name, rule=rule, partition=None, allowed=allowed, seen=name or "no rows", rows=staged.num_rows
        )
        for name, rule, allowed in found
    ]  # fmt: skip


def _whole(one: Broken) -> Finding:
    """A fault of a whole column."""
    rule = "all of the contract's columns" if one.rule == "column is there" else one.rule
    return Finding(column=one.column, rule=rule, partition=None, rows=one.rows, allowed=one.allowed, seen=one.seen)


def _of_table(rows: pa.Table, key: tuple[str, ...], days: tuple[str, ...]) -> list[Broken]:
    """The rules of rows that are about the table, counted plainly."""
    unique = [*key, "ds"]
    numbered = rows.select(unique).append_column("ROW", pa.array(range(rows.num_rows), pa.int64()))
    groups = numbered.group_by(unique, use_threads=False).aggregate([("ROW", "list"), ([], "count_all")])
    twice = groups.filter(pc.greater(groups["count_all"], 1))["ROW_list"].combine_chunks()
    repeated = pc.is_in(numbered["ROW"].combine_chunks(), pc.list_flatten(twice))
    stamps = rows.column("ds").combine_chunks()
    foreign = pc.and_(pc.invert(pc.is_in(stamps, pa.array(days))), pc.is_valid(stamps))
    others = sorted(pc.unique(stamps.filter(foreign)).to_pylist())[:SHOWN]
    return [
        Broken(column=column, rule=rule, allowed="", seen=seen, rows=count, mask=mask)
        for column, rule, seen, mask in (
            (", ".join(key), "unique key", "the same key again", repeated),
            ("ds", "only the asked days", ", ".join(others), foreign),
        )
        if (count := pc.sum(mask).as_py() or 0)
    ]


def _frame(rows: pa.Table) -> Any:
    """The rows as Great Expectations reads them, in which a NaN and a missing value are one and the same and are left
    out: so a NaN becomes infinite here, which no range holds. Whole numbers beside a null stay whole: as floating ones
    those beyond 2^53 would be taken for one another."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            column = rows.column(place)
            infinite = pa.scalar(float("inf"), field.type)
            rows = rows.set_column(place, field.name, pc.if_else(pc.is_nan(column), infinite, column))
    return rows.to_pandas(integer_object_nulls=True)


def _doubt(rule: Rule, told: Any, count: int, frame: Any) -> str | None:
    """Why the result of one rule cannot be relied on; None when it can."""
    meant = {"rule": rule.name, "column": rule.column}
    results = [
        one for one in told.results if {name: (one.expectation_config.meta or {}).get(name) for name in meant} == meant
    ]
    if len(results) != 1:
        return f"{len(results) or 'no'} results for it"
    result, wanted = results[0], suite.expectation(rule).configuration
    asked = {name: value for name, value in result.expectation_config.kwargs.items() if name != "batch_id"}
    if (result.expectation_config.type, asked) != (wanted.type, dict(wanted.kwargs)):
        return "another check ran in its place"
    if _raised(result.exception_info):
        return "it raised an error"
    counted = result.result or {}
    if "unexpected_count" not in counted:
        # Of the table as a whole there is no count, only whether it holds.
        return None if bool(result.success) is (count == 0) and "observed_value" in counted else "it gave no result"
    if counted["element_count"] != len(frame):
        return f"it looked at {counted['element_count']} of {len(frame)} rows"
    if counted["unexpected_count"] != count or bool(result.success) is not (count == 0):
        return f"it counts {counted['unexpected_count']} where a plain count finds {count}"
    return None


def _raised(info: Any) -> bool:
    if not isinstance(info, Mapping):
        return False
    return bool(info.get("raised_exception")) or any(_raised(part) for part in info.values())


def _unchecked(column: str | None, allowed: str, seen: str) -> Finding:
    return Finding(column=column, rule=COUNTED, partition=None, allowed=allowed, seen=seen)
