"""What the shadows of a model tell so far: for the command line, the page in Airflow, and the dossier."""

from __future__ import annotations

from typing import Any

from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition
from imago.specs import ModelSpec


def show(
    env: Environment, spec: ModelSpec, version: str | None = None, *, first: str | None = None, last: str | None = None
) -> dict[str, Any]:
    """Every version that shadows or has shadowed, with what its days from `first` to `last` tell (all, when they are
    left out): the standing ones first, the newest first. With `version`, that one alone; an unknown one is refused."""
    from imago.jobs.shadows import listed
    from imago.selection.shadow.choice import by_number
    from imago.selection.shadow.story import tell

    rows = [
        row for row in _rows(env, spec) if (first is None or row["ds"] >= first) and (last is None or row["ds"] <= last)
    ]
    newest = {one["version"]: one for one in listed(env, spec.name)}
    if version is not None and version not in newest:
        raise ImagoError(
            f"version {version} never shadowed",
            environment=env.name,
            model=spec.name,
            allowed=", ".join(newest) or "none did",
            seen=version,
            next_step=f"`imago shadow start {spec.name} --version {version} --reason ...` lets it",
        )
    ordered = sorted(newest.values(), key=lambda one: (one["stands"], by_number(one["version"])), reverse=True)
    return {
        "environment": env.name,
        "model": spec.name,
        "shadows": [
            {**one, "told": tell(spec, [row for row in rows if row["model_version"] == one["version"]])}
            for one in ordered
            if version in (None, one["version"])
        ],
    }


def of_version(env: Environment, spec: ModelSpec, version: str | None) -> dict[str, Any] | None:
    """What the shadow days of one version tell; None when it has none."""
    from imago.selection.shadow.story import tell

    return None if version is None else tell(spec, [row for row in _rows(env, spec) if row["model_version"] == version])


def page(env: Environment, spec: ModelSpec, version: str | None = None) -> str:
    """The page of a model's shadows; with `version`, of that one."""
    from imago.selection.shadow.page import html

    return html(show(env, spec), version)


def _rows(env: Environment, spec: ModelSpec) -> list[dict[str, Any]]:
    from imago.tables import Table

    try:
        return Table(env, spec.name, "shadow_metrics").read().to_pylist()
    except MissingPartition:
        return []
