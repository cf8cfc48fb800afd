"""How the command line speaks: to people in colour, to machines in JSON."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from imago.days import parse_day
from imago.environments import Environment, load_environment
from imago.errors import ImagoError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

EnvironmentOption = Annotated[str, typer.Option("--env", help="The environment: dev, staging or prod.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def environment(name: str) -> Environment:
    """The environment that `--env` names."""
    return load_environment(name)


def day(text: str) -> str:
    """The parser of every option and argument that is a day: the text itself, or a refusal."""
    parse_day(text)
    return text


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def unavailable(error: OSError) -> ImagoError:
    """What a person reads when a storage, a server or a disk fails in the middle of a verb."""
    reason = str(error).strip().splitlines()
    return ImagoError(
        "a file or a server could not be reached",
        seen=f"{type(error).__name__}: {reason[0] if reason else 'no reason given'}",
        next_step="imago doctor",
    )


def fail(error: ImagoError) -> None:
    """A refusal, as a person reads it: what is wrong, where, and what to do next."""
    # Not wrapped: addresses and paths are copied from here.
    errors.print(f"[bold red]✗[/] {escape(error.message)}", soft_wrap=True)
    width = max((len(name) for name in error.facts), default=0)
    for name, value in error.facts.items():
        errors.print(f"  [dim]{name:<{width}}[/]  {escape(str(value))}", soft_wrap=True)
    if error.next_step:
        errors.print(f"  [bold]Next:[/] {escape(error.next_step)}", soft_wrap=True)
