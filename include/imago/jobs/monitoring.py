"""The tasks of `monitoring`: a day's profile against the champion's reference. No row of data is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import Fenced, MissingPartition
from imago.jobs.references import reference_of, stored_reference, write_reference
from imago.specs import Drift, ModelSpec
from imago.specs.calendar import require_open

if TYPE_CHECKING:
    from imago.monitoring.drift import Finding
    from imago.monitoring.estimates import Estimate
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import Reference

__all__ = ["monitor", "reference_of", "write_reference"]

ATTEMPTS = 5
SHOWN = 3  # columns named in the summary


@dataclass(frozen=True)
class Judgement:
    """What a day came to. `inputs` is its provenance: champion, reference and the profiles that it was judged from."""

    findings: tuple[Finding, ...]
    estimates: tuple[Estimate, ...]
    inputs: dict[str, Any]
    new: tuple[str, ...] = ()  # features of the spec that the champion was not trained with: nothing to compare with
    gone: tuple[str, ...] = ()  # features of the champion that the spec no longer has


def monitor(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Judges the profile of `ds`, publishes its drift and its estimated performance, and alerts once a concern.

    Later days that looked at `ds` are judged again, so that days which are backfilled in any order end with the same
    drift.
    """
    from imago import ledger

    require_open(spec, ds, environment=env.name)
    judged = [ds]
    judgement = _judge_and_publish(env, spec, ds, context)
    for later in _judged_without(env, spec, ds):
        _judge_and_publish(env, spec, later, context)
        judged.append(later)
    with ledger.connect(env).begin() as connection:
        alarms = _tell(connection, env, spec, ds, judgement, context)
    findings = judgement.findings
    return {
        "ds": ds,
        "days": len(judgement.inputs["profiles"]),
        "judged": judged,
        "new": list(judgement.new),
        "gone": list(judgement.gone),
        "checks": len(findings),
        "warnings": sum(finding.level == "warning" for finding in findings),
        "critical": sum(finding.level == "critical" for finding in findings),
        "worst": [_shown(finding) for finding in sorted(findings, key=lambda one: one.rank)[:SHOWN]],
        "estimates": {f"{one.metric} of {one.days} days": one.value for one in judgement.estimates},
        "alarms": alarms,
    }


def judgement_of(env: Environment, spec: ModelSpec, ds: str, drift: Drift | None = None) -> Judgement:
    """Judges a day from what is published now, by the spec's own rules or by others. Writes nothing.

    Raises MissingPartition when the day's profile is not published.
    """
    from imago.monitoring.drift import judge
    from imago.monitoring.estimates import estimates_of
    from imago.monitoring.reach import check_bounds

    drift = drift or spec.drift
    inputs, reference, profiles = looked_at(env, spec, ds, drift)
    check_bounds(spec.model_copy(update={"drift": drift}), reference)
    return Judgement(
        judge(ds, profiles, reference, drift, spec.calendar_names),
        estimates_of(ds, profiles, reference),
        inputs,
        new=tuple(name for name in spec.feature_names if name not in reference.features),
        gone=tuple(name for name in reference.features if name not in spec.feature_names),
    )


def estimate_of(env: Environment, spec: ModelSpec, ds: str) -> float | None:
    """The estimated performance of the day alone, from its profile; None where there is none.

    A function of the profile and its champion's reference: it is the same whether or not monitoring ran before.
    """
    from imago.monitoring.profiles import Profile
    from imago.tables import Table

    table = Table(env, spec.name, "profiles")
    info = table.partition(ds)
    if info is None:
        return None
    try:
        reference = stored_reference(env, spec, info.inputs["reference"])
    except FileNotFoundError:  # scored before references were of this kind
        return None
    if reference.estimator is None:
        return None
    return reference.estimator.estimate(Profile.from_table(table.read([ds], version=info.version), reference.profile))


def looked_at(
    env: Environment, spec: ModelSpec, ds: str, drift: Drift
) -> tuple[dict[str, Any], Reference, dict[str, Profile]]:
    """The provenance of a day's judgement, its champion's reference, and the profiles to judge from: those of the last
    weeks under that champion, and before its first day those that its training knew."""
    import pyarrow.compute as pc

    from imago.monitoring.drift import looked_at as days_of
    from imago.monitoring.profiles import Profile
    from imago.tables import Table

    table = Table(env, spec.name, "profiles")
    known = {info.ds: info for info in table.partitions()}
    if ds not in known:
        raise MissingPartition(
            f"the profile of {ds} is not published",
            environment=env.name,
            model=spec.name,
            table="profiles",
            partition=ds,
            next_step="run batch_scoring for that day, then monitoring again",
        )
    identity = known[ds].inputs["reference"]
    reference = stored_reference(env, spec, identity)
    # Only days under the same champion can be added up: others have other bins.
    mine = {day for day, info in known.items() if info.inputs["reference"] == identity}
    wanted = days_of(mine | set(reference.recent), ds, drift.confirm)
    stored = [day for day in wanted if day in mine]
    rows = table.read(stored)
    profiles = {day: reference.recent[day] for day in wanted if day not in mine}
    profiles |= {
        day: Profile.from_table(rows.filter(pc.equal(rows.column("ds"), day)), reference.profile) for day in stored
    }
    inputs = {
        "reference": identity,
        "model_version": known[ds].inputs["model_version"],
        "profiles": {day: known[day].digest for day in stored},
    }
    return inputs, reference, profiles


