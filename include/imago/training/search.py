"""A candidate's hyper-parameter search: fitted on the train days, judged on the tuning days, blind to the holdout.

The settings as `build` writes them are trial 0; the others come from a Halton sequence, which covers the space evenly
and follows from the spec's seed alone. A finished trial is written down at once, so a search that was killed goes on
with the trials that are missing and ends with the choice that it would have made.
"""

from __future__ import annotations

import difflib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import qmc

from imago.environments import Environment
from imago.errors import ImagoError, SpecError
from imago.specs import Baseline, Candidate, ModelSpec, Search
from imago.specs.search import Value
from imago.storage import Storage

log = logging.getLogger(__name__)
# The metrics on the tuning days, by `{part}_{metric}`, of a fit with these settings on the train days.
Attempt = Callable[[Mapping[str, Value]], dict[str, float]]


@dataclass(frozen=True)
class Trial:
    """One fit of a search. `settings` are by the names of the spec's space; `seconds` are those of the fit."""

    number: int
    settings: dict[str, Value]
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Found:
    """A finished search. `reused` trials were on record before; `ended_by` is "trials" or "seconds"."""

    trials: tuple[Trial, ...]
    best: Trial
    reused: int
    ended_by: str

    @property
    def changes(self) -> dict[str, Value]:
        """What to set in the pipeline before its last fit."""
        return self.best.settings if self.best.number else {}

    @property
    def seconds(self) -> float:
        """Of all trials, whenever they ran."""
        return sum(trial.seconds for trial in self.trials)

    def as_dict(self) -> dict[str, Any]:
        """What a run's result says of its search."""
        return {
            "trials": len(self.trials),
            "chosen": self.best.number,
            "settings": self.best.settings,
            "ended_by": self.ended_by,
            "seconds": round(self.seconds, 2),
        }


class Book:
    """The record of one search: a small file for each finished trial, below a folder of the environment's storage."""

    def __init__(self, environment: Environment, folder: str) -> None:
        self.storage = Storage(environment)
        self.folder = folder

    def read(self, number: int, settings: Mapping[str, Value]) -> Trial | None:
        """The trial of this number and these settings; None when it is not there, or not whole."""
        try:
            trial = Trial(**json.loads(self.storage.read_bytes(self._name(number))))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return trial if trial.number == number and _same(trial.settings, settings) else None

    def write(self, trial: Trial) -> None:
        self.storage.write_bytes(self._name(trial.number), json.dumps(asdict(trial), sort_keys=True).encode())

    def _name(self, number: int) -> str:
        return f"{self.folder}/trial-{number:04d}.json"


def check(spec: ModelSpec, one: Candidate | Baseline, pipeline: Any) -> None:
    """Raises SpecError when the candidate's search names a setting that its pipeline does not have."""
    if not isinstance(one, Candidate) or one.search is None:
        return
    known = pipeline.get_params()
    for part in one.search.space:
        if part.setting not in known:
            close = difflib.get_close_matches(part.setting, known, n=5, cutoff=0.0)
            raise SpecError(
                f"the search of {one.name} names a setting that its pipeline does not have",
                model=spec.name,
                rule="search.space",
                allowed=f"those of pipeline.get_params(), as {', '.join(close)}",
                seen=part.setting,
                next_step="correct the setting in include/imago_models",
            )


def draw(search: Search, seed: int) -> list[dict[str, Value]]:
    """The settings to try, none twice; fewer than `trials` where the space holds fewer."""
    wanted = int(min(search.trials, math.prod(part.size for part in search.space)))
    sequence = qmc.Halton(len(search.space), rng=seed)
    found: list[dict[str, Value]] = []
    while len(found) < wanted:
        settings = {
            part.setting: part.value(float(share))
            for part, share in zip(search.space, sequence.random(1)[0], strict=True)
        }
        if not any(_same(settings, other) for other in found):
            found.append(settings)
    return found


def run(spec: ModelSpec, one: Candidate | Baseline, attempt: Attempt, book: Book | None = None) -> Found:
    """Tries the candidate's settings in order and names the best by the primary metric; the earlier trial keeps a tie.

    Who has no search is tried as written. Raises ImagoError when a fit refuses its settings, or when no trial has a
    metric.
    """
    search = one.search if isinstance(one, Candidate) else None
    plan: list[dict[str, Value]] = [{}]
    if search is not None:
        written = one.build(spec, spec.training.seed).get_params()
        plan = [{part.setting: _plain(written[part.setting]) for part in search.space}]
        plan += draw(search, spec.training.seed)
    trials: list[Trial] = []
    reused, ended_by = 0, "trials"
    for number, settings in enumerate(plan):
        # Trial 0 is fitted in any case, so it is no cost of the search.
        if search is not None and sum(trial.seconds for trial in trials[1:]) >= search.seconds:
            ended_by = "seconds"
            log.warning(
                "%s: the search ended after %s of %s trials, its %s seconds used up: raise them, or another "
                "machine may choose otherwise", one.name, number - 1, len(plan) - 1, search.seconds,
            )  # fmt: skip
            break
        known = book.read(number, settings) if book is not None and search is not None else None
        trial = known or _tried(spec, one, number, settings, attempt)
        if known is not None:
            reused += 1
        elif book is not None and search is not None:
            book.write(trial)
        trials.append(trial)
        if search is not None:
            log.info(
                "%s: trial %s%s, %.1f s, %s, tuning %s %.5f", one.name, number, " (on record)" if known else "",
                trial.seconds, settings, spec.primary_metric, _metric(spec, trial),
            )  # fmt: skip
    if search is None:
        return Found(tuple(trials), trials[0], reused, ended_by)
    return Found(tuple(trials), _best(spec, one, trials), reused, ended_by)


def _tried(
    spec: ModelSpec, one: Candidate | Baseline, number: int, settings: dict[str, Value], attempt: Attempt
) -> Trial:
    started = time.perf_counter()
    try:
        metrics = attempt(settings if number else {})
    except Exception as error:  # whatever an estimator says of settings that it does not take
        if not number:
            raise
        raise ImagoError(
            f"trial {number} of the search of {one.name} could not be fitted: {error}",
            model=spec.name,
            rule="search.space",
            seen=settings,
            next_step="leave these values out of the search in include/imago_models",
        ) from error
    return Trial(number, settings, metrics, round(time.perf_counter() - started, 3))


def _best(spec: ModelSpec, one: Candidate | Baseline, trials: list[Trial]) -> Trial:
    sign = -1 if spec.lower_is_better else 1
    known = [trial for trial in trials if math.isfinite(_metric(spec, trial))]
    if not known:
        raise ImagoError(
            f"no trial of the search of {one.name} has a {spec.primary_metric} on the tuning days",
            model=spec.name,
            rule="a search chooses by a number",
            rows=len(trials),
            next_step="check the outcomes of the tuning days, or search fewer settings",
        )
    return max(known, key=lambda trial: (sign * _metric(spec, trial), -trial.number))


def _metric(spec: ModelSpec, trial: Trial) -> float:
    return trial.metrics[f"tuning_{spec.primary_metric}"]


def _same(left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    # 1, 1.0 and True are equal to Python and not to an estimator.
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _plain(value: Any) -> Value:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
