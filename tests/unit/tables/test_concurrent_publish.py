"""Many processes at one table: different days do not wait for one another, one day has one winner."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter

import pyarrow as pa
import pytest
from sqlalchemy import text

from imago import ledger
from imago.context import RunContext
from imago.days import days_between
from imago.environments import Environment
from imago.errors import Fenced
from imago.ledger import publications
from imago.tables import Table, commits, files
from tests.waiting import HANGS


def _publish(environment: Environment, ds: str, value: float, barrier) -> str:
    table = Table(environment, "flight_delays", "features")
    data = pa.table({"flight_key": ["a", "b"], "ds": [ds, ds], "value": [value, value]})
    fence = table.draw_fence()
    barrier.wait()
    try:
        table.publish(
            data, days=[ds], key=("flight_key",), fence=fence, context=RunContext(run_id=f"run-{value:.0f}"), inputs={}
        )
    except Fenced:
        return "fenced"
    return f"published {value} behind {fence}"


def _run(environment: Environment, days: list[str]) -> list[str]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(len(days)) as pool:
        barrier = manager.Barrier(len(days))
        return pool.starmap(_publish, [(environment, ds, float(n), barrier) for n, ds in enumerate(days)])


def test_four_writers_of_four_days_all_publish(dev: Environment) -> None:
    days = ["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"]
    outcomes = _run(dev, days)
    assert all(outcome.startswith("published") for outcome in outcomes)
    assert Table(dev, "flight_delays", "features").published_days() == tuple(days)


def test_four_writers_of_one_day_leave_the_rows_of_the_highest_fence(dev: Environment) -> None:
    outcomes = _run(dev, ["2013-01-01"] * 4)
    published = [outcome.split() for outcome in outcomes if outcome.startswith("published")]
    winner = max(published, key=lambda words: int(words[3]))
    table = Table(dev, "flight_delays", "features")
    assert table.require("2013-01-01").column("value").to_pylist() == [float(winner[1])] * 2
    assert table.partition("2013-01-01").fence == int(winner[3])


def _publish_all(environment: Environment, days: list[str], rounds: int, barrier) -> int:
    """Every round gives each of these days other rows; how many publishes changed their day."""
    table = Table(environment, "flight_delays", "features")
    changed = 0
    barrier.wait()
    for number in range(rounds):
        for ds in days:
            data = pa.table({"flight_key": ["a"], "ds": [ds], "value": [float(number)]})
            context = RunContext(run_id=f"{ds}-{number}")
            done = table.publish(data, days=[ds], key=("flight_key",), fence=table.draw_fence(), context=context)
            changed += len(done.changed)
    return changed


def test_six_processes_that_rewrite_different_days_all_get_through(dev: Environment) -> None:
    days, rounds = days_between("2013-01-01", "2013-01-12"), 4
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(6) as pool:
        barrier = manager.Barrier(6)
        shares = [(dev, list(days[worker::6]), rounds, barrier) for worker in range(6)]
        changed = pool.starmap(_publish_all, shares)

    assert changed == [len(days) // 6 * rounds] * 6
    table = Table(dev, "flight_delays", "features")
    assert table.read().sort_by("ds")["value"].to_pylist() == [rounds - 1.0] * len(days)
    with ledger.connect(dev).connect() as connection:
        rows = [row for ds in days for row in publications.history(connection, table.model, table.name, ds)]
    # One version for each publish: the ledger names for each the commit that really made it.
    assert Counter(row["version"] for row in rows).most_common(1)[0][1] == 1
    for row in rows:
        (value,) = table.read([row["ds"]], version=row["version"])["value"].to_pylist()
        assert row["run_id"] == f"{row['ds']}-{value:.0f}"


@pytest.mark.parametrize(("module", "step"), [(files, "write"), (commits, "exchange"), (publications, "record")])
def test_an_attempt_that_hangs_at_any_step_holds_up_no_other_day(dev: Environment, monkeypatch, module, step) -> None:
    table = Table(dev, "flight_delays", "features")
    reached, go_on = threading.Event(), threading.Event()
    real = getattr(module, step)

    def hangs(*words, **named):
        done = real(*words, **named)
        if threading.current_thread() is not threading.main_thread():
            reached.set()
            assert go_on.wait(HANGS)
        return done

    def publish(ds: str) -> None:
        data = pa.table({"flight_key": ["a"], "ds": [ds], "value": [1.0]})
        context = RunContext(run_id=ds)
        table.publish(data, days=[ds], key=("flight_key",), fence=table.draw_fence(), context=context)

    monkeypatch.setattr(module, step, hangs)
    publish("2013-01-01")
    hung = threading.Thread(target=publish, args=["2013-01-02"])
    hung.start()
    assert reached.wait(HANGS)
    try:
        for ds in ("2013-01-03", "2013-01-04", "2013-01-05", "2013-01-06"):
            publish(ds)
        with ledger.connect(dev).connect() as connection:
            locks = "select count(*) from pg_locks where locktype = 'advisory' or not granted"
            assert connection.execute(text(locks)).scalar_one() == 0
    finally:
        go_on.set()
        hung.join()
    assert table.published_days() == tuple(f"2013-01-0{n}" for n in range(1, 7))
