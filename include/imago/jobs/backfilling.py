"""Backfills: the plan first, made of what is published and of what Airflow would run; then the backfill itself."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from imago.backfill.facts import Facts, Past, Wish
from imago.backfill.plan import Plan, make
from imago.backfill.stages import TABLES, cascade
from imago.days import days_between
from imago.environments import Environment
from imago.errors import ImagoError, ModelRefused, NoChampion
from imago.names import AS_WAS, DAILY_STAGES, REPROCESS, STAGES, dag_id
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.airflow_api.client import Backfill, Reprocess
    from imago.ledger.champions import Champion
    from imago.tables.infos import PartitionInfo

LOOKED_AT = 20  # past runs of a stage, of which the median is taken


class Airflow(Protocol):
    """What a plan asks of Airflow; `imago.airflow_api.AirflowApi` answers it."""

    def plan_backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: Reprocess = "none",
        conf: Mapping[str, Any] | None = None,
    ) -> tuple[str, ...]: ...

    def states_of_days(self, dag_id: str, days: Collection[str]) -> dict[str, str]: ...

    def seconds_of_runs(self, dag_id: str, count: int) -> list[float]: ...

    def backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: Reprocess = "none",
        max_active_runs: int = 4,
        conf: Mapping[str, Any] | None = None,
    ) -> Backfill: ...


def check(wish: Wish) -> Wish:
    """The wish back, when every field of it is one that can be had."""
    from imago.scoring.choice import check_choice

    for name, value, allowed in (("stage", wish.stage, STAGES), ("reprocess", wish.reprocess, REPROCESS)):
        if value not in allowed:
            raise ImagoError(
                f"{value!r} is no {name}", allowed=", ".join(allowed), seen=value, next_step="name one of the allowed"
            )
    check_choice(wish.champion)
    days_between(wish.first, wish.last)
    if wish.max_active_runs < 1:
        raise ImagoError("no day at a time is none at all", rule="max active runs", allowed="1 and more",
                         seen=wish.max_active_runs, next_step="give a number of 1 or more")  # fmt: skip
    if wish.champion != AS_WAS and "batch_scoring" not in cascade(wish.stage):
        raise ImagoError(
            f"{wish.stage} scores nothing, so there is no champion to choose",
            rule="champion",
            allowed=AS_WAS,
            seen=wish.champion,
            next_step="leave the champion out, or begin with batch_scoring",
        )
    return wish


def plan(env: Environment, spec: ModelSpec, wish: Wish, airflow: Airflow) -> Plan:
    """What the backfill would do. Reads, and changes nothing."""
    check(wish)
    stages = cascade(wish.stage)
    runs = airflow.plan_backfill(
        dag_id(env.name, spec.name, wish.stage), wish.first, wish.last, reprocess=wish.reprocess, conf=conf_of(wish)
    )
    omitted = _omitted(spec, wish, runs, airflow, dag_id(env.name, spec.name, wish.stage))
    taken = {name: airflow.seconds_of_runs(dag_id(env.name, spec.name, name), LOOKED_AT) for name in stages}
    past = {name: Past(runs=len(found), seconds=statistics.median(found)) for name, found in taken.items() if found}
    return make(facts(env, spec, wish, runs, past, omitted))


def _omitted(spec: ModelSpec, wish: Wish, runs: Collection[str], airflow: Airflow, dag: str) -> dict[str, str]:
    """Why Airflow would make no run of a day that was asked for: it lies outside of the model's days, the
    calendar closes it, a run of it is under way, or it ran before and `reprocess` leaves such days alone."""
    rest = sorted(set(days_between(wish.first, wish.last)) - set(runs))
    inside = [ds for ds in rest if spec.first_day <= ds <= (spec.last_day or ds)]
    states = airflow.states_of_days(dag, inside) if inside else {}
    reasons = {}
    for ds in rest:
        state = states.get(ds)
        if ds not in inside:
            reasons[ds] = "outside of the model's days"
        elif wish.stage in DAILY_STAGES and not spec.calendar.is_open(ds):
            reasons[ds] = "closed by the calendar"
        elif state in ("queued", "running"):
            reasons[ds] = f"a run of it is {state} now; Airflow leaves it out"
        elif state is not None:
            reasons[ds] = f"it ran before ({state}), and the reprocess `{wish.reprocess}` leaves it alone"
        else:
            reasons[ds] = "Airflow offers no run of it"
    return reasons


def facts(
    env: Environment,
    spec: ModelSpec,
    wish: Wish,
    runs: Iterable[str],
    past: Mapping[str, Past],
    omitted: Mapping[str, str],
) -> Facts:
    """What a plan is made of, from the ledger, the storage and the dbt project as they stand now."""
    from imago.monitoring.drift import looked_at
    from imago.tables import Table

    runs, stages = tuple(runs), cascade(wish.stage)
    tables = ("features", "outcomes", "predictions", "profiles", "drift", "metrics", "shadow_predictions")
    stored: dict[str, dict[str, PartitionInfo]] = {
        name: {info.ds: info for info in Table(env, spec.name, name).partitions()} for name in tables
    }
    refreshed = [TABLES[stage] for stage in stages if stage in ("feature_refresh", "outcome_refresh")] if runs else []
    scored = runs if "batch_scoring" in stages else ()
    chosen, refused = _champions(env, spec, wish, scored, stored["predictions"])
    return Facts(
        environment=env.name,
        model=spec.name,
        wish=wish,
        runs=runs,
        stored=stored,
        raw={table: _touched(env, spec, table) for table in refreshed},
        builds={table: _build_of(env, spec, table) for table in refreshed},
        chosen=chosen,
        refused=refused,
        rules={"decision_threshold": spec.decision_threshold, "bad_rows": _policy(spec)},
        shadows=_shadows(env, spec, runs) if "shadow_scoring" in stages else (),
        window=lambda days, ds: looked_at(days, ds, spec.drift.confirm),
        past=past,
        omitted=omitted,
    )


def start(env: Environment, spec: ModelSpec, wish: Wish, airflow: Airflow, *, approved: str) -> dict[str, Any]:
    """Starts the real Airflow backfill of a plan that somebody approved, by its fingerprint.

    Raises ImagoError when the plan would be another one by now: what was approved is what runs.
    """
    now = plan(env, spec, wish, airflow)
    if now.fingerprint != approved:
        raise ImagoError(
            "what the backfill would do is no longer what was approved",
            environment=env.name,
            model=spec.name,
            rule="what was approved is what runs",
            allowed=approved,
            seen=now.fingerprint,
            next_step="look at the plan again: clear the task `plan`, or start anew",
        )
    made = create(airflow, now)
    return {
        "backfill": made.id,
        "dag": made.dag_id,
        "days": len(made.keys),
        "first": made.keys[0] if made.keys else None,
        "last": made.keys[-1] if made.keys else None,
        "champion": wish.champion,
    }


def create(airflow: Airflow, plan: Plan) -> Backfill:
    """Creates the Airflow backfill of a plan."""
    wish = plan.wish
    return airflow.backfill(
        plan.stages[0].dag,
        wish.first,
        wish.last,
        reprocess=wish.reprocess,
        max_active_runs=wish.max_active_runs,
        conf=conf_of(wish),
    )


def conf_of(wish: Wish) -> dict[str, Any]:
    """What the backfill's runs are told: only what differs from their form's defaults."""
    return {} if wish.champion == AS_WAS else {"champion": wish.champion}


def _champions(
    env: Environment, spec: ModelSpec, wish: Wish, runs: Iterable[str], stored: Mapping[str, PartitionInfo]
) -> tuple[dict[str, Champion], dict[str, str]]:
    """The champion of each day, and why a day has none that could score it."""
    from imago import ledger
    from imago.ledger import champions
    from imago.registry import load_model
    from imago.scoring.choice import pick

    with ledger.connect(env).connect() as connection:
        rows = champions.history(connection, spec.name)
    chosen: dict[str, Champion] = {}
    refused: dict[str, str] = {}
    broken: dict[str, str | None] = {}  # by artifact: why it cannot be loaded
    for ds in runs:
        known = stored.get(ds)
        try:
            chosen[ds] = entry = pick(rows, spec.name, ds, wish.champion, known.inputs if known else None)
        except NoChampion as none:
            refused[ds] = _in_short(none, ds)
            continue
        if entry.artifact_sha256 not in broken:
            try:
                load_model(env, entry)
                broken[entry.artifact_sha256] = None
            except ModelRefused as refusal:
                broken[entry.artifact_sha256] = f"version {entry.version} cannot be loaded: {refusal.message}"
        why = broken[entry.artifact_sha256]
        if why is not None:
            refused[ds] = f"{why}; choose another champion"
    return chosen, refused


def _policy(spec: ModelSpec) -> dict[str, str]:
    return {"policy": spec.scoring.bad_rows, "unseen": spec.scoring.unseen}


def _shadows(env: Environment, spec: ModelSpec, runs: tuple[str, ...]) -> tuple[str, ...]:
    """The versions that shadow a day of `runs` by now."""
    from imago import ledger
    from imago.ledger import shadows

    with ledger.connect(env).connect() as connection:
        standing = shadows.standing(connection, spec.name)
    return tuple(sorted({one.version for one in standing if runs and one.effective_ds <= runs[-1]}))


def _in_short(none: NoChampion, ds: str) -> str:
    """The refusal without its day, so that days which fail alike stand together."""
    why, left = none.message.replace(f" on {ds}", ""), none.facts.get("allowed")
    return f"{why}; choose another champion: {left}" if left else f"{why}; {none.next_step}"


def _touched(env: Environment, spec: ModelSpec, table: Any) -> dict[str, tuple[str, ...]]:
    from imago.features.changes import touched

    return touched(env, spec, table)


def _build_of(env: Environment, spec: ModelSpec, table: str) -> dict[str, str]:
    from imago.dbt import contract_of
    from imago.dbt.project import project_digest, project_folder

    model = spec.feature_model if table == "features" else spec.outcome_model
    return {
        "contract": contract_of(model, env.dbt_target).digest,
        "dbt_project": project_digest(project_folder(), env.dbt_target),
    }
