"""The steps of the demo. Each one does nothing when its result stands already, so a second run changes no result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console

from imago.airflow_api import AirflowApi, DagRun
from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import ImagoError
from imago.names import dag_id
from imago.specs import ModelSpec


@dataclass(frozen=True)
class World:
    """Which days the demo plays. Training ends on `training_ds`, the last closed day; the `days` after it are
    scored."""

    first_day: str
    training_ds: str
    days: int

    @property
    def first_scored(self) -> str:
        return shift(self.training_ds, 1)

    @property
    def last_scored(self) -> str:
        return shift(self.training_ds, self.days)

    @property
    def last_closed(self) -> str:
        """The last day whose outcomes are known when the last scored day is under way: the one but last before it."""
        return shift(self.last_scored, -2)


class Story:
    """Plays the world through the Airflow of one environment, and says what happens on `console`."""

    def __init__(
        self, environment: Environment, spec: ModelSpec, world: World, airflow: AirflowApi, console: Console
    ) -> None:
        self.environment = environment
        self.spec = spec
        self.world = world
        self.airflow = airflow
        self.console = console
        self.answer: dict[str, Any] | None = None

    def play(self, endpoint_url: str | None) -> None:
        """All steps in order."""
        world = self.world
        self.wait_for_dags()
        self.land()
        self.load_history()
        self.train()
        self.backfill(
            "feature_refresh", world.first_scored, shift(world.last_scored, -1), "batch_scoring", "monitoring"
        )
        self.run_today()
        # From the day of the training on, whose outcomes were not known then: a later training asks for them.
        self.backfill("outcome_refresh", world.training_ds, world.last_closed, "metric_refresh")
        if endpoint_url:
            self.ask(endpoint_url)
        self.deliver_alerts()

    # --- steps -------------------------------------------------------------------------------------------------

    def wait_for_dags(self) -> None:
        """Until Airflow has read the DAG files."""
        wanted = {self.dag("watchdog", model=None), self.dag("feature_refresh"), self.dag("metric_refresh")}
        with self.step("Airflow reads the DAGs") as say:
            deadline = time.monotonic() + 120
            while not wanted.issubset(known := self.airflow.dag_ids(f"{self.environment.name}__")):
                if time.monotonic() > deadline:
                    raise ImagoError(
                        "Airflow does not show the DAGs",
                        environment=self.environment.name,
                        allowed=", ".join(sorted(wanted)),
                        next_step=f"look for import errors at {self.airflow.url}",
                    )
                time.sleep(1)
            say(f"{len(known)} DAGs")

    def land(self) -> None:
        """The raw files of all played days, as the airline would have delivered them."""
        from imago.jobs.landing import land

        with self.step(f"Landing raw files, {self.world.first_day} to {self.world.last_scored}") as say:
            landed = land(self.environment, self.world.first_day, self.world.last_scored, RunContext.local())
            say(", ".join(f"{landed[name]:,} {name}" for name in ("written", "unchanged") if landed.get(name)))

    def load_history(self) -> None:
        """Features and outcomes of all days up to the training, in one dbt run and one commit each."""
        ranges = {
            "feature_refresh": ("features", self.world.first_day, self.world.training_ds),
            "outcome_refresh": ("outcomes", self.world.first_day, shift(self.world.training_ds, -1)),
        }
        with self.step("Loading history in bulk: features and outcomes") as say:
            started = {
                stage: self.airflow.trigger(
                    self.dag(stage), conf={"from_day": first, "to_day": last, "announce": "none"}
                )
                for stage, (table, first, last) in ranges.items()
                if not set(days_between(first, last)).issubset(self.published(table))
            }
            for run in started.values():
                self.succeeded(run)
            say(", ".join(f"{len(self.published(table))} days of {table}" for table, _, _ in ranges.values()))

    def train(self) -> None:
        """Candidates and baselines on one holdout; the fair fight; the endpoint, if the champion moved."""
        from imago import ledger
        from imago.ledger import champions, decisions

        with self.step(
            f"Training on all days before {shift(self.world.training_ds, -self.spec.training.holdout_days)}"
        ) as say:
            with ledger.connect(self.environment).connect() as connection:
                judged = decisions.of_training(connection, self.spec.name, self.world.training_ds)
            if judged is None:
                self.succeeded(self.airflow.trigger(self.dag("training"), partition_key=self.world.training_ds))
                self.succeeded(self.started_by_event("deployment", self.world.training_ds))
                self.succeeded(self.started_by_event("endpoint_deploy", self.world.training_ds))
            with ledger.connect(self.environment).connect() as connection:
                champion = champions.reigning(connection, self.spec.name)
            if champion is None:
                raise ImagoError(
                    "no champion reigns after training",
                    environment=self.environment.name,
                    model=self.spec.name,
                    next_step=f"read the deployment run at {self.airflow.url}",
                )
            say(f"champion: version {champion.version}")

    def backfill(self, stage: str, first: str, last: str, *behind: str) -> None:
        """A real Airflow backfill of one stage, and all that its days start behind it."""
        with self.step(f"Backfill of {stage}, {first} to {last}, and {' and '.join(behind)} behind it") as say:
            wanted = len(days_between(first, last))
            backfill = self.airflow.backfill(self.dag(stage), first, last)
            self.airflow.wait_backfill(
                backfill, progress=lambda states: say(f"{states['success']} of {states.total()} days", final=False)
            )
            watched = [self.dag(name) for name in behind]
            if backfill.keys:
                self.airflow.wait_idle(watched, timeout=900)
            # Only the newest run of each day counts: an older one may have failed and been mended since.
            newest = {(run.dag_id, run.partition_key): run for name in (stage, *behind) for run in self.runs(name)}
            states = [
                run for run in newest.values() if run.state == "failed" and first <= str(run.partition_key) <= last
            ]
            if states:
                raise ImagoError(
                    f"{len(states)} runs failed, the first is {states[0].dag_id} of {states[0].partition_key}",
                    environment=self.environment.name,
                    next_step=f"read {self.airflow.run_url(states[0])}",
                )
            say(f"{wanted} days" + ("" if backfill.keys else ", all done before"))

    def run_today(self) -> None:
        """The last day runs live, as the clock would start it: people are told of what it finds."""
        today = self.world.last_scored
        with self.step(f"The day {today}, live") as say:
            if today not in self.published("drift"):
                self.succeeded(self.airflow.trigger(self.dag("feature_refresh"), partition_key=today))
                self.succeeded(self.started_by_event("batch_scoring", today))
                self.succeeded(self.started_by_event("monitoring", today))
            say("scored and monitored")

    def ask(self, endpoint_url: str) -> None:
        """One request to the online endpoint, by a key of the day that it holds."""
        from imago import ledger
        from imago.ledger import online

        with self.step("One online request") as say:
            with ledger.connect(self.environment).connect() as connection:
                key = online.some_key(connection, self.spec.name)
            started = time.perf_counter()
            address = f"{endpoint_url}/v1/{self.spec.name}"
            answer = httpx.get(address, params={"key": key}, trust_env=False, timeout=10)
            milliseconds = 1000 * (time.perf_counter() - started)
            if answer.status_code != httpx.codes.OK:
                raise ImagoError(
                    f"the endpoint answered {answer.status_code}: {answer.text}",
                    environment=self.environment.name,
                    model=self.spec.name,
                    next_step="read .imago/logs/endpoint.log",
                )
            self.answer = answer.json() | {"key": key}
            say(f"{key}: score {self.answer['score']:.3f} in {milliseconds:.0f} ms")

    def deliver_alerts(self) -> None:
        """Drains the outbox to the sandbox, as the delivery DAG does every few minutes."""
        from imago.jobs.alerts import close_digests

        with self.step("Delivering alerts") as say:
            # The backfills are over, so their digest need not wait for a quiet minute.
            close_digests(self.environment, quiet_seconds=0)
            self.succeeded(self.airflow.trigger(self.dag("alert_delivery", model=None)))
            say("the outbox is empty")

    # --- helpers -----------------------------------------------------------------------------------------------

    def dag(self, stage: str, *, model: str | None = "") -> str:
        """The DAG's id in this environment."""
        return dag_id(self.environment.name, self.spec.name if model == "" else model, stage)

    def runs(self, stage: str) -> list[DagRun]:
        """All runs of a stage, oldest first."""
        return list(self.airflow.runs(self.dag(stage)))

    def published(self, table: str) -> set[str]:
        """The days of a table that are published."""
        from imago.tables import Table

        return set(Table(self.environment, self.spec.name, table).published_days())

    def succeeded(self, run: DagRun) -> DagRun:
        """The run once it has ended well; a failed one stops the demo with the way to its log."""
        run = self.airflow.wait(run, timeout=900)
        if run.state != "success":
            raise ImagoError(
                f"{run.dag_id} ended as {run.state}",
                environment=self.environment.name,
                partition=run.partition_key,
                next_step=f"read {self.airflow.run_url(run)}",
            )
        return run

    def started_by_event(self, stage: str, ds: str) -> DagRun:
        """The newest run of a stage for a day, which an asset event starts a moment after the run before it."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            runs = [run for run in self.runs(stage) if run.partition_key == ds]
            if runs and runs[-1].state != "failed":
                return runs[-1]
            time.sleep(1)
        raise ImagoError(
            f"{self.dag(stage)} was not started for {ds}",
            environment=self.environment.name,
            next_step=f"see whether the scheduler runs: {self.airflow.url}",
        )

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[..., None]]:
        """Shows a step while it works, and its result and seconds when it has ended."""
        started = time.monotonic()
        result = ""
        with self.console.status(f"{title} ...") as status:

            def say(text: str, *, final: bool = True) -> None:
                nonlocal result
                status.update(f"{title} ... {text}")
                if final:
                    result = text

            yield say
        self.console.print(f"[green]✓[/] {title} [dim]{result} ({time.monotonic() - started:.0f} s)[/]")
