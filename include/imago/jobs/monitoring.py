"""The tasks of `monitoring`: a day's profile against the champion's reference. No row of data is read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import DamagedPartition, Fenced, MissingPartition, ModelRefused
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.ledger.champions import Champion
    from imago.monitoring.drift import Finding
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import Reference

log = logging.getLogger(__name__)
ATTEMPTS = 5
SHOWN = 3  # columns named in an alert


def write_reference(env: Environment, spec: ModelSpec, champion: Champion, context: RunContext) -> dict[str, Any]:
    """Makes and stores the champion's reference from the snapshot that it was trained on; the same again writes the
    same.
    """
    from imago.storage import Storage

    reference = _made(env, spec, champion)
    path = _path(spec, champion)
    Storage(env).write_sealed(path, reference.to_json())
    return {
        "reference": path,
        "rows": reference.profile.rows,
        "first_day": reference.first_day,
        "last_day": reference.last_day,
    }


def reference_of(env: Environment, spec: ModelSpec, champion: Champion, context: RunContext) -> Reference:
    """The champion's stored reference; made on first use where deployment did not write it, and again where the file
    was damaged."""
    from imago.monitoring.reference import Reference
    from imago.storage import Storage

    storage, path = Storage(env), _path(spec, champion)
    try:
        return Reference.from_json(storage.read_sealed(path))
    except FileNotFoundError:
        pass
    except DamagedPartition as damaged:
        log.warning("%s: it is made anew from the snapshot that the champion was trained on", damaged)
    write_reference(env, spec, champion, context)
    return Reference.from_json(storage.read_sealed(path))


def monitor(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Judges the profile of `ds`, publishes its drift, and alerts once a concern.

    Later days whose window holds `ds` are judged again, so that days which are backfilled in any order end with the
    same drift.
    """
    from imago import ledger

    judged = [ds]
    findings, window_days = _judge_and_publish(env, spec, ds, context)
    for later in _judged_without(env, spec, ds):
        _judge_and_publish(env, spec, later, context)
        judged.append(later)
    with ledger.connect(env).begin() as connection:
        alarms = _tell(connection, env, spec, ds, findings, window_days, context)
    return {
        "ds": ds,
        "window_days": window_days,
        "judged": judged,
        "warnings": sum(finding.level == "warning" for finding in findings),
        "critical": sum(finding.level == "critical" for finding in findings),
        "worst": [_shown(finding) for finding in _ranked(findings)[:SHOWN]],
        "alarms": alarms,
    }


def _path(spec: ModelSpec, champion: Champion) -> str:
    return f"models/{spec.name}/references/{champion.artifact_sha256}/profile.json"


def _made(env: Environment, spec: ModelSpec, champion: Champion) -> Reference:
    from imago.answers import decisions_of, told
    from imago.monitoring.reference import fit_reference, profiled_columns
    from imago.registry import load_model
    from imago.registry.outputs import check_outputs
    from imago.training import snapshot

    scorer = load_model(env, champion)
    folder = scorer.card.get("snapshot")
    if not folder:
        raise ModelRefused(
            "the champion does not say on which snapshot it was trained, so it has no reference for drift",
            environment=env.name,
            model=spec.name,
            seen=f"version {champion.version}",
            next_step="train again: a new champion records its snapshot",
        )
    # All that the champion learned from, tuning days too; the holdout stays out: it judged, it did not teach.
    rows = snapshot.load(env, folder).part("fit")
    check_outputs(spec, scorer.card)
    return fit_reference(
        identity=champion.artifact_sha256,
        columns=profiled_columns(rows, spec.feature_names, told(spec, scorer.predict(rows))),
        kinds={feature.name: feature.kind for feature in spec.features},
        decisions=decisions_of(spec),
        days=rows.column("ds").to_pylist(),
        window_days=spec.drift.window_days,
    )


def _judged_without(env: Environment, spec: ModelSpec, ds: str) -> list[str]:
    """The later days whose window holds `ds`, and that were judged before its profile stood as it does now."""
    from imago.tables import Table

    window = spec.drift.window_days
    profile = Table(env, spec.name, "profiles").partition(ds)
    judged = {info.ds: info for info in Table(env, spec.name, "drift").partitions()}
    return [
        day
        for day in days_between(ds, shift(ds, window - 1))[1:]
        if day in judged and profile and judged[day].inputs["profiles"].get(ds) != profile.digest
    ]


