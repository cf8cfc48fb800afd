"""`imago watch`: the watchdog from outside of Airflow, for cron or systemd."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, errors, fail, print_json
from imago.errors import ImagoError
from imago.stack import Layout


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(watch)


def watch(
    every: Annotated[
        float, typer.Option(min=0, help="Look again after so many seconds, until it is ended; 0 looks once.")
    ] = 0.0,
    seconds: Annotated[float, typer.Option(min=1, help="For how long at most it delivers what is due.")] = 30.0,
    memory: Annotated[Path | None, typer.Option(help="The file that remembers what was said without a ledger.")] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Looks from outside of Airflow for what should have happened and did not, and tells it. Run it by cron or systemd.

    Ends with 0 when all is well, 1 when something is wrong and was told, 2 when it could not be told.
    """
    from imago.jobs import watch as jobs
    from imago.specs import broken_specs, hosted_models, refresh_models

    file = memory or Layout.here().root / "watch.json"
    while True:
        refresh_models()
        try:
            look = jobs.watch(
                environment(env),
                hosted_models(),
                datetime.now(UTC),
                broken=broken_specs(),
                variables=os.environ,
                memory=file,
                seconds=seconds,
            )
        except ImagoError as error:
            fail(error)
            raise typer.Exit(jobs.UNTOLD) from None
        if as_json:
            print_json(look.as_json())
        else:
            for line in look.wrong:
                console.print(f"[yellow]{escape(line)}[/]")
            if not look.wrong:
                console.print("All is well.")
        for line in look.untold:  # cron mails what stands here
            errors.print(f"[bold red]could not be told[/] {escape(line)}", soft_wrap=True)
        if not every:
            raise typer.Exit(look.code)
        time.sleep(every)
