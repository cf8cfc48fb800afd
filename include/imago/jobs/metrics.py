"""The tasks of `metric_refresh`: what a day's predictions were worth, now that its outcome is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import MissingPartition, RefusedPartition
from imago.specs import ModelSpec
from imago.specs.calendar import require_open

if TYPE_CHECKING:
    import pyarrow as pa

    from imago.metrics.cohorts import Drop
    from imago.monitoring.estimation import Estimator

WINDOW_DAYS = 7  # one day's AUC has a standard error of about 0.02; a floor judged daily would cry wolf
CONFIDENCE = 2.0  # standard errors that a metric must lie beyond its floor


def refresh(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Joins the day's predictions with its outcomes, publishes model and business metrics, and holds the estimate that
    was made without labels against the truth.

    The same outcomes judge the versions that shadowed the day. Only a mature cohort is judged (see `metrics.cohorts`):
    metrics of an early one are published and alert nobody. A day without predictions gives {"skipped": reason}. Raises
    MissingPartition when the outcomes are not published.
    """
    from imago import ledger
    from imago.dbt.declared import check_metrics
    from imago.jobs.monitoring import estimate_of
    from imago.jobs.shadow_metrics import compare_quietly
    from imago.ledger import worth
    from imago.metrics.cohorts import LABELLED
    from imago.metrics.daily import ALL, BUSINESS, business_value, matured, metrics_of, slices_of, to_rows
    from imago.tables import Table

    require_open(spec, ds, environment=env.name)
    check_metrics(env, spec)
    predictions, outcomes = Table(env, spec.name, "predictions"), Table(env, spec.name, "outcomes")
    metrics = Table(env, spec.name, "metrics")
    fence = metrics.draw_fence()
    truth = outcomes.partition(ds)
    if truth is None:
        raise MissingPartition(
            f"the outcomes of {ds} are not published",
            environment=env.name,
            model=spec.name,
            table="outcomes",
            partition=ds,
            next_step="run outcome_refresh for that day, then metric_refresh again",
        )
    scored = predictions.partition(ds)
    if scored is None:
        return {"ds": ds, "skipped": f"no predictions of {ds} are published: nobody scored that day"}
    told = predictions.read([ds], version=scored.version)
    rows = matured(spec, told, outcomes.read([ds], version=truth.version))
    if not rows.num_rows:
        return {"ds": ds, "skipped": f"none of the {told.num_rows} predictions of {ds} has a known outcome"}
    source = scored.inputs["features"]
    made_of = Table(env, spec.name, "features")
    known = made_of.schema(source["version"]).names
    # A slice may be of a feature that joined after the day was scored.
    sliced = spec.model_copy(update={"slices": tuple(name for name in spec.slices if name in known)})
    features = made_of.read(
        [ds], columns=list(dict.fromkeys(("ds", *spec.entity_keys, *sliced.slices))), version=source["version"]
    )
    version = scored.inputs["model_version"]
    values: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    for name, part in slices_of(sliced, rows, features if sliced.slices else None):
        values[name], sizes[name] = metrics_of(spec, part), part.num_rows
        if spec.business is not None and spec.metrics_model is None:
            values[name][BUSINESS] = business_value(
                spec.business, part.column(spec.label).to_numpy(), part.column("decision").to_numpy().astype(bool)
            )
    if spec.metrics_model is not None:
        files = {
            "predictions_files": predictions.files([ds], version=scored.version),
            "outcomes_files": outcomes.files([ds], version=truth.version),
        }
        for name, numbers in read_metrics(env, spec, ds, _built(env, spec, ds, files, fence)).items():
            if name not in values:
                continue
            for twice in sorted(numbers.keys() & values[name].keys()):
                rule = "a name that no model metric has"
                raise _unfit(env, spec, ds, twice, rule, "another name", f"{twice} is a metric of Imago's own")
            values[name] |= numbers
    values[ALL][LABELLED] = rows.num_rows / told.num_rows
    early = immature_of(env, spec, ds, values[ALL][LABELLED])
    estimate = estimate_of(env, spec, ds)
    champion = _estimator_of(env, spec, scored.inputs["artifact_sha256"])
    true = values[ALL].get(spec.primary_metric)
    if estimate is not None and true is not None and not early:
        values[ALL] |= {
            f"estimated_{spec.primary_metric}": estimate,
            "estimate_error": estimate - true,
        }
        if champion is not None and champion.level is not None:  # what one would say of every day without estimating
            values[ALL][f"holdout_{spec.primary_metric}"] = champion.level
    published = metrics.publish(
        to_rows(ds, values, sizes, version),
        days=(ds,),
        key=("metric", "slice"),
        fence=fence,
        context=context,
        inputs={
            "model_version": version,
            "predictions": {"digest": scored.digest, "version": scored.version},
            "outcomes": {"digest": truth.digest, "version": truth.version},
        },
    )
    window = _window(env, spec, ds)
    alarms: list[str] = []
    drop = None if early else _drop(spec, champion, true, rows.num_rows)
    with ledger.connect(env).begin() as connection:
        if not early:
            alarms = _tell(connection, env, spec, ds, window, drop, context)
            worth.note(
                connection,
                spec.name,
                ds,
                decisions=rows.num_rows,
                value=values[ALL].get(BUSINESS),
                unit=spec.business.unit if spec.business else None,
            )
    return {
        "ds": ds,
        "rows": rows.num_rows,
        "unlabelled": told.num_rows - rows.num_rows,
        "model_version": version,
        "changed": ds in published.changed,
        spec.primary_metric: values[ALL].get(spec.primary_metric),
        BUSINESS: values[ALL].get(BUSINESS),
        "estimate": estimate,
        "immature": early,
        "window": window,
        "alarm": bool(alarms),
        "alarms": alarms,
        "shadow": compare_quietly(env, spec, ds, context),
    }


