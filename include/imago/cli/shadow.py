"""`imago shadow`: who scores beside the champion without anybody acting on it, and what that tells."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from imago.amounts import amount, figure
from imago.cli.output import EnvironmentOption, JsonOption, console, day, environment, print_json
from imago.specs import get_model

area = typer.Typer(help="Challengers in the shadow of the champion: nobody acts on their scores.", no_args_is_help=True)
ModelArgument = Annotated[str, typer.Argument(help="The model's name.")]
VersionOption = Annotated[str, typer.Option("--version", "-V", help="A version that a training registered.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; goes into the ledger.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs below `imago shadow`."""
    app.add_typer(area, name="shadow")


@area.command()
def start(
    model: ModelArgument,
    version: VersionOption,
    reason: ReasonOption,
    effective: Annotated[
        str | None,
        typer.Option("--from", parser=day, help="First day that it scores; that of its training when left out."),
    ] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Lets a version score beside the champion, day by day. Its model is loaded first, so that it can."""
    from imago.context import RunContext
    from imago.jobs import shadows

    done = shadows.start(
        environment(env), get_model(model), version, RunContext.local(), reason=reason, effective_ds=effective
    )
    if as_json:
        print_json(done)
        return
    console.print(
        f"[bold]{escape(model)}[/] version [bold]{escape(version)}[/] shadows from {done['effective_ds']} on "
        f"({escape(done['decided_by'])}: {escape(done['reason'])})"
    )
    console.print(f"Days that are scored already: `imago backfill {model} --stage shadow_scoring --from DAY --to DAY`")


@area.command()
def stop(
    model: ModelArgument,
    version: VersionOption,
    reason: ReasonOption,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Ends a version's shadow. What it scored stays."""
    from imago.context import RunContext
    from imago.jobs import shadows

    done = shadows.stop(environment(env), get_model(model), version, RunContext.local(), reason=reason)
    if as_json:
        print_json(done)
    else:
        console.print(f"[bold]{escape(model)}[/] version [bold]{escape(version)}[/] shadows no longer")


@area.command(name="list")
def list_(model: ModelArgument, env: EnvironmentOption = "dev", as_json: JsonOption = False) -> None:
    """Lists all shadows, oldest first: who started them, when, why, and how they ended."""
    from imago.jobs import shadows

    found = shadows.listed(environment(env), get_model(model).name)
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("No version has shadowed yet.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("version", "standing", "scores from", "training", "started", "by", "why", "ended"):
        table.add_column(name, overflow="fold", no_wrap=name in ("version", "standing", "scores from", "training"))
    for one in found:
        end = one["stopped"]
        table.add_row(
            escape(one["version"]), "[green]shadows[/]" if one["stands"] else "ended", one["effective_ds"],
            one["training_ds"], str(one["decided_at"])[:16], escape(one["decided_by"]), escape(one["reason"]),
            f"{end['at'][:16]} by {escape(end['by'])}: {escape(end['reason'])}" if end else "",
        )  # fmt: skip
    console.print(table)


@area.command()
def show(
    model: ModelArgument,
    version: Annotated[str | None, typer.Option("--version", "-V", help="One version; all when left out.")] = None,
    first: Annotated[str | None, typer.Option("--from", parser=day, help="First day that is told of.")] = None,
    last: Annotated[str | None, typer.Option("--to", parser=day, help="Last day that is told of.")] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Shows which decisions would flip, where, for how much money, and who was right where the truth is known."""
    from imago.jobs import shadow_report

    found = shadow_report.show(environment(env), get_model(model), version, first=first, last=last)
    if as_json:
        print_json(found)
        return
    if not found["shadows"]:
        console.print("No version has shadowed yet.")
    for one in found["shadows"]:
        _print(one)


def _print(one: dict[str, Any]) -> None:
    told = one["told"]
    standing = "shadows" if one["stands"] else "ended"
    console.print(f"[bold]Version {escape(one['version'])}[/] ({standing}): {escape(one['reason'])}")
    if told is None:
        console.print("  no day is scored yet\n")
        return
    console.print(f"  {told['first']} to {told['last']}, against version {', '.join(map(escape, told['against']))}")
    console.print(f"  {escape(told['sentence'])} [bold]{escape(told['verdict'])}[/]", soft_wrap=True)
    for label, gap, number in (
        (told["unit"], told["money"], amount),
        (told["metric"]["name"] if told["metric"] else "", told["metric"], figure),
    ):
        if gap and gap["estimate"] is not None:
            around = (
                "no interval yet"
                if gap["low"] is None
                else " to ".join(number(gap[e], sign=True) for e in ("low", "high"))
            )
            console.print(f"  [dim]{label:<8}[/] {number(gap['estimate'], sign=True)} ({around})")
    flips = told["flips"]
    if flips and flips["rows"]:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("flips", "rows", "known", "it was right", "champion was", told["unit"] or "-"):
            table.add_column(name, justify="left" if name == "flips" else "right")
        for row in [*flips["directions"], *flips["where"][:8]]:
            money = "" if row["money"] is None else amount(row["money"], sign=True)
            table.add_row(
                escape(row.get("words") or row["slice"]), f"{row['rows']:,}", f"{row['known']:,}",
                f"{row['shadow_right']:,}", f"{row['champion_right']:,}", money,
            )  # fmt: skip
        console.print(table)
    console.print()
