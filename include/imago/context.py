"""Who runs a job, and how."""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from imago.texts import LONGEST_NAME, line

Mode = Literal["live", "backfill", "shadow"]


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The provenance of one attempt of one task.

    It goes into each commit and ledger row, and never into the rows themselves: a re-run has another context and the
    same rows. `mode` is inherited from the triggering event; in `backfill` no champion moves and nobody is paged.
    """

    run_id: str
    mode: Mode = "live"
    attempt: int = 1
    actor: str = "airflow"
    code_commit: str = "unknown"
    task_id: str | None = None  # of Airflow, for links to its log
    # Of a run by hand, whose troubles page nobody: the alerts that it would have raised.
    unsent: list[Any] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Whoever triggers a run names it, and the name stands in logs, commits, rows and addresses.
        for name in ("run_id", "actor", "code_commit", "task_id"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, line(value, LONGEST_NAME))

    @classmethod
    def local(cls, *, mode: Mode = "live", by_hand: bool = False) -> RunContext:
        """The context of a job that a person runs without Airflow. `by_hand`, that person reads its warnings and
        nobody else does."""
        unsent: list[Any] | None = [] if by_hand else None
        run_id = f"local__{uuid.uuid4().hex[:12]}"
        return cls(run_id=run_id, mode=mode, actor=_user_name(), code_commit=code_commit(), unsent=unsent)


def mode_of(
    *, run_type: str, triggering_extras: Iterable[object], asked: Literal["auto", "live", "backfill"] | None
) -> Mode:
    """Whether people are told of what this run finds.

    A backfill is one, whatever its form says: nobody is paged for it. Runs that its events start look like any other
    asset-triggered run, so the mode travels in the events. One live event among several makes the run live: somebody
    waits for it.
    """
    if run_type == "backfill":
        return "backfill"
    if asked == "live" or asked == "backfill":  # a run's conf may hold anything
        return asked
    modes = [event_word(extra, "mode") for extra in triggering_extras]
    return "backfill" if modes and all(mode == "backfill" for mode in modes) else "live"


def event_word(extra: object, name: str) -> str | None:
    """A word that an asset event carries; None where there is none. Anybody may raise an event by hand, with whatever
    in it."""
    word = extra.get(name) if isinstance(extra, Mapping) else None
    return word if isinstance(word, str) else None


@functools.cache
def code_commit() -> str:
    """The commit that this process runs: `IMAGO_CODE_COMMIT`, else what git says, else `unknown`.

    A work tree that differs from its commit is named as such, with a digest of the difference: two trees with one name
    hold the same code. An image carries no `.git`, so its build passes the variable.
    """
    given = os.environ.get("IMAGO_CODE_COMMIT")
    if given:
        return given
    return commit_of(Path(__file__).parent)


def commit_of(folder: Path) -> str:
    """The commit of the work tree around `folder`, with `-dirty.DIGEST` behind it where files differ or were added."""
    try:
        root = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
        commit = _git(root, "rev-parse", "HEAD").decode().strip()
        changes = _git(root, "diff", "--binary", "HEAD")
        added = [name for name in _git(root, "ls-files", "--others", "--exclude-standard", "-z").split(b"\0") if name]
        if not changes and not added:
            return commit
        digest = hashlib.sha256(changes)
        for name in added:
            digest.update(b"\0" + name + b"\0" + (root / os.fsdecode(name)).read_bytes())
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty.{digest.hexdigest()[:12]}"


def _git(folder: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True, timeout=60).stdout


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return str(os.getuid())
