"""The job that removes what is kept no longer: old table versions, what failed attempts staged, old audit pages."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.names import TABLE_NAMES
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.storage import Storage


def clean(env: Environment, models: Collection[ModelSpec], now: datetime) -> dict[str, Any]:
    """Removes what is older than the environment's `keep_..._days` at `now` (with time zone); returns what it was.

    A table version that a training or a champion pins stays, however old. Safe to repeat, and to stop at any moment.
    """
    from imago.storage import Storage
    from imago.tables import Table
    from imago.training.pinning import release_pins

    versions = timedelta(days=env.keep_versions_days)
    released: dict[str, list[str]] = {}
    vacuumed: dict[str, int] = {}
    for spec in models:
        days = release_pins(env, spec.name, older_than=versions)
        if days:
            released[spec.name] = days
        for name in TABLE_NAMES:
            gone = Table(env, spec.name, name).vacuum(older_than=versions)
            if gone:
                vacuumed[f"{spec.name}/{name}"] = len(gone)
    storage = Storage(env)
    return {
        "released_trainings": released,
        "vacuumed_files": vacuumed,
        # staging/{model}/{attempt} and audits/{model}/{table}/{days and fence}
        "staged_attempts": _forget(storage, "staging", depth=3, before=now - timedelta(days=env.keep_staging_days)),
        "audit_pages": _forget(storage, "audits", depth=4, before=now - timedelta(days=env.keep_audits_days)),
    }


def _forget(storage: Storage, folder: str, *, depth: int, before: datetime) -> list[str]:
    """Removes the folders at this depth in which nothing changed since; returns them."""
    newest: dict[str, datetime] = {}
    for path, changed in storage.modified(folder).items():
        parts = path.split("/")
        if len(parts) >= depth:
            place = "/".join(parts[:depth])
            newest[place] = max(changed, newest.get(place, changed))
    old = sorted(place for place, changed in newest.items() if changed < before)
    for place in old:
        storage.delete(place)
    return old
