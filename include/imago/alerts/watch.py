"""What should have happened by now (pure), and how its absence reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from imago.alerts.outbox import Alert
from imago.alerts.rendering import lasted
from imago.days import day_key, moment, shift
from imago.specs import BrokenSpec, ModelSpec


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A partition that is due: `fires_at` is when its run should have started."""

    table: str
    stage: str
    ds: str
    fires_at: datetime
    deadline: datetime


def due_partitions(spec: ModelSpec, now: datetime, *, grace: timedelta, look_back_days: int) -> list[Expected]:
    """The feature and outcome partitions whose deadline has passed, oldest first, of the last `look_back_days`.

    The features of a day are made at the daily cron time of that day, its outcomes when they are complete,
    `label_delay_days` + 1 days later. Closed days, and days outside the spec's first and last day, are never due, so a
    world that lies in the past is silent.
    """
    today = day_key(now.astimezone(ZoneInfo(spec.timezone)).date())
    expected = []
    for table, stage, delay in (
        ("features", "feature_refresh", 0),
        ("outcomes", "outcome_refresh", spec.label_delay_days + 1),
    ):
        for back in range(look_back_days, -1, -1):
            ds = shift(today, -back - delay)
            if ds < spec.first_day or (spec.last_day is not None and ds > spec.last_day):
                continue
            if not spec.calendar.is_open(ds):
                continue
            for fires_at in _fires(spec.schedules.daily, shift(ds, delay), spec.timezone):
                if fires_at + grace <= now:
                    expected.append(
                        Expected(table=table, stage=stage, ds=ds, fires_at=fires_at, deadline=fires_at + grace)
                    )
    return expected


_WAITS = {
    "features": "scoring and everything after it wait for this day",
    "outcomes": "metrics and training miss this day's truth",
    "predictions": "whoever acts on this day's predictions has none",
    "drift": "nobody has looked whether the model still meets what it learned from",
}


