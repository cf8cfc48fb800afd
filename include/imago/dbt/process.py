"""What a call of dbt in this process costs besides its SQL, kept low."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A folder for what dbt writes besides the models, removed at the end; in memory where the machine has a place.

    dbt writes each compiled statement twice, each to a file of its own, and no flag keeps it from doing so.
    """
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="imago-dbt-", dir=place) as folder:
        yield folder


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keeps Python from looking for cycles meanwhile.

    A run makes hundreds of thousands of objects that live until its end, and each look walks all that the process
    holds: a fifth of the time of a day's build.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
