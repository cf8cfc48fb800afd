"""What the watchdog knows of Airflow, as values: whoever asks the API or a session gives these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from imago.context import Mode


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One DAG run, as Airflow knows it. `ds` is its partition key, None for a run without one."""

    dag_id: str
    run_id: str
    ds: str | None
    state: str
    ended_at: datetime | None = None
    mode: Mode = "live"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a task that failed and is followed by another: the `number`th `of` so many."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    number: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of Airflow's processes, and when it last gave a sign of life."""

    name: str
    is_well: bool
    seen_at: datetime | None = None


class AirflowFacts(Protocol):
    """What the watchdog asks of Airflow; the caller answers from the API or the session that it has."""

    def parts(self) -> Sequence[Part]:
        """Airflow's processes."""

    def paused_dags(self) -> Collection[str]:
        """The ids of paused DAGs."""

    def runs_since(self, since: datetime) -> Iterable[RunFacts]:
        """The runs that were queued, started or ended since then, of any state."""

    def failed_attempts_since(self, since: datetime) -> Iterable[Attempt]:
        """The attempts that failed since then and were, or will be, followed by another."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Airflow at one moment; `known` is false where it does not answer."""

    known: bool
    parts: tuple[Part, ...] = ()
    paused: frozenset[str] = frozenset()
    runs: tuple[RunFacts, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def ask(airflow: AirflowFacts | None, since: datetime) -> Seen:
    """Everything at once, so that nothing is asked while the ledger is locked."""
    if airflow is None:
        return Seen(known=False)
    return Seen(
        known=True,
        parts=tuple(airflow.parts()),
        paused=frozenset(airflow.paused_dags()),
        runs=tuple(airflow.runs_since(since)),
        attempts=tuple(airflow.failed_attempts_since(since)),
    )
