"""`imago ddl`, `imago retention` and `imago tables drop`: how tables are read elsewhere, what of them is kept, and how
one goes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, print_json

area = typer.Typer(help="The tables of a model in an environment.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command()(ddl)
    app.command()(retention)
    app.add_typer(area, name="tables")


def ddl(
    table: Annotated[str, typer.Argument(help="A table of Imago, as predictions, or `all` that are published.")],
    model: Annotated[str, typer.Argument(help="The model's name.")],
    reader: Annotated[str, typer.Option("--for", help="Who reads it: athena or redshift.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the entries in the Glue catalog, instead of printing SQL.")
    ] = False,
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Print the SQL by which Athena or Redshift reads a table, with its true columns; --json adds Glue's own entry.

    With --apply the entries are made in the Glue catalog, which both read, or brought up to date. An entry that
    somebody else made is refused, never changed.
    """
    from imago.catalog.external import check_reader
    from imago.jobs import warehouse_tables
    from imago.specs import get_model

    here, spec, who = environment(env), get_model(model), check_reader(reader)
    if apply:
        done = warehouse_tables.apply(here, spec, table, who)
        if json:
            print_json(done)
        else:
            _print_applied(done)
        return
    told = warehouse_tables.definitions(here, spec, table, who)
    if json:
        print_json(told)
        return
    seen: set[str] = set()
    for one in told:
        for statement in one["statements"]:
            if statement not in seen:  # the schema is the same for all tables
                seen.add(statement)
                typer.echo(f"{statement};\n")


def _print_applied(done: list[dict[str, Any]]) -> None:
    if not done:
        console.print("Nothing is published yet.")
    for one in done:
        name = escape(f"{one['database']}.{one['table']}")
        console.print(f"[green]✓[/] [bold]{name}[/] {one['state']}", soft_wrap=True)
        for change in one["changes"]:
            console.print(f"  {escape(change)}", soft_wrap=True)
        for what, days in (("added", one["days_added"]), ("removed", one["days_removed"])):
            if days:
                console.print(f"  partitions {what}: {len(days):,}, {days[0]} to {days[-1]}")
        if one["manifests_written"]:
            console.print(f"  manifests written: {len(one['manifests_written']):,}")


def retention(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would go, and what is kept for whom.")
    ] = False,
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Remove what is kept no longer, as the DAG does every night: old table versions, staged rows, audit pages."""
    from datetime import UTC, datetime

    from imago.jobs.retention import clean
    from imago.specs import hosted_models

    done = clean(environment(env), hosted_models(), datetime.now(UTC), dry_run=dry_run)
    if json:
        print_json(done)
        return
    files = sum(done["vacuumed_files"].values())
    console.print(
        f"[bold]{'Would go' if dry_run else 'Gone'}[/]: {files:,} files, {done['freed_bytes'] / 2**20:,.1f} MiB"
    )
    for table, count in done["vacuumed_files"].items():
        console.print(f"  {escape(table)}: {count:,} files")
    for what, title in (("staged_attempts", "staged attempts"), ("audit_pages", "audits")):
        if done[what]:
            console.print(f"  {title}: {len(done[what]):,}")
    for model, days in done["released_trainings"].items():
        console.print(f"  {escape(model)}: the pins of the trainings of {', '.join(days)}; their versions go next time")
    if done["kept_versions"]:
        console.print("[bold]Kept[/], beside the newest versions:")
    for table, holders in done["kept_versions"].items():
        for who, versions in holders.items():
            console.print(f"  {escape(table)} {', '.join(map(str, versions))}: {escape(who)}")
    for table, days in done["mended_manifests"].items():
        console.print(f"  manifests of {escape(table)} mended: {len(days):,} days")


@area.command()
def drop(
    table: Annotated[str, typer.Argument(help="A table of Imago, as features, or `all` of the model.")],
    model: Annotated[str, typer.Argument(help="The model's name; its spec may be gone.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what trainings were made from.")] = False,
    env: EnvironmentOption = "dev",
    json: JsonOption = False,
) -> None:
    """Drop a table for good, with all of its versions. The next publish makes it anew, with the columns of then."""
    from imago.context import RunContext
    from imago.errors import ImagoError
    from imago.names import TABLE_NAMES
    from imago.tables import Table
    from imago.tables.dropping import drop as drop_table

    if table not in (*TABLE_NAMES, "all"):
        raise ImagoError(
            f"there is no table {table!r}",
            model=model,
            allowed=", ".join((*TABLE_NAMES, "all")),
            seen=table,
            next_step="name one of them",
        )
    here = environment(env)
    tables = [Table(here, model, name) for name in (TABLE_NAMES if table == "all" else (table,))]
    if not yes:
        told = ", ".join(f"{one.name} ({len(one.published_days()):,} days)" for one in tables)
        if json or not typer.confirm(f"Drop {told} of {model} in {env}, with all versions, for good?"):
            raise ImagoError(
                f"nothing was dropped: {told} of {model}", environment=env, model=model,
                next_step=f"`imago tables drop {table} {model} --env {env} --yes` drops without asking",
            )  # fmt: skip
    done = [drop_table(one, actor=RunContext.local().actor, force=force) for one in tables]
    if json:
        print_json(done)
        return
    for one in done:
        gone = f"{one['days']:,} days, {one['files']:,} files" if one["dropped"] else "there was none"
        console.print(f"[bold]{escape(one['table'])}[/] of {escape(model)} in {env}: {gone}")
