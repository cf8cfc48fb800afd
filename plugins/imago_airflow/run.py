"""What a task knows about its run: which day, in which mode, under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imago.context import RunContext, code_commit, event_word, mode_of
from imago.days import parse_day
from imago.environments import Environment
from imago.errors import ImagoError
from imago.names import AS_WAS, run_name
from imago.specs import ModelSpec, get_model
from imago_airflow.connections import environment_for


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt of one task: the settings, the spec, the day (None where the run has none), the provenance, and which
    champion is asked for."""

    environment: Environment
    spec: ModelSpec
    ds: str | None
    context: RunContext
    champion: str = AS_WAS

    @property
    def day(self) -> str:
        """The run's day; a run without one is refused with what to do."""
        if self.ds is None:
            raise ImagoError(
                "this run has no day",
                environment=self.environment.name,
                model=self.spec.name,
                rule="partition key",
                allowed="YYYY-MM-DD",
                next_step="trigger it again with a day: fill in the field Day of the form, or a partition key",
            )
        return self.ds


def open_run(context: Mapping[str, Any], *, environment: str, model: str) -> Run:
    """Reads an Airflow task context."""
    dag_run, ti, params = context["dag_run"], context["ti"], context["params"]
    extras = [event.extra for event in dag_run.consumed_asset_events]
    spec = get_model(model)
    ds = day_of(partition_key=context.get("partition_key"), asked=params.get("ds"))
    if ds is not None:
        spec.check_day(ds, environment=environment)
    return Run(
        environment=environment_for(environment),
        spec=spec,
        ds=ds,
        context=RunContext(
            run_id=run_name(ti.dag_id, ti.run_id),
            mode=mode_of(
                run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
                triggering_extras=extras,
                asked=params.get("mode"),
            ),
            attempt=ti.try_number,
            actor=getattr(dag_run, "triggering_user_name", None) or "airflow",
            code_commit=code_commit(),
            task_id=ti.task_id,
        ),
        champion=champion_of(triggering_extras=extras, asked=params.get("champion")),
    )


def day_of(*, partition_key: str | None, asked: str | None) -> str | None:
    """The run's day: its partition key, else what the trigger form asks for (`dag.test()` cannot pass a key)."""
    if partition_key and asked and partition_key != asked:
        raise ImagoError(
            f"the run's partition key is {partition_key}, but its form asks for {asked}",
            rule="partition key",
            allowed=partition_key,
            seen=asked,
            next_step=f"trigger it again with one of the two, or with {partition_key} as both",
        )
    day = partition_key or asked
    if day:
        parse_day(day)
    return day or None


def champion_of(*, triggering_extras: Iterable[object], asked: str | None) -> str:
    """Which champion the run is asked for: by its form, else by the events that started it, where they all agree.

    So a backfill that begins with the features has its days scored by the champion that it was given.
    """
    if asked and asked != AS_WAS:
        return asked
    named = {event_word(extra, "champion") or AS_WAS for extra in triggering_extras}
    return named.pop() if len(named) == 1 else AS_WAS
