"""What a killed publish leaves behind: what readers saw meanwhile, and what stands after the retry."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from imago.errors import ImagoError, MissingPartition
from imago.tables import Table, commits
from imago.tables.digest import content_digest


@dataclass
class Case:
    """One kill and its retry: how often the day was read meanwhile, in which readings it was torn, what is wrong."""

    what: str
    killed: bool = False
    reads: int = 0
    torn: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@contextmanager
def reading(
    case: Case, table: Table, ds: str, key: tuple[str, ...], whole: Collection[str | None], pause: float = 0.01
) -> Iterator[None]:
    """Reads a day over and over while the block runs. `whole` are the digests of a whole day, None for no day yet;
    anything else is torn."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen: str | None = content_digest(Table(table.environment, table.model, table.name).require(ds), key)
            except MissingPartition:
                seen = None
            except Exception as error:  # whatever a reader may be told instead of a day
                case.torn.append(f"a reader was told {error!r:.200}")
                return
            case.reads += 1
            if seen not in whole:
                case.torn.append(f"a reader saw {seen}, which is neither the old nor the new day")
                return
            stop.wait(pause)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def standing(table: Table, ds: str, key: tuple[str, ...], wanted: str, before: int | None) -> list[str]:
    """What is wrong with a day after the retry, one sentence each: it should hold `wanted`, put there by exactly one
    version since `before`, and the ledger should say so."""
    wrong = []
    try:
        rows = table.require(ds)
    except ImagoError as error:
        return [f"the retry left no day: {error}"]
    if content_digest(rows, key) != wanted:
        wrong.append("the retry did not converge to the day's content")
    made = versions_of(table, ds, after=before)
    if len(made) != 1:
        wrong.append(f"{len(made)} versions instead of one")
    info = table.partition(ds)
    if info is None or (info.digest, info.rows) != (wanted, rows.num_rows):
        wrong.append("the ledger does not say what the table holds")
    elif content_digest(table.read([ds], version=info.version), key) != wanted:
        wrong.append("the version that the ledger names holds other rows")
    return wrong


def versions_of(table: Table, ds: str, *, after: int | None = None) -> list[int]:
    """The versions that changed a day, newest first; only those after one, where it is named."""
    handle = table.open()
    if handle is None:
        return []
    new = [commit for commit in handle.history() if commit["version"] > (-1 if after is None else after)]
    return [commit["version"] for commit in new if f'"{ds}"' in commit.get(commits.PROVENANCE, "")]
