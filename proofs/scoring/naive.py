"""Known ways to get it wrong, to see that the proof notices: `python -m proofs.scoring --naive NAME`.

Each replaces a part of the product, in the process that calls `plant`, by what one would write at first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

VARIABLE = "PROOF_NAIVE"


def plant(name: str | None = None) -> None:
    """Gets it wrong from now on, in the way that was chosen; does nothing when none was."""
    chosen = name or os.environ.get(VARIABLE)
    if chosen:
        WAYS[chosen]()


def no_fence() -> None:
    """Whoever comes last wins, however old his rows are."""
    from imago.tables.publish import Attempt

    Attempt._check_fences = lambda *_: None  # type: ignore[method-assign]


def delete_then_write() -> None:
    """Removes the day in one commit, and writes it in the next."""
    from imago.tables import commits

    real = commits.exchange

    def exchange(table: Any, name: str, days: Iterable[str], files: Iterable[Any], **named: Any) -> None:
        days, removed = list(days), {**named["provenance"], "days": {}}
        real(table, name, days, [], fence=named["fence"] - 1, provenance=removed)
        table.update_incremental()
        real(table, name, days, files, **named)

    commits.exchange = exchange


def always_anew() -> None:
    """Publishes again what stands there already."""
    from imago.tables.publish import Attempt

    Attempt._holds = lambda *_: False  # type: ignore[method-assign]


def stamped() -> None:
    """Scores tell when they were made."""
    import time

    from imago.registry import Scorer

    real = Scorer.predict

    def predict(self: Any, data: Any) -> Any:
        return real(self, data) + time.time_ns() % 1000 * 1e-9

    Scorer.predict = predict  # type: ignore[method-assign]


def unproved() -> None:
    """Reads files without looking at their digests."""
    from imago.tables import files

    files._compare = lambda *_: None


WAYS: dict[str, Callable[[], None]] = {
    "no-fence": no_fence,
    "delete-then-write": delete_then_write,
    "always-anew": always_anew,
    "stamped": stamped,
    "unproved": unproved,
}
