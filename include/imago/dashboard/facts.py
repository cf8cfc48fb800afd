"""What the dashboard shows, read from the ledger and from the tables `drift` and `metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from imago import ledger
from imago.environments import Environment
from imago.errors import MissingPartition
from imago.ledger import champions, online
from imago.ledger.champions import Champion
from imago.ledger.schema import decisions, incidents
from imago.specs import ModelSpec
from imago.tables import Table

RECENT_INCIDENTS = 10


@dataclass(frozen=True)
class Facts:
    """One model's state. `metrics`: day -> metric -> value over all rows. `drift`: day -> findings, as table rows."""

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
    airflow_url: str | None


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
        served = online.state(connection, spec.name)
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
        airflow_url=env.airflow_url,
    )


def _rows(table: Table) -> list[dict[str, Any]]:
    try:
        return table.read().to_pylist()
    except MissingPartition:
        return []
