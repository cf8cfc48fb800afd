"""`imago land` and `imago partitions`: raw files in, published partitions seen."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, errors, print_json
from imago.context import RunContext

First = Annotated[str, typer.Option("--from", help="The first day, YYYY-MM-DD.")]
Last = Annotated[str, typer.Option("--to", help="The last day, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command()(land)
    app.command()(partitions)


def land(first: First, last: Last, env: EnvironmentOption = "dev", json: JsonOption = False) -> None:
    """Land the raw files of these days as the airline would have delivered them."""
    from imago.jobs import landing

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=json) as progress:
        bar = progress.add_task("landing", total=None)
        summary = landing.land(
            environment(env),
            first,
            last,
            RunContext.local(),
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if json:
        print_json(summary)
        return
    console.print(
        f"[green]✓[/] {first} to {last}: {summary['files']:,} files with {summary['rows']:,} rows, "
        f"{summary['written']:,} written, {summary['unchanged']:,} unchanged, in {summary['seconds']} s"
    )


def partitions(
    table: Annotated[str, typer.Argument(help="features, outcomes, predictions, profiles, drift or metrics.")],
    model: Annotated[str, typer.Argument(help="The model's name.")],
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Show what is published: version, rows, digest, run."""
    from dataclasses import asdict

    from imago.specs import get_model
    from imago.tables import Table

    found = Table(environment(env), get_model(model).name, table).partitions()
    if json:
        print_json([asdict(info) for info in found])
        return
    if not found:
        console.print(f"Nothing of {table} is published yet.")
        return
    heads = ("day", "version", "rows", "digest", "mode", "run", "published (UTC)")
    grid = Grid(*heads, title=f"{model} · {table} · {env}")
    for info in found:
        moment = info.published_at[:19].replace("T", " ")
        grid.add_row(info.ds, str(info.version), f"{info.rows:,}", info.digest[:12], info.mode, info.run_id, moment)
    console.print(grid)
    console.print(f"{len(found):,} partitions, {sum(info.rows for info in found):,} rows")
