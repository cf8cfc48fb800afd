"""What the demo found, for a person: collected from the ledger and the tables, then drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text
from sqlalchemy import func, select

from imago import ledger
from imago.amounts import amount
from imago.environments import Environment
from imago.ledger import champions, decisions
from imago.ledger.schema import alerts
from imago.specs import ModelSpec
from imago.tables import Table


@dataclass(frozen=True)
class Summary:
    """The figures of the last screen. `standings` are (name, role, score) in the verdict's order, best first."""

    champion: str
    champion_version: str
    metric: str
    standings: list[tuple[str, str, float | None]]
    best_baseline: float | None
    partitions: int
    rows: int
    first_scored: str
    last_scored: str
    drift_levels: dict[str, int] = field(default_factory=dict)
    drift_worst: tuple[str, str, float] | None = None
    matured_days: int = 0
    money: float | None = None
    money_name: str = ""
    money_unit: str = ""
    auc: float | None = None
    alerts: dict[str, int] = field(default_factory=dict)
    waiting: int = 0


def collect(environment: Environment, spec: ModelSpec) -> Summary:
    """Reads the state of one model. Raises NoChampion-like errors of the ledger when nothing was promoted."""
    with ledger.connect(environment).connect() as connection:
        champion = champions.reigning(connection, spec.name)
        if champion is None or champion.decision_id is None:
            from imago.errors import NoChampion

            raise NoChampion("nobody reigns", model=spec.name, next_step="run `imago demo`")
        verdict = decisions.get(connection, champion.decision_id)["verdict"]
        status = select(alerts.c.status, func.count()).group_by(alerts.c.status)
        counts = {row[0]: row[1] for row in connection.execute(status)}
        severity = (
            select(alerts.c.severity, func.count())
            .where(alerts.c.status.in_(("delivered",)))
            .group_by(alerts.c.severity)
        )
        delivered = {row[0]: row[1] for row in connection.execute(severity)}
    rulings = sorted(
        verdict["rulings"],
        key=lambda r: (r["score"] is None, -(r["score"] or 0) if not spec.lower_is_better else r["score"]),
    )
    baselines = [r["score"] for r in rulings if r["role"] == "baseline" and r["score"] is not None]
    predictions = Table(environment, spec.name, "predictions").partitions()
    drift = Table(environment, spec.name, "drift")
    levels: Counter[str] = Counter()
    worst: tuple[str, str, float] | None = None
    if drift.version() is not None:
        for row in drift.read().to_pylist():
            levels[row["level"]] += 1
            if row["measure"] == "psi" and (worst is None or row["value"] > worst[2]):
                worst = (row["column"], row["ds"], row["value"])
    metrics = Table(environment, spec.name, "metrics")
    money = auc = None
    matured = 0
    if metrics.version() is not None:
        rows = [row for row in metrics.read().to_pylist() if row["slice"] == "all"]
        saved = [row["value"] for row in rows if row["metric"] == "business_value" and row["value"] is not None]
        days = [row["value"] for row in rows if row["metric"] == spec.primary_metric and row["value"] is not None]
        matured = len({row["ds"] for row in rows})
        money = sum(saved) if saved else None
        auc = sum(days) / len(days) if days else None  # a day is a day, as on the dashboard
    return Summary(
        champion=str(verdict["challenger"]),
        champion_version=champion.version,
        metric=spec.primary_metric,
        standings=[(r["name"], r["role"], r["score"]) for r in rulings],
        best_baseline=(min if spec.lower_is_better else max)(baselines) if baselines else None,
        partitions=len(predictions),
        rows=sum(info.rows for info in predictions),
        first_scored=predictions[0].ds if predictions else "",
        last_scored=predictions[-1].ds if predictions else "",
        drift_levels=dict(levels),
        drift_worst=worst,
        matured_days=matured,
        money=money,
        money_name=spec.business.name if spec.business else "",
        money_unit=spec.business.unit if spec.business else "",
        auc=auc,
        alerts=delivered,
        waiting=counts.get("pending", 0),
    )


def draw(
    console: Console, summary: Summary, links: dict[str, str], login: tuple[str, str], answer: dict[str, Any] | None
) -> None:
    """The last screen."""
    ring = Grid(box=None, pad_edge=False)
    ring.add_column("contestant")
    ring.add_column("role", style="dim")
    ring.add_column(f"{summary.metric} on the holdout", justify="right")
    for name, role, score in summary.standings:
        crowned = name == summary.champion
        ring.add_row(
            Text(f"{'♛' if crowned else ' '} {name}", style="bold green" if crowned else ""),
            role,
            Text("no score" if score is None else f"{score:.4f}", style="bold green" if crowned else ""),
        )
    champion = next(score for name, _, score in summary.standings if name == summary.champion)
    lead = ""
    if champion is not None and summary.best_baseline is not None:
        lead = f", {abs(champion - summary.best_baseline):.3f} {summary.metric} better than the best baseline"
    facts = Grid.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    facts.add_row("Champion", f"{summary.champion} (version {summary.champion_version}){lead}")
    facts.add_row(
        "Scored",
        f"{summary.partitions} daily partitions, {summary.first_scored} to {summary.last_scored}, "
        f"{summary.rows:,} flights",
    )
    facts.add_row("Drift", _drift(summary))
    if summary.matured_days:
        seen = f", mean daily {summary.metric} {summary.auc:.3f}" if summary.auc is not None else ""
        money = (
            f"{summary.money_name}: {amount(summary.money, summary.money_unit)}"
            if summary.money is not None
            else "no business metric"
        )
        facts.add_row("Truth", f"{summary.matured_days} days matured{seen}")
        facts.add_row("Money", money)
    if answer:
        facts.add_row("Online", f"{answer['key']} → {answer['score']:.3f} by version {answer['model_version']}")
    told = ", ".join(f"{count} {severity}" for severity, count in sorted(summary.alerts.items())) or "none"
    facts.add_row("Alerts", f"{told} delivered" + (f", {summary.waiting} waiting" if summary.waiting else ""))
    where = Grid.grid(padding=(0, 2))
    where.add_column(style="bold")
    where.add_column()
    for name, url in links.items():
        where.add_row(name, Text(url, style=f"link {url} cyan"))
    where.add_row("Login", f"{login[0]} / {login[1]}")
    console.print()
    console.print(Panel(Group(ring, Text(), facts, Text(), where), title="Imago", title_align="left", padding=(1, 2)))
    console.print("[dim]`imago status` shows all of this again; `make down` ends it.[/]")


def _drift(summary: Summary) -> str:
    found = {level: count for level, count in summary.drift_levels.items() if level in ("warning", "critical")}
    checked = sum(summary.drift_levels.values())
    text = ", ".join(f"{count} {level}" for level, count in sorted(found.items())) or "none beyond its threshold"
    if summary.drift_worst:
        column, ds, value = summary.drift_worst
        text += f" in {checked:,} comparisons; the largest PSI is {value:.2f} ({column}, {ds})"
    return text