def _judged_without(env: Environment, spec: ModelSpec, ds: str) -> list[str]:
    """The later days whose judgement looked at `ds`, or would now, and that saw another profile of it than stands."""
    from imago.monitoring.drift import looked_at as days_of
    from imago.tables import Table

    known = {info.ds: info for info in Table(env, spec.name, "profiles").partitions()}
    if ds not in known:
        return []
    under: dict[str, set[str]] = {}
    for day, info in known.items():
        under.setdefault(info.inputs["reference"], set()).add(day)

    def now(day: str) -> str | None:
        mine = under[known[day].inputs["reference"]]
        return known[ds].digest if ds in mine and ds in days_of(mine, day, spec.drift.confirm) else None

    judged = {info.ds: info.inputs for info in Table(env, spec.name, "drift").partitions()}
    later = sorted(day for day in judged if day > ds and day in known)
    return [day for day in later if judged[day]["profiles"].get(ds) != now(day)]


def _judge_and_publish(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> Judgement:
    """The judgement is a function of what is published now, so an attempt that was overtaken reads again."""
    from imago.monitoring.estimates import estimate_rows
    from imago.monitoring.rows import finding_rows
    from imago.tables import Table

    drift, estimates = (Table(env, spec.name, name) for name in ("drift", "estimates"))
    for attempt in range(ATTEMPTS):
        fence = drift.draw_fence()
        made = judgement_of(env, spec, ds)
        version = made.inputs["model_version"]
        try:
            drift.publish(
                finding_rows(ds, made.findings, version),
                days=(ds,),
                key=("column", "measure", "window"),
                fence=fence,
                context=context,
                inputs=made.inputs,
                allow_empty=True,
            )
            estimates.publish(
                estimate_rows(ds, made.estimates, version),
                days=(ds,),
                key=("metric", "days"),
                fence=fence,
                context=context,
                inputs=made.inputs,
                allow_empty=True,
            )
        except Fenced:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        # A profile that came in between had not seen this day's drift, so it left it to us.
        if made.inputs == _inputs_now(env, spec, ds):
            return made
    return made


def _inputs_now(env: Environment, spec: ModelSpec, ds: str) -> dict[str, Any]:
    return looked_at(env, spec, ds, spec.drift)[0]


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "column": finding.column,
        "measure": finding.measure,
        "window": finding.window,
        "value": round(finding.value, 4),
        "threshold": round(finding.threshold, 4),
        "level": finding.level,
    }


def _tell(
    connection: Any, env: Environment, spec: ModelSpec, ds: str, judgement: Judgement, context: RunContext
) -> list[str]:
    """Raises an alert for each concern that alarms, and resolves those that are calm. Returns the alarming concerns."""
    from imago.alerts.links import dashboard_links, drift_links
    from imago.alerts.outbox import Alert, raise_alerts, resolve
    from imago.jobs.pictures import distribution
    from imago.monitoring.drift import verdicts
    from imago.monitoring.estimates import falls_short
    from imago.monitoring.wording import ESTIMATE, rule_of, words_of, words_of_estimate

    said = verdicts(judgement.findings)
    links = dashboard_links(env, spec.name) | drift_links(env, spec.name, ds)
    found = [
        Alert(
            model=spec.name,
            links=links,
            picture=distribution(env, spec, ds, verdict.worst[0].column),
            **words_of(verdict, ds=ds),
        )
        for verdict in said
        if verdict.fired
    ]
    alarms: list[str] = [verdict.concern for verdict in said if verdict.fired]
    floor = spec.guardrails.floor
    short = falls_short(judgement.estimates, floor, lower_is_better=spec.lower_is_better)
    if short is not None:
        found.append(Alert(model=spec.name, links=links, **words_of_estimate(short, ds=ds, floor=floor)))
        alarms.append("estimated_performance")
    raise_alerts(connection, found, context)
    if context.mode == "live":
        calm = [rule_of(verdict.concern) for verdict in said if not verdict.fired]
        for rule, subject in [*calm, *([] if short else [(ESTIMATE, spec.primary_metric)])]:
            resolve(connection, spec.name, rule, subject, context, ds=ds)
    return alarms