def is_behind(env: Environment, spec: ModelSpec, ds: str) -> bool:
    """Whether a day's metrics could be made and are missing, or are of other predictions than stand now."""
    from imago.tables import Table

    scored, truth, made = (Table(env, spec.name, name).partition(ds) for name in ("predictions", "outcomes", "metrics"))
    if scored is None or truth is None:
        return False
    return made is None or made.inputs["predictions"]["digest"] != scored.digest


def mature_at(spec: ModelSpec, ds: str) -> datetime:
    """The UTC moment (without zone) from which the outcomes of a day are complete: the end of the delay's last day."""
    from imago.training.cut import training_moment

    return training_moment(spec, shift(ds, spec.label_delay_days))


def immature_of(env: Environment, spec: ModelSpec, ds: str, labelled: float) -> str | None:
    """Why the cohort of a day, of whose rows the share `labelled` has an outcome, may not be judged yet; None when it
    may."""
    from imago.metrics.cohorts import immature

    return immature(
        told_at=_last_told(env, spec, [ds])[ds],
        mature_at=mature_at(spec, ds),
        labelled=labelled,
        usual=_usually_labelled(env, spec, ds),
    )


def _last_told(env: Environment, spec: ModelSpec, days: Sequence[str]) -> dict[str, datetime]:
    """When the outcomes of each day were last published; a day without outcomes is left out."""
    from imago import ledger
    from imago.ledger import publications

    with ledger.connect(env).connect() as connection:
        return publications.last_told(connection, spec.name, "outcomes", days)


