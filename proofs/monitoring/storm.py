"""Storm: alerts from many processes, a hostile Slack, and a delivery that is killed again and again.

Nothing may be lost, nothing repeated but where the answer was lost (and then with the same id), nothing sent before its
time, and no writer may notice.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imago.alerts.channels import Patience
from imago.environments import Environment
from proofs.monitoring.fake_slack import LOST, TAKEN, Call, fake_slack
from proofs.report import Report

SEED = 2013
ADDED = 0.05  # seconds that an alert may add to a transaction
CLOCK = 0.02  # how exactly two processes agree on when something was
NOTICED = 2.0  # seconds in which an answer that came is written down, on a machine that is busy


@dataclass(frozen=True, kw_only=True)
class Size:
    alerts: int
    channels: int
    writers: int
    kills: int
    life: tuple[float, float]  # of a delivery, in seconds
    hang: float
    patience: Patience
    limit: float  # seconds until whatever is left counts as lost


SIZES = {
    # Real pace, real time-out, real hangs. What a server may ask for at most is 20 s here, and an hour in production.
    "full": Size(
        alerts=1000, channels=20, writers=16, kills=200, life=(0.4, 2.4), hang=40.0, limit=1800.0,
        patience=Patience(unknown=5.0, longest=20.0, backoff=10.0),
    ),
    "small": Size(
        alerts=80, channels=8, writers=4, kills=16, life=(0.3, 0.9), hang=4.0, limit=120.0,
        patience=Patience(pace=0.2, call=1.0, unknown=0.6, longest=2.0, retry=0.3, backoff=2.0),
    ),
}  # fmt: skip


def run(url: str, home: Path, size: str) -> Report:
    """The whole storm."""
    from proofs.postgres import new_environment

    much, report = SIZES[size], Report("storm")
    with fake_slack(seed=SEED, patience=much.patience, hang=much.hang) as slack:
        env = new_environment(url, home, slack_token="xoxb-proof", slack_base_url=slack.url)
        routes = ",".join(f"model_{number}=#channel-{number}" for number in range(much.channels))
        env = Environment.model_validate({**dict(env), "alert_routes": routes})
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["proofs.monitoring.storm", "imago.jobs.alerts", "slack_sdk", "psycopg2"])
        started = time.monotonic()
        answers = context.SimpleQueue()
        writers = [context.Process(target=_write, args=(env, much, number, answers)) for number in range(much.writers)]
        for writer in writers:
            writer.start()
        kills = _deliver_and_kill(context, env, much)
        plain, alerting = _times([answers.get() for _ in writers])
        for writer in writers:
            writer.join()
        left = _deliver_the_rest(context, env, much, started)
        _judge(report, much, slack.journal(), kills, left)
        report.say(f"{len(kills)} kills, all told after {time.monotonic() - started:.0f} s")
    bare, whole = statistics.median(plain), statistics.median(alerting)
    added = whole - bare
    report.check("a writer hardly notices", added <= ADDED, f"{added * 1000:.1f} ms of {ADDED * 1000:.0f} ms")
    report.say(f"an alert adds {added * 1000:.1f} ms to a transaction of {bare * 1000:.1f} ms (medians, mid-storm)")
    return report


def _write(env: Environment, much: Size, number: int, answers: Any) -> None:
    """One stage of many: its results, each in a transaction, every other one with an alert beside it."""
    from imago.alerts.outbox import Alert, raise_alert
    from imago.context import RunContext
    from imago.ledger import connect
    from imago.ledger.schema import publications

    engine = connect(env)
    plain: list[float] = []
    alerting: list[float] = []
    mine = range(number, much.alerts, much.writers)
    for place in mine:
        result = {
            "model": f"model_{place % much.channels}", "table_name": "features", "ds": "2013-10-01", "version": place,
            "fence": place, "changed": True, "rows": 1, "digest": "d", "run_id": "r", "mode": "live",
            "code_commit": "c", "inputs": {},
        }  # fmt: skip
        alert = Alert(
            model=f"model_{place % much.channels}", rule="drift", subject=f"column {place}",
            title=f"alert {place:05d} <!channel>", why="w", did="d", next_step="n", ds="2013-10-01",
        )  # fmt: skip
        for times, extra in ((plain, None), (alerting, alert)):
            begun = time.monotonic()
            with engine.begin() as connection:
                connection.execute(publications.insert().values(result))
                if extra is not None:
                    raise_alert(connection, extra, RunContext(run_id=f"writer {number}"))
            times.append(time.monotonic() - begun)
        time.sleep(0.05)
    answers.put((plain, alerting))


def _deliver(env: Environment, patience: Patience) -> None:
    """What the delivery task does, over and over."""
    import logging

    from imago.jobs import alerts

    logging.disable(logging.CRITICAL)
    while True:
        alerts.deliver(env, seconds=50.0, patience=patience)
        time.sleep(0.1)


def _deliver_and_kill(context: Any, env: Environment, much: Size) -> list[float]:
    """Kills the delivery that is at work, with the next one ready beside it; when each died."""
    dice, kills = random.Random(SEED), []
    active = _started(context, env, much)
    for _ in range(much.kills):
        standby = _started(context, env, much)
        time.sleep(dice.uniform(*much.life))
        active.kill()
        kills.append(time.time())
        active.join()
        active = standby
    active.kill()
    active.join()
    return [*kills, time.time()]


def _deliver_the_rest(context: Any, env: Environment, much: Size, started: float) -> int:
    """Lets delivery work in peace; how many alerts are still not told when the time is up."""
    from sqlalchemy import func, select

    from imago.ledger import connect
    from imago.ledger.schema import alerts

    active = _started(context, env, much)
    try:
        while True:
            with connect(env).connect() as connection:
                query = select(func.count()).where(alerts.c.status == "pending")
                left: int = connection.execute(query).scalar_one()
            if not left or time.monotonic() - started > much.limit:
                return left
            time.sleep(0.5)
    finally:
        active.kill()
        active.join()


def _started(context: Any, env: Environment, much: Size) -> Any:
    process = context.Process(target=_deliver, args=(env, much.patience), daemon=True)
    process.start()
    return process


def _times(told: Sequence[tuple[list[float], list[float]]]) -> tuple[list[float], list[float]]:
    return [t for plain, _ in told for t in plain], [t for _, alerting in told for t in alerting]


def _judge(report: Report, much: Size, journal: list[Call], kills: list[float], left: int) -> None:
    taken: dict[str, list[Call]] = defaultdict(list)
    for call in journal:
        if call.behaviour in TAKEN:
            taken[call.text.partition("alert ")[2][:5]].append(call)
    wanted = {f"{place:05d}" for place in range(much.alerts)}
    missing = sorted(wanted - set(taken))
    report.check("every alert is shown", not missing, f"{len(missing)} are not, as {missing[:3]}")
    report.check("nothing else is shown", set(taken) <= wanted, sorted(set(taken) - wanted)[:3])
    report.check("the ledger says that every alert was told", left == 0, f"{left} are pending")
    twice = {title: calls for title, calls in taken.items() if len(calls) > 1}
    for title, calls in twice.items():
        ids = {call.message_id for call in calls}
        report.check(f"alert {title} was repeated with the same id", len(ids) == 1 and "" not in ids, ids)
        for call in calls[:-1]:
            lost = call.behaviour in LOST or any(-CLOCK <= kill - call.at <= NOTICED for kill in kills)
            report.check(f"alert {title} was repeated because its answer was lost", lost, call)
    uses = Counter(calls[0].message_id for calls in taken.values())
    report.check("no two alerts have one id", max(uses.values(), default=0) <= 1)
    by_channel: dict[str, list[Call]] = defaultdict(list)
    for call in journal:
        by_channel[call.channel].append(call)
    early = [
        (later, later.at - earlier.not_before)
        for calls in by_channel.values()
        for earlier, later in itertools.pairwise(sorted(calls, key=lambda call: call.at))
        if later.at < earlier.not_before - CLOCK
    ]
    report.check("no call comes before its time", not early, early[:3])
    report.check("every behaviour was met", len({call.behaviour for call in journal}) >= 15 or much.alerts < 1000)
    gaps = [
        later.at - earlier.at
        for calls in by_channel.values()
        for earlier, later in itertools.pairwise(sorted(calls, key=lambda call: call.at))
    ]
    report.check("the rate stays under the limit", min(gaps) >= much.patience.pace - CLOCK, f"{min(gaps):.3f} s")
    shown = f"{much.alerts - len(missing):,} of {much.alerts:,}"
    report.say(f"{shown} shown on {much.channels} channels, {len(twice)} of them twice")
    bad = sum(call.behaviour != "ok" for call in journal)
    report.say(f"{len(journal):,} calls, {bad:,} answered badly; smallest gap in a channel {min(gaps):.2f} s")
