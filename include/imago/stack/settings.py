"""What the stack tells its processes: the `IMAGO_*` variables of every environment, and Airflow's own.

A variable that a person sets for `imago up` wins over the embedded default and is remembered in `.imago/given.env`;
an empty value (`IMAGO_STORAGE= imago up`) forgets it.
"""

from __future__ import annotations

import hmac
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imago.environments import ENVIRONMENT_NAMES, Environment, hosted_environments
from imago.errors import StackError
from imago.specs.hosted import check_setting
from imago.stack.layout import Layout, read_env, write_env
from imago.stack.ports import LOOPBACK
from imago.stack.processes import STACK_VARIABLE
from imago.stack.secrets import Secrets

_GENERAL = (
    "IMAGO_ENVIRONMENTS",
    "IMAGO_STORAGE",
    "IMAGO_POSTGRES_URL",
    "IMAGO_S3_ENDPOINT",
    "IMAGO_MODELS",
    "IMAGO_DBT_PROJECT",
)
_PER_ENVIRONMENT = tuple(
    f"IMAGO_{name.upper()}_{field.upper()}"
    for name in ENVIRONMENT_NAMES
    for field in Environment.model_fields
    if field != "name"
)
# Loaded into each task's parent once, so that a forked task does not import them again (measured in docs/stack.md).
PRELOAD = (
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.task_runner",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "deltalake",
    "duckdb",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
    "dbt.task.build",
    "imago.dbt.preload",
    "daff",
    "great_expectations.expectations",
    "great_expectations.render.renderer",
    "onnxruntime",
    "skops.io",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "matplotlib.backends.backend_agg",
    "mlflow",
)
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
}


