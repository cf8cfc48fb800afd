"""Writing deliveries to storage: the same bytes again on a second run, and nothing written where nothing changed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from imago.landing.flights import Delivery
from imago.storage import Storage, checksum_of

Progress = Callable[[int, int], None]

# Writes wait for the network, not for the processor.
_WRITERS = 8


def write_delivery(storage: Storage, rel: str, rows: pa.Table) -> bool:
    """Writes a raw file and its checksum, the hex sha256 of its bytes, beside it; whether anything was written.

    What is there with the same bytes and the same checksum is left alone.
    """
    return _write(storage, rel, rows, there=storage.exists(rel))


def _write(storage: Storage, rel: str, rows: pa.Table, *, there: bool) -> bool:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    promised = _promised(storage, rel) if there else []
    if not there or storage.read_bytes(rel) != data:
        # Two files cannot change in one step. The checksum goes first, so that a new file is never there without one: a
        # reader in between finds nothing yet. While a file is replaced its checksum promises the new bytes beside the
        # old ones, so the file is whole to its readers before and after, a broken one stays broken, and a writer that
        # dies in between leaves what was there as good as it was.
        storage.write_bytes(checksum_of(rel), "\n".join(dict.fromkeys((digest, *promised))).encode())
        storage.write_bytes(rel, data)
    elif promised == [digest]:
        return False
    if there:
        storage.write_bytes(checksum_of(rel), digest.encode())
    return True


def _promised(storage: Storage, rel: str) -> list[str]:
    try:
        return storage.read_bytes(checksum_of(rel)).decode("ascii", "replace").split()
    except FileNotFoundError:
        return []


def deliver(storage: Storage, deliveries: Iterable[Delivery], progress: Progress | None = None) -> dict[str, int]:
    """Writes each delivery; returns how many files there were, how many were written or left alone, and their rows.

    `progress(done, total)` is called after each file.
    """
    wanted = list(deliveries)
    # One listing per kind says which files need a comparison at all.
    kinds = sorted({delivery.path.split("/")[1] for delivery in wanted})
    there = {path for kind in kinds for path in storage.list(f"raw/{kind}")}

    def write(delivery: Delivery) -> bool:
        return _write(storage, delivery.path, delivery.rows, there=delivery.path in there)

    written = 0
    with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
        for done, changed in enumerate(pool.map(write, wanted), start=1):
            written += changed
            if progress:
                progress(done, len(wanted))
    rows = sum(delivery.rows.num_rows for delivery in wanted)
    return {"files": len(wanted), "written": written, "unchanged": len(wanted) - written, "rows": rows}
