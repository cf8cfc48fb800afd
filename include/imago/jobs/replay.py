"""Judging published days again by other rules. Nothing is written, and nobody is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imago.days import days_between, shift
from imago.environments import Environment
from imago.errors import MissingPartition
from imago.specs import Drift, ModelSpec

if TYPE_CHECKING:
    from imago.monitoring.replaying import Replay


def replay(env: Environment, spec: ModelSpec, first: str, last: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """What the spec's rules fire over the days `first` to `last`, and what the changed ones would have.

    Raises MissingPartition when no day of the range has a profile, ImagoError for a change that is none.
    """
    from imago.monitoring.replaying import with_changes
    from imago.specs.model import DRIFT_COLUMNS
    from imago.tables import Table

    changed = with_changes(spec.drift, changes, {*spec.feature_names, *DRIFT_COLUMNS})
    published = set(Table(env, spec.name, "profiles").published_days())
    days = [ds for ds in days_between(first, last) if ds in published]
    if not days:
        raise MissingPartition(
            f"no profile from {first} to {last} is published, so there is nothing to judge again",
            environment=env.name,
            model=spec.name,
            table="profiles",
            next_step=f"`imago partitions profiles {spec.name}` lists the days",
        )
    losses = _losses(env, spec, first, last)
    now = _judged(env, spec, days, spec.drift, losses)
    told = {"model": spec.name, "first": days[0], "last": days[-1], "losses": losses, "now": now.as_dict()}
    if changes:
        told |= {"changes": list(changes), "changed": _judged(env, spec, days, changed, losses).as_dict()}
    return told


def _judged(env: Environment, spec: ModelSpec, days: Sequence[str], drift: Drift, losses: Sequence[str]) -> Replay:
    from imago.jobs.monitoring import judgement_of
    from imago.monitoring.drift import verdicts
    from imago.monitoring.replaying import Recorder, replay
    from imago.monitoring.wording import said

    recorder = Recorder()
    for ds in days:
        found = verdicts(judgement_of(env, spec, ds, drift).findings)
        recorder.day(ds, {one.concern: (one.columns, said(one.worst[0])) for one in found if one.fired})
    return replay(recorder, days, losses)


def _losses(env: Environment, spec: ModelSpec, first: str, last: str) -> list[str]:
    """The mature cohorts up to two weeks after the range whose metric fell below what the champion's holdout allows."""
    from imago.jobs.metrics import drop_of, immature_of
    from imago.metrics.cohorts import LABELLED
    from imago.metrics.daily import ALL
    from imago.monitoring.replaying import AHEAD
    from imago.tables import Table

    metrics, predictions = Table(env, spec.name, "metrics"), Table(env, spec.name, "predictions")
    champions = {info.ds: info.inputs["artifact_sha256"] for info in predictions.partitions()}
    days = [ds for ds in metrics.published_days() if first <= ds <= shift(last, AHEAD) and ds in champions]
    values: dict[str, dict[str, dict[str, Any]]] = {}
    for row in metrics.read(days).to_pylist() if days else ():
        if row["slice"] == ALL:
            values.setdefault(row["ds"], {})[row["metric"]] = row
    found = []
    for ds, told in sorted(values.items()):
        row = told.get(spec.primary_metric)
        if row is None or drop_of(env, spec, champions[ds], row["value"], row["rows"]) is None:
            continue
        if not immature_of(env, spec, ds, told[LABELLED]["value"]):
            found.append(ds)
    return found
