"""`imago explain`: why a prediction is what it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from imago.cli.output import EnvironmentOption, JsonOption, console, day, environment, print_json
from imago.specs import get_model


def register(app: typer.Typer) -> None:
    """Adds the verb `imago explain`."""
    app.command()(explain)


def explain(
    model: Annotated[str, typer.Argument(help="The model's name, as in its spec.")],
    key: Annotated[str, typer.Option("--key", help="The row's key.")],
    ds: Annotated[str, typer.Option("--ds", parser=day, help="The day that was scored.")],
    shadow: Annotated[
        str | None, typer.Option(help="What this version said of the row in the champion's shadow.")
    ] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Rebuilds one stored prediction from its provenance, and says whether it is equal and what drove it.

    Exit code 1 when it is not equal, or cannot be rebuilt.
    """
    from imago.jobs.explaining import explain as job

    told = job(environment(env), get_model(model), key, ds, shadow=shadow)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if not told["equal"]:
        raise typer.Exit(1)


def _print(told: dict[str, Any]) -> None:
    stored, inputs, made_by = told["stored"], told["inputs"], told["model"]
    console.print(f"{'[green]✓[/]' if told['equal'] else '[red]✗[/]'} {escape(told['verdict'])}\n")
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("prediction", _prediction(stored))
    leaking = "; its training saw that day, or later ones" if made_by["leaking"] else ""
    grid.add_row(
        "model",
        f"version {made_by['version']} ({made_by['kind']}, ledger entry {made_by['entry']}, artifact "
        f"{made_by['artifact_sha256'][:12]}), trained until {made_by['trained_until']}{leaking}",
    )
    source = inputs["features"]
    grid.add_row("features", f"digest {source['digest'][:12]}, table version {source['version']}")
    grid.add_row("made by", f"{escape(told['run_id'])}, mode {told['mode']}, code {told['code_commit'][:12]}")
    console.print(grid)
    if told["reason"]:
        console.print(f"\n[bold]Why it has no score[/]\n  {escape(told['reason']['words'])}")
    if told["drivers"]:
        console.print("\n[bold]What drove it[/]")
        drivers = Table(box=None, show_header=False, pad_edge=False)
        drivers.add_column(no_wrap=True)
        drivers.add_column(overflow="fold")
        for driver in told["drivers"]:
            mark = "[red]▲[/]" if driver["effect"] > 0 else "[blue]▼[/]" if driver["effect"] < 0 else " "
            drivers.add_row(mark, escape(driver["words"]))
        console.print(drivers)
        console.print("[dim]Each against the usual value of the training data, all other features as they are.[/]")
    if told["note"]:
        console.print(f"\n{escape(told['note'])}")


def _prediction(row: dict[str, Any]) -> str:
    if row["score"] is None:
        return f"no score, reason {escape(str(row.get('reason')))}"
    decision = f", decision {escape(str(row['decision']))}" if "decision" in row else ""
    reason = f" (although {escape(str(row['reason']))})" if row.get("reason") else ""
    return f"score {row['score']!r}{decision}{reason}"
