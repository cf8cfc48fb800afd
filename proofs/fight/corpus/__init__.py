"""Hostile model artifacts, each with a name that says what was done.

`BAITS` leave a marker when they are loaded naively, and each names the loader that does; `HARM` do something else: they
fill memory or disk, never end, crash a parser, or are simply not the model that the ledger knows.
"""

from __future__ import annotations

from proofs.fight.corpus import code, graphs, harm, places, rebuilt
from proofs.fight.corpus.cases import Case

BAITS: tuple[Case, ...] = (*code.CASES, *rebuilt.CASES, *places.CASES)
HARM: tuple[Case, ...] = (*harm.CASES, *graphs.CASES)
assert len({case.name for case in (*BAITS, *HARM)}) == len(BAITS) + len(HARM)
