"""What a table says when it cannot give a day: it was never published, its old version is gone, or it was damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imago.casts import LossyCast
from imago.errors import DamagedPartition, MissingPartition, RefusedPartition
from imago.storage import Storage

_WRITTEN_BY = {
    "features": "feature_refresh",
    "outcomes": "outcome_refresh",
    "predictions": "batch_scoring",
    "profiles": "batch_scoring",
    "shadow_predictions": "shadow_scoring",
    "drift": "monitoring",
    "metrics": "metric_refresh",
}


@dataclass(frozen=True)
class Refusals:
    """The refusals of one table. `where` are the facts that each carries, `folder` is the table's own."""

    storage: Storage
    where: Mapping[str, Any]
    folder: str

    def missing(self, message: str, ds: str | None) -> MissingPartition:
        """A day, or the whole table, that nobody published."""
        return MissingPartition(
            f"{self._name}: {message}",
            **self.where,
            partition=ds,
            next_step=f"run {self._stage} for that day, then this stage again",
        )

    def vacuumed(self, version: int, ds: str, uri: str) -> MissingPartition:
        """A day of a version whose files are gone, as it should be."""
        return MissingPartition(
            f"{self._name}: version {version} of {ds} was vacuumed",
            **self.where,
            partition=ds,
            rule="versions are kept for a time, and as long as a training pins them",
            file=self.storage.relative(uri),
            next_step="read the newest version, or run what read the old one again for that day",
        )

    def damaged(self, message: str, ds: str, uri: str) -> DamagedPartition:
        """A file that does not hold what was published."""
        return DamagedPartition(
            f"{self._name}: {message}",
            **self.where,
            partition=ds,
            rule="the sha256 in a file's name is that of its bytes",
            file=self.storage.relative(uri),
            next_step=f"run {self._stage} for that day: it writes the partition anew, from the same inputs",
        )

    def no_column(self, column: str, columns: Sequence[str], version: int) -> MissingPartition:
        """A column that the table has not at the version that is read: it joined later."""
        return MissingPartition(
            f"{self._name}: version {version} has no column {column}",
            **self.where,
            column=column,
            rule="a version keeps the columns of its time",
            allowed=", ".join(columns),
            seen=column,
            next_step=f"read a newer version, or run {self._stage} for days that have the column",
        )

    def lossy(self, days: Mapping[str, LossyCast]) -> RefusedPartition:
        """Days from before a column changed its type, with values that the new type cannot hold."""
        first, last = min(days), max(days)
        lost = days[first]
        again = (
            f"imago run {self._stage} {self.where['model']} --ds {first} --to {last} --env {self.where['environment']}"
        )
        return RefusedPartition(
            f"{self._name}: {lost.column} was {lost.before} when {first} was published, and {lost.rows} of its values "
            f"are no {lost.after}",
            **self.where,
            partition=first if first == last else f"{first}..{last}",
            column=lost.column,
            rule="a column that changes its type keeps each value",
            allowed=lost.after,
            seen=f"{lost.example!r:.60} ({lost.before})",
            rows=sum(one.rows for one in days.values()),
            next_step=f"publish these days anew, in the type of now: `{again}`",
        )

    def log(self, seen: str, ds: str | None) -> DamagedPartition:
        """A log that says other than was published, or cannot be read."""
        return DamagedPartition(
            f"{self._name}: the table's log does not say what was published",
            **self.where,
            partition=ds,
            rule="the log and the ledger agree on what a day holds",
            file=f"{self.folder}/_delta_log",
            seen=seen,
            next_step="restore the files of that folder from the bucket's versions or a backup; where only the newest "
            f"was hurt, {self._stage} for that day writes the partition anew",
        )

    @property
    def _name(self) -> str:
        return str(self.where["table"])

    @property
    def _stage(self) -> str:
        return _WRITTEN_BY.get(self._name, "the stage that writes it")
