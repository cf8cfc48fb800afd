"""The stored rows of a day as another reader finds them: Delta names the files, pyarrow reads them, nothing of Imago.

So what the product says of its rows is held against what lies there.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from imago.tables import Table
from proofs.scoring.world import SPEC


def stored_rows(found: Table, ds: str, version: int | None = None) -> pa.Table:
    """The rows of a day, ordered by key, without `ds`; of a table in a folder."""
    handle = DeltaTable(found.uri, version=version)
    files = handle.file_uris(file_pruning_predicate=f"ds = '{ds}'")
    rows = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    return rows.sort_by([(SPEC.entity_key, "ascending")])


def rows_digest(rows: pa.Table) -> str:
    """The sha256 over all values, row by row, as Python writes them."""
    told = hashlib.sha256()
    for row in rows.to_pylist():
        told.update(repr(sorted(row.items())).encode())
    return told.hexdigest()


def of_key(rows: pa.Table, key: str) -> dict[str, Any]:
    """One row."""
    place = rows.column(SPEC.entity_key).to_pylist().index(key)
    found: dict[str, Any] = rows.slice(place, 1).to_pylist()[0]
    return found
