"""What the values of one raw file break of its kind's contract: the rules that no other file is needed for.

Found here, a fault is named by the file and the column that its sender wrote. What only shows beside other files or
other days is judged later, in the rows that are made of them.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts import Contract
from imago.contracts.inputs import Broken, check_inputs
from imago.dbt.sources import SourceContract
from imago.texts import line


def first_broken(source: SourceContract, rows: pa.Table, *, correction: bool) -> Broken | None:
    """The first rule that a file's rows break, None when they keep them all: how many rows there are, then column by
    column missing values, allowed values, pattern and range, the share of missing values, and what must hold between
    columns. The rows have the contract's columns and types. A correction may hold as few rows as it corrects."""
    low, high = source.rows
    if not correction and not low <= rows.num_rows <= high:
        return Broken(
            column=None, rule="volume", rows=rows.num_rows, allowed=f"{low} to {high:g} rows",
            seen=f"{rows.num_rows} rows",
        )  # fmt: skip
    names = [column.name for column in source.columns]
    checked = check_inputs(Contract(model=source.kind, columns=source.columns), rows, names, {})
    shares = [] if correction else _too_often_missing(source, rows)
    for broken in (*checked.broken, *shares, *_between_columns(source, rows)):
        return broken
    return None


def _too_often_missing(source: SourceContract, rows: pa.Table) -> list[Broken]:
    found = []
    for column in source.columns:
        missing = rows.column(column.name).null_count
        if column.max_missing is not None and missing > column.max_missing * rows.num_rows:
            found.append(
                Broken(
                    column=column.name, rule="max_missing", rows=missing,
                    allowed=f"at most {column.max_missing:.1%} of the file's rows",
                    seen=f"{missing / rows.num_rows:.1%} of {rows.num_rows} rows",
                )
            )  # fmt: skip
    return found


def _between_columns(source: SourceContract, rows: pa.Table) -> list[Broken]:
    """As in the tables' contracts: SQL that holds for each row, and holds where a null leaves it open."""
    if not source.rules:
        return []
    counts = ", ".join(f"count(*) filter (where not ({sql}))" for _, _, sql in source.rules)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("file", rows)
        try:
            told = connection.execute(f"select {counts} from file").fetchone() or ()
        except duckdb.Error:
            return [_that_fails(connection, source, rows.num_rows)]
    found = []
    for (column, rule, sql), count in zip(source.rules, told, strict=True):
        if count:
            bounds = pc.min_max(rows.column(column)).as_py() if not pa.types.is_string(rows[column].type) else None
            seen = f"within {bounds['min']} to {bounds['max']}" if bounds else f"{count} rows"
            found.append(Broken(column=column, rule=rule, rows=count, allowed=sql, seen=seen))
    return found


def _that_fails(connection: duckdb.DuckDBPyConnection, source: SourceContract, rows: int) -> Broken:
    """The first rule whose SQL ends in an error on these rows, with what DuckDB says of it."""
    for column, rule, sql in source.rules:
        try:
            connection.execute(f"select count(*) filter (where not ({sql})) from file").fetchone()
        except duckdb.Error as error:
            # DuckDB quotes the value that it stumbled over: a key's is not shown.
            has_key = any(key in sql for key in source.key)
            seen = type(error).__name__ if has_key else line(f"{type(error).__name__}: {error}", 300)
            return Broken(
                column=column, rule=rule, rows=rows, allowed=sql, seen=f"DuckDB cannot compute it: {seen}",
                next_step=f"correct the rule {rule} of {column} in the source's .yml (`try_cast` is null where `cast` "
                "fails), or have the file delivered again; a file beside it with a later name corrects it",
            )  # fmt: skip
    raise AssertionError("each rule can be computed alone, all of them together cannot")
