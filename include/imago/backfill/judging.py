"""What a backfill does to one day of one stage, and why: a rule for each stage. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from imago.backfill.facts import DONE, WRITES, Day, Facts, What

Told = Mapping[str, Mapping[str, Day]]


def _refresh(facts: Facts, ds: str, told: Told, *, table: str) -> Day:
    stored = facts.stored[table].get(ds)
    if stored is None:
        return Day(ds=ds, what="create", why="it is not published yet")
    touched = facts.raw.get(table, {}).get(ds, ())
    reasons = [*touched[:2], *([f"and {len(touched) - 2} more raw files"] if len(touched) > 2 else [])]
    for name, words in (("contract", "its contract changed"), ("dbt_project", "the dbt project changed")):
        now = facts.builds.get(table, {}).get(name)
        if now is not None and stored.inputs.get(name) != now:
            reasons.append(words)
    what: What = "rewrite" if reasons else "same"
    return Day(ds=ds, what=what, why="; ".join(reasons) or "raw files and dbt project are the same", rows=stored.rows)


def _score(facts: Facts, ds: str, told: Told) -> Day:
    built = told.get("feature_refresh", {}).get(ds)
    features, stored = facts.stored["features"].get(ds), facts.stored["predictions"].get(ds)
    was = stored.inputs.get("model_version") if stored else None
    if features is None and built is None:
        return Day(ds=ds, what="fail", why="its features are not published: begin with feature_refresh", was=was)
    if ds in facts.refused:
        return Day(ds=ds, what="fail", why=facts.refused[ds], was=was)
    chosen = facts.chosen[ds]
    rows = features.rows if features else 0
    about: dict[str, Any] = {"rows": rows, "was": was, "version": chosen.version, "leaking": chosen.learned_from(ds)}
    if stored is None:
        return Day(ds=ds, what="create", why="it was never scored", **about)
    reasons = []
    if was != chosen.version:
        reasons.append(f"version {was} becomes {chosen.version}")
    elif stored.inputs.get("artifact_sha256") != chosen.artifact_sha256:
        reasons.append(f"the model of version {was} is another one")
    if features and stored.inputs["features"]["digest"] != features.digest:
        reasons.append("its features changed since")
    reasons += _moved(stored.inputs, facts.rules)
    if reasons:
        return Day(ds=ds, what="rewrite", why="; ".join(reasons), **about)
    if built and built.what in WRITES:
        return Day(ds=ds, what="maybe", why="only if its features come out different", **about)
    return Day(ds=ds, what="same", why="same features, same champion", **about)


def _moved(then: Mapping[str, Any], now: Mapping[str, Any], about: str = "") -> list[str]:
    """The rules that stood otherwise when a partition was made. One that it does not know is not held against it."""
    found = []
    for name, value in now.items():
        words = f"{about} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            found += _moved(then.get(name) or {}, value, words)
        elif name in then and then[name] != value:
            found.append(f"the {words} changed: {then[name]} becomes {value}")
    return found


def _monitor(facts: Facts, ds: str, told: Told) -> Day:
    scored = told.get("batch_scoring", {})
    profiles = facts.stored["profiles"]
    profile, drift = profiles.get(ds), facts.stored["drift"].get(ds)
    if ds in scored and scored[ds].what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be monitored")
    if ds not in scored and profile is None:
        return Day(ds=ds, what="fail", why="its predictions have no profile: begin with batch_scoring")
    if drift is None:
        return Day(ds=ds, what="create", why="it was never monitored")
    moved = [day for day in window_of(facts, ds) if day in scored and scored[day].what in WRITES]
    if moved:
        why = "its predictions change" if ds in moved else "predictions of its window change"
        return Day(ds=ds, what="rewrite", why=why, rows=drift.rows)
    if profile and drift.inputs["reference"] != profile.inputs["reference"]:
        return Day(ds=ds, what="rewrite", why="its champion's reference changed", rows=drift.rows)
    if profile and drift.inputs["profiles"] != _profiles(facts, ds, profile.inputs["reference"]):
        return Day(ds=ds, what="rewrite", why="the profiles of its window changed", rows=drift.rows)
    if any(day in scored and scored[day].what == "maybe" for day in window_of(facts, ds)):
        return Day(ds=ds, what="maybe", why="only if predictions come out different", rows=drift.rows)
    return Day(ds=ds, what="same", why="same profiles, same reference", rows=drift.rows)


def _metrics(facts: Facts, ds: str, told: Told) -> Day:
    scored, known = told.get("batch_scoring", {}).get(ds), told.get("outcome_refresh", {}).get(ds)
    predictions, outcomes = facts.stored["predictions"].get(ds), facts.stored["outcomes"].get(ds)
    metrics = facts.stored["metrics"].get(ds)
    if outcomes is None and known is None:
        if scored is not None:
            return Day(ds=ds, what="skip", why="its outcomes are not known yet")
        return Day(ds=ds, what="fail", why="its outcomes are not published: begin with outcome_refresh")
    if scored is None and predictions is None:
        return Day(ds=ds, what="skip", why="nobody scored it")
    if scored is not None and scored.what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be measured")
    if metrics is None:
        return Day(ds=ds, what="create", why="it was never measured")
    reasons = []
    if scored is not None and scored.what in WRITES:
        reasons.append("its predictions change")
    elif predictions and metrics.inputs["predictions"]["digest"] != predictions.digest:
        reasons.append("its predictions changed since")
    if outcomes and metrics.inputs["outcomes"]["digest"] != outcomes.digest:
        reasons.append("its outcomes changed since")
    if reasons:
        return Day(ds=ds, what="rewrite", why="; ".join(reasons), rows=metrics.rows)
    if known is not None and known.what in WRITES:
        return Day(ds=ds, what="maybe", why="only if its outcomes come out different", rows=metrics.rows)
    if scored is not None and scored.what == "maybe":
        return Day(ds=ds, what="maybe", why="only if its predictions come out different", rows=metrics.rows)
    if scored is not None:
        return Day(ds=ds, what="skip", why="its predictions stay as they are")
    return Day(ds=ds, what="same", why="same predictions, same outcomes", rows=metrics.rows)


def _shadow(facts: Facts, ds: str, told: Told) -> Day:
    scored, predictions = told.get("batch_scoring", {}).get(ds), facts.stored["predictions"].get(ds)
    shadowed = facts.stored["shadow_predictions"].get(ds)
    if scored is not None and scored.what not in DONE:
        return Day(ds=ds, what="skip", why="nothing is scored that could be compared")
    if scored is None and predictions is None:
        return Day(ds=ds, what="fail", why="nobody has scored it: begin with batch_scoring")
    if shadowed is None:
        if not facts.shadows:
            return Day(ds=ds, what="skip", why="no version shadows")
        return Day(ds=ds, what="create", why="nobody shadowed it yet")
    if scored is not None and scored.what in WRITES:
        return Day(ds=ds, what="rewrite", why="the champion's predictions change", rows=shadowed.rows)
    if predictions and shadowed.inputs["champion"]["digest"] != predictions.digest:
        return Day(ds=ds, what="rewrite", why="the champion's predictions changed since", rows=shadowed.rows)
    if scored is not None and scored.what == "maybe":
        return Day(ds=ds, what="maybe", why="only if predictions come out different", rows=shadowed.rows)
    if set(facts.shadows) - set(shadowed.inputs["shadows"]):
        return Day(ds=ds, what="rewrite", why="another version shadows by now", rows=shadowed.rows)
    return Day(ds=ds, what="same", why="same predictions, same shadows", rows=shadowed.rows)


def _train(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="same", why="what was fitted on the same snapshot is used again; anything new is fitted")


def _decide(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="same", why="shows the recorded verdict again; no champion moves")


def _deploy(facts: Facts, ds: str, told: Told) -> Day:
    return Day(ds=ds, what="skip", why="history never goes online")


JUDGES: dict[str, Callable[[Facts, str, Told], Day]] = {
    "feature_refresh": lambda facts, ds, told: _refresh(facts, ds, told, table="features"),
    "outcome_refresh": lambda facts, ds, told: _refresh(facts, ds, told, table="outcomes"),
    "batch_scoring": _score,
    "monitoring": _monitor,
    "metric_refresh": _metrics,
    "shadow_scoring": _shadow,
    "training": _train,
    "deployment": _decide,
    "endpoint_deploy": _deploy,
}


def window_of(facts: Facts, ds: str) -> tuple[str, ...]:
    """The days that a judgement of the drift of `ds` looks at."""
    return facts.window({*facts.stored["profiles"], *facts.runs, ds}, ds)


def _profiles(facts: Facts, ds: str, reference: str) -> dict[str, str]:
    mine = {day: info.digest for day, info in facts.stored["profiles"].items() if info.inputs["reference"] == reference}
    return {day: mine[day] for day in facts.window(mine, ds)} if ds in mine else {}
