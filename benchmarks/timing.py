"""Alternating repetitions and their medians, printed as a table of ratios.

Seconds differ between machines and hours; a ratio between two things that took turns holds better.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Contender:
    """One way to do the work: `run(repetition)` does it once; it takes part in the first `repetitions` rounds."""

    name: str
    run: Callable[[int], object]
    repetitions: int
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the seconds measured."""
        return statistics.median(self.seconds)


def take_turns(contenders: list[Contender]) -> None:
    """Runs the contenders in turns, so that what else the machine does meets all of them alike.

    A run that returns seconds (a float) measured itself; of any other the wall clock counts.
    """
    for repetition in range(max(contender.repetitions for contender in contenders)):
        for contender in contenders:
            if repetition < contender.repetitions:
                started = time.perf_counter()
                told = contender.run(repetition)
                contender.seconds.append(told if isinstance(told, float) else time.perf_counter() - started)


def table(title: str, contenders: list[Contender], *, against: Contender) -> None:
    """Prints each contender's median, its range, and how many times it costs `against`."""
    print(f"\n{title}\n")
    print(f"| {'':64} | runs | median s | fastest to slowest | times the first |")
    print(f"|{'-' * 66}|-----:|---------:|-------------------:|----------------:|")
    for contender in contenders:
        seconds = contender.seconds
        spread = f"{min(seconds):.3f} to {max(seconds):.3f}"
        ratio = contender.median / against.median
        print(f"| {contender.name:64} | {len(seconds):4} | {contender.median:8.3f} | {spread:>18} | {ratio:15.1f} |")


def machine() -> str:
    """The machine, in the words that a table of measurements needs."""
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, load at start {busy}"
