"""`imago land`, `imago partitions` and `imago corrections`: raw files in, published partitions seen and put right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from imago.cli.output import EnvironmentOption, JsonOption, console, day, environment, errors, print_json
from imago.context import RunContext
from imago.names import TABLE_NAMES, fill_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imago.environments import Environment
    from imago.specs import ModelSpec
    from imago.tables.infos import PartitionInfo

WIDE = 120  # columns of a terminal that also show which run made a day
First = Annotated[str, typer.Option("--from", parser=day, help="The first day, YYYY-MM-DD.")]
Last = Annotated[str, typer.Option("--to", parser=day, help="The last day, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command()(land)
    app.command()(partitions)
    app.command()(corrections)


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
    table: Annotated[str, typer.Argument(help=f"One of: {', '.join(TABLE_NAMES)}.")],
    model: Annotated[str, typer.Argument(help="The model's name.")],
    ds: Annotated[
        str | None, typer.Option("--ds", parser=day, help="One day: all its versions, and why each was made.")
    ] = None,
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Show what is published: version, rows, digest, run; with --ds every version of that day."""
    from dataclasses import asdict

    from imago.features.changes import version_counts
    from imago.specs import get_model
    from imago.specs.calendar import holes, open_days
    from imago.tables import Table

    where, spec = environment(env), get_model(model)
    if ds is not None:
        _versions(where, spec, table, ds, json=json)
        return
    found = Table(where, spec.name, table).partitions()
    counts = version_counts(where, spec.name, table)
    if json:
        print_json([{**asdict(info), "versions": counts[info.ds]} for info in found])
        return
    if not found:
        console.print(f"Nothing of {table} is published yet.")
        return
    console.print(_grid(f"{model} · {table} · {env}", found, counts))
    console.print(f"{len(found):,} partitions, {sum(info.rows for info in found):,} rows")
    missing = holes(spec, [info.ds for info in found])
    if missing:
        days = sum(len(open_days(spec, *span)) for span in missing)
        console.print(f"[bold red]{days:,} days between the first and the last are not published:[/]")
        for command in fill_commands(spec.name, table, env, missing):
            console.print(f"  {command}", soft_wrap=True)
    if max(counts.values()) > 1:
        console.print("Why a day has several versions: the same command with [bold]--ds DAY[/]")


def _grid(title: str, found: list[PartitionInfo], counts: Mapping[str, int]) -> Grid:
    """A table that 80 columns hold; a wider terminal, or a pipe with COLUMNS set, also shows which run made each day.
    `times` is how often a day was published."""
    grid = Grid(title=title, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for head, justify in (("day", "left"), ("version", "right"), ("times", "right"), ("rows", "right"),
                          ("digest", "left"), ("mode", "left"), ("published (UTC)", "left")):  # fmt: skip
        grid.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    is_wide = console.width >= WIDE
    if is_wide:
        grid.add_column("run", no_wrap=True, overflow="ellipsis")
    for info in found:
        cells = [info.ds, str(info.version), str(counts[info.ds]), f"{info.rows:,}", info.digest[:8], info.mode]
        grid.add_row(*cells, _moment(info.published_at)[:16], *([escape(info.run_id)] if is_wide else []))
    return grid


def corrections(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what raw files touch.")] = False,
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Build the published days again that late or corrected raw files touch."""
    from imago.features.changes import touched
    from imago.jobs.corrections import correct
    from imago.specs import get_model

    where, spec, context = environment(env), get_model(model), RunContext.local(mode="backfill")
    told: dict[str, dict[str, Any]] = {}
    for table in ("outcomes", "features"):
        found = touched(where, spec, table)
        told[table] = {"touched": found} if plan else correct(where, spec, table, context)
        if json:
            continue
        for ds, reasons in found.items():
            console.print(f"[bold]{table}[/] {ds}: {escape('; '.join(reasons))}")
        if not plan:
            changed, refused = told[table]["changed_days"], told[table]["refused"]
            console.print(f"[bold]{table}[/]: {len(changed)} changed {' '.join(changed)}, {len(refused)} refused")
            for ds, why in refused.items():
                errors.print(f"[bold red]✗[/] {ds}: {escape(why)}")
        elif not found:
            console.print(f"[bold]{table}[/]: nothing is touched")
    if json:
        print_json(told)
    elif not plan and any(part["changed_days"] for part in told.values()):
        console.print(f"What follows from these days: `imago backfill {model} --from DAY --to DAY`")


def _versions(env: Environment, spec: ModelSpec, table: str, ds: str, *, json: bool) -> None:
    from dataclasses import asdict

    from imago.features.changes import versions

    found = versions(env, spec, table, ds)
    if json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        console.print(f"Nothing of {table} is published for {ds}.")
        return
    console.print(f"[bold]{spec.name} · {table} · {ds} · {env.name}[/]")
    for one in found:
        lost = "" if one.is_readable else ", [red]its files are gone[/]"
        console.print(
            f"[bold]version {one.version}[/]  {one.rows:,} rows, digest {one.digest[:12]}, "
            f"{_moment(one.published_at)} UTC{lost}"
        )
        console.print(f"  {one.mode} run {escape(one.run_id)}", soft_wrap=True)
        for reason in one.why:
            console.print(f"  why: {escape(reason)}", soft_wrap=True)
    read = f'Table(environment, "{spec.name}", "{table}").read(["{ds}"], version={found[-1].version})'
    console.print(f"Read one: {read}", soft_wrap=True)


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")
