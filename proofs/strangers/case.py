"""One drawn case of the strangers' proof, and the one way in which all of them are judged."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from imago.environments import Environment
from imago.errors import ImagoError
from proofs.postgres import new_environment

Verdict = Literal["equal", "refused", "silent difference", "raw error", "poor refusal"]
GOOD: tuple[Verdict, ...] = ("equal", "refused")


@dataclass
class Workplace:
    """What an area draws its cases on: a Postgres server of this run's own, and an empty folder of the area's own."""

    url: str
    folder: Path
    _numbers: Any = field(default_factory=itertools.count)

    @cached_property
    def environment(self) -> Environment:
        """One environment on a local folder with a migrated ledger, shared by the area's cases."""
        return self.new_environment()

    def new_environment(self, name: str = "dev", **changes: Any) -> Environment:
        """A further one, with a folder and a ledger schema of its own; about half a second each."""
        folder = self.folder / f"environment-{next(self._numbers)}"
        folder.mkdir()
        return new_environment(self.url, folder, name, **changes)


@dataclass(frozen=True)
class Case:
    """A drawn input and what becomes of it.

    `run` does the real thing and returns the pair (actual, expected): `expected` comes from an independent computation
    and the two are compared with `==`. A refusal is an `ImagoError`; `names` are texts (a column, a file, a rule) that
    its message or facts must hold. With `refusable` False the input is good, and a refusal of it falls short. With
    `must_refuse` True the input is bad, and to accept it falls short.
    """

    name: str
    run: Callable[[], tuple[object, object]]
    names: tuple[str, ...] = ()
    refusable: bool = True
    must_refuse: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one case; `detail` says what to look at where it fell short."""

    case: str
    verdict: Verdict
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.verdict in GOOD


def judge(case: Case) -> Outcome:
    """Runs a case. Never raises what the case raised, save for KeyboardInterrupt and SystemExit."""
    try:
        actual, expected = case.run()
    except ImagoError as refusal:
        return _judge_refusal(case, refusal)
    except Exception:
        return Outcome(case.name, "raw error", traceback.format_exc(limit=-3)[-800:])
    if case.must_refuse:
        return Outcome(case.name, "silent difference", f"accepted, though it must be refused: {actual!r:.300}")
    if actual != expected:
        return Outcome(case.name, "silent difference", f"{actual!r:.300} where {expected!r:.300} was expected")
    return Outcome(case.name, "equal")


def _judge_refusal(case: Case, refusal: ImagoError) -> Outcome:
    text = f"{refusal.facts} {refusal}"
    if not case.refusable and not case.must_refuse:
        return Outcome(case.name, "silent difference", f"a good input was refused: {text:.500}")
    lacks = [name for name in case.names if name not in text] + ([] if refusal.next_step else ["a next step"])
    if lacks:
        return Outcome(case.name, "poor refusal", f"it does not name {', '.join(lacks)}: {text:.500}")
    return Outcome(case.name, "refused")
