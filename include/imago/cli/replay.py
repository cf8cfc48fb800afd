"""`imago alerts replay`: what a changed spec would have fired, and which fires came before a real loss."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from imago.cli.alerts import area
from imago.cli.output import EnvironmentOption, JsonOption, console, day, environment, print_json


@area.command()
def replay(
    model: Annotated[str, typer.Argument(help="The model.")],
    first: Annotated[str, typer.Option("--from", parser=day, help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", parser=day, help="Last day, included.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--with", help="A changed rule, as psi=0.3 or bounds.carrier.psi=0.5; may be repeated."),
    ] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Judges published days again by the spec's drift rules, and by changed ones. Writes nothing."""
    from imago.jobs.replay import replay as job
    from imago.specs import get_model

    told = job(environment(env), get_model(model), first, last, changes or ())
    if as_json:
        print_json(told)
        return
    names = {"now": "By the spec", "changed": f"With {', '.join(told.get('changes', ()))}"}
    for key, name in names.items():
        if key in told:
            _print(name, told[key])
    losses = ", ".join(told["losses"]) or "none"
    console.print(f"\nDays on which the matured metric was a real loss: {escape(losses)}.")


def _print(name: str, found: dict[str, Any]) -> None:
    console.print(
        f"\n[bold]{escape(name)}[/]: {found['incidents']} incidents in {found['days']} days, "
        f"{found['before_a_loss']} of them before a real loss."
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("day", "concern", "first column", "what", "loss"):
        table.add_column(column, overflow="fold")
    for fire in found["fires"]:
        if not fire["lasts"]:
            what = (fire["ds"], fire["concern"], fire["columns"][0], fire["words"], fire["loss"] or "-")
            table.add_row(*(escape(cell) for cell in what))
    if table.row_count:
        console.print(table)
    if found["losses_without_a_fire"]:
        console.print(f"Losses that nothing came before: {escape(', '.join(found['losses_without_a_fire']))}.")
