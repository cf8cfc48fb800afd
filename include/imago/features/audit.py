"""The audit of a staged partition: what dbt wrote is what its contract and the spec promise, or nothing is published.

Every check counts rows itself and fails closed; none passes because there was nothing to look at.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts import Column, Contract
from imago.errors import RefusedPartition

_TYPES = {
    "varchar": pa.string(),
    "double precision": pa.float64(),
    "timestamp": pa.timestamp("us"),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
}


class Audit:
    """The checks of one staged table. `where` are the facts that every refusal carries (environment, model, table)."""

    def __init__(self, contract: Contract, *, key: str, days: tuple[str, ...], where: dict[str, str]) -> None:
        self.contract = contract
        self.key = key
        self.days = days
        self.where = where
        self.checks = 0

    def run(self, staged: pa.Table, *, forbidden: frozenset[str] = frozenset()) -> pa.Table:
        """The staged rows in the contract's columns and types. Raises RefusedPartition at the first broken rule.

        `forbidden` names columns that may not be there whatever the contract says: a feature table that carries the
        outcome is a leak.
        """
        self._columns(staged, forbidden)
        if staged.num_rows == 1 and staged.column("ds").null_count == 1:
            # What dbt-duckdb writes for a model without rows: one row of nulls.
            staged = staged.slice(0, 0)
        self._days(staged)
        table = pa.table({column.name: staged.column(column.name) for column in self.contract.columns})
        for column in self.contract.columns:
            self._values(table, column)
        self._key(table)
        return table

    def _refuse(self, message: str, **facts: object) -> RefusedPartition:
        days = self.days[0] if len(self.days) == 1 else f"{self.days[0]}..{self.days[-1]}"
        facts.setdefault("partition", days)
        facts.setdefault("next_step", "look at the staged rows; the last good partition still stands")
        return RefusedPartition(message, **self.where, **facts)  # type: ignore[arg-type]

    def _columns(self, staged: pa.Table, forbidden: frozenset[str]) -> None:
        self.checks += 1
        given = set(staged.column_names)
        leaks = sorted(forbidden.intersection(given))
        if leaks:
            raise self._refuse(
                f"the outcome column {leaks[0]} stands among the features: it is not known at prediction time",
                column=leaks[0],
                rule="no outcome among the features",
                seen=", ".join(leaks),
                next_step=f"take {leaks[0]} out of {self.contract.model}.sql and .yml",
            )
        for column in staged.column_names:
            if column not in self.contract.names:
                raise self._refuse(
                    f"the column {column} is not in the contract",
                    column=column,
                    rule="only the contract's columns",
                    next_step=f"take it out, or put it into {self.contract.model}.yml and the spec",
                )
        for promised in self.contract.columns:
            if promised.name not in given:
                raise self._refuse(
                    f"the column {promised.name} is missing", column=promised.name, rule="all of the contract's columns"
                )
            wanted, seen = _TYPES[promised.data_type], staged.schema.field(promised.name).type
            if seen != wanted:
                raise self._refuse(
                    f"the column {promised.name} has another type",
                    column=promised.name,
                    rule="type",
                    allowed=str(wanted),
                    seen=str(seen),
                )

    def _days(self, staged: pa.Table) -> None:
        self.checks += 1
        counts = {row["values"]: row["counts"] for row in pc.value_counts(staged.column("ds")).to_pylist()}
        foreign = sorted(str(ds) for ds in counts if ds not in self.days)
        if foreign:
            raise self._refuse(
                "rows of other days", column="ds", rule="only the asked days", seen=", ".join(foreign[:5]),
                rows=sum(count for ds, count in counts.items() if ds not in self.days),
            )  # fmt: skip
        for ds in self.days:
            if not counts.get(ds):
                raise self._refuse("the day has no rows", partition=ds, rule="rows > 0", seen=0, rows=0)

    def _values(self, table: pa.Table, column: Column) -> None:
        values = table.column(column.name)
        self.checks += 1
        if not column.nullable and values.null_count:
            raise self._refuse(
                f"{column.name} is missing", column=column.name, rule="not null", allowed=0, seen=values.null_count,
                rows=values.null_count,
            )  # fmt: skip
        if column.values is not None:
            foreign = values.filter(pc.invert(pc.is_in(values, pa.array(column.values, values.type)))).drop_null()
            if len(foreign):
                raise self._refuse(
                    f"{column.name} holds values that are not allowed",
                    column=column.name,
                    rule="allowed values",
                    allowed=", ".join(map(str, column.values)),
                    rows=len(foreign),
                )
        if pa.types.is_floating(values.type):
            broken = pc.invert(pc.is_finite(values))
            if column.at_least is not None:
                broken = pc.or_(broken, pc.less(values, column.at_least))
            if column.at_most is not None:
                broken = pc.or_(broken, pc.greater(values, column.at_most))
            rows = pc.sum(broken).as_py() or 0
            if rows:
                known = values.filter(broken)
                raise self._refuse(
                    f"{column.name} leaves its range",
                    column=column.name,
                    rule="range",
                    allowed=f"{column.at_least} to {column.at_most}, finite",
                    seen=f"{pc.min(known)} to {pc.max(known)}",
                    rows=rows,
                )

    def _key(self, table: pa.Table) -> None:
        self.checks += 1
        repeated = table.num_rows - pc.count_distinct(table.column(self.key)).as_py()
        if repeated:
            raise self._refuse("keys stand twice", column=self.key, rule="unique key", rows=repeated)


def check_declared(
    contract: Contract, *, declared: tuple[str, ...], keys: tuple[str, ...], where: dict[str, str]
) -> None:
    """Refuses a feature contract that is not the spec's keys and features, in any order."""
    promised, asked = set(contract.names), {*keys, *declared}
    for column in sorted(promised ^ asked):
        has, lacks = ("dbt contract", "spec") if column in promised else ("spec", "dbt contract")
        raise RefusedPartition(
            f"the column {column} stands in the {has} but not in the {lacks}",
            **where,  # type: ignore[arg-type]
            column=column,
            rule="the spec's features are the contract's columns",
            next_step=f"bring {contract.model}.yml and the spec's features together",
        )
