"""`imago backfill`: what would be rewritten, then a real Airflow backfill, then what became of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, errors, print_json
from imago.days import days_between
from imago.environments import Environment
from imago.errors import ImagoError
from imago.names import STAGES, dag_id
from imago.specs import get_model

if TYPE_CHECKING:
    from imago.airflow_api import AirflowApi, DagRun
    from imago.airflow_api.client import Reprocess

REPROCESS = ("none", "failed", "completed")
# The table that a stage writes, where it writes one, and the stages that its event starts.
_TABLE = {
    "feature_refresh": "features",
    "outcome_refresh": "outcomes",
    "batch_scoring": "predictions",
    "monitoring": "drift",
    "metric_refresh": "metrics",
    "shadow_scoring": "shadow_predictions",
}
_STARTS = {
    "feature_refresh": ("batch_scoring",),
    "batch_scoring": ("monitoring", "shadow_scoring"),
    "outcome_refresh": ("metric_refresh",),
    "training": ("deployment",),
    "deployment": ("endpoint_deploy",),
}


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What a backfill does to one stage: how many runs, and what stands in the way of its table."""

    stage: str
    runs: int
    table: str | None
    published: int
    missing: int
    rows: int


def register(app: typer.Typer) -> None:
    """Adds the verb `imago backfill`."""
    app.command()(backfill)


