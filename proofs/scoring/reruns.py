"""The same days again and again, in several orders, one after the other and side by side: one digest for each day.

Every order and width has an environment of its own, so that each really writes every day. Within one of them a day is
scored many times, also by several processes at once, of which a later one may overtake an earlier one, that then says
by whom.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import Fenced, ImagoError
from proofs.aftermath import versions_of
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring import naive
from proofs.scoring.kills import PRELOAD
from proofs.scoring.rows import rows_digest, stored_rows
from proofs.scoring.world import SPEC, World, table

Runs = list[tuple[str, int]]  # (day, which of its runs)
Told = tuple[str, str, str, bool]  # day, digest, refusal, whether a later run of the day had overtaken it
WIDTHS = (1, 4)


def _day_by_day(days: Sequence[str], again: int) -> Runs:
    return [(ds, number) for ds in days for number in range(again)]


def _round_by_round_backwards(days: Sequence[str], again: int) -> Runs:
    return [(ds, number) for number in range(again) for ds in reversed(days)]


def _shuffled(days: Sequence[str], again: int) -> Runs:
    runs = _day_by_day(days, again)
    random.Random(2013).shuffle(runs)
    return runs


ORDERS: dict[str, Callable[[Sequence[str], int], Runs]] = {
    "day by day": _day_by_day,
    "backwards": _round_by_round_backwards,
    "shuffled": _shuffled,
}


def run(url: str, world: World, *, days: int, again: int) -> Report:
    """Scores `days` days `again` times, in every order and width."""
    report = Report("re-runs")
    chosen = world.plan.days[:: max(1, len(world.plan.days) // days)][:days]
    digests: dict[str, set[str]] = defaultdict(set)
    runs = idle = overtaken = 0
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([*PRELOAD, __name__])
    with (
        tempfile.TemporaryDirectory(prefix="imago-reruns-") as folder,
        ProcessPoolExecutor(max(WIDTHS), mp_context=processes) as pool,
    ):
        for order, ordered in ORDERS.items():
            for width in WIDTHS:
                where = f"{order}, {'one after the other' if width == 1 else f'{width} at once'}"
                env = new_environment(url, Path(folder) / f"{order} {width}".replace(" ", "-"))
                world.furnish(env, chosen)
                found = _scored(env, ordered(chosen, again), width, pool)
                runs += len(found)
                for ds, digest, refused, fenced in found:
                    by_whom = fenced and width > 1 and f"-of-{ds} (attempt" in refused
                    report.check(f"a run of {ds}, {where}", not refused or by_whom, refused)
                    overtaken += by_whom
                    digests[ds] |= {digest} - {""}
                for ds in chosen:
                    digests[ds].add(table(env).partition(ds).digest)  # type: ignore[union-attr]
                    digests[f"rows of {ds}"].add(rows_digest(stored_rows(table(env), ds)))
                    made = [len(versions_of(table(env, name), ds)) for name in ("predictions", "profiles")]
                    report.check(f"{ds}, {where}", made == [1, 1], f"{made} versions of predictions and profile")
                    idle += sum(made) - len(made)
    for ds, several in digests.items():
        report.check(f"one digest: {ds}", len(several) == 1, f"{len(several)} of them")
    one = sum(len(digests[ds]) == 1 for ds in chosen)
    report.say(
        f"{runs} runs of {len(chosen)} days in {len(ORDERS)} orders and {len(WIDTHS)} widths: "
        f"one digest for {one} of {len(chosen)} days, {idle or 'no'} version where nothing changed; "
        f"{overtaken} of those at once were overtaken and told by whom"
    )
    return report


def _scored(env: Environment, runs: Runs, width: int, pool: ProcessPoolExecutor) -> list[Told]:
    if width == 1:
        return [pool.submit(_score, env, *one).result() for one in runs]
    return [future.result() for future in [pool.submit(_score, env, *one) for one in runs]]


def _score(env: Environment, ds: str, number: int) -> Told:
    from imago.jobs import scoring

    logging.disable(logging.ERROR)
    naive.plant()
    context = RunContext(run_id=f"run-{number}-of-{ds}", code_commit=f"commit-{number}")
    try:
        return ds, scoring.score(env, SPEC, ds, context)["digest"], "", False
    except ImagoError as error:
        return ds, "", str(error), isinstance(error, Fenced)