def given_settings(layout: Layout, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a person set, now or on an earlier start. Values that the stack itself wrote don't count as given."""
    environ = os.environ if environ is None else environ
    given, written = read_env(layout.given_file), read_env(layout.imago_env)
    for name in (*_GENERAL, *_PER_ENVIRONMENT):
        if name in environ and environ[name] != written.get(name):
            given[name] = environ[name]
    given = {name: value for name, value in given.items() if value}
    storage = given.get("IMAGO_STORAGE", "s3")
    if storage not in ("s3", "folder"):
        raise StackError(
            f"IMAGO_STORAGE={storage!r} is not a kind of storage",
            allowed="s3, folder",
            next_step="set one of them, or none",
        )
    hosted_environments(given)
    if "IMAGO_MODELS" in given:
        check_setting(given)
    return given


@dataclass(frozen=True)
class StackSettings:
    """Everything from which the variables follow."""

    layout: Layout
    secrets: Secrets
    given: Mapping[str, str]
    ports: Mapping[str, int]

    @property
    def embedded_s3(self) -> bool:
        return self.given.get("IMAGO_STORAGE", "s3") == "s3" and "IMAGO_S3_ENDPOINT" not in self.given

    @property
    def embedded_postgres(self) -> bool:
        return "IMAGO_POSTGRES_URL" not in self.given

    @property
    def hosted(self) -> tuple[str, ...]:
        return hosted_environments(self.given)

    def url(self, component: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[component]}"

    def admin_url(self, database: str = "postgres") -> str:
        """The URL of the login that makes databases and roles."""
        from sqlalchemy.engine import make_url

        if self.embedded_postgres:
            return f"postgresql://postgres:{self.secrets.postgres}@{LOOPBACK}:{self.ports['postgres']}/{database}"
        url = make_url(self.given["IMAGO_POSTGRES_URL"]).set(drivername="postgresql")
        if database != "postgres":
            url = url.set(database=database)
        return url.render_as_string(hide_password=False)

    def role_url(self, role: str, database: str, *, driver: str = "psycopg2") -> str:
        """The SQLAlchemy URL of one role on one database."""
        from sqlalchemy.engine import make_url

        url = make_url(self.admin_url(database)).set(username=role, password=self.secrets.roles[role])
        if driver == "asyncpg" and "sslmode" in url.query:
            # libpq and asyncpg name this option differently.
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
        return url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)

    def storage_root(self, environment: str) -> str:
        if self.given.get("IMAGO_STORAGE", "s3") == "folder":
            return str(self.layout.root / "storage" / environment)
        return f"s3://imago-{environment}"

    def slack_token(self, environment: str) -> str:
        """The sandbox token of one environment, which writes to its own channel and no other."""
        own = hmac.new(self.secrets.slack_token.encode(), environment.encode(), "sha256").hexdigest()[:24]
        return f"xoxb-sandbox-{environment}-{own}"

    def alert_channel(self, environment: str) -> str:
        """The channel of one environment."""
        return self.given.get(f"IMAGO_{environment.upper()}_ALERT_CHANNEL", f"#imago-{environment}")

    def imago_variables(self) -> dict[str, str]:
        """The contents of `imago.env`."""
        variables = {
            "IMAGO_HOME": str(self.layout.root),
            "IMAGO_ENVIRONMENTS": ",".join(self.hosted),
            "IMAGO_STORAGE": self.given.get("IMAGO_STORAGE", "s3"),
            "IMAGO_AIRFLOW_URL": self.url("airflow-api"),
            "IMAGO_AIRFLOW_USER": "admin",
            "IMAGO_AIRFLOW_PASSWORD": self.secrets.airflow_password,
            "IMAGO_WATCHDOG_USER": "watchdog",
            "IMAGO_WATCHDOG_PASSWORD": self.secrets.watchdog_password,
            "IMAGO_BACKFILL_USER": "backfill",
            "IMAGO_BACKFILL_PASSWORD": self.secrets.backfill_password,
            "IMAGO_TRAINER_USER": "trainer",
            "IMAGO_TRAINER_PASSWORD": self.secrets.trainer_password,
            "IMAGO_MLFLOW_URL": self.url("mlflow"),
            "IMAGO_SANDBOX_URL": self.url("slack"),
            "MPLCONFIGDIR": str(self.layout.root / "matplotlib"),
            "DBT_LOG_PATH": str(self.layout.logs / "dbt"),
            # The sandbox shows the runbooks, so that a link in a message leads somewhere.
            "IMAGO_DOCS_URL": f"{self.url('slack')}/docs",
            **_QUIET,
        }
        for name in ENVIRONMENT_NAMES:
            values = {
                "STORAGE_ROOT": self.storage_root(name),
                "LEDGER_URL": self.role_url(f"imago_{name}", "imago"),
                "LEDGER_SCHEMA": f"imago_{name}",
                "MLFLOW_URI": self.url("mlflow"),
                "SLACK_TOKEN": self.slack_token(name),
                "SLACK_BASE_URL": f"{self.url('slack')}/api/",
                "AIRFLOW_URL": self.url("airflow-api"),
            }
            if values["STORAGE_ROOT"].startswith("s3://"):
                values["S3_REGION"] = "us-east-1"
                if self.embedded_s3:
                    values["S3_ENDPOINT"] = self.url("s3")
                    values["S3_ACCESS_KEY"] = self.secrets.s3_keys[name]
                    values["S3_SECRET_KEY"] = self.secrets.s3_secrets[name]
                else:
                    values["S3_ENDPOINT"] = self.given["IMAGO_S3_ENDPOINT"]
            variables |= {f"IMAGO_{name.upper()}_{field}": value for field, value in values.items()}
        return variables | dict(self.given)

    def hosted_variables(self) -> dict[str, str]:
        """Those of the hosted environments, and of no other."""
        elsewhere = tuple(f"IMAGO_{name.upper()}_" for name in ENVIRONMENT_NAMES if name not in self.hosted)
        return {name: value for name, value in self.imago_variables().items() if not name.startswith(elsewhere or "-")}

    def airflow_variables(self) -> dict[str, str]:
        """The contents of `airflow.env`: Airflow's whole configuration, without a configuration file."""
        home = self.layout.root / "airflow"
        options = {
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__DAGS_FOLDER": str(self.layout.project / "dags"),
            "CORE__PLUGINS_FOLDER": str(self.layout.project / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__FERNET_KEY": self.secrets.airflow_fernet,
            "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,watchdog:viewer,backfill:user,trainer:user",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url('airflow-api')}/execution/",
            "CORE__MP_START_METHOD": "forkserver",
            "CORE__MP_FORKSERVER_PRELOAD": ",".join(PRELOAD),
            # A look-up of the full name waits for DNS on machines that have none.
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "DATABASE__SQL_ALCHEMY_CONN": self.role_url("airflow", "airflow"),
            "DATABASE__SQL_ALCHEMY_CONN_ASYNC": self.role_url("airflow", "airflow", driver="asyncpg"),
            "API__HOST": LOOPBACK,
            "API__PORT": str(self.ports["airflow-api"]),
            "API__BASE_URL": self.url("airflow-api"),
            "API__WORKERS": "1",
            "API__SECRET_KEY": self.secrets.airflow_secret,
            "API__INSTANCE_NAME": "Imago",
            "API_AUTH__JWT_SECRET": self.secrets.airflow_jwt,
            "LOGGING__BASE_LOG_FOLDER": str(self.layout.logs / "airflow"),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.layout.logs / "airflow" / "dag_processor"),
            "LOGGING__COLORED_CONSOLE_LOG": "False",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "DAG_PROCESSOR__PARSING_PROCESSES": "2",
            # The defaults allow a request 5 s, which a busy laptop exceeds.
            "WORKERS__EXECUTION_API_TIMEOUT": "30",
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "60",
        }
        return {"AIRFLOW_HOME": str(home), **{f"AIRFLOW__{name}": value for name, value in options.items()}}

    def process_environment(self, component: str, extra: Mapping[str, str]) -> dict[str, str]:
        """The environment of one component: the person's, cleaned of what would leak in, with the stack's on top."""
        dropped = (
            "AIRFLOW",
            "IMAGO_",
            "MLFLOW_",
            "AWS_ACCESS",
            "AWS_SECRET",
            "AWS_SESSION",
            "AWS_PROFILE",
            "AWS_ENDPOINT",
            "PG",
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        # Without byte code on disk every process compiles every import again: 2 to 4 times the CPU.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # pytest sets it; Airflow's components read it as "this is a unit test".
        environment.pop("PYTEST_CURRENT_TEST", None)
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = ",".join(filter(None, (environment.get(name), f"{LOOPBACK},localhost")))
        binaries = str(Path(sys.executable).parent)
        environment["PATH"] = os.pathsep.join(filter(None, (binaries, environment.get("PATH"))))
        return environment | {STACK_VARIABLE: f"{self.secrets.stack_id}/{component}"} | _QUIET | dict(extra)

    def write(self) -> None:
        """Writes the three variable files."""
        write_env(self.layout.given_file, self.given, heading="Given to `imago up`; an empty value there forgets one.")
        write_env(self.layout.imago_env, self.imago_variables(), heading="Written by `imago up`.")
        write_env(self.layout.airflow_env, self.airflow_variables(), heading="Written by `imago up`.")


def environment_variables(home: Path | None = None) -> dict[str, str]:
    """The `IMAGO_*` variables of the embedded stack; empty when it was never started here.

    >>> for name, value in environment_variables().items():
    ...     os.environ.setdefault(name, value)  # what the shell says wins
    """
    return read_env((home or Layout.here().root) / "imago.env")


def airflow_variables(home: Path | None = None) -> dict[str, str]:
    """The `AIRFLOW__*` variables of the embedded stack; empty when it was never started here."""
    return read_env((home or Layout.here().root) / "airflow.env")
