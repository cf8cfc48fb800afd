"""The settings of a warehouse: which variables say them, and what is said when one is missing.

Like all settings of an environment they are variables `IMAGO_<ENVIRONMENT>_<FIELD>` (`IMAGO_PROD_ATHENA_WORKGROUP`),
and are asked for only when the environment's `DBT_TARGET` is a warehouse.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from imago.environments import Environment
from imago.errors import SettingsError

WAREHOUSES = ("athena", "redshift")

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """Where the models of one environment are built.

    `schema` begins the name of each attempt's own schema; `raw_schema` holds the external tables over the raw files,
    `tables_schema` those over Imago's published tables, which only the metrics read. `database` is Athena's catalog or
    Redshift's database. A statement that lasts longer than `deadline_seconds` is cancelled.
    """

    kind: Literal["athena", "redshift"]
    schema: str
    raw_schema: str
    tables_schema: str | None
    database: str
    deadline_seconds: float
    workgroup: str | None = None
    host: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    cluster: str | None = None
    secret_arn: str | None = None
    iam_role: str = ""

    def profile(self, staging: str, region: str) -> dict[str, str]:
        """The variables that `dbt_project/profiles.yml` reads. What Athena's tables hold lies below the attempt's
        staging address, so that it goes when the attempt's staging place goes."""
        if self.kind == "athena":
            return {
                "IMAGO_ATHENA_STAGING_DIR": f"{staging}/_queries/",
                "IMAGO_ATHENA_DATA_DIR": f"{staging}/_tables/",
                "IMAGO_ATHENA_REGION": region,
                "IMAGO_ATHENA_WORKGROUP": self.workgroup or "",
                "IMAGO_ATHENA_SCHEMA": self.schema,
            }
        return {
            "IMAGO_REDSHIFT_HOST": self.host,
            "IMAGO_REDSHIFT_USER": self.user,
            "DBT_ENV_SECRET_IMAGO_REDSHIFT_PASSWORD": self.password,
            "IMAGO_REDSHIFT_DATABASE": self.database,
            "IMAGO_REDSHIFT_SCHEMA": self.schema,
        }


def warehouse_of(env: Environment, variables: Mapping[str, str] | None = None) -> Warehouse:
    """The warehouse of an environment whose dbt target is one. Raises SettingsError naming the variable to set."""
    if not env.on_s3:
        raise SettingsError(
            f"{env.dbt_target} writes to S3 only",
            environment=env.name,
            rule="a warehouse needs its storage root on S3",
            seen=env.storage_root,
            next_step=f"set IMAGO_{env.name.upper()}_STORAGE_ROOT to s3://bucket/prefix",
        )
    given = _Given(env.name, os.environ if variables is None else variables)
    shared = {
        "schema": given.identifier("SCHEMA", f"imago_{env.name}"),
        "raw_schema": given.identifier("RAW_SCHEMA"),
        "tables_schema": given.identifier("TABLES_SCHEMA", None),
        "deadline_seconds": given.seconds("DEADLINE_SECONDS", 1800.0),
    }
    if env.dbt_target == "athena":
        return Warehouse(
            kind="athena",
            database=given.text("ATHENA_CATALOG", "awsdatacatalog"),
            workgroup=given.text("ATHENA_WORKGROUP", "primary"),
            **shared,  # type: ignore[arg-type]
        )
    cluster, workgroup = given.optional("REDSHIFT_CLUSTER"), given.optional("REDSHIFT_WORKGROUP")
    if bool(cluster) == bool(workgroup):
        raise given.missing("REDSHIFT_CLUSTER", "either it (a provisioned cluster) or REDSHIFT_WORKGROUP (serverless)")
    return Warehouse(
        kind="redshift",
        database=given.identifier("REDSHIFT_DATABASE") or "",
        workgroup=workgroup,
        cluster=cluster,
        host=given.text("REDSHIFT_HOST"),
        user=given.text("REDSHIFT_USER"),
        password=given.text("REDSHIFT_PASSWORD"),
        secret_arn=given.optional("REDSHIFT_SECRET_ARN"),
        iam_role=given.text("REDSHIFT_IAM_ROLE"),
        **shared,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class _Given:
    environment: str
    variables: Mapping[str, str]

    def optional(self, name: str) -> str | None:
        return self.variables.get(self._variable(name)) or None

    def text(self, name: str, default: str | None = None) -> str:
        found = self.optional(name) or default
        if found is None:
            raise self.missing(name, "a value")
        return found

    def identifier(self, name: str, default: str | None = "") -> str | None:
        name = name if name.startswith("REDSHIFT_") else f"WAREHOUSE_{name}"
        found = self.optional(name) or default
        if found is None:
            return None
        if not _IDENTIFIER.fullmatch(found):
            raise self.missing(name, "a lower-case name of letters, digits and _", found)
        return found

    def seconds(self, name: str, default: float) -> float:
        found = self.optional(f"WAREHOUSE_{name}")
        try:
            seconds = float(found) if found else default
        except ValueError:
            seconds = 0.0
        if not 1 <= seconds <= 86400:
            raise self.missing(f"WAREHOUSE_{name}", "1 to 86400", found)
        return seconds

    def missing(self, name: str, allowed: str, seen: str | None = None) -> SettingsError:
        variable = self._variable(name)
        return SettingsError(
            f"{variable} is not set right" if seen else f"{variable} is not set",
            environment=self.environment,
            rule="the settings of a warehouse",
            allowed=allowed,
            seen=seen,
            next_step=f"set {variable} (docs/warehouse.md), or set the environment's DBT_TARGET to the embedded DuckDB",
        )

    def _variable(self, name: str) -> str:
        return f"IMAGO_{self.environment.upper()}_{name}"
