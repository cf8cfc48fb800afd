"""Sabotages of the gate itself: a gate that was turned down must stop the run, not wave it through."""

from __future__ import annotations

from proofs.gates.sabotage import contract, machinery
from proofs.gates.sabotage.base import Sabotage


def all_sabotages() -> list[Sabotage]:
    """All of them; their names are unique."""
    return [*contract.sabotages(), *machinery.sabotages()]
