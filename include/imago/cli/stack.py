"""`imago up`, `down`, `status`, `doctor` and `settings apply`."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table as RichTable

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, print_json
from imago.errors import StackError

if TYPE_CHECKING:
    from imago.stack import Layout
    from imago.stack.settings import StackSettings

_MARKS = {
    "starting": "[dim]…[/]",
    "ready": "[green]✓[/]",
    "running": "[green]✓[/]",
    "restarting": "[yellow]↻[/]",
    "moved": "[yellow]→[/]",
    "ended": "[dim]■[/]",
}


def register(app: typer.Typer) -> None:
    """Adds the stack's verbs."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(doctor)
    settings = typer.Typer(help="Airflow connections, pools and variables.", no_args_is_help=True)
    settings.command("apply")(settings_apply)
    app.add_typer(settings, name="settings")
    ledger = typer.Typer(help="The ledger's schema.", no_args_is_help=True)
    ledger.callback()(lambda: None)
    ledger.command("migrate")(ledger_migrate)
    app.add_typer(ledger, name="ledger")


class _Progress:
    """Prints a line as each component gets there; on a terminal also what is still being waited for."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self.running: list[str] = []
        self._status = console.status("") if console.is_terminal and not quiet else None

    def __enter__(self) -> _Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, component: str, event: str, detail: str) -> None:
        with self._lock:
            if event == "starting":
                self._waiting.add(component)
            else:
                self._waiting.discard(component)
            if event == "running":
                self.running.append(component)
            elif event != "starting" and not self._quiet:
                seconds = f"[dim]{time.monotonic() - self._began:5.1f} s[/]"
                console.print(f"{seconds} {_MARKS.get(event, '·')} {component} {event} [dim]{detail}[/]")
            if self._status:
                self._status.update(f"waiting for {', '.join(sorted(self._waiting))}" if self._waiting else "")


def up(as_json: JsonOption = False) -> None:
    """Start the embedded stack (safe to repeat): PostgreSQL, S3, MLflow, Slack sandbox, Airflow, all under .imago/."""
    from imago.stack import Layout

    layout = Layout.here()
    began = time.monotonic()
    with _Progress(quiet=as_json) as progress:
        settings = _start(layout, progress)
    seconds = time.monotonic() - began
    pages = {"Airflow": "airflow-api", "MLflow": "mlflow", "Slack sandbox": "slack"}
    if as_json:
        print_json(
            {
                "seconds": round(seconds, 1),
                "already_running": sorted(progress.running),
                "urls": {name: settings.url(component) for name, component in pages.items()},
                "user": "admin",
                "settings": str(layout.imago_env),
            }
        )
        return
    started = (
        "is already running" if len(progress.running) == len(_wanted(settings)) else f"is up after {seconds:.0f} s"
    )
    console.print(f"[bold green]The stack {started}.[/]")
    for name, component in pages.items():
        login = f"   login [bold]admin[/] / [bold]{settings.secrets.airflow_password}[/]" if name == "Airflow" else ""
        console.print(f"  {name:14} {settings.url(component)}{login}")
    console.print(f"  [dim]settings in {layout.imago_env}; `imago status` shows it, `imago down` ends it[/]")


def ledger_migrate(env: EnvironmentOption = "dev") -> None:
    """Bring the ledger of an environment to the newest version; safe to repeat. `imago up` does it by itself."""
    from imago.ledger import migrate

    target = environment(env)
    migrate(target)
    console.print(f"The ledger of {env} is up to date (schema {target.ledger_schema}).")


def start_stack() -> StackSettings:
    """Starts the stack with progress on the terminal, and puts its settings into this process."""
    from imago.stack import Layout

    with _Progress(quiet=False) as progress:
        return _start(Layout.here(), progress)


def _start(layout: Layout, progress: _Progress) -> StackSettings:
    from imago.stack import use_settings
    from imago.stack.supervisor import up as start

    settings = start(layout, report=progress)
    use_settings()
    return settings


def _wanted(settings: Any) -> list[str]:
    from imago.stack.launch import COMPONENTS

    return [component.name for component in COMPONENTS if component.wanted(settings)]


def down(as_json: JsonOption = False) -> None:
    """End exactly what `imago up` started. The data stays."""
    from imago.stack import Layout
    from imago.stack.supervisor import down as stop

    began = time.monotonic()
    with _Progress(quiet=as_json) as progress:
        ended = stop(Layout.here(), report=progress)
    seconds = time.monotonic() - began
    if as_json:
        print_json({"ended": ended, "seconds": round(seconds, 1)})
    elif ended:
        console.print(f"The stack is down after {seconds:.1f} s.")
    else:
        console.print("Nothing of the stack was running.")


def status(as_json: JsonOption = False) -> None:
    """Show each component: state, pid, address, memory. Exit code 1 when one that was started does not run."""
    from imago.stack import Layout, environment_variables
    from imago.stack.supervisor import status as look

    layout = Layout.here()
    rows = look(layout)
    broken = [row["title"] for row in rows if row["state"] in ("ended", "silent")]
    if as_json:
        print_json({"components": rows, "broken": broken, "settings": str(layout.imago_env)})
    else:
        _print_status(rows, environment_variables(layout.root).get("IMAGO_AIRFLOW_PASSWORD"))
    if broken:
        raise StackError(
            f"{', '.join(broken)} does not run", next_step="`imago up` starts what is missing, and only that"
        )


def _print_status(rows: list[dict[str, Any]], password: str | None) -> None:
    colours = {"running": "green", "ended": "red", "silent": "red", "stopped": "dim"}
    table = RichTable(box=None, pad_edge=False)
    for heading, justify in (
        ("component", "left"),
        ("state", "left"),
        ("pid", "right"),
        ("memory", "right"),
        ("address", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        memory = f"{row['memory'] / 2**20:.0f} MB" if row["memory"] else ""
        state = f"[{colours[row['state']]}]{row['state']}[/]"
        table.add_row(row["title"], state, str(row["pid"] or ""), memory, row["url"] or "")
    console.print(table)
    total = sum(row["memory"] or 0 for row in rows)
    if total:
        console.print(f"[dim]{total / 2**20:.0f} MB in all[/]   Airflow login [bold]admin[/] / [bold]{password}[/]")


def doctor(as_json: JsonOption = False) -> None:
    """Check Python, disk, settings, connections and versions, and say how to mend each. Exit code 1 when one fails."""
    from imago.stack import Layout
    from imago.stack.doctor import examine

    findings = examine(Layout.here())
    failed = [finding for finding in findings if finding.level == "bad"]
    if as_json:
        print_json({"ok": not failed, "findings": [finding.__dict__ for finding in findings]})
    else:
        marks = {"good": "[green]✓[/]", "note": "[yellow]![/]", "bad": "[red]✗[/]"}
        for finding in findings:
            console.print(f"{marks[finding.level]} {finding.what}: {finding.said}", highlight=False, markup=True)
            if finding.mend:
                console.print(f"    [bold]mend:[/] {finding.mend}", highlight=False)
    if failed:
        raise typer.Exit(1)


def settings_apply(
    file: Annotated[Path, typer.Argument(help="The file in the Astro CLI's schema.")] = Path("airflow_settings.yaml"),
    as_json: JsonOption = False,
) -> None:
    """Put the connections, pools and variables of airflow_settings.yaml into Airflow.

    Into the embedded one when it was started here, else into the Airflow that this process's configuration names.
    """
    from imago.stack import Layout
    from imago.stack.airflow_services import local_settings
    from imago.stack.airflow_settings import apply, load
    from imago.stack.settings import airflow_variables
    from imago.stack.state import StackState
    from imago.stack.supervisor import current_settings

    layout = Layout.here()
    settings = load(file)
    environment = dict(os.environ)
    if not {"AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"} & set(os.environ):
        embedded = airflow_variables(layout.root)
        if not embedded:
            raise StackError(
                "there is no Airflow to apply the settings to",
                next_step="run `imago up`, or set AIRFLOW_HOME or AIRFLOW__DATABASE__SQL_ALCHEMY_CONN to yours",
            )
        environment |= embedded
        settings = local_settings(current_settings(layout, StackState(layout)), settings)
    apply(settings, environment=environment, folder=layout.project)
    applied = {kind: sorted(entries) for kind, entries in settings.items()}
    if as_json:
        print_json(applied)
        return
    for kind, names in applied.items():
        console.print(f"{kind}: {', '.join(names) or 'none'}")
