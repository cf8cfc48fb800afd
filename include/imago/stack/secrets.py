"""Passwords, keys and tokens of one embedded stack: made once, kept in one file that only its owner reads."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from imago.environments import ENVIRONMENT_NAMES
from imago.errors import StackError
from imago.stack.layout import Layout, read_json, write_private

ROLES = ("airflow", "mlflow", *(f"imago_{name}" for name in ENVIRONMENT_NAMES))
S3_IDENTITIES = ("admin", "mlflow", *ENVIRONMENT_NAMES)


def _token() -> str:
    # No character that a URL, a shell or an INI file would read as more than itself.
    return secrets.token_hex(16)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Secrets:
    """`stack_id` marks the stack's processes; `roles` are Postgres passwords; `s3_secrets` belong to `s3_keys`."""

    stack_id: str = field(default_factory=lambda: secrets.token_hex(8))
    postgres: str = field(default_factory=_token)
    roles: dict[str, str] = field(default_factory=lambda: {role: _token() for role in ROLES})
    s3_keys: dict[str, str] = field(
        default_factory=lambda: {name: f"{name}-{secrets.token_hex(6)}" for name in S3_IDENTITIES}
    )
    s3_secrets: dict[str, str] = field(default_factory=lambda: {name: _token() for name in S3_IDENTITIES})
    slack_token: str = field(default_factory=lambda: f"xoxb-sandbox-{_token()}")
    airflow_password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    airflow_fernet: str = field(default_factory=_fernet_key)
    airflow_jwt: str = field(default_factory=_token)
    airflow_secret: str = field(default_factory=_token)

    @property
    def watchdog_password(self) -> str:
        """Of the login by which the watchdog's task reads Airflow's runs; the person's password stays out of tasks."""
        return hashlib.sha256(f"watchdog {self.airflow_secret}".encode()).hexdigest()[:32]

    @property
    def backfill_password(self) -> str:
        """Of the login by which a task starts the backfill that a person has asked for."""
        return hashlib.sha256(f"backfill {self.airflow_secret}".encode()).hexdigest()[:32]

    @property
    def trainer_password(self) -> str:
        """Of the login by which a confirmed drift starts a training: it may trigger runs, and nothing above that."""
        return hashlib.sha256(f"trainer {self.airflow_secret}".encode()).hexdigest()[:32]


def load_or_make(layout: Layout) -> Secrets:
    """The stack's secrets; made on the first start. Refuses when they were lost and the data is still there."""
    content: dict[str, Any] = read_json(layout.secrets_file)
    if not content:
        if (layout.root / "postgres" / "PG_VERSION").exists():
            raise StackError(
                f"{layout.secrets_file} is gone, and with it the passwords of the data under {layout.root}",
                next_step=f"put the file back, or delete {layout.root} to begin anew",
            )
        made = Secrets()
        write_private(layout.secrets_file, json.dumps(asdict(made), indent=1))
        return made
    known = {entry.name for entry in fields(Secrets)}
    if set(content) != known:
        raise StackError(
            f"{layout.secrets_file} does not hold what this version of Imago needs",
            allowed=", ".join(sorted(known)),
            next_step=f"delete {layout.root} to begin anew (its data goes with it)",
        )
    return Secrets(**content)
