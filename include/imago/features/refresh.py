"""Write, audit, publish, for the features and the outcomes of a range of days: one dbt run, one commit."""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

from imago.context import RunContext
from imago.days import days_between
from imago.dbt import build, contract_of
from imago.dbt.project import project_digest, project_folder
from imago.environments import Environment
from imago.errors import ImagoError, RefusedPartition
from imago.features.audit import Audit, check_declared
from imago.features.raw import raw_files
from imago.specs import ModelSpec
from imago.storage import Storage
from imago.tables import Table

log = logging.getLogger(__name__)


def refresh_table(
    env: Environment,
    spec: ModelSpec,
    name: Literal["features", "outcomes"],
    first: str,
    last: str,
    context: RunContext,
) -> dict[str, Any]:
    """Builds, audits and publishes the days `first` to `last` of one table; returns the run's summary.

    A refusal (RefusedPartition) publishes nothing and leaves the staged rows where they are; the last good partition
    stands. Success removes them. Equal content makes no new version.
    """
    started = time.monotonic()
    days = days_between(first, last)
    if env.dbt_target in ("athena", "redshift"):
        raise ImagoError(
            f"building on {env.dbt_target} is not wired to the staging place yet",
            environment=env.name,
            next_step="use the embedded DuckDB: set the environment's DBT_TARGET to dev, staging or prod",
        )
    storage, table = Storage(env), Table(env, spec.name, name)
    # Drawn first: whoever starts later knows more, and wins.
    fence = table.draw_fence()
    where = {"environment": env.name, "model": spec.name, "table": name}
    model = spec.feature_model if name == "features" else spec.outcome_model
    contract = contract_of(model, env.dbt_target)
    keys = (spec.entity_key, "ds", spec.event_time)
    forbidden = frozenset[str]()
    if name == "features":
        forbidden = frozenset(contract_of(spec.outcome_model, env.dbt_target).names) - set(keys)
        leaks = forbidden.intersection((*contract.names, *spec.feature_names))
        if not leaks:  # a leak is told by the audit, which looks at the rows themselves
            check_declared(contract, declared=spec.feature_names, keys=keys, where=where)
    raw = raw_files(storage, contract, first=first, last=last, world_begins=spec.first_day, where=where)

    staging = f"staging/{spec.name}/{name}-{first}-{fence}"
    if not env.on_s3:
        storage.filesystem.create_dir(storage.path(staging))
    try:
        built = build(
            env,
            select=[model],
            first=first,
            last=last,
            staging=storage.uri(staging),
            variables={"raw_files": raw.files},
        )
        audit = Audit(contract, key=spec.entity_key, days=days, where=where)
        rows = audit.run(storage.read_parquet(f"{staging}/{model}.parquet"), forbidden=forbidden)
        published = table.publish(
            rows,
            days=days,
            key=(spec.entity_key,),
            fence=fence,
            context=context,
            inputs={
                "raw": raw.provenance,
                "range": [first, last],
                "dbt_project": project_digest(project_folder(), env.dbt_target),
            },
        )
    except RefusedPartition as refused:
        refused.facts.setdefault("model", spec.name)
        log.warning("refused; the staged rows stay at %s", storage.uri(staging))
        raise
    storage.delete(staging)
    return {
        "first": first,
        "last": last,
        "days": len(days),
        "rows": published.rows,
        "changed": len(published.changed),
        "unchanged": len(published.unchanged),
        "version": published.version,
        "tests": built.tests_run,
        "checks": audit.checks,
        "dbt_seconds": built.seconds,
        "seconds": round(time.monotonic() - started, 2),
    }
