"""What a case is, and how a list of them is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proofs.fight.bait import Bait

Spoil = Callable[[Bait], None]


@dataclass(frozen=True)
class Case:
    """`spoil` makes the honest model hostile; `naive` is the loader that would run what it hides."""

    name: str
    spoil: Spoil
    naive: Callable[[Bait], object] | None = None


def listed(cases: list[Case]) -> Callable[..., Callable[[Spoil], Spoil]]:
    """A decorator that appends a function to `cases`, under the name and the naive loader that it is given."""

    def case(name: str, naive: Callable[[Bait], object] | None = None) -> Callable[[Spoil], Spoil]:
        def add(spoil: Spoil) -> Spoil:
            cases.append(Case(name, spoil, naive))
            return spoil

        return add

    return case
