"""Many processes at one table: different days do not wait for one another, one day has one winner."""

from __future__ import annotations

import multiprocessing

import pyarrow as pa

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import Fenced
from imago.tables import Table


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
