"""`imago backfill`: what would be rewritten, then a real Airflow backfill, then what became of it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Rich

from imago.cli.output import EnvironmentOption, JsonOption, console, day, environment, errors, print_json
from imago.environments import Environment
from imago.errors import ImagoError
from imago.specs import get_model

if TYPE_CHECKING:
    from imago.airflow_api import AirflowApi, DagRun
    from imago.backfill.plan import Plan

_WIDE = 100


def register(app: typer.Typer) -> None:
    """Adds the verb `imago backfill`."""
    app.command()(backfill)


def backfill(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    first: Annotated[str, typer.Option("--from", parser=day, help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", parser=day, help="Last day, included.")],
    stage: Annotated[str, typer.Option(help="Where to begin; what listens to it follows.")] = "feature_refresh",
    champion: Annotated[
        str, typer.Option(help="Who scores: as-was (who scored or reigned then), today, or a version.")
    ] = "as-was",
    reprocess: Annotated[
        str, typer.Option(help="Days that already ran: `none` (leave), `failed` (only those), `completed` (all again).")
    ] = "none",
    max_active_runs: Annotated[int, typer.Option(min=1, help="How many days at once.")] = 4,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show the plan, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Runs a stage again for a range of days, through Airflow. Nobody is paged, and no champion moves.

    Shows first what would be rewritten, by which model version, what would stay and what would fail. Days whose inputs
    have not changed publish no new version.
    """
    from imago.airflow_api import AirflowApi
    from imago.backfill.facts import Wish
    from imago.jobs import backfilling

    target, spec = environment(env), get_model(model)
    wish = backfilling.check(
        Wish(
            stage=stage,
            first=first,
            last=last,
            champion=champion,
            reprocess=cast("Literal['none', 'failed', 'completed']", reprocess),
            max_active_runs=max_active_runs,
        )
    )
    with AirflowApi.from_variables(target.airflow_url) as airflow:
        plan = backfilling.plan(target, spec, wish, airflow)
        if not as_json:
            _show(plan)
        if plan_only or not plan.days:
            if as_json:
                print_json({"plan": plan.as_dict(), "runs": {}})
            return
        if not yes:
            if as_json:
                raise ImagoError("a plan alone was made: JSON output does not ask", next_step="add --yes to run it")
            typer.confirm(f"Run {len(plan.days)} days?", abort=True)
        before = _digests(target, plan)
        started = time.monotonic()
        runs = _run(airflow, plan, quiet=as_json)
        outcome = _outcome(before, _digests(target, plan))
        failed = [run for run in runs if run.state == "failed"]
        if as_json:
            print_json(
                {
                    "plan": plan.as_dict(),
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


def _digests(target: Environment, plan: Plan) -> dict[str, dict[str, str]]:
    from imago.tables import Table

    wanted = set(plan.days)
    return {
        stage.table: {
            info.ds: info.digest for info in Table(target, plan.model, stage.table).partitions() if info.ds in wanted
        }
        for stage in plan.stages
        if stage.table
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


def _run(airflow: AirflowApi, plan: Plan, *, quiet: bool) -> list[DagRun]:
    """Creates the backfill and waits for it and for the runs that its events start; all their runs."""
    from imago.jobs import backfilling

    ids = [stage.dag for stage in plan.stages]
    known = {dag: {run.run_id for run in airflow.runs(dag, run_type="asset_triggered")} for dag in ids[1:]}
    made = backfilling.create(airflow, plan)
    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        console=console,
        disable=quiet,
    ) as progress:
        bars = [progress.add_task(stage.stage, total=len(made.keys), failed="") for stage in plan.stages]

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


def _show(plan: Plan) -> None:
    from imago.backfill import words

    console.print(f"[bold]{escape(words.headline(plan))}[/]\n")
    for grid in words.grids(plan) if plan.days else ():
        shown = Rich(box=None, header_style="bold", pad_edge=False, title=grid.title, title_justify="left")
        # A narrow terminal folds what is long; names and numbers stay whole.
        shown.collapse_padding = console.width < _WIDE
        shown.title_style = "bold cyan"
        for place, name in enumerate(grid.columns):
            whole = place in grid.right or name in ("DAG", "writes", "at", "days are", "scored by")
            shown.add_column(name, justify="right" if place in grid.right else "left", no_wrap=whole, overflow="fold")
        for row in grid.rows:
            shown.add_row(*map(escape, row))
        console.print(shown)
        console.print()
    for note in words.notes(plan):
        console.print(escape(note))
    console.print()


def _show_outcome(outcome: dict[str, dict[str, int]], *, seconds: float) -> None:
    grid = Rich(box=None, header_style="bold", pad_edge=False)
    for name in ("table", "created", "changed", "unchanged"):
        grid.add_column(name, justify="left" if name == "table" else "right")
    for table, kinds in outcome.items():
        grid.add_row(table, *(str(count) for count in kinds.values()))
    console.print(grid)
    console.print(f"\nDone in {seconds:.0f} s.")
