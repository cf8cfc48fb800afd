"""What a publish did, and what stands behind a published partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping


@dataclass(frozen=True)
class Publication:
    """What one publish did: the table's `version` after it, the days that `changed` and those that were equal already
    (`unchanged`), the `rows` and the content `digests` of all of them."""

    version: int | None
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows: int
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionInfo:
    """What stands behind one published partition. `version` is the commit that last changed it."""

    ds: str
    rows: int
    digest: str
    version: int
    fence: int
    run_id: str
    mode: str
    code_commit: str
    inputs: dict[str, Any]
    published_at: str

    @classmethod
    def of(cls, row: RowMapping) -> PartitionInfo:
        """From a row of the ledger's publications."""
        names = ("ds", "rows", "digest", "version", "fence", "run_id", "mode", "code_commit", "inputs")
        return cls(**{name: row[name] for name in names}, published_at=row["published_at"].isoformat())
