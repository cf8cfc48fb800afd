"""Which versions score a day in the shadow, and which of them may be compared with the champion. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imago.ledger.shadows import Shadow


def choose(
    standing: Iterable[Shadow], recorded: Iterable[Shadow], ds: str, reigning: str
) -> tuple[list[Shadow], dict[str, str]]:
    """The shadows that score `ds`, by version, and why the others do not.

    `standing` are those of now, `recorded` those whose rows the day's partition holds already: they are scored again,
    so that a corrected day stays whole after a shadow was stopped. `reigning` is the version that scored the day for
    everybody; what it does in its own shadow says nothing, and neither does a model on days that it learned from.
    """
    wanted: dict[str, Shadow] = {}
    reasons: dict[str, str] = {}
    for shadow in (*standing, *recorded):
        version = shadow.version
        if version == reigning:
            reasons[version] = f"version {version} is the champion of {ds}"
        elif shadow.trained_until >= ds:
            reasons[version] = f"version {version} has learned from {ds}: it was trained until {shadow.trained_until}"
        elif shadow.effective_ds > ds:
            reasons[version] = f"version {version} shadows from {shadow.effective_ds} on"
        else:
            wanted.setdefault(version, shadow)
    ordered = [wanted[version] for version in sorted(wanted, key=by_number)]
    return ordered, {version: reason for version, reason in reasons.items() if version not in wanted}


def unfair(version: str, shadow: Mapping[str, Any], champion: Mapping[str, Any]) -> str | None:
    """Why a version's rows of a day cannot be held against the champion's; None when they can.

    `shadow` and `champion` are the inputs of the two published partitions.
    """
    if champion["model_version"] == version:
        return "it is the champion of that day"
    if champion.get("leaking"):
        return f"the champion, version {champion['model_version']}, has learned from that day"
    if shadow["shadows"][version]["features"] != champion["features"]["digest"]:
        return "the champion was scored from other features meanwhile: run shadow_scoring for that day"
    if shadow.get("decision_threshold") != champion.get("decision_threshold"):
        return "the champion decides at another threshold meanwhile: run shadow_scoring for that day"
    return None


def by_number(version: str) -> tuple[int, str]:
    """Versions in the order in which they were registered: 9 before 10."""
    return (int(version) if version.isdigit() else 0, version)
