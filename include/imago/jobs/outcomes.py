"""The job that refreshes outcomes."""

from __future__ import annotations

from typing import Any

from imago.context import RunContext
from imago.environments import Environment
from imago.specs import ModelSpec


def refresh(env: Environment, spec: ModelSpec, first: str, last: str, context: RunContext) -> dict[str, Any]:
    """Builds, audits and publishes the outcomes of the days `first` to `last` (both included) in one commit.

    Safe to repeat. Raises MissingPartition when a raw file never came, RefusedPartition when the audit turned the rows
    down, and Fenced when a newer attempt owns one of the days.
    """
    from imago.features.refresh import refresh_table

    return refresh_table(env, spec, "outcomes", first, last, context)
