"""To be written."""

from __future__ import annotations

from pathlib import Path

from proofs.fight.report import Report


def run(url: str, home: Path) -> Report:
    raise NotImplementedError
