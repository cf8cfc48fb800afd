"""The check of raw files before anything is made of them: each is whole, of its own day, was delivered when it says,
and holds values that its contract allows. A file's bytes are read once."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imago.contracts import Column, Contract, Raw
from imago.contracts.types import OtherType, arrow_type, as_promised, cast_to, declared_as, may_become
from imago.days import clock_hours, day_key, parse_day
from imago.dbt.sources import SourceContract, source_contract
from imago.errors import ImagoError, MissingPartition, RefusedPartition, shown
from imago.features.raw import RawFiles, day_of, made_of
from imago.features.raw_values import first_broken
from imago.features.readable import first_unreadable
from imago.storage import Storage, checksum_of
from imago.texts import LONGEST_NAME, line

# Reads wait for the network, not for the processor.
_READERS = 16
_STAMP = re.compile(r"(\d{8}T\d{6}Z)(-[A-Za-z0-9_]+)?\.parquet")
_NEXT = "have it delivered again; a file beside it with a later name corrects it"


def delivered_at(name: str) -> datetime | None:
    """When a raw file was delivered, as its name says (UTC, without zone); None when its name does not say so.

    >>> delivered_at("raw/weather/ds=2013-03-01/20130228T230000Z.parquet")
    datetime.datetime(2013, 2, 28, 23, 0)
    """
    stamp = _STAMP.fullmatch(name.rsplit("/", 1)[-1])
    try:
        return datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ") if stamp else None
    except ValueError:
        return None


def check_deliveries(
    storage: Storage,
    contract: Contract,
    raw: RawFiles,
    *,
    first: str,
    last: str,
    timezone: str,
    where: dict[str, str],
) -> int:
    """Checks every file of `raw` against the contract of its kind; returns how many files were checked.

    Raises RefusedPartition for the first file, in the order of kinds and names, that is not what it promises to be, and
    MissingPartition for one that went away meanwhile. The error names the file, the days that are made of it, column,
    rule, what is allowed, what was seen and how many rows.
    """
    checks = []
    for kind in contract.raw:
        source = source_contract(kind.kind, storage.environment.dbt_target)
        names = sorted(storage.relative(uri) for uri in raw.files[kind.kind])
        firsts = _firsts(names)
        checks += [
            _Check(
                storage=storage, source=source, raw=kind, name=name, timezone=timezone,
                is_first=firsts.get(day_of(name)) == name,
                facts={**where, "partition": made_of(kind, day_of(name), first, last), "file": name},
            )
            for name in names
        ]  # fmt: skip
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        for _ in pool.map(_Check.run, checks):
            pass
    return len(checks)


def _firsts(names: Iterable[str]) -> dict[str | None, str]:
    """The first delivery of each day: names begin with their moment, so the smallest one."""
    found: dict[str | None, str] = {}
    for name in names:
        found[day_of(name)] = min(name, found.get(day_of(name), name))
    return found


@dataclass(frozen=True, kw_only=True)
class _Check:
    """One file. `is_first` says that no file of its day was delivered before it: later ones are corrections."""

    storage: Storage
    source: SourceContract
    raw: Raw
    name: str
    timezone: str
    is_first: bool
    facts: dict[str, Any]

    def run(self) -> None:
        moment = delivered_at(self.name)
        if moment is None:
            raise self._refuse(
                "its name does not say when it was delivered", rule="name of a delivery",
                allowed="YYYYMMDDTHHMMSSZ.parquet (UTC)", seen=self.name.rsplit("/", 1)[-1],
            )  # fmt: skip
        data = self._bytes()
        try:
            file = _opened(data)
            self._columns(file.schema_arrow)
            if not file.metadata.num_rows:
                if self.source.rows[0] == 0:
                    return
                raise self._refuse(
                    "it has no rows", rule="rows > 0", seen=0, rows=0,
                    next_step=f"{_NEXT}; where a day without rows is right, let `rows` of the source begin with 0",
                )  # fmt: skip
            rows = file.read(use_threads=False)
            lost = _finer_than_microseconds(data, rows)
        except UnicodeDecodeError as error:  # only names are decoded here
            name = line(error.object.decode(errors="backslashreplace"), LONGEST_NAME)
            raise self._refuse(
                f"the name of the column {name} is not UTF-8", column=name, rule="text in UTF-8", allowed="UTF-8",
                seen="other bytes",
            ) from None  # fmt: skip
        except (pa.ArrowException, OSError, ValueError) as error:
            if (column := _other_bytes(data)) is not None:
                raise self._refuse(
                    f"{column}: text in UTF-8 does not hold", column=column, rule="text in UTF-8", allowed="UTF-8",
                    seen="other bytes",
                ) from None  # fmt: skip
            raise self._refuse(
                "it cannot be read as Parquet: half a file, or a damaged one", rule="readable Parquet",
                seen=f"{len(data):,} bytes: {str(error).splitlines()[0][:120]}",
            ) from None  # fmt: skip
        self._readable(rows)
        rows = self._as_promised(rows, lost)
        self._nulls(rows)
        self._day(rows)
        self._known_at(rows, moment)
        self._key(rows)
        self._values(rows)

    def _refuse(self, what: str, *, missing: bool = False, **facts: Any) -> ImagoError:
        kind = MissingPartition if missing else RefusedPartition
        facts.setdefault("next_step", _NEXT)
        return kind(f"the raw file {self.name} ({self.source.kind}) is refused: {what}", **self.facts, **facts)

    def _bytes(self) -> bytes:
        # A mismatch may be a delivery that is being replaced at this moment: what it left is whole when read again.
        for attempt in (1, 2):
            try:
                promised = self._promised()
                data = self.storage.read_bytes(self.name)
            except FileNotFoundError:
                raise self._refuse(
                    "it went away while it was read", missing=True, rule="every raw file is there",
                    next_step="run this again",
                ) from None  # fmt: skip
            seen = hashlib.sha256(data).hexdigest()
            if not self.source.checksum or seen in promised:
                return data
            if attempt == 2 and not promised:
                raise self._refuse(
                    "it came without its checksum, so nobody can tell whether it is whole", rule="checksum",
                    allowed=f"{checksum_of(self.name).rsplit('/', 1)[-1]} beside it", seen="none",
                    next_step="have it delivered again together with its checksum",
                )  # fmt: skip
        raise self._refuse(
            "its bytes are not those that its checksum promises: half a file, or a damaged one", rule="checksum",
            allowed=f"sha256 {promised[0]}", seen=f"sha256 {seen} of {len(data):,} bytes{_unreadable(data)}",
        )  # fmt: skip

    def _promised(self) -> list[str]:
        try:
            return self.storage.read_bytes(checksum_of(self.name)).decode("ascii", "replace").split()
        except FileNotFoundError:
            return []

    def _columns(self, schema: pa.Schema) -> None:
        given, promised = list(schema.names), [column.name for column in self.source.columns]
        for name in promised:
            if name not in given:
                raise self._refuse(
                    f"the column {name} is missing", column=name, rule="all of the contract's columns",
                    allowed=", ".join(promised), seen=", ".join(given),
                )  # fmt: skip
        for name in given:
            if name not in promised or given.count(name) > 1:
                what = "stands twice" if name in promised else "is not in the contract"
                raise self._refuse(
                    f"the column {shown(name)} {what}",
                    column=name, rule="only the contract's columns", allowed=", ".join(promised),
                    seen=", ".join(given),
                )  # fmt: skip
        for column in self.source.columns:
            seen = schema.field(column.name).type
            if not may_become(seen, _wanted(column)):
                raise self._refuse(
                    f"the column {column.name} has another type", column=column.name, rule="type",
                    allowed=column.data_type, seen=str(seen), next_step=self._cast(column, seen),
                )  # fmt: skip

    def _readable(self, rows: pa.Table) -> None:
        broken = first_unreadable(rows)
        if broken is not None:
            raise self._refuse(
                f"{broken.column}: {broken.rule} does not hold", column=broken.column, rule=broken.rule,
                allowed=broken.allowed, seen=broken.seen, rows=broken.rows,
            )  # fmt: skip

    def _cast(self, column: Column, seen: pa.DataType) -> str:
        """How a file with a column of another type can be taken after all."""
        declared = declared_as(seen)
        cast = cast_to(column.name, seen, column.data_type)
        if column.name == "known_at" or declared is None or declared == column.data_type:
            return f"have it delivered again with {column.name} as {_wanted(column)}: {cast}"
        return (
            f"have it delivered again with {column.name} as {_wanted(column)}; or declare it as {declared} in "
            f"sources.yml, and cast it in the staging model: {cast}"
        )

    def _as_promised(self, rows: pa.Table, lost: str | None) -> pa.Table:
        """The rows in the contract's types. Refuses a moment that these cannot hold."""
        columns = {}
        for column in self.source.columns:
            seen = rows.schema.field(column.name).type
            try:
                if column.name == lost:
                    raise OtherType("a moment that us cannot hold")
                columns[column.name] = as_promised(rows.column(column.name), _wanted(column))
            except OtherType as other:
                kind = pa.timestamp("ns") if column.name == lost else seen
                raise self._refuse(
                    f"the column {column.name} holds {other.reason}", column=column.name, rule="type",
                    allowed=f"{column.data_type} (UTC, microseconds)", seen=str(kind), rows=rows.num_rows,
                    next_step=self._cast(column, kind),
                ) from None  # fmt: skip
        return pa.table(columns)

    def _nulls(self, rows: pa.Table) -> None:
        for column in self.source.columns:
            missing = rows.column(column.name).null_count
            if missing and not column.nullable:
                raise self._refuse(
                    f"{column.name} is missing", column=column.name, rule="not null", allowed=0, seen=missing,
                    rows=missing,
                )  # fmt: skip

    def _day(self, rows: pa.Table) -> None:
        column, day = self.source.day, day_of(self.name)
        if column is None or day is None:
            return
        others = rows.column(column).filter(pc.not_equal(rows.column(column), day))
        if len(others):
            seen = sorted({_day_or_not(value) for value in pc.unique(others).to_pylist()})
            told = ", ".join(seen[:3]) + (f" and {len(seen) - 3} more" if len(seen) > 3 else "")
            whole = len(others) == rows.num_rows and len(seen) == 1
            what = f"it is the file of {seen[0]} under the name of {day}" if whole else f"it holds rows of {told}"
            raise self._refuse(
                what, column=column, rule="a file's own day is the day of its folder", allowed=day, seen=told,
                rows=len(others), next_step=f"have the file of {day} delivered",
            )  # fmt: skip

    def _known_at(self, rows: pa.Table, moment: datetime) -> None:
        known = pc.floor_temporal(rows.column("known_at"), unit="second")
        other = pc.sum(pc.not_equal(known, pa.scalar(moment, known.type))).as_py()
        if other:
            bounds = pc.min_max(known).as_py()
            raise self._refuse(
                "its rows say another moment of delivery than its name", column="known_at",
                rule="known_at is the delivery in the file's name", allowed=f"{moment} UTC",
                seen=f"{bounds['min']} to {bounds['max']} UTC", rows=other,
                next_step="name the file by its delivery, and write that moment into its known_at",
            )  # fmt: skip
        day = day_of(self.name)
        if self.raw.delivered is None or day is None or not self.is_first:
            return
        hours = clock_hours(moment, day, self.timezone)
        low, high = self.raw.delivered
        if (low is not None and hours < low) or (high is not None and hours > high):
            early = low is not None and hours < low
            raise self._refuse(
                "it was delivered too early to be of its day: a stale file?" if early
                else "it was delivered later than a file of its day may be: a date in the future, or a late file?",
                column="known_at", rule="delivered", seen=f"{hours:g} hours",
                allowed=f"{_hours(low)} to {_hours(high)} hours after 00:00 of {day} ({self.timezone})",
                rows=rows.num_rows,
                next_step="have the file of that day delivered; when it is right and only late, widen `delivered` "
                "in the table's .yml",
            )  # fmt: skip

    def _key(self, rows: pa.Table) -> None:
        key = list(self.source.key)
        repeated = rows.num_rows - rows.select(key).group_by(key, use_threads=False).aggregate([]).num_rows
        if repeated:
            raise self._refuse(
                "keys stand twice", column=", ".join(key), rule="unique key", allowed=0, seen=repeated, rows=repeated
            )

    def _values(self, rows: pa.Table) -> None:
        broken = first_broken(self.source, rows, correction=not self.is_first)
        if broken is not None:
            seen = "not shown: the column is a key" if broken.column in self.source.key else broken.seen
            raise self._refuse(
                f"{broken.column or 'the file'}: {broken.rule} does not hold", column=broken.column, rule=broken.rule,
                allowed=broken.allowed, seen=seen, rows=broken.rows, next_step=broken.next_step or _NEXT,
            )  # fmt: skip


