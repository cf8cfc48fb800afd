"""Which raw files a range of days is made of, and a provenance of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from imago.contracts import Contract
from imago.days import days_between, shift
from imago.errors import MissingPartition
from imago.storage import Storage


@dataclass(frozen=True, kw_only=True)
class RawFiles:
    """The addresses for each raw kind, and of each kind the number of files, bytes, and a digest of names and sizes."""

    files: dict[str, list[str]]
    provenance: dict[str, dict[str, object]]


def raw_files(
    storage: Storage, contract: Contract, *, first: str, last: str, world_begins: str, where: dict[str, str]
) -> RawFiles:
    """The files that the days `first` to `last` are made of, as the contract's `raw` says.

    Raises MissingPartition for a day whose file never came; days before `world_begins` have none.
    """
    files: dict[str, list[str]] = {}
    provenance: dict[str, dict[str, object]] = {}
    for raw in contract.raw:
        kind, window = raw.kind, raw.days
        found = _listing(storage, kind)
        if window is None:
            chosen = found
            if not chosen:
                raise _missing(kind, None, where)
        else:
            start, end = max(shift(first, window[0]), world_begins), shift(last, window[1])
            days = days_between(start, end) if start <= end else ()
            by_day: dict[str, dict[str, int]] = {ds: {} for ds in days}
            for rel, size in found.items():
                ds = rel.split("/ds=", 1)[-1].split("/", 1)[0]
                if ds in by_day:
                    by_day[ds][rel] = size
            for ds, parts in by_day.items():
                if not parts:
                    raise _missing(kind, ds, where)
            chosen = {rel: size for parts in by_day.values() for rel, size in parts.items()}
        names = sorted(chosen)
        files[kind] = [storage.uri(name) for name in names]
        listing = "\n".join(f"{name} {chosen[name]}" for name in names)
        provenance[kind] = {
            "files": len(names),
            "bytes": sum(chosen.values()),
            "digest": hashlib.sha256(listing.encode()).hexdigest(),
        }
    return RawFiles(files=files, provenance=provenance)


def _listing(storage: Storage, kind: str) -> dict[str, int]:
    from pyarrow import fs

    root = storage.path("")
    selector = fs.FileSelector(storage.path(f"raw/{kind}"), recursive=True, allow_not_found=True)
    return {
        info.path[len(root) + 1 :]: info.size
        for info in storage.filesystem.get_file_info(selector)
        if info.type == fs.FileType.File and info.path.endswith(".parquet")
    }


def _missing(kind: str, ds: str | None, where: dict[str, str]) -> MissingPartition:
    return MissingPartition(
        f"the raw file of {kind} has not been delivered" + (f" for {ds}" if ds else ""),
        **where,  # type: ignore[arg-type]
        partition=ds,
        rule="every raw file is there",
        seen=f"no raw/{kind}/" + (f"ds={ds}/*.parquet" if ds else "*.parquet"),
        next_step="land it (`imago land --from DAY --to DAY`), or ask the one who delivers it; then run this again",
    )
