"""`imago alerts`: the outbox, its incidents, and delivery by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, print_json
from imago.errors import ImagoError

_STATUSES = ("pending", "delivered", "muted", "digest", "digested")
_COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}

area = typer.Typer(help="The alert outbox: what was found, and whether it was told.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the verbs below `imago alerts`."""
    app.add_typer(area, name="alerts")


@area.command("list")
def list_alerts(
    status: Annotated[str | None, typer.Option(help=f"Only alerts of this status: {', '.join(_STATUSES)}.")] = None,
    model: Annotated[str | None, typer.Option(help="Only alerts of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 30,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Lists alerts, newest first."""
    from sqlalchemy import select

    from imago.jobs.alerts import waiting_reasons
    from imago.ledger import connect
    from imago.ledger.schema import alerts

    if status is not None and status not in _STATUSES:
        raise ImagoError(f"{status!r} is not a status", allowed=", ".join(_STATUSES), next_step="name one of them")
    query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(alerts.c.status == status)
    if model is not None:
        query = query.where(alerts.c.model == model)
    where = environment(env)
    with connect(where).connect() as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
    reasons = waiting_reasons(where)
    for row in found:
        if row["status"] == "pending":
            row["last_error"] = row["last_error"] or reasons.get(where.address_of(row["model"]))
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("No alerts.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("incident", "when", "status", "severity", "model", "rule", "what"):
        table.add_column(name, overflow="fold")
    for row in found:
        colour = _COLOURS[row["severity"]]
        note = f" [dim]({escape(row['last_error'])})[/]" if row["last_error"] else ""
        table.add_row(
            str(row["incident_id"] or "-"),
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            row["status"],
            f"[{colour}]{row['severity']}[/]",
            escape(row["model"] or "-"),
            row["rule"],
            escape(row["title"]) + note,
        )
    console.print(table)


@area.command()
def show(
    incident: Annotated[int, typer.Argument(help="The incident's number, as `list` shows it.")],
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Shows one incident with everything that was said of it."""
    from sqlalchemy import select

    from imago.ledger import connect
    from imago.ledger.numbers import check_number
    from imago.ledger.schema import alerts, incidents

    check_number(incident, "incident", next_step="see `imago alerts list`")
    with connect(environment(env)).connect() as connection:
        head = connection.execute(select(incidents).where(incidents.c.id == incident)).mappings().one_or_none()
        query = select(alerts).where(alerts.c.incident_id == incident).order_by(alerts.c.id)
        told = [dict(row) for row in connection.execute(query).mappings()]
    if head is None:
        raise ImagoError(f"there is no incident {incident}", environment=env, next_step="see `imago alerts list`")
    if as_json:
        print_json({**head, "alerts": told})
        return
    colour = _COLOURS[head["severity"]]
    about = f"[{colour}]{head['severity']}[/] {escape(head['rule'])}: {escape(head['subject'])}"
    found = f"found {head['count']} times since {head['opened_at']:%Y-%m-%d %H:%M}"
    state = f"resolved {head['resolved_at']:%Y-%m-%d %H:%M}" if head["resolved_at"] else "open"
    console.print(f"[bold]Incident {incident}[/] {about}")
    console.print(f"{escape(head['model'] or 'platform')}, {state}, {found}\n")
    for row in told:
        console.print(f"[dim]{row['created_at']:%Y-%m-%d %H:%M}[/] [bold]{escape(row['title'])}[/] ({row['status']})")
        _print_body(row["body"])


@area.command("incidents")
def list_incidents(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well, newest first.")] = False,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 30,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Lists incidents: what is open, since when, how often it was found, and who asked for quiet."""
    from imago.jobs import incidents

    found = incidents.overview(environment(env), everything=everything, model=model, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("No open incidents.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("incident", "since", "severity", "model", "rule", "found", "what"):
        table.add_column(name, overflow="fold")
    for row in found:
        colour = _COLOURS[row["severity"]]
        quiet = row["silence"]
        note = f"\n[dim]{escape(quiet['words'])}[/]" if quiet else ""
        over = " [dim](over)[/]" if row["status"] == "resolved" else ""
        table.add_row(
            str(row["id"]),
            f"{row['opened_at']:%Y-%m-%d %H:%M}",
            f"[{colour}]{row['severity']}[/]",
            escape(row["model"] or "-"),
            row["rule"],
            f"{row['count']}×",
            escape(row["title"]) + over + note,
        )
    console.print(table)


@area.command()
def mute(
    incident: Annotated[int, typer.Argument(help="The incident's number, as `incidents` shows it.")],
    until: Annotated[str, typer.Option(help="The end: 4h, 3d, 2026-02-28 or 2026-02-28T09:00 (UTC).")],
    by: Annotated[str, typer.Option(help="Your name. It stands in the ledger and in the channel.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Posts nothing of this problem until then, also when it comes back as a new incident. It is still written down."""
    _quieten(env, incident, "mute", until, by, reason, as_json)


@area.command()
def ack(
    incident: Annotated[int, typer.Argument(help="The incident's number, as `incidents` shows it.")],
    until: Annotated[str, typer.Option(help="Until when you are at it: 4h, 3d, 2026-02-28 or 2026-02-28T09:00 (UTC).")],
    by: Annotated[str, typer.Option(help="Your name. It stands in the ledger and in the channel.")],
    reason: Annotated[str, typer.Option(help="What you do about it.")] = "is looking at it",
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Says that somebody is at work: until then only the incident's end and a rise of severity are told."""
    _quieten(env, incident, "acknowledge", until, by, reason, as_json)


@area.command()
def lift(
    incident: Annotated[int, typer.Argument(help="The incident's number, as `incidents` shows it.")],
    by: Annotated[str, typer.Option(help="Your name. It stands in the ledger and in the channel.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "no longer needed",
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Ends a mute or an acknowledgement before its time."""
    _quieten(env, incident, "lift", None, by, reason, as_json)


def _quieten(
    env: str,
    incident: int,
    action: Literal["mute", "acknowledge", "lift"],
    until: str | None,
    by: str,
    reason: str,
    as_json: bool,
) -> None:
    from imago.jobs import incidents

    done = incidents.quieten(environment(env), incident, action, until=until, by=by, reason=reason)
    if as_json:
        print_json(done)
    else:
        end = f" until {done['until']:%Y-%m-%d %H:%M} UTC" if done["until"] else ""
        words = {"mute": "muted", "acknowledge": "acknowledged", "lift": "heard again"}[action]
        console.print(
            f"Incident {incident} is {words}{end}; the channel will be told that it was {escape(done['by'])}."
        )


@area.command()
def drain(
    seconds: Annotated[float, typer.Option(min=1, help="For how long at most.")] = 60.0,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Delivers what is pending now, and does not wait for more news of known incidents."""
    from imago.jobs import alerts as jobs

    summary = jobs.deliver(environment(env), seconds=seconds, all_now=True)
    if as_json:
        print_json(summary)
    else:
        console.print(
            f"{summary['alerts']} alerts told in {summary['messages']} messages, {summary['waiting']} waiting."
        )
        for where, problem in summary["problems"].items():
            console.print(f"  [yellow]{escape(where)}[/]: {escape(problem)}")
    if summary["waiting"]:
        raise typer.Exit(1)


@area.command("test")
def send_test(
    by: Annotated[str | None, typer.Option(help="Who asks; your login's name by default.")] = None,
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Sends one message to each address of the environment, and says whether it was taken."""
    import getpass

    from imago.jobs import alerts as jobs

    came = jobs.send_test(environment(env), by=by or getpass.getuser())
    if as_json:
        print_json(came)
    else:
        for address, said in came.items():
            console.print(f"{escape(address)}: {escape(said)}")
    if not all(said.startswith("sent") for said in came.values()):
        raise typer.Exit(1)


def _print_body(body: dict[str, Any]) -> None:
    for name, words in (("why", body.get("why")), ("done", body.get("did")), ("next", body.get("next_step"))):
        if words:
            console.print(f"  [dim]{name:>5}[/] {escape(words)}")
    for name, value in [*body.get("facts", ()), *body.get("links", ())]:
        console.print(f"  [dim]{escape(name):>5}[/] {escape(str(value))}")