def _wanted(column: Column) -> pa.DataType:
    wanted = arrow_type(column.data_type)
    assert wanted is not None  # else the contract would not stand
    return wanted


def _opened(data: pa.Buffer, unit: str = "us") -> pq.ParquetFile:
    # Spark's own moments are of 96 bits; read as nanoseconds, as by default, those beyond 2262 would become others.
    return pq.ParquetFile(pa.BufferReader(data), coerce_int96_timestamp_unit=unit)


def _other_bytes(data: pa.Buffer) -> str | None:
    """The first column of categories that cannot be read because of a text that is not UTF-8: where their codes are
    not of 32 bits, reading casts them, and that looks at the texts."""
    try:
        file = _opened(data)
        names = [field.name for field in file.schema_arrow if pa.types.is_dictionary(field.type)]
    except (pa.ArrowException, OSError, ValueError):
        return None
    for name in names:
        try:
            file.read(columns=[name], use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            if "UTF8" in str(error):
                return str(name)
    return None


def _finer_than_microseconds(data: pa.Buffer, rows: pa.Table) -> str | None:
    """The first column of 96-bit moments of which reading as microseconds has lost something."""
    schema = pq.ParquetFile(pa.BufferReader(data)).schema
    old = [schema.column(place).name for place in range(len(schema)) if schema.column(place).physical_type == "INT96"]
    if not old:
        return None
    finer = _opened(data, "ns").read(columns=old, use_threads=False)
    for name in old:
        # Beyond 2262 both wrap around in the same way.
        again = rows.column(name).cast(pa.timestamp("ns"), safe=False)
        if pc.any(pc.not_equal(finer.column(name).cast(pa.int64()), again.cast(pa.int64()))).as_py():
            return name
    return None


def _day_or_not(value: str) -> str:
    # Only a day is quoted: anything else may be whatever a sender wrote.
    try:
        return day_key(parse_day(value))
    except ImagoError:
        return "what is not a day"


def _unreadable(data: bytes) -> str:
    try:
        pq.read_metadata(io.BytesIO(data))
    except (pa.ArrowException, OSError):
        return ", which cannot be read as Parquet"
    return ""


def _hours(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"