def _judge_and_publish(
    env: Environment, spec: ModelSpec, ds: str, context: RunContext
) -> tuple[tuple[Finding, ...], int]:
    """The judgement is a function of what is published now, so an attempt that was overtaken reads again."""
    from imago.tables import Table

    drift = Table(env, spec.name, "drift")
    for attempt in range(ATTEMPTS):
        fence = drift.draw_fence()
        findings, window_days, inputs = _judge(env, spec, ds)
        try:
            drift.publish(
                _rows(ds, findings, inputs["model_version"]),
                days=(ds,),
                key=("column", "measure"),
                fence=fence,
                context=context,
                inputs=inputs,
            )
        except Fenced:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        # A profile of the window that came in between had not seen this day's drift, so it left it to us.
        if inputs["profiles"] == _profiles_in_window(env, spec, ds, inputs["reference"]):
            return findings, window_days
    return findings, window_days


def _judge(env: Environment, spec: ModelSpec, ds: str) -> tuple[tuple[Finding, ...], int, dict[str, Any]]:
    import pyarrow.compute as pc

    from imago.monitoring.drift import judge
    from imago.monitoring.profiles import Profile
    from imago.tables import Table

    table = Table(env, spec.name, "profiles")
    info = table.partition(ds)
    if info is None:
        raise MissingPartition(
            f"the profile of {ds} is not published",
            environment=env.name,
            model=spec.name,
            table="profiles",
            partition=ds,
            next_step="run batch_scoring for that day, then monitoring again",
        )
    identity = info.inputs["reference"]
    reference = _stored_reference(env, spec, identity)
    profiles = _profiles_in_window(env, spec, ds, identity)
    window = list(profiles)
    rows = table.read(window)
    parts: Mapping[str, Profile] = {
        day: Profile.from_table(rows.filter(pc.equal(rows.column("ds"), day))) for day in window
    }
    findings = judge(
        ds=ds,
        day=parts[ds],
        window=Profile.merge(parts.values()),
        window_days=len(window),
        reference=reference,
        thresholds=spec.drift,
    )
    inputs = {
        "reference": identity,
        "model_version": info.inputs["model_version"],
        "profiles": profiles,
    }
    return findings, len(window), inputs


def _profiles_in_window(env: Environment, spec: ModelSpec, ds: str, identity: str) -> dict[str, str]:
    """The digests of the profiles that the window of `ds` holds, by day. Only days under the same champion can be
    added up: others have other bins."""
    from imago.tables import Table

    window = set(days_between(shift(ds, 1 - spec.drift.window_days), ds))
    known = Table(env, spec.name, "profiles").partitions()
    return {info.ds: info.digest for info in known if info.ds in window and info.inputs["reference"] == identity}


def _stored_reference(env: Environment, spec: ModelSpec, identity: str) -> Reference:
    from imago.monitoring.reference import Reference
    from imago.storage import Storage

    return Reference.from_json(Storage(env).read_sealed(f"models/{spec.name}/references/{identity}/profile.json"))


def _rows(ds: str, findings: Sequence[Finding], model_version: str) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "ds": pa.array([ds] * len(findings), pa.string()),
            "column": pa.array([finding.column for finding in findings], pa.string()),
            "measure": pa.array([finding.measure for finding in findings], pa.string()),
            "value": pa.array([finding.value for finding in findings], pa.float64()),
            "threshold_warning": pa.array([finding.threshold_warning for finding in findings], pa.float64()),
            "threshold_critical": pa.array([finding.threshold_critical for finding in findings], pa.float64()),
            "level": pa.array([finding.level for finding in findings], pa.string()),
            "model_version": pa.array([model_version] * len(findings), pa.string()),
        }
    )


def _ranked(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (-finding.excess, finding.column, finding.measure))


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "column": finding.column,
        "measure": finding.measure,
        "value": round(finding.value, 4),
        "threshold": round(finding.threshold_critical, 4),
        "level": finding.level,
    }


def _tell(
    connection: Any,
    env: Environment,
    spec: ModelSpec,
    ds: str,
    findings: Sequence[Finding],
    window_days: int,
    context: RunContext,
) -> list[str]:
    """Raises an alert for each concern that alarms, and resolves those that are calm. Returns the alarming concerns."""
    from imago.alerts.links import dashboard_links
    from imago.alerts.outbox import Alert, raise_alerts, resolve
    from imago.jobs.pictures import distribution
    from imago.monitoring.drift import verdicts
    from imago.monitoring.wording import rule_of, words_of

    said = verdicts(findings)
    fired = [verdict for verdict in said if verdict.fired]
    raise_alerts(
        connection,
        [
            Alert(
                model=spec.name,
                links=dashboard_links(env, spec.name),
                picture=distribution(env, spec, ds, verdict.worst[0].column),
                **words_of(verdict, ds=ds, window_days=window_days),
            )
            for verdict in fired
        ],
        context,
    )
    if context.mode == "live":
        for verdict in said:
            if not verdict.fired:
                rule, subject = rule_of(verdict.concern)
                resolve(connection, spec.name, rule, subject, context, ds=ds)
    return [verdict.concern for verdict in fired]
