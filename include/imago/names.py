"""Names that people choose, checked before they touch a path, SQL or a DAG id."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imago.errors import ImagoError

TABLE_NAMES = (
    "features",
    "outcomes",
    "predictions",
    "profiles",
    "drift",
    "estimates",
    "metrics",
    "shadow_predictions",
    "shadow_metrics",
)
STAGES = (
    "feature_refresh",
    "outcome_refresh",
    "training",
    "deployment",
    "endpoint_deploy",
    "batch_scoring",
    "monitoring",
    "metric_refresh",
    "shadow_scoring",
)

# What works on days of the calendar; a training, and what follows from it, may look back from a closed day.
DAILY_STAGES = tuple(stage for stage in STAGES if stage not in ("training", "deployment", "endpoint_deploy"))

# Which champion scores a day: who scored it or reigned then, who reigns now, or the number of a version.
AS_WAS, TODAY = "as-was", "today"
CHAMPION_PATTERN = r"^(as-was|today|[1-9][0-9]*)$"
REPROCESS = ("none", "failed", "completed")  # Airflow's words for the days of a backfill that have run already

# Which stage publishes a table's days.
WRITERS = {
    "features": "feature_refresh",
    "outcomes": "outcome_refresh",
    "predictions": "batch_scoring",
    "profiles": "batch_scoring",
    "drift": "monitoring",
    "estimates": "monitoring",
    "metrics": "metric_refresh",
    "shadow_predictions": "shadow_scoring",
    "shadow_metrics": "metric_refresh",
}

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def check_model_name(name: str) -> str:
    """The name back, when it is lower snake case of at most 40 characters."""
    if not isinstance(name, str) or len(name) > 40 or not _NAME.fullmatch(name):
        raise ImagoError(
            f"{name!r} cannot name a model",
            rule="model name",
            allowed="lower snake case without double underscores, at most 40 characters",
            seen=name,
            next_step="choose a name like late_orders",
        )
    return name


def check_table_name(name: str) -> str:
    """The name back, when it is one of Imago's tables."""
    if name not in TABLE_NAMES:
        raise ImagoError(
            f"{name!r} is not a table of Imago",
            rule="table name",
            allowed=", ".join(TABLE_NAMES),
            seen=name,
            next_step="name one of the allowed tables",
        )
    return name


def dag_id(environment: str, model: str | None, stage: str) -> str:
    """The id of a DAG: `dev__flight_delays__training`, or `dev__watchdog` for one that serves all models."""
    return "__".join(part for part in (environment, model, stage) if part)


def run_name(dag_id: str, run_id: str) -> str:
    """How the ledger names an Airflow run: a run's id alone may stand in several DAGs."""
    return f"{dag_id}/{run_id}"


def fill_commands(model: str, table: str, environment: str, ranges: Iterable[tuple[str, str]]) -> list[str]:
    """The commands that publish the missing days of a table, one for each range of days.

    >>> fill_commands("prices", "outcomes", "dev", [("2013-10-01", "2013-10-02")])
    ['imago backfill prices --from 2013-10-01 --to 2013-10-02 --stage outcome_refresh --env dev']
    """
    stage = WRITERS[table]
    return [
        f"imago backfill {model} --from {first} --to {last} --stage {stage} --env {environment}"
        for first, last in ranges
    ]
