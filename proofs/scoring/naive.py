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
        days, fence = list(days), named["fence"]
        real(table, name, days, [], **{**named, "fence": fence - 1})
        table.update_incremental()
        real(table, name, days, files, **named)

    commits.exchange = exchange


def always_anew() -> None:
    """Publishes again what stands there already."""
    from imago.tables.publish import Attempt

    Attempt._holds = lambda *_: False  # type: ignore[method-assign]


def unordered() -> None:
    """Rows tell when they were made."""
    import time

    import pyarrow as pa

    from imago.tables.publish import Attempt

    real = Attempt.publish

    def publish(self: Any, data: pa.Table, *given: Any, **named: Any) -> Any:
        if "score" in data.column_names:
            place = data.column_names.index("score")
            moved = pa.array(data.column("score").to_numpy() + time.time_ns() % 1000 * 1e-9)
            data = data.set_column(place, data.field(place), moved)
        return real(self, data, *given, **named)

    Attempt.publish = publish  # type: ignore[method-assign]


def unproved() -> None:
    """Reads files without looking at their digests."""
    from imago.storage import Storage
    from imago.tables import files

    def bytes_of(storage: Storage, uri: str) -> Any:
        with storage.filesystem.open_input_file(uri.removeprefix("s3://")) as file:
            return file.read_buffer()

    files.proved_bytes = bytes_of


WAYS: dict[str, Callable[[], None]] = {
    "no-fence": no_fence,
    "delete-then-write": delete_then_write,
    "always-anew": always_anew,
    "unordered": unordered,
    "unproved": unproved,
}
