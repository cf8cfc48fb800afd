"""The task of the proof, for a process of its own."""

from __future__ import annotations

import importlib
from pathlib import Path

from proofs.strangers.case import Outcome, Workplace, judge


def outcomes(area: str, url: str, folder: str, count: int, seed: int) -> list[Outcome]:
    """What became of `count` cases of one area, drawn from `seed`."""
    home = Path(folder)
    home.mkdir(parents=True)
    drawn = importlib.import_module(f"proofs.strangers.{area}").cases(Workplace(url, home), count, seed)
    return [judge(case) for case in drawn]
