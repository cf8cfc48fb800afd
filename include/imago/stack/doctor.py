"""`imago doctor`: what is wrong with this machine, these settings, these connections; and how to mend each."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imago.environments import ENVIRONMENT_NAMES, Environment, check_apart, hosted_environments, load_environment
from imago.errors import ImagoError
from imago.specs import broken_specs, hosted_models
from imago.stack.layout import LEAST_FREE_BYTES, Layout
from imago.stack.settings import environment_variables
from imago.stack.supervisor import status, write_check


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `level` bad fails the doctor; note is worth knowing; `mend` says how to mend it."""

    what: str
    level: Literal["good", "note", "bad"]
    said: str
    mend: str = ""


def examine(layout: Layout) -> list[Finding]:
    """All findings, in the order in which a person would look."""
    environments: list[Environment] = []
    findings = [*_machine(layout), *_versions(layout), *_stack(layout), *_models(), *_settings(environments)]
    for environment in environments:
        findings += _connections(environment)
        findings += _contracts(environment)
    findings += _airflow()
    return findings


def _machine(layout: Layout) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("Python", "good", version)
    else:
        yield Finding("Python", "bad", version, "use Python 3.11, 3.12 or 3.13: delete .venv and run `make install`")
    folder = next(path for path in (layout.root, *layout.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        yield Finding(
            "disk", "bad", f"{free >> 20} MB free under {folder}", "free some room, or point IMAGO_HOME elsewhere"
        )
    else:
        yield Finding("disk", "good", f"{free >> 30} GB free under {folder}")
    try:
        layout.check_name()
        write_check(layout)
    except ImagoError as error:
        yield Finding("state folder", "bad", error.message, error.next_step)
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield Finding(
            "byte code",
            "note",
            "PYTHONDONTWRITEBYTECODE is set: each start compiles every import",
            "unset it in this shell",
        )


def _versions(layout: Layout) -> Iterator[Finding]:
    lock = layout.project / "requirements.lock"
    if not lock.exists():
        yield Finding("packages", "note", f"no {lock.name} in {layout.project} to compare with")
        return
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)([^\\\n]*)", lock.read_text(), flags=re.MULTILINE)
    other, missing = [], []
    for name, wanted, condition in pins:
        if not _applies(condition):
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if found != wanted:
            other.append(f"{name} {found} instead of {wanted}")
    if other:
        yield Finding("packages", "bad", "; ".join(other[:5]) + _more(other), "run `make install`")
    elif missing:
        # Extras that this installation did not ask for are in the lock as well.
        yield Finding(
            "packages", "good", f"{len(pins) - len(missing)} as pinned ({len(missing)} of extras are not installed)"
        )
    else:
        yield Finding("packages", "good", f"{len(pins)} as pinned")


def _applies(condition: str) -> bool:
    from packaging.markers import Marker

    text = condition.partition(";")[2].strip()
    return Marker(text).evaluate() if text else True


def _more(entries: list[str]) -> str:
    return f" and {len(entries) - 5} more" if len(entries) > 5 else ""


def _stack(layout: Layout) -> Iterator[Finding]:
    if not environment_variables(layout.root):
        yield Finding("embedded stack", "note", "not started here", "`imago up` starts it, if you want one")
        return
    rows = status(layout)
    broken = [row["title"] for row in rows if row["state"] != "running"]
    if not broken:
        yield Finding("embedded stack", "good", f"{len(rows)} components run")
    elif len(broken) == len(rows):
        yield Finding("embedded stack", "note", "is down", "run `imago up`")
    else:
        yield Finding("embedded stack", "bad", f"{', '.join(broken)} does not run", "run `imago up`")


def _settings(environments: list[Environment]) -> Iterator[Finding]:
    try:
        hosted = hosted_environments()
    except ImagoError as error:
        yield Finding("IMAGO_ENVIRONMENTS", "bad", error.message, error.next_step)
        return
    yield Finding("IMAGO_ENVIRONMENTS", "good", f"this process hosts {', '.join(hosted)}")
    for name in ENVIRONMENT_NAMES:
        if name not in hosted and f"IMAGO_{name.upper()}_STORAGE_ROOT" not in os.environ:
            continue
        try:
            environments.append(load_environment(name))
        except ImagoError as error:
            yield Finding(f"settings of {name}", "bad", error.message, error.next_step)
        else:
            yield Finding(f"settings of {name}", "good", "complete")
    try:
        check_apart(tuple(environments))
    except ImagoError as error:
        yield Finding("environments stand apart", "bad", str(error), error.next_step)


def _models() -> Iterator[Finding]:
    """The hosted models, and each spec that does not load."""
    hosted, broken = hosted_models(), broken_specs()
    if hosted:
        yield Finding("models", "good", f"this process hosts {', '.join(spec.name for spec in hosted)}")
    elif not broken:
        yield Finding("models", "note", "this process hosts none", "add a spec to include/imago_models/__init__.py")
    for spec in broken:
        yield Finding(f"spec of {spec.name}", "bad", f"{spec.where}: {spec.message}", spec.next_step)


def _contracts(environment: Environment) -> Iterator[Finding]:
    """Whether each model's dbt contracts are what its spec says."""
    from imago.dbt.declared import check_contracts

    for spec in hosted_models():
        yield _try(
            f"{environment.name}: contracts of {spec.name}",
            lambda spec=spec: check_contracts(environment, spec),  # type: ignore[misc]
            "correct the .yml of the named dbt model",
        )


def _connections(environment: Environment) -> Iterator[Finding]:
    prefix = f"IMAGO_{environment.name.upper()}_"
    yield _try(f"{environment.name}: ledger", lambda: _ledger(environment), f"check {prefix}LEDGER_URL")
    yield _try(
        f"{environment.name}: storage", lambda: _storage(environment), f"check {prefix}STORAGE_ROOT and {prefix}S3_*"
    )
    yield _try(
        f"{environment.name}: MLflow", lambda: _http(f"{environment.mlflow_uri}/health"), f"check {prefix}MLFLOW_URI"
    )
    yield from _alerts(environment)


def _try(what: str, check: Callable[[], str], mend: str) -> Finding:
    import botocore.exceptions
    import httpx

    try:
        return Finding(what, "good", check())
    except ImagoError as error:
        return Finding(what, "bad", error.message, error.next_step or mend)
    except (OSError, httpx.HTTPError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return Finding(
            what, "bad", f"{type(error).__name__}: {error}".splitlines()[0], f"{mend}, and that the server runs"
        )


def _ledger(environment: Environment) -> str:
    from imago.ledger import connect

    connect(environment)
    return f"schema {environment.ledger_schema} belongs to {environment.name}"


def _storage(environment: Environment) -> str:
    """Writes, reads and deletes one small object, as a publish would."""
    if not environment.on_s3:
        probe = Path(environment.storage_root) / ".doctor"
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"imago")
        probe.unlink()
        return f"{environment.storage_root} can be written"
    import boto3
    from botocore.config import Config

    secret = environment.s3_secret_key.get_secret_value() if environment.s3_secret_key else None
    client = boto3.client(
        "s3",
        endpoint_url=environment.s3_endpoint,
        aws_access_key_id=environment.s3_access_key,
        aws_secret_access_key=secret,
        region_name=environment.s3_region,
        config=Config(retries={"max_attempts": 1}, connect_timeout=3, read_timeout=5),
    )
    bucket, _, prefix = environment.storage_root.removeprefix("s3://").partition("/")
    key = f"{prefix}/.doctor".lstrip("/")
    client.put_object(Bucket=bucket, Key=key, Body=b"imago")
    client.delete_object(Bucket=bucket, Key=key)
    return f"{environment.storage_root} can be written"


def _http(url: str) -> str:
    import httpx

    answer = httpx.get(url, timeout=5, trust_env="127.0.0.1" not in url)
    answer.raise_for_status()
    return f"{url} answers"


def _alerts(environment: Environment) -> Iterator[Finding]:
    """Each way that an alert of the environment takes."""
    from imago.environments import is_mail

    prefix = f"IMAGO_{environment.name.upper()}_"
    slack = [address for address in environment.addresses if not is_mail(address)]
    mails = [address for address in environment.addresses if is_mail(address)]
    if slack:
        yield _slack(environment, slack, prefix)
    if mails:
        yield _try(
            f"{environment.name}: alerts by e-mail",
            lambda: _mail(environment, mails),
            f"check {prefix}SMTP_HOST, {prefix}SMTP_PORT, {prefix}SMTP_SECURITY, {prefix}SMTP_USER and its password",
        )


def _slack(environment: Environment, addresses: list[str], prefix: str) -> Finding:
    what, where = f"{environment.name}: alerts by Slack", ", ".join(addresses)
    if environment.slack_token is not None:
        mend = f"check {prefix}SLACK_TOKEN and {prefix}SLACK_BASE_URL"
        return _try(what, lambda: f"{_bot(environment)}; it writes to {where}", mend)
    if environment.slack_webhook is None:
        return Finding(
            what,
            "note",
            f"neither a token nor a webhook: alerts to {where} stay in the outbox",
            f"set {prefix}SLACK_TOKEN (a bot's token with chat:write, and files:write for pictures) or "
            f"{prefix}SLACK_WEBHOOK",
        )
    if addresses != [environment.alert_channel]:
        others = [address for address in addresses if address != environment.alert_channel]
        return Finding(
            what,
            "bad",
            f"the webhook writes to its own channel, and cannot reach {', '.join(others)}",
            f"set {prefix}SLACK_TOKEN, or take them out of {prefix}ALERT_ROUTES",
        )
    # Nothing but a message shows whether a webhook works, and a doctor sends none.
    return Finding(
        what,
        "good",
        f"a webhook, plain messages without threads; it must belong to {where} "
        f"(`imago alerts test --env {environment.name}` sends one)",
    )


def _bot(environment: Environment) -> str:
    import httpx

    assert environment.slack_token is not None
    answer = httpx.post(
        f"{environment.slack_base_url.rstrip('/')}/auth.test",
        headers={"Authorization": f"Bearer {environment.slack_token.get_secret_value()}"},
        timeout=5,
        trust_env="127.0.0.1" not in environment.slack_base_url,
    )
    answer.raise_for_status()
    said = answer.json()
    if not said.get("ok"):
        raise ImagoError(
            f"Slack says {said.get('error')}", next_step="put a bot token with chat:write into the setting"
        )
    return f"the token is {said.get('user', 'a bot')} of {said.get('team', 'a workspace')}"


def _mail(environment: Environment, addresses: list[str]) -> str:
    """Greets the mail server, encrypted and logged in as the settings ask; sends nothing."""
    from imago.alerts.addresses import mail_server

    server = mail_server(environment)
    connection = server.connect(5.0)
    try:
        code, said = connection.noop()
    finally:
        connection.close()
    if code >= 400:
        raise ImagoError(f"the mail server says {code} {said.decode(errors='replace')}")
    return f"{server.host}:{server.port} takes letters for {', '.join(addresses)}"


def _airflow() -> Iterator[Finding]:
    url = os.environ.get("IMAGO_AIRFLOW_URL")
    if url is None:
        yield Finding(
            "Airflow", "note", "IMAGO_AIRFLOW_URL is not set: backfills from the command line have nowhere to go"
        )
        return

    def log_in() -> str:
        import httpx

        login = {"username": os.environ.get("IMAGO_AIRFLOW_USER"), "password": os.environ.get("IMAGO_AIRFLOW_PASSWORD")}
        answer = httpx.post(f"{url}/auth/token", json=login, timeout=5, trust_env="127.0.0.1" not in url)
        answer.raise_for_status()
        return f"{url} lets {login['username']} in"

    yield _try("Airflow", log_in, "check IMAGO_AIRFLOW_URL, IMAGO_AIRFLOW_USER and IMAGO_AIRFLOW_PASSWORD")
