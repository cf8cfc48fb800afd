"""Writing deliveries to storage: the same bytes again on a second run, and nothing written where nothing changed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq

from imago.landing.flights import Delivery
from imago.storage import Storage

Progress = Callable[[int, int], None]

# Writes wait for the network, not for the processor.
_WRITERS = 8


def deliver(storage: Storage, deliveries: Iterable[Delivery], progress: Progress | None = None) -> dict[str, int]:
    """Writes each delivery; returns how many files there were, how many were written or left alone, and their rows.

    A file that is there with the same bytes is left alone. `progress(done, total)` is called after each file.
    """
    wanted = list(deliveries)
    # One listing per kind says which files need a comparison at all.
    kinds = sorted({delivery.path.split("/")[1] for delivery in wanted})
    there = {path for kind in kinds for path in storage.list(f"raw/{kind}")}

    def write(delivery: Delivery) -> bool:
        buffer = io.BytesIO()
        pq.write_table(delivery.rows, buffer, compression="zstd")
        data = buffer.getvalue()
        if delivery.path in there and storage.read_bytes(delivery.path) == data:
            return False
        storage.write_bytes(delivery.path, data)
        return True

    written = 0
    with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
        for done, changed in enumerate(pool.map(write, wanted), start=1):
            written += changed
            if progress:
                progress(done, len(wanted))
    rows = sum(delivery.rows.num_rows for delivery in wanted)
    return {"files": len(wanted), "written": written, "unchanged": len(wanted) - written, "rows": rows}
