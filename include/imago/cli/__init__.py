"""The command line: `imago --help` lists the verbs.

Settings come from the process's variables; where the embedded stack wrote its own (`.imago/imago.env`), those are read
first, so that every verb works after `imago up` without any export.
"""

from __future__ import annotations

import io
import sys

import typer

from imago.cli import (
    alerts,
    backfill,
    champion,
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
from imago.cli.output import fail
from imago.errors import ImagoError
from imago.stack import use_settings

_typer = typer.Typer(
    name="imago",
    help="The batch ML lifecycle for teams that live in Airflow, dbt and S3.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for area in (stack, demo, data, model, backfill, explain, champion, shadow, alerts, tables, watch):
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
