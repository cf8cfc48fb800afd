"""What the dashboard shows, read from the ledger and from the tables `drift`, `metrics` and `shadow_metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from imago import ledger
from imago.environments import Environment
from imago.errors import MissingPartition
from imago.ledger import champions, online, shadows
from imago.ledger.champions import Champion
from imago.ledger.schema import decisions, incidents
from imago.ledger.shadows import Shadow
from imago.specs import ModelSpec
from imago.tables import Table

RECENT_INCIDENTS = 10
RECENT_TRAININGS = 10


@dataclass(frozen=True)
class Shadowed:
    """A version that shadows, and the sums of its days: rows, decisions that flip, and of those whose outcome is known,
    who was right and what they were worth beyond the champion's (None without prices)."""

    shadow: Shadow
    days: int
    rows: int
    flips: int
    shadow_right: int
    champion_right: int
    money: float | None


@dataclass(frozen=True)
class Facts:
    """One model's state. `metrics`: day -> metric -> value over all rows. `drift`: day -> findings, as table rows.
    `trainings`: the newest judged trainings with their day, newest outcome and moment, newest first."""

    environment: str
    spec: ModelSpec
    champion: Champion | None
    verdict: Mapping[str, Any] | None
    reigns: int
    scored: tuple[Any, ...]  # PartitionInfo of each scored day
    metrics: Mapping[str, Mapping[str, float]]
    slices: tuple[Mapping[str, Any], ...]  # rows of the newest matured day
    drift: Mapping[str, tuple[Mapping[str, Any], ...]]
    incidents: tuple[Mapping[str, Any], ...]
    online: Mapping[str, Any] | None
    shadows: tuple[Shadowed, ...]
    airflow_url: str | None
    trainings: tuple[Mapping[str, str], ...]


def load(env: Environment, spec: ModelSpec) -> Facts:
    """Reads everything that the page of `spec` shows."""
    with ledger.connect(env).connect() as connection:
        champion = champions.reigning(connection, spec.name)
        reigns = len(champions.history(connection, spec.name))
        verdict = None
        if champion is not None and champion.decision_id is not None:
            query = select(decisions.c.verdict).where(decisions.c.id == champion.decision_id)
            verdict = connection.execute(query).scalar_one_or_none()
        found = connection.execute(
            select(incidents)
            .where(incidents.c.model == spec.name)
            .order_by((incidents.c.status == "open").desc(), incidents.c.updated_at.desc())
            .limit(RECENT_INCIDENTS)
        ).mappings()
        shown = tuple(dict(row) for row in found)
        trainings = _trainings(connection, spec.name)
        served = online.state(connection, spec.name)
        standing = shadows.standing(connection, spec.name)
    metric_rows = _rows(Table(env, spec.name, "metrics"))
    metrics: dict[str, dict[str, float]] = {}
    for row in metric_rows:
        if row["slice"] == "all":
            metrics.setdefault(row["ds"], {})[row["metric"]] = row["value"]
    newest = max(metrics, default=None)
    drift: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for row in _rows(Table(env, spec.name, "drift")):
        drift[row["ds"]] = (*drift.get(row["ds"], ()), row)
    return Facts(
        environment=env.name,
        spec=spec,
        champion=champion,
        verdict=verdict,
        reigns=reigns,
        scored=tuple(Table(env, spec.name, "predictions").partitions()),
        metrics=dict(sorted(metrics.items())),
        slices=tuple(row for row in metric_rows if row["ds"] == newest and row["slice"] != "all"),
        drift=dict(sorted(drift.items())),
        incidents=shown,
        online=dict(served) if served is not None else None,
        shadows=_shadowed(env, spec, standing),
        airflow_url=env.airflow_url,
        trainings=trainings,
    )


def _trainings(connection: Connection, model: str) -> tuple[Mapping[str, str], ...]:
    newest = (
        select(decisions.c.training_ds, decisions.c.outcome, decisions.c.decided_at)
        .where(decisions.c.model == model)
        .ext(distinct_on(decisions.c.training_ds))
        .order_by(decisions.c.training_ds.desc(), decisions.c.id.desc())
        .limit(RECENT_TRAININGS)
    )
    return tuple(
        {"ds": row.training_ds, "outcome": row.outcome, "decided_at": f"{row.decided_at:%Y-%m-%d %H:%M}"}
        for row in connection.execute(newest)
    )


def _shadowed(env: Environment, spec: ModelSpec, standing: list[Shadow]) -> tuple[Shadowed, ...]:
    if not standing:
        return ()
    columns = ["ds", "model_version", "slice", "champion_decision", "shadow_decision", "rows", "shadow_right",
               "champion_right", "champion_money", "shadow_money"]  # fmt: skip
    rows = [row for row in _rows(Table(env, spec.name, "shadow_metrics"), columns) if row["slice"] == "all"]
    found = []
    for shadow in standing:
        mine = [row for row in rows if row["model_version"] == shadow.version]
        flips = [row for row in mine if row["champion_decision"] != row["shadow_decision"]]
        judged = mine if spec.problem == "regression" else flips
        found.append(
            Shadowed(
                shadow=shadow,
                days=len({row["ds"] for row in mine}),
                rows=sum(row["rows"] for row in mine),
                flips=sum(row["rows"] for row in flips),
                shadow_right=sum(row["shadow_right"] for row in judged),
                champion_right=sum(row["champion_right"] for row in judged),
                money=sum(row["shadow_money"] - row["champion_money"] for row in mine) if spec.business else None,
            )
        )
    return tuple(found)


def _rows(table: Table, columns: list[str] | None = None) -> list[dict[str, Any]]:
    try:
        return table.read(columns=columns).to_pylist()
    except MissingPartition:
        return []
