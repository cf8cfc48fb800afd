"""The bad inputs: mutations of a good day, in its raw files and in what dbt makes of them."""

from __future__ import annotations

from proofs.gates.cases import Case
from proofs.gates.corpus import files, history, outcomes, registers, schedule, staged, weather


def cases() -> list[Case]:
    """All bad inputs; their names are unique."""
    return [case for part in (schedule, weather, history, registers, outcomes, files, staged) for case in part.cases()]
