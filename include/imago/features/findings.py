"""What an audit found, in the words and numbers that a person needs: counted plainly, apart from Great Expectations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts.inputs import Broken
from imago.contracts.rules import Rule
from imago.features.daily import Days
from imago.features.suite import day_column

COUNTED = "checks run = checks declared"
SHOWN = 5
# In the order in which they explain one another.
_EXPLAINS = {COUNTED: 0, "only the asked days": 1, "rows > 0": 2, "volume": 4, "of_weekday": 5}
_ROWS, _SHARES = 3, 6


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken rule: where, what is allowed, what was seen, and in how many rows.

    `partition` is the day that breaks it; of several it is the worst, and `days` is how many there are.
    """

    column: str | None
    rule: str
    partition: str | None
    allowed: str
    seen: str
    rows: int | None = None
    critical: bool = True
    days: int = 1


def found(
    rule: Rule, broken: Mapping[tuple[str | None, str], Broken], numbers: Days, rows: pa.Table, *, key: tuple[str, ...]
) -> tuple[list[Finding], int]:
    """What a plain count finds of one rule: the findings, and how many rows (or days) break it."""
    if rule.of == "day":
        return _of_days(rule, numbers)
    one = broken.get((rule.column, rule.name))
    if one is None or one.mask is None:
        return [], 0
    held = pc.value_counts(rows.column("ds").combine_chunks().filter(one.mask)).to_pylist()
    # Rows of a day that nobody asked for are a fault of the days that were.
    counts = {day["values"]: day["counts"] for day in held if day["values"] in numbers.days}
    worst = max(sorted(counts), key=counts.__getitem__) if counts else None
    seen = "not shown: the column is a key" if rule.column in key and rule.name != "unique key" else one.seen
    finding = Finding(
        column=rule.column, rule=rule.name, partition=worst, rows=one.rows,
        allowed=rule.allowed, seen=seen, critical=rule.critical, days=max(len(counts), 1),
    )  # fmt: skip
    return [finding], one.rows


def _of_days(rule: Rule, numbers: Days) -> tuple[list[Finding], int]:
    name = day_column(rule)
    low = float("-inf") if rule.low is None else rule.low
    high = float("inf") if rule.high is None else rule.high
    beyond = {
        ds: max(low - value, value - high)
        for ds, value in numbers.numbers[name].items()
        if value is not None and not low <= value <= high
    }
    # Of a failure the worst day stands for all; of warnings each day is told by itself.
    told = [max(sorted(beyond), key=beyond.__getitem__)] if beyond and rule.critical else sorted(beyond)
    findings = [
        Finding(
            column=rule.column, rule=rule.name, partition=ds, rows=numbers.counts.get(name, numbers.counts["rows"])[ds],
            allowed=rule.allowed, seen=_seen(name, ds, numbers), critical=rule.critical,
            days=len(beyond) if rule.critical else 1,
        )
        for ds in told
    ]  # fmt: skip
    return findings, len(beyond)


def _seen(name: str, ds: str, numbers: Days) -> str:
    rows = numbers.counts["rows"][ds]
    if name == "rows":
        return f"{rows} rows"
    value = numbers.numbers[name][ds]
    if name == "of_weekday":
        return f"{value:.2f} times the usual {numbers.usual[ds]:g} rows"
    values = numbers.unseen.get(name, {}).get(ds, ())
    told = f": {', '.join(map(str, values[:SHOWN]))}{', ...' if len(values) > SHOWN else ''}" if values else ""
    return f"{value:.1%} of {rows} rows{told}"


def worst_first(finding: Finding) -> tuple[int, int]:
    """What explains most comes first: an unchecked rule, rows of other days, no rows, rows that break a rule, too few
    or too many of them, and shares of missing or unseen values, which may come of all that; equal ones by rows."""
    place = _SHARES if finding.rule.startswith("max_") else _EXPLAINS.get(finding.rule, _ROWS)
    return place, -(finding.rows or 0)