def backfill(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    stage: Annotated[str, typer.Option(help="Where to begin; what listens to it follows.")] = "feature_refresh",
    reprocess: Annotated[
        str, typer.Option(help="Days that already ran: `none` (leave), `failed` (only those), `completed` (all again).")
    ] = "none",
    max_active_runs: Annotated[int, typer.Option(min=1, help="How many days at once.")] = 4,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Runs a stage again for a range of days, through Airflow. Nobody is paged, and no champion moves.

    Shows first what would be rewritten. Days whose inputs have not changed publish no new version.
    """
    from imago.airflow_api import AirflowApi

    target, spec = environment(env), get_model(model)
    _check(stage, "stage", STAGES)
    _check(reprocess, "reprocess", REPROCESS)
    choice = cast("Reprocess", reprocess)
    days_between(first, last)
    with AirflowApi.from_variables(target.airflow_url) as airflow:
        days = airflow.plan_backfill(dag_id(env, spec.name, stage), first, last, reprocess=choice)
        plan = [plan_stage(target, spec.name, name, days) for name in cascade(stage)]
        if not as_json:
            _show_plan(plan, days, first=first, last=last, reprocess=reprocess)
        if not days:
            if as_json:
                print_json({"plan": [asdict(part) for part in plan], "days": [], "runs": {}})
            return
        if not yes:
            if as_json:
                raise ImagoError("a plan alone was made: JSON output does not ask", next_step="add --yes to run it")
            typer.confirm(f"Run {len(days)} days?", abort=True)
        before = _digests(target, spec.name, plan, days)
        started = time.monotonic()
        runs = _run(airflow, target, spec.name, plan, first, last, choice, max_active_runs, quiet=as_json)
        outcome = _outcome(before, _digests(target, spec.name, plan, days))
        failed = [run for run in runs if run.state == "failed"]
        if as_json:
            print_json(
                {
                    "plan": [asdict(part) for part in plan],
                    "days": days,
                    "seconds": round(time.monotonic() - started, 1),
                    "runs": dict(Counter(f"{run.dag_id} {run.state}" for run in runs)),
                    "partitions": outcome,
                    "failed": [airflow.run_url(run) for run in failed],
                }
            )
        else:
            _show_outcome(outcome, seconds=time.monotonic() - started)
            for run in failed:
                errors.print(f"[red]failed[/] {run.dag_id} {run.partition_key}: {airflow.run_url(run)}")
        if failed:
            raise typer.Exit(1)


def cascade(stage: str) -> tuple[str, ...]:
    """The stage and all that its events start, in order.

    >>> cascade("feature_refresh")
    ('feature_refresh', 'batch_scoring', 'monitoring', 'shadow_scoring')
    """
    return (stage, *(name for after in _STARTS.get(stage, ()) for name in cascade(after)))


def plan_stage(target: Environment, model: str, stage: str, days: tuple[str, ...]) -> StagePlan:
    """What stands in the stage's table for these days: what a run would rewrite, and what it would create."""
    from imago.tables import Table

    name = _TABLE.get(stage)
    if name is None:
        return StagePlan(stage=stage, runs=len(days), table=None, published=0, missing=0, rows=0)
    wanted = set(days)
    found = [partition for partition in Table(target, model, name).partitions() if partition.ds in wanted]
    return StagePlan(
        stage=stage,
        runs=len(days),
        table=name,
        published=len(found),
        missing=len(days) - len(found),
        rows=sum(partition.rows for partition in found),
    )


def _check(value: str, what: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ImagoError(
            f"{value!r} is no {what}", allowed=", ".join(allowed), seen=value, next_step="name one of the allowed"
        )


def _digests(
    target: Environment, model: str, plan: list[StagePlan], days: tuple[str, ...]
) -> dict[str, dict[str, str]]:
    from imago.tables import Table

    wanted = set(days)
    return {
        part.table: {
            info.ds: info.digest for info in Table(target, model, part.table).partitions() if info.ds in wanted
        }
        for part in plan
        if part.table
    }


def _outcome(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> dict[str, dict[str, int]]:
    """Per table: how many days are new, changed, and as they were."""
    result = {}
    for table, digests in after.items():
        kinds = Counter(
            "created" if ds not in before[table] else "unchanged" if before[table][ds] == digest else "changed"
            for ds, digest in digests.items()
        )
        result[table] = {kind: kinds[kind] for kind in ("created", "changed", "unchanged")}
    return result


def _run(
    airflow: AirflowApi,
    target: Environment,
    model: str,
    plan: list[StagePlan],
    first: str,
    last: str,
    reprocess: Reprocess,
    max_active_runs: int,
    *,
    quiet: bool,
) -> list[DagRun]:
    """Creates the backfill and waits for it and for the runs that its events start; all their runs."""
    ids = [dag_id(target.name, model, part.stage) for part in plan]
    known = {dag: {run.run_id for run in airflow.runs(dag, run_type="asset_triggered")} for dag in ids[1:]}
    made = airflow.backfill(ids[0], first, last, reprocess=reprocess, max_active_runs=max_active_runs)
    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        console=console,
        disable=quiet,
    ) as progress:
        bars = [progress.add_task(part.stage, total=len(made.keys), failed="") for part in plan]

        def advance(index: int, states: Counter[Any]) -> None:
            failed = f"{states['failed']} failed" if states["failed"] else ""
            progress.update(bars[index], completed=states["success"] + states["failed"], failed=failed)

        runs = airflow.wait_backfill(made, progress=lambda states: advance(0, states))
        for index, dag in enumerate(ids[1:], start=1):
            airflow.wait_idle(ids[: index + 1])
            new = [run for run in airflow.runs(dag, run_type="asset_triggered") if run.run_id not in known[dag]]
            new = [run for run in new if run.partition_key in made.keys]
            progress.update(bars[index], total=len(new))
            advance(index, Counter(run.state for run in new))
            runs += new
    return runs


def _show_plan(plan: list[StagePlan], days: tuple[str, ...], *, first: str, last: str, reprocess: str) -> None:
    if not days:
        console.print(
            f"Nothing to do: all days from {first} to {last} have run, or lie outside of the model's world.\n"
            f"Days that have run are run again with --reprocess completed (given: {reprocess})."
        )
        return
    console.print(f"[bold]{len(days)} days[/], {days[0]} to {days[-1]}, reprocess {reprocess}\n")
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for name in ("stage", "runs", "table", "rewritten", "created", "rows there now"):
        grid.add_column(name, justify="left" if name in ("stage", "table") else "right")
    for part in plan:
        cells = [str(part.published), str(part.missing), f"{part.rows:,}"] if part.table else ["-", "-", "-"]
        grid.add_row(part.stage, str(part.runs), part.table or "-", *cells)
    console.print(grid)
    console.print("\nA day whose inputs have not changed is a no-op: no new version.")
    console.print("No champion moves, nobody is paged.\n")


def _show_outcome(outcome: dict[str, dict[str, int]], *, seconds: float) -> None:
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for name in ("table", "created", "changed", "unchanged"):
        grid.add_column(name, justify="left" if name == "table" else "right")
    for table, kinds in outcome.items():
        grid.add_row(table, *(str(count) for count in kinds.values()))
    console.print(grid)
    console.print(f"\nDone in {seconds:.0f} s.")
