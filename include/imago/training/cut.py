"""Where a training's days are cut, so that no row is used before its outcome was known, and none is lost. Pure.

A label of `label_delay_days` is waited for where it has to be: the model that is judged may know nothing that was not
known when the holdout began, and the holdout's own labels have to be there. It is not waited for a third time: the days
between train and tuning only stay out of the fits that tuning judges; the last fit learns from them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from imago.days import days_between, midnight, shift
from imago.errors import ImagoError
from imago.specs import Calendar, ModelSpec

LEAST_TRAINING_DAYS = 14
_LEAST = {"tuning_days": 1, "holdout_days": 7, "warmup_days": 0}  # to which a refusal may advise to lower a field
_FURTHEST = 4000  # days that a refusal looks ahead for a training that works

# What a day is for: (in train, tuning, fit, holdout) to words.
_PURPOSES = {
    (True, False, True, False): "learned from",
    (True, False, False, False): "learned from for tuning alone: the window of the last fit begins later",
    (False, False, True, False): "learned from in the last fit alone: their labels were not known when tuning began",
    (False, True, True, False): "tuned on, then learned from",
    (False, True, False, False): "tuned on",
    (False, False, False, True): "judged on",
}
_BEFORE_TUNING = "waited for: their labels were not known when tuning began, and the last fit's window begins later"
_BEFORE_HOLDOUT = "waited for: their labels were not known when the holdout began"
_AFTER = "waited for: their labels are not known yet"


@dataclass(frozen=True)
class Cut:
    """The parts of one training, as first and last day, both included.

    `train` is what the fits learn from that tuning judges, `fit` what the last fit learns from, which is the model that
    the holdout judges and that scores. Both have as many days as the spec's window, where history allows.
    `tuning_first` is None when the spec asks for no tuning days; then `train` and `fit` are the same days. Each bound
    is an open day; `closed` are the closed days from the first that is read to the training's own, which no part has.
    """

    training_ds: str
    train_first: str
    train_last: str
    tuning_first: str | None
    fit_first: str
    trained_until: str  # last day that any contestant may have learned from
    holdout_first: str
    holdout_last: str
    closed: tuple[str, ...] = ()

    @property
    def first(self) -> str:
        """The first day that any fit reads."""
        return min(self.train_first, self.fit_first)

    @property
    def effective_ds(self) -> str:
        """The first day that a champion of this training scores."""
        return shift(self.training_ds, 1)

    def days(self, part: str) -> tuple[str, ...]:
        """The open days of `train`, `tuning`, `fit`, `holdout` or `all` (those that have to be published)."""
        if part == "train":
            return self._open(self.train_first, self.train_last)
        if part == "tuning":
            return self._open(self.tuning_first, self.trained_until) if self.tuning_first else ()
        if part == "holdout":
            return self._open(self.holdout_first, self.holdout_last)
        if part == "fit":
            return self._open(self.fit_first, self.trained_until)
        if part == "all":
            used = {*self.days("train"), *self.days("tuning"), *self.days("fit"), *self.days("holdout")}
            return tuple(sorted(used))
        raise ValueError(f"a cut has the parts train, tuning, fit, holdout and all, not {part!r}")

    def _open(self, first: str, last: str) -> tuple[str, ...]:
        closed = frozenset(self.closed)
        return tuple(ds for ds in days_between(first, last) if ds not in closed)

    def purposes(self) -> list[tuple[str, str, int, str]]:
        """(first day, last day, open days, what they are for): each open day from the first that is read to the
        training's own has one purpose. Closed days between are not counted."""
        found = []
        for words, group in groupby(self._purposes(), key=lambda one: one[1]):
            days = [ds for ds, _ in group]
            found.append((days[0], days[-1], len(days), words))
        return found

    def _purposes(self) -> Iterator[tuple[str, str]]:
        parts = [frozenset(self.days(part)) for part in ("train", "tuning", "fit", "holdout")]
        for ds in self._open(self.first, self.training_ds):
            used = tuple(ds in days for days in parts)
            if any(used):
                yield ds, _PURPOSES[used]  # type: ignore[index]
            elif ds <= self.trained_until:
                yield ds, _BEFORE_TUNING
            else:
                yield ds, _BEFORE_HOLDOUT if ds < self.holdout_first else _AFTER

    def in_words(self) -> str:
        """The whole cut in a sentence: what each day is for."""
        said = "; ".join(f"{first}..{last} ({count} days) {words}" for first, last, count, words in self.purposes())
        return f"{said}; a champion scores from {self.effective_ds} on"

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able data; `from_dict` reads it back."""
        return {**asdict(self), "closed": list(self.closed)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cut:
        """The cut that `as_dict` gave."""
        return cls(**{**data, "closed": tuple(data["closed"])})


def cut(spec: ModelSpec, ds: str) -> Cut:
    """The cut of the training whose key is `ds`, the last closed day.

    With a label delay of 1 day and 30 holdout days, the training of 2013-10-01 judges on 2013-09-01..2013-09-30 and
    learns from days up to 2013-08-30. Raises ImagoError when the model's first day leaves too little to learn from.
    """
    found = _parts(spec, ds)
    days = _train_days(found)
    if days < _needed(spec):
        raise _too_early(spec, ds, days)
    return found


def _parts(spec: ModelSpec, ds: str) -> Cut:
    plan, delay, calendar = spec.training, spec.label_delay_days, spec.calendar
    earliest = calendar.earliest(shift(spec.first_day, plan.warmup_days))
    holdout_last = calendar.latest(shift(ds, -delay))
    holdout_first = calendar.back(holdout_last, plan.holdout_days)
    trained_until = calendar.latest(shift(holdout_first, -1 - delay))
    fit_first = train_first = max(earliest, calendar.back(trained_until, plan.window_days))
    tuning_first, train_last = None, trained_until
    if plan.tuning_days:
        tuning_first = calendar.back(trained_until, plan.tuning_days)
        train_last = calendar.latest(shift(tuning_first, -1 - delay))
        train_first = max(earliest, calendar.back(train_last, plan.window_days))
    first = min(train_first, fit_first)
    closed = calendar.closed_between(first, ds) if first <= ds else ()
    return Cut(ds, train_first, train_last, tuning_first, fit_first, trained_until, holdout_first, holdout_last, closed)


def _train_days(found: Cut) -> int:
    return len(found.days("train")) if found.train_first <= found.train_last else 0


def _works(spec: ModelSpec, ds: str) -> bool:
    # A window no longer than is needed: more of it would change nothing, and take long to count.
    return _train_days(_parts(_with(spec, window_days=_needed(spec)), ds)) >= _needed(spec)


def _with(spec: ModelSpec, **changes: int) -> ModelSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update=changes)})


def _needed(spec: ModelSpec) -> int:
    """How many days a fit has to have; a window that is shorter on purpose is as long as it is."""
    return min(LEAST_TRAINING_DAYS, spec.training.window_days)


def _too_early(spec: ModelSpec, ds: str, days: int) -> ImagoError:
    """The refusal: how many days there are, which are needed, and the smallest change that would do."""
    plan, day = spec.training, "day" if spec.calendar == Calendar() else "open day"
    before = f"{plan.tuning_days} days tune, " if plan.tuning_days else ""
    first = first_training_day(spec)
    ends = spec.last_day is not None and first is not None and first > spec.last_day
    steps = [] if first is None or ends else [f"train on {first} or later"]
    lowered = [
        f"training.{field}={value}"
        for field, least in _LEAST.items()
        if (value := _lowered(spec, ds, field, least)) is not None
    ]
    if lowered:
        steps.append(f"set {' or '.join(lowered)} in the spec")
    if not steps:
        steps.append(f"land history from before {spec.first_day} and set first_day to its first day in the spec")
    return ImagoError(
        f"the training of {ds} comes too early: {days} {day}s are left to learn from, and {_needed(spec)} are "
        f"needed. Of the days since {spec.first_day}, {plan.warmup_days} warm up, {before}{plan.holdout_days} judge, "
        f"and {_waits(spec)} go by until labels are known (label_delay_days={spec.label_delay_days})",
        model=spec.name,
        partition=ds,
        rule="days to learn from",
        allowed=f"{_needed(spec)} {day}s or more",
        seen=f"{days} {day}s",
        next_step=", or ".join(steps),
    )


def first_training_day(spec: ModelSpec) -> str | None:
    """The first day on which a training would have enough to learn from; None where no day would."""
    plan = spec.training
    parts = plan.warmup_days + _needed(spec) + plan.tuning_days + plan.holdout_days
    ds = shift(spec.first_day, parts - 1 + _waits(spec))  # closed days only make it later
    for _ in range(_FURTHEST):
        if _works(spec, ds):
            return ds
        ds = shift(ds, 1)
    return None


def _waits(spec: ModelSpec) -> int:
    """How many days go by until labels are known: before tuning, before the holdout and after it."""
    return spec.label_delay_days * (3 if spec.training.tuning_days else 2)


def _lowered(spec: ModelSpec, ds: str, field: str, least: int) -> int | None:
    """The largest lower value of one field with which the training of `ds` would work; None where none would."""
    lower = range(getattr(spec.training, field) - 1, least - 1, -1)
    return next((value for value in lower if _works(_with(spec, **{field: value}), ds)), None)


def training_moment(spec: ModelSpec, ds: str) -> datetime:
    """The UTC moment (without zone) as of which the training of `ds` looks at the world: the end of that day, which is
    00:00 of the next one in the spec's time zone. A label that became known later takes no part.

    With a label delay of 1 day the last holdout day is `ds` - 1, whose outcomes are all told during `ds`.
    """
    return midnight(shift(ds, 1), spec.timezone)


def moments(spec: ModelSpec, found: Cut) -> dict[str, datetime]:
    """Until when (UTC, without zone) a label has to be known to take part: in the fits that tuning judges (`train`), in
    the last fit (`fit`), in the holdout (`holdout`). Each is the moment at which the next part begins."""
    return {
        "train": training_moment(spec, shift(found.tuning_first or found.holdout_first, -1)),
        "fit": training_moment(spec, shift(found.holdout_first, -1)),
        "holdout": training_moment(spec, found.training_ds),
    }
