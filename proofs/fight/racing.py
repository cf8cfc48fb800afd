"""Promotions by many processes at once, some of them killed in the middle of their transaction.

A worker promotes until it has its number of acknowledged promotions: it reads who reigns, then writes decision and
champion in one transaction, and notes the row once the commit came back. One transaction in twenty ends by kill -9, at
a point inside of it or at any moment; another process carries on for the dead one.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from imago import ledger
from imago.environments import Environment
from imago.errors import ChampionChanged
from imago.ledger import champions, decisions
from imago.ledger.champions import Champion
from imago.ledger.schema import champions as champions_table
from imago.ledger.schema import decisions as decisions_table
from proofs.report import Report

MODEL = "toy"
SIZES = {"small": (4, 10), "full": (16, 100)}  # processes, promotions of each
KILLED = 0.08  # drawn; a loser is refused before most of the points, so about 5% die
POINTS = ("locked", "decided", "crowned", "committed", "any moment")
_SLOWEST = 0.004  # seconds that a transaction takes at most, so that "any moment" lies inside of it


def run(env: Environment, folder: Path, *, workers: int, promotions: int) -> Report:
    """Races `workers` processes with `promotions` each, and then looks at what is left."""
    report = Report("ledger under promotions and kills")
    ledger.connect.cache_clear()
    running = {_start(env, folder, place, 0, promotions): (place, 0) for place in range(workers)}
    killed = 0
    while running:
        child, status = os.wait()
        if child not in running:
            continue
        place, life = running.pop(child)
        if os.WIFSIGNALED(status):
            killed += 1
            running[_start(env, folder, place, life + 1, promotions)] = (place, life + 1)
        else:
            report.check(f"worker {place} ended well", os.WEXITSTATUS(status) == 0, f"status {status}")
    _judge(env, folder, report, workers, promotions, killed)
    return report


def _start(env: Environment, folder: Path, place: int, life: int, promotions: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _work(env, folder, place, life, promotions)
        code = 0
    except BaseException as error:
        print(f"worker {place}: {type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(code)


def _work(env: Environment, folder: Path, place: int, life: int, promotions: int) -> None:
    chance = random.Random(f"{place} {life}")
    notes = os.open(folder / f"worker-{place}", os.O_CREAT | os.O_APPEND | os.O_RDWR)
    done = sum(line.startswith(b"won") for line in os.read(notes, 10_000_000).splitlines())
    with ledger.connect(env).connect() as connection:
        while done < promotions:
            with connection.begin():
                now = champions.reigning(connection, MODEL)
            end = chance.choice(POINTS) if chance.random() < KILLED else ""
            os.write(notes, f"began {end or 'in peace'}\n".encode())
            try:
                row = _promote(connection, f"{place}.{life}.{done}", now.id if now else None, end, chance)
            except ChampionChanged:
                os.write(notes, b"lost\n")
                continue
            if end == "committed":
                os.kill(os.getpid(), 9)
            os.write(notes, f"won {row.id} {row.row_hash} {row.decision_id}\n".encode())
            done += 1


def _promote(connection, version: str, expected: int | None, end: str, chance: random.Random) -> Champion:
    if end == "any moment":
        timer = threading.Timer(chance.random() * _SLOWEST, os.kill, (os.getpid(), 9))
        timer.daemon = True
        timer.start()
    with connection.begin():
        champions.lock(connection, MODEL)
        _die(end, "locked")
        decision = decisions.record(
            connection, model=MODEL, training_ds="2013-10-01", run_id="proof", outcome="promoted",
            incumbent_id=expected, challenger_version=version, holdout_digest="d", verdict={},
        )  # fmt: skip
        _die(end, "decided")
        row = champions.crown(connection, _entry(version, decision), expected=expected)
        _die(end, "crowned")
    if end == "any moment":
        time.sleep(1)  # the kill comes
    return row


def _die(end: str, here: str) -> None:
    if end == here:
        os.kill(os.getpid(), 9)


def _entry(version: str, decision: int) -> Champion:
    return Champion(
        model=MODEL, action="promote", version=version, run_id="r", artifact_uri="/nowhere",
        artifact_sha256="0" * 64, artifact_format="skops", artifacts={}, training_ds="2013-10-01",
        trained_until="2013-08-30", effective_ds="2013-10-02", decided_at=datetime.now(UTC), decided_by="proof",
        decision_id=decision, reason="it won",
    )  # fmt: skip


def _judge(env: Environment, folder: Path, report: Report, workers: int, promotions: int, killed: int) -> None:
    lines = [line.split() for place in range(workers) for line in (folder / f"worker-{place}").read_text().splitlines()]
    told = Counter(line[0] for line in lines)
    ends = Counter(" ".join(line[1:]) for line in lines if line[0] == "began" and line[1:] != ["in", "peace"])
    won = {int(line[1]): (line[2], int(line[3])) for line in lines if line[0] == "won"}
    with ledger.connect(env).connect() as connection:
        problems = champions.verify(connection, MODEL)
        rows = champions.history(connection, MODEL)
        now = champions.reigning(connection, MODEL)
        decided = connection.execute(select(func.count()).select_from(decisions_table)).scalar_one()
        named: set[int | None] = set(connection.execute(select(champions_table.c.previous_id)).scalars())
    by_id = {row.id: row for row in rows}
    heads = [row.id for row in rows if row.id not in named]
    lost = [number for number, (sha, _) in won.items() if number not in by_id or by_id[number].row_hash != sha]
    silent = [row for row in rows if row.id not in won]
    report.check("every worker has its promotions", told["won"] == workers * promotions, told["won"])
    report.check("exactly one champion, which is the newest row", now is not None and heads == [now.id], heads)
    report.check("the chain is whole, and every decision has its row", not problems, problems[:3])
    report.check("nothing acknowledged is lost", not lost, lost[:5])
    report.check("a promotion is whole or not there", decided == len(rows), f"{decided} decisions, {len(rows)} rows")
    allowed = ends["committed"] + ends["any moment"]
    report.check("nothing was written by a transaction that ended inside", len(silent) <= allowed, len(silent))
    report.check("losers were told", told["lost"] > 0, told["lost"])
    report.check("processes were killed", killed > 0, killed)
    report.say(
        f"{workers} processes x {promotions} promotions: {told['began']} transactions, {told['won']} acknowledged, "
        f"{told['lost']} refused (ChampionChanged), {killed} killed ({killed / told['began']:.1%}: "
        f"{', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}), "
        f"{len(silent)} committed without an acknowledgement, {len(rows)} rows in the chain"
    )
