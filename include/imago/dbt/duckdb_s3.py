"""The dbt-duckdb plugin that lets the embedded DuckDB read and write S3 without a download.

Named in `dbt_project/profiles.yml`. The extension comes from a wheel and is loaded by its file; DuckDB would fetch it
from the internet otherwise.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from imago.errors import SettingsError


class Plugin(BasePlugin):
    """Gives each new connection the S3 server and keys of the run's environment; a local folder needs none."""

    def initialize(self, config: dict[str, Any]) -> None:
        self.endpoint: str = config.get("endpoint", "")
        self.region: str = config.get("region", "")
        self.access_key: str = config.get("access_key", "")
        self.secret_key: str = config.get("secret_key", "")

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        if self.region:
            connect_s3(
                conn,
                endpoint=self.endpoint,
                region=self.region,
                access_key=self.access_key,
                secret_key=self.secret_key,
            )


def connect_s3(conn: DuckDBPyConnection, *, endpoint: str, region: str, access_key: str, secret_key: str) -> None:
    """Loads `httpfs` and creates the connection's S3 secret. Without keys the AWS defaults of DuckDB apply."""
    conn.execute(f"LOAD '{_quoted(str(extension_file()))}'")
    options = {"REGION": region}
    if access_key:
        options |= {"KEY_ID": access_key, "SECRET": secret_key}
    if endpoint:
        scheme, _, host = endpoint.partition("://")
        options |= {"ENDPOINT": host.rstrip("/"), "URL_STYLE": "path", "USE_SSL": str(scheme == "https").lower()}
    settings = ", ".join(f"{name} '{_quoted(value)}'" for name, value in options.items())
    conn.execute(f"CREATE OR REPLACE SECRET imago (TYPE s3, {settings})")


def extension_file() -> Path:
    """The file of DuckDB's `httpfs` in the installed wheel."""
    spec = importlib.util.find_spec("duckdb_extension_httpfs")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in sorted(Path(folder).glob("extensions/*/httpfs.duckdb_extension")):
            return found
    raise SettingsError(
        "DuckDB's httpfs extension is not installed, so tables on S3 cannot be read",
        next_step="install duckdb-extension-httpfs in the version of duckdb",
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")
