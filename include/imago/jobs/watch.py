"""`imago watch`: the watchdog from outside of Airflow, which also reports a dead Airflow, delivery or ledger.

It asks Airflow over REST, writes what is wrong into the ledger as the watchdog's task does (so both together say it
once), and delivers what is due itself, in turn with Airflow's own delivery. Without a ledger it sends straight to the
platform's channel, and remembers in a file that it did.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import ImagoError, LedgerUnavailable, SettingsError

if TYPE_CHECKING:
    from imago.alerts.channels import Patience
    from imago.alerts.rendering import Message
    from imago.specs import BrokenSpec, ModelSpec

log = logging.getLogger(__name__)

_AGAIN = timedelta(hours=1)  # without a ledger, the same is said again after so long
WELL, WRONG, UNTOLD = 0, 1, 2  # exit codes


@dataclass(kw_only=True)
class Look:
    """What one look found: what is wrong now, one sentence each; what of it could not be told, and why."""

    wrong: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    told: int = 0
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> int:
        return UNTOLD if self.untold else WRONG if self.wrong else WELL

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "code": self.code}


def watch(
    env: Environment,
    models: Iterable[ModelSpec],
    now: datetime,
    *,
    variables: Mapping[str, str],
    memory: Path,
    seconds: float = 30.0,
    patience: Patience | None = None,
    broken: Iterable[BrokenSpec] = (),
) -> Look:
    """One look at everything, and at most `seconds` of delivery. `memory` is a file that outlives the process."""
    from sqlalchemy.exc import SQLAlchemyError

    look = Look()
    try:
        _look(env, tuple(models), tuple(broken), now, variables, look, seconds, patience)
    except (LedgerUnavailable, SQLAlchemyError) as problem:
        _ledger_is_down(env, now, memory, _first_line(problem), look)
    else:
        _ledger_is_back(env, now, memory, look)
    return look


def _look(
    env: Environment,
    models: tuple[ModelSpec, ...],
    broken: tuple[BrokenSpec, ...],
    now: datetime,
    variables: Mapping[str, str],
    look: Look,
    seconds: float,
    patience: Patience | None,
) -> None:
    from imago.context import RunContext
    from imago.jobs import alerts, watchdog
    from imago.ledger import connect

    connect(env)  # first: without a ledger nothing else can be written down
    context = RunContext(run_id=f"watch__{now:%Y-%m-%dT%H:%M:%S}", actor="imago watch")
    facts, problem = _airflow(env, variables)
    if isinstance(problem, SettingsError):
        look.untold.append(f"Airflow was not looked at: {problem.message}; {problem.next_step}")
    with facts or nullcontext():
        try:
            look.summary = watchdog.check(env, models, now, facts, context=context, broken=broken)
        except ImagoError as error:  # it answered once and then no more
            if isinstance(error, LedgerUnavailable):
                raise
            problem = error
            look.summary = watchdog.check(env, models, now, None, context=context, broken=broken)
    if not isinstance(problem, SettingsError):
        _note_api(env, problem, context)
    delivered = alerts.deliver(env, seconds=seconds, patience=patience)
    look.told = delivered["messages"]
    look.summary["delivery"] = delivered
    look.wrong = _open_troubles(env)
    look.untold += [f"{where}: {why}" for where, why in sorted(delivered["problems"].items())]


def _airflow(env: Environment, variables: Mapping[str, str]) -> tuple[Any, ImagoError | None]:
    """Airflow's facts, or why there are none."""
    from imago.jobs.airflow_facts import RestFacts

    try:
        facts = RestFacts.of(env, variables, timeout=20.0)
    except SettingsError as problem:
        return None, problem
    try:
        facts.parts()
    except ImagoError as problem:
        facts.__exit__()
        return None, problem
    return facts, None


def _note_api(env: Environment, problem: ImagoError | None, context: Any) -> None:
    from imago.alerts.outbox import raise_alert, resolve
    from imago.alerts.watch import API, unreachable_alert
    from imago.ledger import connect

    with connect(env).begin() as connection:
        if problem is None:
            resolve(connection, None, "airflow_down", API, context)
        else:
            raise_alert(connection, unreachable_alert(problem.message), context)


def _open_troubles(env: Environment) -> list[str]:
    """What the watchdog's rules say is wrong now."""
    from imago.alerts.rules import WATCHED
    from imago.jobs import incidents

    return [
        f"incident {row['id']}: {row['title']}"
        for row in incidents.overview(env, limit=50)
        if row["rule"] in WATCHED and row["silence"] is None
    ]


def _ledger_is_down(env: Environment, now: datetime, memory: Path, reason: str, look: Look) -> None:
    from imago.alerts.rendering import ledger_down

    look.wrong.append(f"the ledger of {env.name} does not answer: {reason}")
    known = _read(memory, env)
    since = datetime.fromisoformat(known["since"]) if known else now
    if known and now - datetime.fromisoformat(known["told_at"]) < _AGAIN:
        return
    message_id = known.get("message_id") or str(uuid.uuid4())
    if _send(env, ledger_down(env.name, reason, since, now), message_id, look):
        _write(memory, env, {"since": since.isoformat(), "told_at": now.isoformat(), "message_id": message_id})


def _ledger_is_back(env: Environment, now: datetime, memory: Path, look: Look) -> None:
    from imago.alerts.rendering import ledger_back

    known = _read(memory, env)
    if not known:
        return
    message = ledger_back(env.name, datetime.fromisoformat(known["since"]), now)
    if _send(env, message, str(uuid.uuid4()), look):
        _write(memory, env, None)


def _send(env: Environment, message: Message, message_id: str, look: Look) -> bool:
    """Past the outbox, straight to the platform's channel."""
    from imago.alerts.addresses import channel_at
    from imago.alerts.channels import About

    address = env.address_of(None)
    try:
        channel_at(env, address).post(
            message, About(message_id=message_id, incident=0, dedup_key="ledger"), thread=None, broadcast=False
        )
    except ImagoError as problem:
        look.untold.append(f"{address}: {problem.message}")
        return False
    look.told += 1
    return True


def _read(memory: Path, env: Environment) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(memory.read_text(encoding="utf-8"))
        return dict(kept.get(env.name) or {})
    except (OSError, ValueError, AttributeError):
        return {}


def _write(memory: Path, env: Environment, entry: dict[str, Any] | None) -> None:
    """Replaces the file whole; where that fails, the same is said again at the next look."""
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    kept = {name: value for name, value in {**kept, env.name: entry}.items() if value}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = memory.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_text(json.dumps(kept), encoding="utf-8")
        fresh.replace(memory)
    except OSError as problem:
        log.error("%s cannot be written: %s", memory, problem)


def _first_line(problem: Exception) -> str:
    from imago.alerts.alert import plain

    words = problem.message if isinstance(problem, ImagoError) else str(problem)
    return plain(words.strip().splitlines()[0] if words.strip() else type(problem).__name__)[:300]
