"""What changed thresholds would have fired, and which fires came before a real loss. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imago.days import shift
from imago.errors import ImagoError, SpecError
from imago.specs import Drift

AHEAD = 14  # days after a fire in which a loss counts as its own


@dataclass(frozen=True)
class Fire:
    """A day on which a concern alarmed, its worst columns first. `lasts` says that the day before did so too, so that
    it is the same incident; `loss` is the first day of a real loss within `AHEAD` days, None where there was none."""

    ds: str
    concern: str
    columns: tuple[str, ...]
    words: str
    lasts: bool = False
    loss: str | None = None


@dataclass(frozen=True)
class Replay:
    """The fires of one set of rules over a range of days, and the losses that none of them came before."""

    fires: tuple[Fire, ...]
    unforeseen: tuple[str, ...]
    days: int

    @property
    def incidents(self) -> tuple[Fire, ...]:
        """The first day of each incident: what a person would have been told anew."""
        return tuple(one for one in self.fires if not one.lasts)

    def as_dict(self) -> dict[str, Any]:
        told = self.incidents
        return {
            "days": self.days,
            "incidents": len(told),
            "before_a_loss": sum(one.loss is not None for one in told),
            "fires": [vars(one) for one in self.fires],
            "losses_without_a_fire": list(self.unforeseen),
        }


@dataclass
class Recorder:
    """Collects the fires of consecutive days."""

    fires: list[Fire] = field(default_factory=list)

    def day(self, ds: str, fired: Mapping[str, tuple[Sequence[str], str]]) -> None:
        """`fired` is concern to its columns and words."""
        before = {one.concern for one in self.fires if one.ds == shift(ds, -1)}
        for concern, (columns, words) in fired.items():
            self.fires.append(Fire(ds, concern, tuple(columns), words, lasts=concern in before))


def replay(recorder: Recorder, days: Collection[str], losses: Collection[str]) -> Replay:
    """Holds the fires against the days on which the matured metric fell below the champion's own noise."""
    lost = sorted(losses)
    fires = tuple(
        Fire(one.ds, one.concern, one.columns, one.words, one.lasts,
             next((ds for ds in lost if one.ds <= ds <= shift(one.ds, AHEAD)), None))
        for one in recorder.fires
    )  # fmt: skip
    foreseen = {ds for ds in lost for one in fires if one.ds <= ds <= shift(one.ds, AHEAD)}
    return Replay(fires, tuple(ds for ds in lost if ds not in foreseen), len(days))


def with_changes(drift: Drift, changes: Sequence[str], columns: Collection[str]) -> Drift:
    """The rules with changes of the form `psi=0.3`, `false_alerts_per_quarter=4` or `bounds.carrier.psi=0.5`; `columns`
    are those that have bounds. What retrains is no such rule: it does not say what fires."""
    values = drift.model_dump()
    rules = sorted(name for name in values if name != "bounds" and not name.startswith("retrain"))
    for change in changes:
        name, _, text = (part.strip() for part in change.partition("="))
        # A column's name may hold a dot, as prediction.score.
        column, _, measure = name.removeprefix("bounds.").rpartition(".")
        if name in rules:
            values[name] = _number(text, change)
        elif name.startswith("bounds.") and column in columns:
            values["bounds"] = {**values["bounds"]}
            values["bounds"][column] = {**values["bounds"].get(column, {}), measure: _number(text, change)}
        else:
            allowed = f"NAME=VALUE with one of {', '.join(rules)}, or bounds.COLUMN.MEASURE=VALUE with a column judged"
            raise _no_change(change, allowed=allowed, seen=name)
        try:
            drift = Drift(**values)
        except SpecError as error:
            raise _no_change(change, f": {error.message}", seen=text) from None
    return drift


def _number(text: str, change: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise _no_change(change, allowed="a number", seen=text) from None
    return int(value) if value.is_integer() else value


def _no_change(change: str, why: str = "", *, allowed: str | None = None, seen: str) -> ImagoError:
    message = f"{change!r} is no change of the drift rules{why}"
    return ImagoError(message, rule="--with", allowed=allowed, seen=seen, next_step="correct the change")
