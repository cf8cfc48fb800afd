"""What a sabotage is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proofs.gates.mutators import Mutator
from proofs.gates.spoiling import Spoil
from proofs.gates.world import World


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """The gate turned down: inside of `act` no run may publish.

    The rows of the run are good and new (a corrected schedule), so that a gate that does not notice would publish them.
    `bad` makes bad rows of those that dbt wrote, which the part of the gate that is left must still stop. `target` is
    the dbt target of the run. `run` stands in for the refresh where it cannot run in this process; it raises when the
    run was stopped. Where the sabotage is itself an error of the code (`crashes`), the run may end with just that
    error.
    """

    name: str
    act: Spoil
    bad: Mutator | None = None
    target: str = "dev"
    crashes: bool = False
    run: Callable[[World], Any] | None = None
