"""Who reigns, who reigned, and why: an append-only, hash-chained table.

The champion of a model is its newest row, so there is at most one. A row has two times: `effective_ds`, the first day
that it scores, and `decided_at`, when it was written. So "who reigned on 3 March" has an answer in a replayed year too:

    champions.reigning(connection, "flight_delays")             the newest row
    champions.at(connection, "flight_delays", "2013-10-03")     who scores that day; NoChampion when nobody does
    champions.crown(connection, entry, expected=previous_id)    the one way to change it
    champions.verify(connection, "flight_delays")               what is wrong with the chain; [] when it is whole
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select, text

from imago.days import parse_day
from imago.errors import ChampionChanged, ImagoError, NoChampion
from imago.ledger.schema import champions, decisions
from imago.texts import LONGEST, LONGEST_NAME, line

GENESIS = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Champion:
    """One row: a model version that reigns from `effective_ds` on. `artifacts` maps its files to their sha256."""

    model: str
    action: Literal["promote", "rollback"]
    version: str
    run_id: str
    artifact_uri: str
    artifact_sha256: str
    artifact_format: str
    artifacts: Mapping[str, str]
    training_ds: str
    trained_until: str
    effective_ds: str
    decided_at: datetime
    decided_by: str
    decision_id: int | None
    reason: str
    previous_id: int | None = None
    id: int | None = None
    prev_hash: str = GENESIS
    row_hash: str = ""

    def learned_from(self, ds: str) -> bool:
        """Whether its training saw that day or a later one: its scores of that day then look better than they are."""
        return self.trained_until >= ds

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "decided_at": self.decided_at.isoformat(), "artifacts": dict(self.artifacts)}


def reigning(connection: Connection, model: str) -> Champion | None:
    """The newest row; None when nobody was ever promoted."""
    query = select(champions).where(champions.c.model == model).order_by(champions.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _champion(row)


def at(connection: Connection, model: str, ds: str, *, known_at: datetime | None = None) -> Champion:
    """Who scores the day `ds`: the newest row that is effective by then. `known_at` asks what was known at that moment.

    Raises NoChampion.
    """
    parse_day(ds)
    query = select(champions).where(champions.c.model == model, champions.c.effective_ds <= ds)
    if known_at is not None:
        query = query.where(champions.c.decided_at <= known_at)
    row = connection.execute(query.order_by(champions.c.id.desc()).limit(1)).mappings().one_or_none()
    if row is None:
        raise NoChampion(
            f"nobody reigns on {ds}",
            model=model,
            partition=ds,
            next_step="run training and deployment for an earlier day, or score a day after the first promotion "
            f"(`imago champion history --model {model}`)",
        )
    return _champion(row)


def effective(rows: Sequence[Champion], ds: str) -> Champion | None:
    """The same of rows at hand, oldest first: the newest that is effective by `ds`; None when there is none."""
    parse_day(ds)
    return next((row for row in reversed(rows) if row.effective_ds <= ds), None)


def history(connection: Connection, model: str) -> list[Champion]:
    """All rows, oldest first."""
    query = select(champions).where(champions.c.model == model).order_by(champions.c.id)
    return [_champion(row) for row in connection.execute(query).mappings()]


def of_decision(connection: Connection, decision_id: int) -> Champion | None:
    """The row that a decision led to; None when it led to none."""
    row = connection.execute(select(champions).where(champions.c.decision_id == decision_id)).mappings().first()
    return None if row is None else _champion(row)


def crown(connection: Connection, entry: Champion, *, expected: int | None) -> Champion:
    """Appends `entry` in the caller's transaction, if the reigning row is still `expected` (None: nobody reigns).

    Waits for other promotions of the same model; whoever comes second gets ChampionChanged. Day of effect is checked to
    be a day, the hashes and the link to the row before are filled in here.
    """
    lock(connection, entry.model)
    now = reigning(connection, entry.model)
    if (now.id if now else None) != expected:
        raise ChampionChanged(
            "the reigning champion is not the one that the verdict was made against",
            model=entry.model,
            allowed=f"row {expected}" if expected else "nobody",
            seen=f"row {now.id}, version {now.version}" if now else "nobody",
            next_step="judge again: clear the deployment run, or start a new training",
        )
    parse_day(entry.effective_ds)
    _check_name(connection, entry)
    # What a person typed is bounded before it is hashed: the row has to hold what its hash covers.
    texts = {name: line(value, 2 * LONGEST) for name, value in vars(entry).items() if isinstance(value, str)}
    texts |= {"reason": line(entry.reason), "decided_by": line(entry.decided_by, LONGEST_NAME)}
    entry = replace(entry, **texts)  # type: ignore[arg-type]
    linked = replace(entry, previous_id=now.id if now else None, prev_hash=now.row_hash if now else GENESIS, id=None)
    linked = replace(linked, row_hash=row_hash(linked))
    values = {field.name: getattr(linked, field.name) for field in fields(linked) if field.name != "id"}
    row_id: int = connection.execute(champions.insert().values(**values).returning(champions.c.id)).scalar_one()
    return replace(linked, id=row_id)


def row_hash(entry: Champion) -> str:
    """The sha256 over a row's content and the hash of the row before it. The database's own number is not part of
    it."""
    content = entry.as_dict()
    del content["id"], content["row_hash"]
    content["decided_at"] = entry.decided_at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def broken_links(rows: Sequence[Champion]) -> list[str]:
    """What is wrong with a chain (all rows of a model, oldest first), one sentence each; empty when it is whole."""
    problems = []
    before: Champion | None = None
    for row in rows:
        if row.row_hash != row_hash(row):
            problems.append(f"row {row.id}: its content was changed after it was written")
        if row.prev_hash != (before.row_hash if before else GENESIS):
            problems.append(f"row {row.id}: the row before it was changed or removed")
        if row.previous_id != (before.id if before else None):
            problems.append(f"row {row.id}: it names row {row.previous_id} as its predecessor")
        before = row
    return problems


def verify(connection: Connection, model: str, *, head: str | None = None) -> list[str]:
    """What is wrong with a model's whole history, one sentence each; empty when it is whole.

    A chain does not show by itself that its newest rows are gone, so two more witnesses are heard: every decision that
    promoted has its row, and `head`, a row's hash that somebody noted earlier, is still among them. Waits for a
    promotion that is being written.
    """
    lock(connection, model)
    rows = history(connection, model)
    problems = broken_links(rows)
    decided = {row.decision_id: row for row in rows if row.decision_id is not None}
    query = select(decisions.c.id, decisions.c.outcome, decisions.c.challenger_version)
    told = {row.id: row for row in connection.execute(query.where(decisions.c.model == model).order_by(decisions.c.id))}
    problems += [
        f"decision {number} promoted version {row.challenger_version}, and there is no row of it"
        for number, row in told.items()
        if row.outcome == "promoted" and number not in decided
    ]
    for number, entry in decided.items():
        witness = told.get(number)
        if (
            witness is None
            or witness.outcome not in ("promoted", "awaiting")
            or witness.challenger_version != entry.version
        ):
            problems.append(f"row {entry.id}: its decision {number} did not say that version {entry.version} won")
    if head is not None and head not in {row.row_hash for row in rows}:
        problems.append(f"no row has the hash {head}: it was removed, or it is of another ledger")
    return problems


def check_chain(rows: Sequence[Champion]) -> None:
    """Raises ImagoError when the chain is broken."""
    problems = broken_links(rows)
    if problems:
        raise ImagoError(
            f"the history of champions was tampered with: {'; '.join(problems)}",
            model=rows[0].model,
            rule="hash chain",
            next_step="compare with a backup of the ledger before anything else is promoted",
        )


def rollback_target(rows: Iterable[Champion], to_version: str | None) -> Champion:
    """The row whose model should reign again: the newest of `to_version`, or of the version before the reigning one.

    Without `to_version`, a version that was itself rolled back from is passed over: a rollback that is asked for twice
    must not bring back what the first one took away. Raises NoChampion when nobody is left.
    """
    past = list(rows)
    if not past:
        raise NoChampion("there is no champion to roll back", next_step="run training and deployment first")
    current = past[-1]
    left = _left(past)
    others = [row for row in past if row.version != current.version]
    if to_version is None:
        wanted = [row for row in others if row.version not in left]
    else:
        wanted = [row for row in others if row.version == to_version]
    if not wanted:
        raise NoChampion(
            f"version {to_version} reigns already" if to_version == current.version
            else f"version {to_version} never reigned" if to_version is not None
            else "every earlier champion was itself rolled back from" if others
            else "there is no earlier champion to return to",
            model=current.model,
            allowed=", ".join(dict.fromkeys(row.version for row in reversed(others))) or "none",
            seen=to_version,
            next_step="name a version that reigned before (`imago champion history`)" if others
            else "train again, and let a challenger win its fight",
        )  # fmt: skip
    return wanted[-1]


def _left(rows: Sequence[Champion]) -> set[str]:
    """The versions that were rolled back from, and that nobody promoted or returned to since."""
    left: set[str] = set()
    for before, after in itertools.pairwise(rows):
        if after.action == "rollback":
            left.add(before.version)
        left.discard(after.version)
    return left


def protected(rows: Sequence[Champion], keep: int) -> dict[str, Champion]:
    """The versions that reigned within the last `keep` promotions, newest first, each with its newest row.

    A rollback brings its version back among them, and pushes none out. `rows` is the whole history, oldest first.
    """
    found: dict[str, Champion] = {}
    promotions = 0
    for row in reversed(rows):
        found.setdefault(row.version, row)
        promotions += row.action == "promote"
        if promotions == keep:
            break
    return found


def lock(connection: Connection, model: str, what: Literal["champion", "projection"] = "champion") -> None:
    """Verdicts and promotions of one model stand in line until the transaction ends; so do, apart from them, those who
    let MLflow follow. The schema's name keeps environments apart."""
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(current_schema() || :what || :model, 0))"),
        {"what": f":{what}:", "model": model},
    )


def _check_name(connection: Connection, entry: Champion) -> None:
    """A version's number names one model for good; MLflow counts from 1 again once its registered model was deleted."""
    query = select(champions.c.run_id).where(champions.c.model == entry.model, champions.c.version == entry.version)
    other = connection.execute(query.where(champions.c.run_id != entry.run_id).limit(1)).scalar_one_or_none()
    if other is not None:
        raise ImagoError(
            f"version {entry.version} is the name of another model that reigned",
            model=entry.model,
            rule="one version, one model",
            allowed=f"run {other}",
            seen=f"run {entry.run_id}",
            next_step="the registered model was deleted in MLflow, which counts from 1 again: give it another name "
            "with the setting REGISTRY_PREFIX, or train until the number is a new one",
        )


def _champion(row: RowMapping) -> Champion:
    return Champion(**{field.name: row[field.name] for field in fields(Champion)})
