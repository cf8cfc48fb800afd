"""Where a training's days are cut, so that no row is used before its outcome was known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from imago.days import days_between, midnight, shift
from imago.errors import ImagoError
from imago.specs import Calendar, ModelSpec
from imago.specs.calendar import counted

LEAST_TRAINING_DAYS = 14


@dataclass(frozen=True)
class Cut:
    """The parts of one training, as first and last day, both included.

    Between two parts `label_delay_days` days are left out: their outcome was not known when the later part began.
    `tuning_first` is None when the spec asks for no tuning days; then `train_last` equals `trained_until`. Each bound
    is an open day; `closed` are the closed days between `train_first` and `holdout_last`, which no part has.
    """

    training_ds: str
    train_first: str
    train_last: str
    tuning_first: str | None
    trained_until: str  # last day that any contestant may have learned from
    holdout_first: str
    holdout_last: str
    closed: tuple[str, ...] = ()

    @property
    def effective_ds(self) -> str:
        """The first day that a champion of this training scores."""
        return shift(self.training_ds, 1)

    def days(self, part: str) -> tuple[str, ...]:
        """The open days of `train`, `tuning`, `fit` (both) or `holdout`."""
        if part == "train":
            return self._open(self.train_first, self.train_last)
        if part == "tuning":
            return self._open(self.tuning_first, self.trained_until) if self.tuning_first else ()
        if part == "holdout":
            return self._open(self.holdout_first, self.holdout_last)
        if part == "fit":
            return self._open(self.train_first, self.trained_until)
        raise ValueError(f"a cut has the parts train, tuning, fit and holdout, not {part!r}")

    def _open(self, first: str, last: str) -> tuple[str, ...]:
        closed = frozenset(self.closed)
        return tuple(ds for ds in days_between(first, last) if ds not in closed)

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
    plan, delay, calendar = spec.training, spec.label_delay_days, spec.calendar
    holdout_last = calendar.latest(shift(ds, -delay))
    holdout_first = calendar.back(holdout_last, plan.holdout_days)
    trained_until = calendar.latest(shift(holdout_first, -1 - delay))
    earliest = calendar.earliest(shift(spec.first_day, plan.warmup_days))
    train_first = max(earliest, calendar.back(trained_until, plan.window_days))
    tuning_first = calendar.back(trained_until, plan.tuning_days) if plan.tuning_days else None
    train_last = calendar.latest(shift(tuning_first, -1 - delay)) if tuning_first else trained_until
    learned = len(calendar.open_days(train_first, train_last)) if train_first <= train_last else 0
    if learned < LEAST_TRAINING_DAYS:
        open_of = f" ({counted(spec, train_first, train_last)})" if train_first <= train_last else ""
        raise ImagoError(
            f"the training of {ds} would learn from {train_first} to {train_last}{open_of}, fewer than "
            f"{LEAST_TRAINING_DAYS} {'days' if calendar == Calendar() else 'open days'}",
            model=spec.name,
            partition=ds,
            rule="days to learn from",
            allowed=f"{LEAST_TRAINING_DAYS} open days and more",
            seen=f"{learned} open days",
            next_step="train on a later day, or lower warmup_days, tuning_days or holdout_days in the spec",
        )
    closed = calendar.closed_between(train_first, holdout_last)
    return Cut(ds, train_first, train_last, tuning_first, trained_until, holdout_first, holdout_last, closed)


def training_moment(spec: ModelSpec, ds: str) -> datetime:
    """The UTC moment (without zone) as of which the training of `ds` looks at the world: the end of that day, which is
    00:00 of the next one in the spec's time zone. A label that became known later takes no part.

    With a label delay of 1 day the last holdout day is `ds` - 1, whose outcomes are all told during `ds`.
    """
    return midnight(shift(ds, 1), spec.timezone)
