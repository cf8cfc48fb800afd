"""The job that lands raw files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.days import days_between
from imago.environments import Environment

if TYPE_CHECKING:
    from imago.landing.deliver import Progress


def land(
    env: Environment, first: str, last: str, context: RunContext, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Lands the raw files of the days `first` to `last` (both included) as the airline would have delivered them.

    The outcomes of a day are dated a day later by their `known_at`; nothing here decides who may see them. Safe to
    repeat: files with equal bytes are left alone. `context` is part of every job's signature; raw files carry no
    provenance of ours, as they are the airline's.
    """
    from imago.landing.deliver import deliver
    from imago.landing.flights import FlightsWorld
    from imago.storage import Storage

    started = time.monotonic()
    days = days_between(first, last)
    world = FlightsWorld()
    deliveries = [*world.reference(), *(item for ds in days for item in world.deliveries(ds))]
    counts = deliver(Storage(env), deliveries, progress)
    return {"first": first, "last": last, "days": len(days), **counts, "seconds": round(time.monotonic() - started, 2)}