def late_alert(spec: ModelSpec, due: Expected, dag: str, *, was_started: bool | None, is_paused: bool) -> Alert:
    """A partition that is not there: its run is late, or never started. `was_started` is None where nobody knows."""
    shared: dict[str, Any] = {
        "model": spec.name,
        "ds": due.ds,
        "did": "nothing: the last published partition stays, and what depends on the day waits",
        "facts": {
            "table": due.table,
            "partition": due.ds,
            "due at": f"{due.deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        },
    }
    if was_started is not False:
        state = "though their run has started" if was_started else "and Airflow does not answer"
        return Alert(
            rule="partition_late",
            subject=due.table,
            title=f"The {due.table} of {due.ds} are not published, {state}",
            why=_WAITS[due.table],
            next_step=f"open the run of {dag} for {due.ds} and see what it waits for",
            **shared,
        )
    return Alert(
        rule="run_missing",
        subject=dag,
        title=f"No run of {dag} was started for {due.ds}",
        why=f"a run that never starts fails nowhere, so nobody else would say so; {_WAITS[due.table]}",
        next_step=f"unpause {dag}, then backfill the day"
        if is_paused
        else f"look for an import error of {dag} in Airflow and whether the scheduler runs, then backfill the day",
        **shared,
    )


def paused_alert(model: str | None, dag: str) -> Alert:
    """A DAG that does nothing because someone paused it."""
    return Alert(
        model=model,
        rule="dag_paused",
        subject=dag,
        title=f"{dag} is paused",
        why="its schedule and its upstream data start no run while it is",
        did="nothing: a pause is somebody's decision",
        next_step="unpause it in Airflow; backfill the days that it missed",
        facts={"dag": dag},
    )


def broken_alert(spec: BrokenSpec) -> Alert:
    """A spec that does not load. Its model has no DAG while that is so."""
    return Alert(
        model=None,
        rule="spec_broken",
        subject=spec.name,
        title=f"The spec of {spec.name} does not load",
        why="its DAGs are gone from Airflow: nothing of this model is refreshed, scored or monitored",
        did="nothing: what was published stays, and the other models run on",
        next_step=spec.next_step,
        facts={"file": spec.where, "mistake": spec.message},
        occurrence=hashlib.sha256(spec.message.encode(errors="replace")).hexdigest()[:12],
    )


def stalled_alert(waiting: int, age: timedelta) -> Alert:
    """Alerts that nobody can have read yet."""
    return Alert(
        model=None,
        rule="delivery_stalled",
        subject="outbox",
        title=f"Alerts wait for delivery since {lasted(age)}",
        why="people read the channel and take its silence for good news",
        did="kept every alert; they go out in order as soon as the channel takes them",
        next_step="`imago alerts list --status pending` shows why the last try failed; `imago alerts drain` tries now",
        facts={"waiting": waiting, "value": int(age.total_seconds() // 60), "unit": "minutes"},
    )


def idle_alert(since: timedelta) -> Alert:
    """A delivery that does not run any more, though other runs do."""
    return Alert(
        model=None,
        rule="delivery_stalled",
        subject="outbox",
        title=f"No alert delivery has ended well for {lasted(since)}",
        why="an alert that is raised now is written down, and reaches nobody",
        did="kept every alert; `imago watch` delivers in its stead",
        next_step="look at the runs of alert_delivery in Airflow; `imago alerts drain` delivers by hand",
        facts={"value": int(since.total_seconds() // 60), "unit": "minutes"},
    )


def down_alert(part: str, seen_at: datetime | None, now: datetime) -> Alert:
    """A process of Airflow that gives no sign of life."""
    silent = f", silent for {lasted(now - seen_at)}" if seen_at else ""
    return Alert(
        model=None,
        rule="airflow_down",
        subject=part,
        title=f"Airflow's {part} does not run{silent}",
        why=_DEAD.get(part, "nobody can look at Airflow, and no run can report what it did"),
        did="told you from outside of Airflow; what was published stays",
        next_step="`imago status` shows what runs, `imago up` starts what does not; elsewhere look at its log",
        facts={"part": part, "last sign": f"{seen_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if seen_at else "unknown"},
    )


_DEAD = {
    "scheduler": "no run starts: no features, no predictions, no watchdog and no delivery of alerts",
    "DAG processor": "changed DAG files are not read, and callbacks of lost tasks are not called",
    "triggerer": "tasks that wait for something outside do not wake up",
}


API = "API server"


def unreachable_alert(reason: str) -> Alert:
    """An Airflow that does not answer at all."""
    return Alert(
        model=None,
        rule="airflow_down",
        subject=API,
        title="Airflow's API server does not answer",
        why="nobody can look at Airflow, and no running task can report how it ended",
        did="told you from outside of Airflow; what was published stays",
        next_step="`imago status` shows what runs, `imago up` starts what does not; elsewhere look at its log",
        facts={"part": API, "seen": reason},
    )


def killed_alert(
    model: str | None, dag: str, run_id: str, task_id: str, ds: str | None, *, number: int, of: int
) -> Alert:
    """An attempt that ended without a word, as after a kill."""
    return Alert(
        model=model,
        rule="task_killed",
        subject=dag,
        title=f"Attempt {number} of task {task_id} was killed{f' for {ds}' if ds else ''}",
        why="a killed task (no memory, a lost machine) calls no callback, and the next attempt may end the same way",
        did=f"nothing half-done was published; Airflow tries again, {of} attempts in all",
        next_step="see whether the run goes on, then why it was killed: the machine's memory, the worker's log",
        ds=ds,
        facts={"task": task_id, "attempt": f"{number} of {of}", "run": run_id},
        occurrence=ds or run_id,
    )


def unreported_alert(model: str | None, dag: str, run_id: str, ds: str | None) -> Alert:
    """A failed run of which no callback spoke, as after a kill."""
    return Alert(
        model=model,
        rule="run_unreported",
        subject=dag,
        title=f"A run of {dag} failed{f' for {ds}' if ds else ''} without saying why",
        why="a process that is killed (out of memory, lost machine) reports nothing itself",
        did="nothing half-done was published; the previous version stays",
        next_step="look for the end of the task's log and at the machine's memory, then clear the failed task",
        ds=ds,
        facts={"run": run_id},
        occurrence=ds or run_id,
    )


def _fires(cron: str, day: str, timezone: str) -> list[datetime]:
    """When the cron expression fires first on that local day: nothing, or one time."""
    from croniter import croniter

    # By the clock on the wall: where it skips or repeats an hour, `moment` says which instant is meant, as for Airflow.
    first = croniter(cron, datetime.fromisoformat(day) - timedelta(seconds=1)).get_next(datetime)
    return [moment(first, timezone).replace(tzinfo=UTC)] if day_key(first.date()) == day else []
