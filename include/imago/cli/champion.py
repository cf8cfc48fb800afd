"""`imago champion`: who reigns, who reigned, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.padding import Padding

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, print_json
from imago.cli.output import day as parse
from imago.errors import ImagoError
from imago.specs import ModelSpec, get_model, hosted_models

area = typer.Typer(help="The ledger of champions: who reigns, who reigned, and the way back.", no_args_is_help=True)
ModelOption = Annotated[str | None, typer.Option("--model", help="The model; may be left out when there is only one.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs below `imago champion`."""
    app.add_typer(area, name="champion")


@area.command()
def show(model: ModelOption = None, env: EnvironmentOption = "dev", as_json: JsonOption = False) -> None:
    """Shows the reigning champion."""
    from imago.jobs import champions

    _say(champions.show(environment(env), _spec(model).name), as_json)


@area.command()
def at(
    day: Annotated[str, typer.Argument(parser=parse, help="A day, as 2013-10-03.")],
    model: ModelOption = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Shows who scores a day."""
    from imago.jobs import champions

    _say(champions.at(environment(env), _spec(model).name, day), as_json)


@area.command()
def history(model: ModelOption = None, env: EnvironmentOption = "dev", as_json: JsonOption = False) -> None:
    """Lists all promotions and rollbacks, oldest first, and checks their chain. Exit code 1 when the chain is
    broken."""
    from imago.jobs import champions

    found = champions.history(environment(env), _spec(model).name)
    if as_json:
        print_json(found)
    else:
        _print_history(found["rows"])
    if found["problems"]:
        raise _broken(found["problems"])


@area.command()
def verify(
    head: Annotated[
        str | None, typer.Option("--head", help="A row's hash that was noted earlier: it has to be there still.")
    ] = None,
    model: ModelOption = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Checks the hash chain of all promotions, that each decision that promoted has its row, and that the files of the
    protected versions are whole. Exit code 1 when something is wrong. Note the newest hash elsewhere, and pass it as
    --head next time: a chain cannot show by itself that its end was cut off."""
    from imago.jobs import champions

    found = champions.verify(environment(env), _spec(model).name, head=head)
    if as_json:
        print_json(found)
    elif not found["problems"]:
        console.print(
            f"[bold]{escape(found['model'])}[/]: {found['rows']} rows, the chain and the protected models are whole, "
            f"newest hash {found['newest'] or 'none'}"
        )
    if found["problems"]:
        raise _broken(found["problems"])


@area.command()
def rollback(
    to: Annotated[
        str | None, typer.Option("--to", help="The version to return to; the one before when left out.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "",
    effective: Annotated[
        str | None, typer.Option("--from", parser=parse, help="First day that it scores; the first unscored one.")
    ] = None,
    model: ModelOption = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Makes an earlier champion reign again. Nothing is deleted: the rollback is a row of its own."""
    from imago.context import RunContext
    from imago.jobs import champions

    done = champions.rollback(
        environment(env), _spec(model), RunContext.local(), to_version=to, effective_ds=effective, reason=reason
    )
    _say(done, as_json)
    if done["mlflow"] != "follows" and not as_json:
        console.print("MLflow does not answer; the watchdog lets its alias follow.")


@area.command()
def approve(
    decision: Annotated[int, typer.Argument(help="The number of a decision that waits; the alert names it.")],
    model: ModelOption = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Promotes a challenger that waits for approval, also after the time to answer has passed. Your name goes into the
    ledger. Refused when another champion reigns by now, or somebody declined."""
    from imago.context import RunContext
    from imago.jobs import approval, champions

    here, spec, context = environment(env), _spec(model), RunContext.local()
    approval.approve(here, spec, decision, context.actor, context)
    _say(champions.show(here, spec.name), as_json)


@area.command()
def forget(
    version: Annotated[str, typer.Argument(help="A version that is neither protected nor the challenger.")],
    model: ModelOption = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Deletes a version in MLflow and the files of its model. One that reigned lately (KEEP_REIGNS) is refused."""
    from imago.jobs import projection

    done = projection.forget(environment(env), _spec(model), version)
    if as_json:
        print_json(done)
    else:
        console.print(f"[bold]{escape(done['model'])}[/] version {escape(version)}: deleted {escape(done['deleted'])}")


def _broken(problems: list[str]) -> ImagoError:
    return ImagoError(
        "the history of champions is not whole: " + "; ".join(problems),
        rule="hash chain",
        next_step="compare with a backup of the ledger before anything else is promoted",
    )


def _spec(name: str | None) -> ModelSpec:
    models = hosted_models()
    if name is None and len(models) == 1:
        return models[0]
    if name is None:
        raise ImagoError(
            "there are several models", allowed=", ".join(spec.name for spec in models), next_step="pass --model NAME"
        )
    return get_model(name)


def _say(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    name = f" {escape(row['contestant'])}," if row.get("contestant") else ""
    console.print(
        f"[bold]{escape(row['model'])}[/]{name} version [bold green]{escape(row['version'])}[/] "
        f"({row['artifact_format']})"
    )
    for label, value in (
        ("reigns from", row["effective_ds"]),
        ("trained until", row["trained_until"]),
        ("by", row["action"]),
        ("decided at", _moment(row)),
        ("decided by", row["decided_by"]),
        ("why", row["reason"]),
        ("digest", row["artifact_sha256"]),
    ):
        # Not wrapped: a digest is copied from here.
        console.print(f"  [dim]{label:<13}[/] {escape(value)}", soft_wrap=True)


def _print_history(rows: list[dict[str, Any]]) -> None:
    """Oldest first. A block for each row, since a reason is a sentence and no column of a table."""
    if not rows:
        console.print("Nobody was ever promoted.")
    for row in rows:
        name = f" {escape(row['contestant'])}" if row["contestant"] else ""
        console.print(
            f"[bold]{row['id']:>4}[/]  {row['action']:<8}  version [bold green]{escape(row['version'])}[/]{name}, "
            f"reigns from {row['effective_ds']}",
            soft_wrap=True,
        )
        about = f"{_moment(row)}, {escape(row['decided_by'])}, training of {row['training_ds']}"
        console.print(Padding(f"[dim]{about}[/]\n{escape(row['reason'])}", (0, 0, 0, 6)))


def _moment(row: dict[str, Any]) -> str:
    return f"{datetime.fromisoformat(row['decided_at']).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
