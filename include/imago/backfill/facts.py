"""What a plan is made of, and what it says of one day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from imago.ledger.champions import Champion
from imago.tables.infos import PartitionInfo

# create: no partition yet. rewrite: what it is made of has changed. maybe: only if the stage before it changes
# something. same: nothing has changed, so no new version. skip: nothing is done, and rightly so. fail: it would fail.
What = Literal["create", "rewrite", "maybe", "same", "skip", "fail"]
WRITES: tuple[What, ...] = ("create", "rewrite")
DONE: tuple[What, ...] = ("create", "rewrite", "maybe", "same")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for: the fields of the trigger form."""

    stage: str
    first: str
    last: str
    champion: str = "as-was"
    reprocess: Literal["none", "failed", "completed"] = "none"
    max_active_runs: int = 4


@dataclass(frozen=True, kw_only=True)
class Past:
    """How long a stage's runs took that have ended well: how many were looked at, and their median in seconds."""

    runs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a plan is made of.

    `runs`: the days for which Airflow would make runs. `stored`: what is published, by table and day. `raw`: why raw
    files touch a published day, by table and day. `builds`: the digests of contract and dbt project as they stand now,
    by table. `chosen`: the champion of each day; where there is none, or its model cannot be loaded, `refused` says
    why. `rules`: what else decides the rows of a prediction. `shadows`: the versions that shadow by now. `window`:
    which of some days a judgement of drift looks at. `past`: how long the runs of each stage took. `omitted`: why a day
    that was asked for has no run.
    """

    environment: str
    model: str
    wish: Wish
    runs: tuple[str, ...]
    stored: Mapping[str, Mapping[str, PartitionInfo]]
    raw: Mapping[str, Mapping[str, tuple[str, ...]]]
    builds: Mapping[str, Mapping[str, str]]
    chosen: Mapping[str, Champion]
    refused: Mapping[str, str]
    rules: Mapping[str, Any]
    shadows: tuple[str, ...]
    window: Callable[[Iterable[str], str], tuple[str, ...]]
    past: Mapping[str, Past]
    omitted: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Day:
    """What becomes of one day in one stage. `was` and `version`: the model version that scored it, and that would."""

    ds: str
    what: What
    why: str
    rows: int = 0
    was: str | None = None
    version: str | None = None
    leaking: bool = False
