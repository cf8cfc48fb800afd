"""The page of a day's drift: what was judged, what Great Expectations says of the same profile, and the history.

    drift/{model}/{ds}/index.html     result.json beside it says the same

It is a task of its own behind the judgement, so that an alert does not wait for the import of Great Expectations.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.jobs.monitoring import Judgement
    from imago.monitoring.drift import Finding
    from imago.monitoring.profiles import Profile
    from imago.monitoring.reference import Reference

PAGE, RESULT = "index.html", "result.json"
PICTURES = 4  # columns that are drawn, the worst first
HISTORY = 60  # days


def document(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Lets Great Expectations judge the day's profile, writes the page, and returns what was checked.

    Raises ImagoError when not every check ran, or when one says something else than the judgement did.
    """
    import imago.monitoring
    from imago import pages
    from imago.errors import shown
    from imago.jobs.monitoring import judgement_of, looked_at
    from imago.monitoring import expectations
    from imago.monitoring.wording import said
    from imago.storage import Storage
    from imago.validator.words import spoken, without_rows

    judgement = judgement_of(env, spec, ds)
    _, reference, profiles = looked_at(env, spec, ds, spec.drift)
    findings = sorted(judgement.findings, key=lambda one: one.rank)
    validation = expectations.judged(ds, findings, profiles, reference)
    doubts = expectations.doubts(findings, validation)
    found = {
        "environment": env.name,
        "model": spec.name,
        "ds": ds,
        "model_version": judgement.inputs["model_version"],
        "checks": {"declared": len(findings), "run": len(validation.results)},
        "critical": [said(one) for one in findings if one.level == "critical"],
        "warnings": [said(one) for one in findings if one.level == "warning"],
        "estimates": [vars(one) for one in judgement.estimates],
        "doubts": doubts,
    }
    storage, folder = Storage(env), f"drift/{spec.name}/{ds}"
    document = {**found, "validation": without_rows(validation)}
    storage.write_bytes(f"{folder}/{RESULT}", json.dumps(document, indent=1, default=str).encode())
    page = pages.template(Path(imago.monitoring.__file__).parent, "drift_page.html").render(
        said=found,
        suite=spoken(validation),
        pictures=_pictures(env, spec, ds, judgement, profiles, reference),
        shown=shown,
    )
    storage.write_bytes(f"{folder}/{PAGE}", page.encode())
    if doubts:
        raise ImagoError(
            f"Great Expectations does not bear out the judgement of {ds}: {doubts[0]}",
            environment=env.name,
            model=spec.name,
            partition=ds,
            rule="checks run = checks declared, and both say the same",
            allowed=f"{len(findings)} checks",
            seen=f"{len(doubts)} in doubt",
            next_step="monitor the day again, since its profile may have changed meanwhile; if it stays, report it",
        )
    return {
        "ds": ds,
        "checks": found["checks"],
        "critical": len(found["critical"]),
        "warnings": len(found["warnings"]),
        "page": f"{folder}/{PAGE}",
    }


def page(env: Environment, spec: ModelSpec, ds: str) -> str | None:
    """The stored page of a day, None where there is none."""
    from imago.days import parse_day
    from imago.storage import Storage

    storage, rel = Storage(env), f"drift/{spec.name}/{parse_day(ds)}/{PAGE}"
    return storage.read_bytes(rel).decode() if storage.exists(rel) else None


def _pictures(
    env: Environment,
    spec: ModelSpec,
    ds: str,
    judgement: Judgement,
    profiles: dict[str, Profile],
    reference: Reference,
) -> list[dict[str, str]]:
    """For each of the worst columns its worst measure over the last days, and its distribution then and now."""
    worst: dict[str, Finding] = {}
    for finding in sorted(judgement.findings, key=lambda one: one.rank):
        worst.setdefault(finding.column, finding)
    drawn = list(worst.values())[:PICTURES]
    history = _history(env, spec, ds)
    return [
        {
            "column": one.column,
            "measure": f"{one.measure.replace('_', ' ')}, {one.window}",
            "history": _line(one, history, ds),
            "shape": _shape(one.column, profiles[ds], reference),
        }
        for one in drawn
    ]


def _history(env: Environment, spec: ModelSpec, ds: str) -> list[dict[str, Any]]:
    from imago.days import shift
    from imago.tables import Table

    table = Table(env, spec.name, "drift")
    days = [day for day in table.published_days() if shift(ds, -HISTORY) <= day <= ds]
    return table.read(days).to_pylist() if days else []


def _line(one: Finding, history: list[dict[str, Any]], ds: str) -> str:
    from imago.dashboard import charts

    key = (one.column, one.measure, one.window)
    values = {row["ds"]: row["value"] for row in history if (row["column"], row["measure"], row["window"]) == key}
    values[ds] = one.value
    days = sorted(values)
    return charts.lines(
        days,
        [charts.Series(one.measure, [values[day] for day in days], "accent")],
        marks=[charts.Mark("threshold", one.threshold, "bad")],
        label=f"{one.measure} of {one.column}",
        shown=lambda value: f"{value:.3g}",
        zero=True,
    )


def _shape(column: str, day: Profile, reference: Reference) -> str:
    """Shares of the day and of the training in groups of equal training mass, or of the most frequent names."""
    import numpy as np

    from imago.dashboard import charts
    from imago.monitoring import divergence

    if column not in reference.profile.columns:
        return ""
    trained, now = reference.profile.columns[column], day.columns[column]
    counts, seen = np.array(trained.counts, dtype=float), np.array(now.counts, dtype=float)
    if not counts.sum() or not seen.sum():
        return ""
    if trained.kind == "categorical":
        order = np.argsort(-counts, kind="stable")[:12]
        names = [trained.categories[place] for place in order]
        before, after = counts[order], seen[order]
    else:
        starts = divergence.group_starts(counts)
        before, after = divergence.grouped(counts, starts), divergence.grouped(seen, starts)
        names = ["lowest", *(f"from {trained.edges[place - 1]:.4g}" for place in starts[1:])]
    return charts.pairs(
        names,
        (before / counts.sum()).tolist(),
        (after / seen.sum()).tolist(),
        label=f"shares of {column} in the training and on the day",
        sides=("training", "the day"),
    )