def read_metrics(env: Environment, spec: ModelSpec, ds: str, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Slice to metric to value, of the rows that the spec's dbt metrics model made: its column of the business value,
    and each other column that is a number. Raises RefusedPartition for rows of another day, a slice twice, a day
    without the slice `all`, and a business value that is no finite number."""
    from imago.dbt import contract_of
    from imago.dbt.declared import metric_columns
    from imago.metrics.daily import ALL, BUSINESS

    assert spec.metrics_model is not None
    names = [name for name in metric_columns(contract_of(spec.metrics_model, env.dbt_target)) if name != "rows"]
    column = spec.business.column if spec.business is not None else None
    metrics: dict[str, dict[str, float]] = {}
    for row in rows:
        part, numbers = row["slice"], {name: float(row[name]) for name in names if row[name] is not None}
        if str(row["ds"])[:10] != ds:
            raise _unfit(env, spec, ds, "ds", "only the asked day", ds, str(row["ds"]))
        if part in metrics:
            raise _unfit(env, spec, ds, "slice", "a row for each slice", "each slice once", f"{part} again")
        if column is not None:
            value = numbers.pop(column, math.nan)
            if not math.isfinite(value):
                seen = f"{row[column]} for the slice {part}"
                raise _unfit(env, spec, ds, column, "the business value is a finite number", "a number", seen)
            numbers[BUSINESS] = value
        metrics[part] = {name: value for name, value in numbers.items() if math.isfinite(value)}
    if ALL not in metrics:
        seen = ", ".join(sorted(map(str, metrics))) or "no rows"
        raise _unfit(env, spec, ds, "slice", "a row for all rows together", f"a row with slice = '{ALL}'", seen)
    return metrics


def _unfit(
    env: Environment, spec: ModelSpec, ds: str, column: str, rule: str, allowed: str, seen: str
) -> RefusedPartition:
    return RefusedPartition(
        f"the rows of the metrics model {spec.metrics_model} cannot be read: {rule} does not hold",
        environment=env.name,
        model=spec.name,
        table="metrics",
        partition=ds,
        column=column,
        rule=rule,
        allowed=allowed,
        seen=seen,
        next_step=f"correct {spec.metrics_model}.sql, then run metric_refresh again: "
        f"imago run metric_refresh {spec.name} --ds {ds} --env {env.name}",
    )


def _built(
    env: Environment, spec: ModelSpec, ds: str, files: dict[str, list[str]], attempt: int
) -> list[dict[str, Any]]:
    """The rows of the spec's dbt metrics model for one day, built in a staging place of this attempt's own."""
    from imago import dbt
    from imago.storage import Storage

    business, model = spec.business, spec.metrics_model
    assert model is not None
    storage, folder = Storage(env), f"staging/{spec.name}/metrics/{ds}/{attempt}"
    prices = {}
    if business is not None:
        prices = {
            "price_caught": business.caught,
            "price_false_alarm": business.false_alarm,
            "price_missed": business.missed,
            "price_quiet": business.quiet,
        }
    if not env.on_s3:
        storage.filesystem.create_dir(storage.path(folder), recursive=True)
    try:
        dbt.build(env, select=[model], first=ds, last=ds, staging=storage.uri(folder), variables={**files, **prices})
        return storage.read_parquet(f"{folder}/{model}.parquet").to_pylist()
    finally:
        storage.delete(folder)


def _window(env: Environment, spec: ModelSpec, ds: str) -> dict[str, Any]:
    """The primary metric over the pooled rows of the last matured days, under the champion that scored `ds`."""
    from imago.metrics.cohorts import is_early
    from imago.metrics.daily import matured, metrics_of, truth_and_scores
    from imago.metrics.scores import roc_auc_error
    from imago.selection.bootstrap import standard_error
    from imago.selection.units import Units
    from imago.tables import Table

    predictions, outcomes = Table(env, spec.name, "predictions"), Table(env, spec.name, "outcomes")
    scored = {info.ds: info.inputs["model_version"] for info in predictions.partitions()}
    told_at = _last_told(env, spec, days_between(shift(ds, 1 - WINDOW_DAYS), ds))
    days = [
        day
        for day, moment in sorted(told_at.items())
        if not is_early(moment, mature_at(spec, day)) and scored.get(day) == scored[ds]
    ]
    rows: pa.Table = matured(spec, predictions.read(days), outcomes.read(days))
    told = metrics_of(spec, rows) if rows.num_rows else {}
    value, noise = told.get(spec.primary_metric), 0.0
    if value is not None:
        units = Units.of_rows(spec, rows)
        if spec.primary_metric == "roc_auc":
            positive = round(told["label_rate"] * rows.num_rows)
            noise = roc_auc_error(value, positive, rows.num_rows - positive)
        if spec.primary_metric != "roc_auc" or units.draws_entities:
            truth, scores = truth_and_scores(spec, rows)
            noise = max(noise, standard_error(spec.primary_metric, units, truth, scores, seed=spec.training.seed))
    return {"days": len(days), "rows": rows.num_rows, "value": value, "standard_error": noise}


def _usually_labelled(env: Environment, spec: ModelSpec, ds: str) -> float | None:
    """The median share of rows whose outcome came, over the cohorts of the four weeks before; None without any."""
    from statistics import median

    from imago.metrics.cohorts import LABELLED
    from imago.metrics.daily import ALL
    from imago.tables import Table

    table = Table(env, spec.name, "metrics")
    wanted = set(days_between(shift(ds, -28), shift(ds, -1)))
    days = [day for day in table.published_days() if day in wanted]
    if not days:
        return None
    found = [row["value"] for row in table.read(days).to_pylist() if row["metric"] == LABELLED and row["slice"] == ALL]
    return median(found) if found else None


def _estimator_of(env: Environment, spec: ModelSpec, identity: str) -> Estimator | None:
    """What the holdout says of the champion's primary metric, by its artifact's sha256."""
    from imago.jobs.references import stored_reference

    try:
        return stored_reference(env, spec, identity).estimator
    except FileNotFoundError:  # scored before references were of this kind
        return None


def drop_of(env: Environment, spec: ModelSpec, identity: str, value: float | None, rows: int) -> Drop | None:
    """How far a cohort's primary metric fell below what the champion (by its artifact's sha256) showed on its holdout,
    where that is more than its noise."""
    return _drop(spec, _estimator_of(env, spec, identity), value, rows)


def _drop(spec: ModelSpec, known: Estimator | None, value: float | None, rows: int) -> Drop | None:
    from imago.metrics.cohorts import dropped

    if known is None or known.level is None or known.spread is None or value is None:
        return None
    return dropped(
        value,
        rows,
        level=known.level,
        spread=known.spread,
        days=known.days,
        level_error=known.level_error,
        usual_rows=known.rows,
        least=spec.smallest_effect,
        budget=spec.drift.false_alerts_per_quarter,
        lower_is_better=spec.lower_is_better,
    )


def _tell(
    connection: Any,
    env: Environment,
    spec: ModelSpec,
    ds: str,
    window: dict[str, Any],
    drop: Drop | None,
    context: RunContext,
) -> list[str]:
    """Alerts when the window fell through the spec's floor by more than chance (a shorter window says neither good nor
    bad), and when the cohort alone is far worse than the champion was on its holdout. Returns the rules that fired."""
    from imago.alerts.links import dashboard_links
    from imago.alerts.outbox import Alert, raise_alerts, resolve

    value, floor, metric = window["value"], spec.guardrails.floor, spec.primary_metric
    links = dashboard_links(env, spec.name)
    alarms: dict[str, Alert] = {}
    judged = value is not None and window["days"] >= WINDOW_DAYS
    margin = CONFIDENCE * window["standard_error"]
    if judged and (value - margin > floor if spec.lower_is_better else value + margin < floor):
        alarms["metric_floor"] = Alert(
            model=spec.name,
            rule="metric_floor",
            subject=metric,
            title=f"{metric} of the {window['days']} days to {ds} is {value:.3f}, the floor is {floor:.3f}",
            why="The champion tells good from bad less well than the spec demands of a model that serves.",
            did="Predictions go on as usual; the champion stays.",
            next_step="Look at drift and slices on the dashboard; run training for the last closed day, "
            f"or roll back with `imago champion rollback --model {spec.name}`.",
            ds=ds,
            facts={"value": value, "threshold": floor, "rows": window["rows"], "window_days": window["days"]},
            links=links,
        )
    if drop is not None:
        alarms["metric_drop"] = Alert(
            model=spec.name,
            rule="metric_drop",
            subject=metric,
            title=f"{metric} of {ds} is {drop.value:.3f}; on its holdout the champion had {drop.level:.3f} a day",
            why="All outcomes of the day are known, and single days of the holdout did not differ by as much.",
            did="Predictions go on as usual; the champion stays.",
            next_step="Look at the day's slices and drift on the dashboard. One day with a plain cause: watch. "
            "Else run training for the last closed day, or roll back with "
            f"`imago champion rollback --model {spec.name}`.",
            ds=ds,
            facts={"value": drop.value, "threshold": drop.bound, "rows": drop.rows},
            links=links,
        )
    raise_alerts(connection, alarms.values(), context)
    if context.mode == "live":
        calm = [rule for rule, known in (("metric_floor", judged), ("metric_drop", True)) if known]
        for rule in calm:
            if rule not in alarms:
                resolve(connection, spec.name, rule, metric, context, ds=ds)
    return list(alarms)
