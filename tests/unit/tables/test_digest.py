"""Digests: equal for equal rows, different for any other."""

from __future__ import annotations

import pyarrow as pa
import pytest

from imago.tables.digest import content_digest

BASE = pa.table({"k": ["a", "b"], "n": pa.array([1.0, None]), "s": ["x", "yz"], "l": [[1, 2], []]})
KEY = ("k",)


def test_row_order_chunks_and_string_flavour_do_not_count() -> None:
    reordered = BASE.take([1, 0])
    chunked = pa.concat_tables([BASE.slice(0, 1), BASE.slice(1, 1)])
    large = BASE.set_column(0, "k", BASE["k"].cast(pa.large_string()))
    assert {content_digest(t, KEY) for t in (BASE, reordered, chunked, large)} == {content_digest(BASE, KEY)}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("n", pa.array([1.0, 0.0])),
        ("n", pa.array([1.0, float("nan")])),
        ("s", pa.array(["xy", "z"])),
        ("l", pa.array([[1], [2]])),
        ("n", pa.array([1, None], pa.int64())),
    ],
)
def test_any_changed_value_null_boundary_or_type_counts(column: str, values: pa.Array) -> None:
    changed = BASE.set_column(BASE.column_names.index(column), column, values)
    assert content_digest(changed, KEY) != content_digest(BASE, KEY)
