"""Environments: dev, staging and prod, which differ in values only.

Every value comes from the variable `IMAGO_<ENVIRONMENT>_<FIELD>` (`IMAGO_PROD_STORAGE_ROOT`), so that the settings of
one environment can be given to a process without those of another. What has a safe default has it in `_DEFAULTS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from imago.addresses import checked_root
from imago.errors import EnvironmentMismatch, SettingsError
from imago.texts import LONGEST_NAME

EnvironmentName = Literal["dev", "staging", "prod"]
ENVIRONMENT_NAMES: tuple[str, ...] = get_args(EnvironmentName)

PLATFORM = "platform"  # in `alert_routes`: what concerns no model
_MAIL = re.compile(r"[^@\s,=<>\"]+@[^@\s,=<>\"]+")
_SLACK = re.compile(r"#\S+|[CG][A-Z0-9]+")

# What differs by environment when nobody says otherwise. Production asks a person before a champion moves.
_DEFAULTS: dict[str, dict[str, str]] = {
    "dev": {"requires_approval": "false"},
    "staging": {"requires_approval": "false"},
    "prod": {"requires_approval": "true"},
}


class Environment(BaseModel):
    """Where one environment keeps its things and whom it tells. Frozen; secrets do not print.

    `storage_root` is `s3://bucket[/prefix]` or an absolute folder. `ledger_url` is a SQLAlchemy URL of a Postgres
    (`postgresql+psycopg2://...`), `ledger_schema` the schema inside it. `registry_prefix` stands before the names of
    the registered models. `airflow_url` is where a person's browser finds Airflow (for links). `keep_versions_days`,
    `keep_staging_days` and `keep_audits_days` are how long old table versions, the staged rows of attempts that did not
    end well, and the pages of audits stay. `keep_inputs_days` is how long, after a partition was published, the version
    that it was made from stays. The models that reigned within the last `keep_reigns` promotions are protected: a
    rollback can return to each of them. With `redshift_manifests` each publish writes the manifests by which Redshift
    Spectrum reads a table; `glue_database` begins the names of the databases that `imago ddl` makes. `spark_master` is
    where a spec with `engine="spark"` finds Spark.

    Alerts go to `alert_channel`, or to where `alert_routes` (`MODEL=ADDRESS,platform=ADDRESS`) sends those of a model
    or of the platform. An address is a Slack channel (`#name` or its id), told by `slack_token` or else by the
    `slack_webhook` that belongs to it, or an e-mail address, told through `smtp_host`. A partition is late
    `late_after_minutes` after its run was due; alerts wait too long after `stalled_after_minutes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EnvironmentName
    storage_root: str
    s3_endpoint: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str = "us-east-1"
    ledger_url: SecretStr
    ledger_schema: str
    mlflow_uri: str
    registry_prefix: str
    dbt_target: str
    alert_channel: str
    alert_routes: str = ""
    slack_token: SecretStr | None = None
    slack_webhook: SecretStr | None = None
    slack_base_url: str = "https://slack.com/api/"
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    late_after_minutes: int = Field(default=120, ge=1)
    stalled_after_minutes: int = Field(default=15, ge=1)
    requires_approval: bool = False
    airflow_url: str | None = None
    keep_versions_days: int = Field(default=30, ge=1)
    keep_staging_days: int = Field(default=14, ge=1)
    keep_audits_days: int = Field(default=365, ge=1)
    keep_inputs_days: int = Field(default=3650, ge=1)
    keep_reigns: int = Field(default=5, ge=2)
    redshift_manifests: bool = False
    spark_master: str = "local[*]"
    glue_database: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,99}$")

    @field_validator("storage_root")
    @classmethod
    def _root_is_readable_by_all(cls, value: str) -> str:
        return checked_root(value)

    @field_validator("ledger_url")
    @classmethod
    def _ledger_is_postgres(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("postgresql://", "postgresql+psycopg2://")):
            raise ValueError("allowed: postgresql+psycopg2://role:password@host:port/database")
        return value

    @field_validator("mlflow_uri")
    @classmethod
    def _mlflow_is_a_server(cls, value: str) -> str:
        if not value.startswith(("http://", "https://", "postgresql", "sqlite:///", "databricks")):
            raise ValueError("allowed: the http(s) address of a tracking server, or a database's URL")
        return value

    @field_validator("ledger_schema")
    @classmethod
    def _schema_is_plain(cls, value: str) -> str:
        if not value.isidentifier() or value != value.lower():
            raise ValueError("allowed: a lower-case identifier, as imago_dev")
        return value

    @field_validator("alert_channel")
    @classmethod
    def _channel_is_an_address(cls, value: str) -> str:
        _check_length(value)
        if not is_mail(value) and not _SLACK.fullmatch(value):
            raise ValueError("allowed: #channel-name, a channel id that starts with C or G, or an e-mail address")
        return value

    @field_validator("redshift_manifests")
    @classmethod
    def _redshift_reads_s3(cls, value: bool, told: ValidationInfo) -> bool:
        if value and not str(told.data.get("storage_root", "s3://")).startswith("s3://"):
            raise ValueError("allowed: false where the storage root is a folder, since Redshift reads S3 alone")
        return value

    @field_validator("alert_routes")
    @classmethod
    def _routes_name_addresses(cls, value: str) -> str:
        for part in filter(None, (part.strip() for part in value.split(","))):
            model, _, address = part.partition("=")
            _check_length(address)
            if not model.isidentifier() or not (is_mail(address) or _SLACK.fullmatch(address)):
                raise ValueError(
                    f"{part!r} is no route; allowed: MODEL=ADDRESS or platform=ADDRESS, separated by commas, where an "
                    "address is #channel-name, a channel id or an e-mail address"
                )
        return value

    @field_validator("slack_webhook")
    @classmethod
    def _webhook_is_web(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("https://", "http://127.0.0.1:")):
            raise ValueError("allowed: the https address that Slack gives for an incoming webhook")
        return value

    @field_validator("smtp_from")
    @classmethod
    def _sender_is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_mail(value):
            raise ValueError("allowed: an e-mail address, as imago@example.com")
        return value

    @model_validator(mode="after")
    def _mail_has_a_server(self) -> Self:
        mails = [address for address in self.addresses if is_mail(address)]
        if mails and not (self.smtp_host and self.smtp_from):
            raise ValueError(f"alerts go to {mails[0]}, so SMTP_HOST and SMTP_FROM must be set as well")
        return self

    @property
    def routes(self) -> dict[str, str]:
        """`alert_routes` as a mapping of model (or `platform`) to address."""
        parts = (part.strip().partition("=") for part in self.alert_routes.split(",") if part.strip())
        return {model: address for model, _, address in parts}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that alerts go to."""
        return tuple(dict.fromkeys((self.alert_channel, *self.routes.values())))

    def address_of(self, model: str | None) -> str:
        """Where the alerts of a model go, and without one those of the platform."""
        return self.routes.get(model or PLATFORM, self.alert_channel)

    @property
    def on_s3(self) -> bool:
        """Whether tables lie on an S3 server rather than in a folder."""
        return self.storage_root.startswith("s3://")


def _check_length(address: str) -> None:
    if len(address) > LONGEST_NAME:  # the ledger finds a channel by its address
        raise ValueError(f"allowed: an address of up to {LONGEST_NAME} characters; this one has {len(address):,}")


def is_mail(address: str) -> bool:
    """Whether alerts go to that address by e-mail."""
    return _MAIL.fullmatch(address) is not None


def load_environment(name: str, variables: Mapping[str, str] | None = None) -> Environment:
    """The environment `name`, from the process's variables (or the given ones).

    Raises SettingsError naming the variable, the value and what is allowed.
    """
    variables = os.environ if variables is None else variables
    if name not in ENVIRONMENT_NAMES:
        raise SettingsError(
            f"{name!r} is not an environment",
            allowed=", ".join(ENVIRONMENT_NAMES),
            seen=name,
            next_step="name one of them",
        )
    prefix = f"IMAGO_{name.upper()}_"
    fields = {
        "ledger_schema": f"imago_{name}",
        "registry_prefix": f"{name}.",
        "dbt_target": name,
        "alert_channel": f"#imago-{name}",
        **_DEFAULTS[name],
    }
    for field in Environment.model_fields:
        given = variables.get(prefix + field.upper())
        if given:
            fields[field] = given
    try:
        return Environment.model_validate({**fields, "name": name})
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            variable = prefix + (str(problem["loc"][0]).upper() if problem["loc"] else "ALERT_CHANNEL")
            # A secret's value never enters a message.
            secret = not problem["loc"] or problem["type"] == "missing"
            secret = secret or any(word in variable for word in ("SECRET", "TOKEN", "URL", "WEBHOOK", "PASSWORD"))
            seen = "" if secret else f", given {problem['input']!r:.80}"
            lines.append(f"{variable}: {problem['msg'].removeprefix('Value error, ')}{seen}")
        raise SettingsError(
            "the settings are not complete: " + "; ".join(lines),
            environment=name,
            next_step="set the named variables, or run `imago up` for an embedded stack that sets them; "
            "`imago doctor` checks them all",
        ) from None


def hosted_environments(variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The environments that this Airflow hosts: `IMAGO_ENVIRONMENTS`, comma-separated, `dev` when it is not set."""
    variables = os.environ if variables is None else variables
    given = variables.get("IMAGO_ENVIRONMENTS", "dev")
    names = tuple(part.strip() for part in given.split(",") if part.strip())
    unknown = [name for name in names if name not in ENVIRONMENT_NAMES]
    if unknown or not names or len(set(names)) != len(names):
        raise SettingsError(
            f"IMAGO_ENVIRONMENTS={given!r} does not name environments",
            allowed=", ".join(ENVIRONMENT_NAMES) + ", each at most once",
            seen=given,
            next_step="set it like IMAGO_ENVIRONMENTS=prod",
        )
    return names


def check_apart(environments: tuple[Environment, ...]) -> None:
    """Refuses environments that share a storage root, a ledger schema, a registry prefix or credentials."""
    for field in ("storage_root", "ledger_schema", "registry_prefix", "s3_access_key", "addresses"):
        seen: dict[str, str] = {}
        for environment in environments:
            value = getattr(environment, field)
            for one in value if isinstance(value, tuple) else (value,):
                # A person may read the letters of several environments; their subjects say which is which.
                if one is None or is_mail(one):
                    continue
                if field == "storage_root":
                    clash = next(
                        (v for v in seen if f"{v}/".startswith(f"{one}/") or f"{one}/".startswith(f"{v}/")), None
                    )
                else:
                    clash = one if one in seen else None
                if clash is not None:
                    setting = "ALERT_CHANNEL and _ALERT_ROUTES" if field == "addresses" else field.upper()
                    raise EnvironmentMismatch(
                        f"{seen[clash]} and {environment.name} share "
                        + ("an alert channel" if field == "addresses" else field),
                        environment=environment.name,
                        rule="environments stand apart",
                        seen=one,
                        next_step=f"give each its own IMAGO_<ENVIRONMENT>_{setting}",
                    )
                seen[one] = environment.name
