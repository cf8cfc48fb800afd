"""A world: a spec, and the raw files of its days as somebody would deliver them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from imago.days import days_between, parse_day
from imago.environments import Environment
from imago.specs import ModelSpec

MOMENT = pa.timestamp("us")


@dataclass(frozen=True)
class Delivery:
    """One raw file: the kind, its day, the moment it is delivered (UTC, without zone), and its rows without that
    moment."""

    kind: str
    ds: str
    moment: datetime
    rows: pa.Table

    @property
    def path(self) -> str:
        """Where it lies below the storage root."""
        return f"raw/{self.kind}/ds={self.ds}/{self.moment:%Y%m%dT%H%M%SZ}.parquet"

    def write(self, env: Environment) -> None:
        """Writes the file and its checksum into an environment."""
        from imago.landing.deliver import write_delivery
        from imago.storage import Storage

        known = pa.repeat(pa.scalar(self.moment, MOMENT), self.rows.num_rows)
        write_delivery(Storage(env), self.path, self.rows.append_column("known_at", known))


@dataclass(frozen=True, kw_only=True)
class World:
    """`files` gives the raw files of a day, closed days none. `trainings` are days on which there is enough to train
    on, in order. `money` is the name of the metric in the world's own currency. `joining` is the feature that the
    spec `before` does not know yet."""

    spec: ModelSpec
    files: Callable[[str], tuple[Delivery, ...]]
    trainings: tuple[str, ...]
    money: str
    joining: str | None = None
    before: ModelSpec | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def days(self) -> tuple[str, ...]:
        """All days of the world, closed ones included."""
        assert self.spec.last_day is not None
        return days_between(self.spec.first_day, self.spec.last_day)

    @property
    def open_days(self) -> tuple[str, ...]:
        """The days that have rows."""
        return self.spec.calendar.open_days(self.days[0], self.days[-1])

    def deliver(self, env: Environment, days: Iterable[str] | None = None, *, kinds: Iterable[str] = ()) -> int:
        """Writes the raw files of these days (all by default), of some `kinds` only where named; how many files."""
        chosen = set(kinds)
        files = [file for ds in days or self.days for file in self.files(ds) if not chosen or file.kind in chosen]
        for file in files:
            file.write(env)
        return len(files)


def moment(ds: str, timezone: str, *, days: int = 0, hours: float = 0.0) -> datetime:
    """A local wall-clock time of a day (or of one `days` later), as UTC without zone."""
    local = datetime.combine(parse_day(ds), time(), tzinfo=ZoneInfo(timezone)) + timedelta(days=days, hours=hours)
    return local.astimezone(UTC).replace(tzinfo=None)


def table(columns: Mapping[str, tuple[Any, pa.DataType]]) -> pa.Table:
    """A table of columns given as (values, type)."""
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})
