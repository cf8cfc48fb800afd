"""The one message that ends a backfill: what it published, and what would have been alerted on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from imago.alerts.outbox import Alert, raise_alert
from imago.alerts.rules import get_rule
from imago.context import RunContext
from imago.ledger.schema import alerts, digests, publications

_FAILURES = ("task_failed", "run_unreported")


def close_digest(connection: Connection, model: str, *, quiet_seconds: float) -> dict[str, Any] | None:
    """Writes the model's digest when its backfill was quiet for `quiet_seconds`; its summary, else None.

    One transaction: the alert, the noted findings that it covers, and how far in the publications it looked.
    """
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"digest of {model}"})
    covered = (
        connection.execute(select(func.max(digests.c.to_publication)).where(digests.c.model == model)).scalar() or 0
    )
    published = connection.execute(
        select(publications)
        .where(publications.c.model == model, publications.c.mode == "backfill", publications.c.id > covered)
        .order_by(publications.c.id)
    ).all()
    noted = connection.execute(
        select(alerts).where(alerts.c.model == model, alerts.c.status == "digest").order_by(alerts.c.id)
    ).all()
    newest = max([row.published_at for row in published] + [row.created_at for row in noted], default=None)
    if newest is None:
        return None
    quiet = connection.execute(select(func.extract("epoch", func.clock_timestamp() - newest))).scalar_one()
    if float(quiet) < quiet_seconds:
        return None
    first = published[0].id if published else covered
    last = published[-1].id if published else covered
    alert = digest_alert(model, published, noted)
    context = RunContext(run_id=f"digest__{model}__{last}", actor="imago")
    alert_id = raise_alert(connection, alert, context)
    connection.execute(
        digests.insert().values(model=model, from_publication=first, to_publication=last, alert_id=alert_id)
    )
    if noted:
        connection.execute(alerts.update().where(alerts.c.id.in_([row.id for row in noted])).values(status="digested"))
    return {
        "model": model,
        "alert": alert_id,
        "title": alert.title,
        "publications": len(published),
        "findings": len(noted),
    }


def digest_alert(model: str, published: Sequence[Row[Any]], noted: Sequence[Row[Any]]) -> Alert:
    """The digest's words and numbers, from rows of `publications` and of noted `alerts`."""
    days: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in published:
        days[row.table_name][row.ds] = days[row.table_name].get(row.ds, False) or row.changed
    by_rule: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in noted:
        by_rule[row.rule].append(row)
    all_days = sorted({ds for table in days.values() for ds in table} | {row.ds for row in noted if row.ds})
    span = f"{all_days[0]} to {all_days[-1]}" if all_days else "no day"
    count = sum(len(table) for table in days.values())
    lines = [
        f"{name}: {len(table)} published, {sum(table.values())} changed, {len(table) - sum(table.values())} unchanged"
        for name, table in sorted(days.items())
    ]
    findings = {
        rule.replace("_", " "): _findings(rows)
        for rule, rows in sorted(by_rule.items(), key=lambda pair: -len(pair[1]))
    }
    worst = sum(1 for row in noted if row.severity == "critical")
    failed = _failed(published, noted)
    return Alert(
        model=model,
        rule="backfill_digest",
        subject="backfill",
        severity="warning" if worst else "info",
        title=f"Backfill of {model}: {_number(count, 'partition')}, {span}, {_number(len(noted), 'finding')}",
        why="nobody was paged while it ran; this is all that would have been alerted"
        if noted
        else "nobody was paged while it ran, and there was nothing to page for",
        did="; ".join(lines) or "it published nothing",
        next_step=(
            f"look at the {_number(worst, 'critical finding')} first, with `imago alerts list --status digested`"
            + ("; mend the failed days, and backfill them again" if failed else "")
            if worst
            else "nothing to do"
        ),
        facts={**_scored([row for row in published if row.table_name == "predictions"], failed), **findings},
        occurrence=f"{published[0].id if published else 0}-{published[-1].id if published else 0}-"
        f"{noted[-1].id if noted else 0}",
    )


def _scored(published: Sequence[Row[Any]], failed: Sequence[str]) -> dict[str, str]:
    """What became of the days that were scored, by whom, and which of them flatter their model."""
    told: dict[str, str] = {}
    if published:
        changed = {row.ds for row in published if row.changed}
        days = {row.ds for row in published}
        told["scored"] = (
            f"{_number(len(days), 'day')}: {len(changed)} changed, {len(days) - len(changed)} unchanged"
            + (f", {len(failed)} failed" if failed else "")
        )
        by: dict[tuple[str, str], set[str]] = defaultdict(set)
        last = {row.ds: row.inputs for row in published}  # in the order of their publication
        for ds, inputs in last.items():
            if "model_version" in inputs:
                by[str(inputs.get("champion_choice")), str(inputs["model_version"])].add(ds)
        if by:
            told["champion"] = "; ".join(
                f"{'chosen' if choice == version else choice}: version {version}, {_number(len(found), 'day')}"
                for (choice, version), found in sorted(by.items(), key=lambda pair: -len(pair[1]))
            )
        leaking = sorted(ds for ds, inputs in last.items() if inputs.get("leaking"))
        if leaking:
            told["leaking"] = f"{_span(leaking)}: the model's training saw them, or later days"
    if failed:
        told["failed"] = _span(failed)
    return told


def _failed(published: Sequence[Row[Any]], noted: Sequence[Row[Any]]) -> list[str]:
    """The days of which a run failed, and that nothing was published for since."""
    mended = {row.ds: row.published_at for row in published}
    return sorted(
        {
            row.ds
            for row in noted
            if row.ds
            and (row.rule in _FAILURES or get_rule(row.rule).fails_run)
            and not (row.ds in mended and mended[row.ds] > row.created_at)
        }
    )


def _span(days: Sequence[str]) -> str:
    return days[0] if len(days) == 1 else f"{_number(len(days), 'day')}, {days[0]} to {days[-1]}"


def _findings(rows: list[Row[Any]]) -> str:
    subjects = sorted({row.subject for row in rows})
    days = sorted({row.ds for row in rows if row.ds})
    shown = ", ".join(subjects[:3]) + (f" and {len(subjects) - 3} more" if len(subjects) > 3 else "")
    when = f", {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "") if days else ""
    return f"{len(rows)}: {shown}{when}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
