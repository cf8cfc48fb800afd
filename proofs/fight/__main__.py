"""`python -m proofs.fight --size small|full`: runs all parts, names what falls short, ends with one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from proofs import command
from proofs.report import Report

PARTS = ("properties", "hostile", "racing", "whole", "chance", "returning", "mutants")
SEEDS = (2013, 2014)  # of the shuffled labels
# Small fights no chance: a share of twenty fights says nothing of one in twenty.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"tables": 200, "seeds": SEEDS[:1], "every": 40},
    "full": {"tables": 10_000, "seeds": SEEDS, "every": 1},
}


def main(given: list[str] | None = None) -> int:
    """Runs the proof; 0 when every promise holds."""
    return command.run("fight", given, about=__doc__, sizes=tuple(SIZES), parts=PARTS, reports=_reports)


def _reports(url: str, home: Path, size: str, parts: set[str]) -> Iterator[Report]:
    """Every part's report. The year of flights is built beside the parts that do not need it."""
    from proofs.fight import chance, mutants, returning, working

    much = SIZES[size]
    parts = parts - {"chance", "returning"} if size == "small" else parts
    alone: dict[str, list[tuple[Any, ...]]] = {
        "properties": [(much["tables"] // 2, 2013), (much["tables"] - much["tables"] // 2, 2014)],
        "hostile": [()],
        "racing": [(size,)],
        "lucks": [(first, 20) for first in range(0, returning.WORLDS, 20)],
    }
    on_flights: dict[str, list[tuple[Any, ...]]] = {
        "shuffled_labels": [(seed,) for seed in much["seeds"]],
        "worse_on_a_slice": [()],
        "inflated_metrics": [()],
        "retrains": [(group,) for group in range(chance.GROUPS)],
        "truth": [(chance.FIGHTS,)],
    }
    fights: list[chance.Fights] = []
    lucks: list[returning.Luck] = []
    with command.pool() as pool:

        def started(tasks: dict[str, list[tuple[Any, ...]]], *where: str) -> list[Future[Any]]:
            return [pool.submit(getattr(working, name), *where, *given)
                    for name, calls in tasks.items() if working.PART_OF[name] in parts for given in calls]  # fmt: skip

        year = pool.submit(working.build, url, str(home)) if parts & {"whole", "chance"} else None
        running = started(alone, url, str(home))
        if year is not None:
            running += started(on_flights, url, str(home), year.result())
        for future in as_completed(running):
            found = future.result()
            if isinstance(found, Report):
                yield found
            elif isinstance(found[0], returning.Luck):
                lucks += found
            else:
                fights += found
    if "chance" in parts:
        yield chance.judged(fights)
    if "returning" in parts:
        yield returning.judged(lucks)
    if "mutants" in parts:
        yield mutants.run(much["every"])


if __name__ == "__main__":
    sys.exit(main())
