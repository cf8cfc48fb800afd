"""The command line: `imago --help` lists the verbs.

Settings come from the process's variables; where the embedded stack wrote its own (`.imago/imago.env`), those are read
first, so that every verb works after `imago up` without any export.
"""

from __future__ import annotations

import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from imago.cli import (
    alerts,
    backfill,
    champion,
    clients,
    data,
    demo,
    explain,
    model,
    replay,  # noqa: F401 (a verb of alerts)
    shadow,
    stack,
    tables,
    watch,
)
from imago.cli.output import fail, unavailable
from imago.context import code_commit
from imago.errors import ImagoError
from imago.stack import use_settings

_typer = typer.Typer(
    name="imago",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # `imago --install-completion` teaches the shell its verbs and options.
    add_completion=True,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"imago {metadata.version('imago')} (commit {code_commit()})")
        raise typer.Exit


@_typer.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and the commit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """The batch ML lifecycle for teams that live in Airflow, dbt and S3."""


for area in (stack, demo, data, model, backfill, explain, champion, shadow, alerts, tables, watch, clients):
    area.register(_typer)


def app() -> None:
    """Runs a verb. A refusal ends with its text, its next step and exit code 1; a wrong call with exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An argument that is not UTF-8 is shown as it was typed, written out.
            stream.reconfigure(errors="backslashreplace")
    try:
        use_settings()
        _typer()
    except ImagoError as error:
        fail(error)
        sys.exit(1)
    except OSError as error:
        # What a storage or a server that went away in the middle of a call raises; its traceback helps nobody here.
        fail(unavailable(error))
        sys.exit(1)
