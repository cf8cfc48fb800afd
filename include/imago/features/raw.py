"""Which raw files a range of days is made of, and what is remembered of them for each day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from imago.contracts import Contract, Raw
from imago.days import days_between, shift
from imago.errors import MissingPartition
from imago.specs import Calendar
from imago.storage import Storage

# Of one raw kind: each file's path below `raw/`, with its size and, for files of days, when it was written (ns).
Seen = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class RawFiles:
    """The raw files of a range of days.

    `files` are the addresses for each kind, as dbt reads them. `provenance` is the number of files and bytes of each
    kind, with a digest of names and sizes. `by_day` says for each day of the range which files it was made of, by kind,
    with each file's size and time of writing, by which a later delivery is told apart. A register's time of writing is
    left out: it stands under every day, and a copy of the storage must not touch all of them.
    """

    files: dict[str, list[str]]
    provenance: dict[str, dict[str, object]]
    by_day: dict[str, dict[str, Seen]]


def raw_files(
    storage: Storage,
    contract: Contract,
    *,
    first: str,
    last: str,
    world_begins: str,
    where: dict[str, str],
    calendar: Calendar | None = None,
) -> RawFiles:
    """The files that the days `first` to `last` are made of, as the contract's `raw` says.

    Raises MissingPartition for a day whose file never came. A closed day may have a file and need not. So it is before
    `world_begins`, the first day that is refreshed: its trailing windows look back at what lies there. A kind's history
    begins with its oldest file, and has no hole.
    """
    calendar = calendar or Calendar()
    files: dict[str, list[str]] = {}
    provenance: dict[str, dict[str, object]] = {}
    by_day: dict[str, dict[str, Seen]] = {ds: {} for ds in days_between(first, last)}
    for raw in contract.raw:
        found = listing(storage, raw.kind)
        window = file_days(raw, first, last)
        days = ("",) if window is None else window
        begins = min([world_begins, *filter(None, found)])
        for ds in days:
            if not found.get(ds) and (not ds or (ds >= begins and calendar.is_open(ds))):
                raise _missing(raw, ds or None, first, last, where, history_from=begins if ds < world_begins else None)
        chosen = {name: seen for ds in days for name, seen in found.get(ds, {}).items()}
        for ds, kinds in by_day.items():
            kinds[raw.kind] = of_days(found, file_days(raw, ds, ds))
        names = sorted(chosen)
        files[raw.kind] = [storage.uri(f"raw/{name}") for name in names]
        told = "\n".join(f"raw/{name} {chosen[name][0]}" for name in names)
        provenance[raw.kind] = {
            "files": len(names),
            "bytes": sum(seen[0] for seen in chosen.values()),
            "digest": hashlib.sha256(told.encode()).hexdigest(),
        }
    return RawFiles(files=files, provenance=provenance, by_day=by_day)


def file_days(raw: Raw, first: str, last: str) -> tuple[str, ...] | None:
    """The days of the files that the days `first` to `last` are made of; None for a register."""
    if raw.days is None:
        return None
    return days_between(shift(first, raw.days[0]), shift(last, raw.days[1]))


def made_of(raw: Raw, file_day: str | None, first: str, last: str) -> str:
    """Which of the days `first` to `last` read the file of `file_day`: a day, or `first..last` of several."""
    if raw.days is not None and file_day is not None:
        first, last = max(first, shift(file_day, -raw.days[1])), min(last, shift(file_day, -raw.days[0]))
    return first if first == last else f"{first}..{last}"


def of_days(found: dict[str, Seen], days: Iterable[str] | None) -> Seen:
    """What a listing holds for these days (a register's files for None), as a publication remembers it."""
    if days is None:
        return {name: seen[:1] for name, seen in found.get("", {}).items()}
    return {name: seen for ds in days for name, seen in found.get(ds, {}).items()}


def listing(storage: Storage, kind: str, *, ending: str = ".parquet") -> dict[str, Seen]:
    """All files of a kind by their day, `""` for those of a register; checksums are not among them."""
    from pyarrow import fs

    root = storage.path("raw")
    found: dict[str, Seen] = {}
    for info in storage.infos(f"raw/{kind}"):
        if info.type == fs.FileType.File and info.path.endswith(ending):
            name = info.path[len(root) + 1 :]
            found.setdefault(day_of(name) or "", {})[name] = [info.size, info.mtime_ns]
    return found


def day_of(name: str) -> str | None:
    """The day of a raw file's path, None for a register.

    >>> day_of("weather/ds=2013-03-01/20130228T230000Z.parquet")
    '2013-03-01'
    """
    return name.split("/ds=", 1)[1].split("/", 1)[0] if "/ds=" in name else None


def _missing(
    raw: Raw, ds: str | None, first: str, last: str, where: dict[str, str], *, history_from: str | None = None
) -> MissingPartition:
    of_day = f" for {ds}" if ds else ""
    if ds and history_from:
        of_day += f", and its history begins on {history_from}: a hole would change trailing windows in silence"
    return MissingPartition(
        f"the raw file of {raw.kind} has not been delivered{of_day}",
        **where,  # type: ignore[arg-type]
        partition=made_of(raw, ds, first, last),
        file=f"raw/{raw.kind}/" + (f"ds={ds}/*.parquet" if ds else "*.parquet"),
        rule="every raw file is there",
        allowed="at least one file",
        seen="none",
        next_step="have it delivered to that place, then run this again",
    )
