"""The model spec: frozen and typed. Every invalid value is refused with the field, the value and what is allowed.

This module is read whenever a DAG file is parsed, so it imports nothing heavy; pipelines are built by functions that
import scikit-learn when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from imago.days import parse_day
from imago.errors import ImagoError, SpecError
from imago.names import check_model_name
from imago.specs.calendar import Calendar
from imago.specs.part import Part as _Part
from imago.specs.scoring import Scoring
from imago.specs.search import Search

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Column = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Metric = Literal["roc_auc", "average_precision", "log_loss", "accuracy", "macro_f1", "rmse", "mae", "r2"]
LOWER_IS_BETTER = frozenset({"log_loss", "rmse", "mae"})
if TYPE_CHECKING:
    Builder = Callable[["ModelSpec", int], BaseEstimator]
else:
    # pydantic resolves what it reads at run time, and scikit-learn is too heavy to import while a DAG is parsed.
    Builder = Callable[..., Any]

_METRICS_OF = {
    "binary": {"roc_auc", "average_precision", "log_loss"},
    "multiclass": {"log_loss", "accuracy", "macro_f1"},
    "regression": {"rmse", "mae", "r2"},
}


class Feature(_Part):
    """One input column of the model, as the dbt contract offers it. `calendar` says that its day determines its values
    (a weekday, a month, a holiday's name): it is not compared with the training, which held other days."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$")]
    kind: Literal["numeric", "categorical"]
    calendar: bool = False


class Candidate(_Part):
    """A model that may become champion. `build(spec, seed)` gives an unfitted scikit-learn pipeline; `why` says in a
    sentence what this candidate is there to find out; `search` has other settings tried on the tuning days."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    build: Builder
    why: Annotated[str, Field(min_length=1)]
    search: Search | None = None


class Baseline(_Part):
    """A naive rule, compared in every fight and never promoted."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    build: Builder
    why: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _has_no_search(cls, values: Any) -> Any:
        if isinstance(values, dict) and "search" in values:
            raise ValueError("search: allowed for candidates only, a baseline is a naive rule")
        return values


class Training(_Part):
    """How a snapshot is cut in time. `warmup_days` calendar days at the start of the world are left out (their history
    is short), the last fit learns from at most `window_days`, and so do the fits that the last `tuning_days` of these
    judge, and the last `holdout_days` mature days judge; these three count open days (see `Calendar`)."""

    window_days: Annotated[int, Field(ge=7)] = 365
    warmup_days: Annotated[int, Field(ge=0)] = 28
    tuning_days: Annotated[int, Field(ge=0)] = 14
    holdout_days: Annotated[int, Field(ge=7)] = 30
    seed: Annotated[int, Field(ge=0)] = 2013


class Guardrails(_Part):
    """What a model has to keep to, or nothing is promoted.

    Bounds on the primary metric: below `floor` no model serves, beyond `ceiling` it is too good to be true (a leak).
    For a metric where lower is better the two are mirrored. `max_slice_loss` is how much worse than the champion a
    slice may be. `max_calibration_error` is how far promise and outcome may lie apart on the holdout (see
    `selection.gates`). `max_business_loss` is how much less than the champion's its decisions may be worth on the
    holdout, in the business metric's unit. `max_predict_ms` is the processor time for 1,000 rows, in milliseconds,
    `max_predict_memory_mb` the peak memory of the process that predicts, in MiB.
    """

    floor: float
    ceiling: float
    max_slice_loss: Annotated[float, Field(ge=0)] = 0.02
    max_calibration_error: Annotated[float, Field(gt=0)] = 0.1
    max_business_loss: Annotated[float, Field(ge=0)] = 0.0
    max_predict_ms: Annotated[float, Field(gt=0)] = 100.0
    max_predict_memory_mb: Annotated[float, Field(gt=0)] = 2048.0


DRIFT_MEASURES = (
    "psi", "jensen_shannon", "wasserstein", "mean_shift", "rate_shift", "missing_rise", "unseen_rise", "volume",
)  # fmt: skip


# What stands beside the key in stored predictions and in the endpoint's answer. The day belongs to each key anyhow.
RESERVED = frozenset(
    {"ds", "score", "decision", "decision_threshold", "model", "model_version", "reason", "features", "probabilities"}
)

SHARES = ("jensen_shannon", "rate_shift", "missing_rise", "unseen_rise")  # from 0 to 1
DRIFT_COLUMNS = ("prediction.score", "prediction.decision", "rows")  # what is measured beside the features


class Drift(_Part):
    """When a person is told that inputs or predictions are no longer those of the training.

    The measures' fields are the smallest effects that are worth it: PSI, Jensen-Shannon distance, Wasserstein distance
    and the shift of the mean score in deviations of the training, the change of a decision's share, the rise of a
    column's missing and unseen rates, and the distance of the day's rows from the usual of its weekday. Beside them
    stands what the model's own past shows, at such a level that `false_alerts_per_quarter` are to be expected of the
    whole model. An effect has to last for `confirm` windows in a row; missing and unseen values and the number of rows
    are told on the same day.

    `bounds` names thresholds of single columns (column, then measure) that hold instead of both; one that the measure
    cannot reach, or that the training's own days nearly reach, is refused. With `retrain` a
    confirmed drift starts a training, at most once in `retrain_cooldown_days` and `retrain_limit` times in a row
    without a new champion.
    """

    psi: Annotated[float, Field(gt=0)] = 0.15
    jensen_shannon: Annotated[float, Field(gt=0, le=1)] = 0.17
    wasserstein: Annotated[float, Field(gt=0)] = 0.35
    mean_shift: Annotated[float, Field(gt=0)] = 0.35
    rate_shift: Annotated[float, Field(gt=0, le=1)] = 0.05
    missing_rise: Annotated[float, Field(gt=0, le=1)] = 0.1
    unseen_rise: Annotated[float, Field(gt=0, le=1)] = 0.1
    volume: Annotated[float, Field(gt=0)] = 0.35
    false_alerts_per_quarter: Annotated[float, Field(gt=0)] = 1.0
    confirm: Annotated[int, Field(ge=1, le=3)] = 2
    bounds: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = Field(default_factory=dict)
    retrain: bool = False
    retrain_cooldown_days: Annotated[int, Field(ge=1)] = 14
    retrain_limit: Annotated[int, Field(ge=1)] = 2

    @field_validator("bounds")
    @classmethod
    def _of_known_measures(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        strangers = sorted({measure for asked in value.values() for measure in asked} - set(DRIFT_MEASURES))
        if strangers:
            raise ValueError(f"{', '.join(strangers)} are no measures; allowed: {', '.join(DRIFT_MEASURES)}")
        for column, asked in value.items():
            for measure, bound in asked.items():
                if measure in SHARES and bound > 1:
                    raise ValueError(f"{column}: {measure} never exceeds 1, so a bound of {bound:g} never alarms")
        return value


class BusinessMetric(_Part):
    """What a decision is worth, in `unit` per row: a caught case, a false alarm, a missed case, a quiet correct one.

    `unit` is a currency's code (`GBP`) or words. `column` is the column of the dbt metrics model that holds the worth
    of a day's decisions in each slice, where the spec names such a model.
    """

    name: Annotated[str, Field(min_length=1)]
    unit: Annotated[str, Field(min_length=1)]
    caught: float
    false_alarm: float
    missed: float
    quiet: float = 0.0
    column: Column = "business_value"


class Schedules(_Part):
    """When the clock-driven DAGs run, as cron expressions in the spec's time zone."""

    daily: Annotated[str, Field(min_length=9)] = "0 0 * * *"
    training: Annotated[str, Field(min_length=9)] = "0 0 * * 3"

    @field_validator("daily", "training")
    @classmethod
    def _is_a_cron(cls, value: str) -> str:
        from croniter import croniter

        if not croniter.is_valid(value):
            raise ValueError("allowed: a cron expression of five fields, as 0 0 * * *")
        minute, hour, *rest = value.split()
        if len(rest) != 3 or not (minute.isdecimal() and hour.isdecimal()):
            raise ValueError(
                "a partition is a day, so it fires once a day at most; allowed: one minute and one hour, as 30 6 * * *"
            )
        return value


class ModelSpec(_Part):
    """One model: everything that Imago needs to run its life.

    `entity_key` names the column, or the columns, that tell an entity from all others of its day; the same entity may
    come back on another day.
    `label` is a column of the outcome model, null where the outcome never came: 0/1 for `binary`, one of `classes` for
    `multiclass`, a number for `regression`. `decision_threshold` and `business` are for `binary`. The outcome of day
    D is complete at the end of day D + `label_delay_days`. `first_day` and `last_day` bound the days that
    are refreshed and scored, not the raw history that these may look back at. `calendar` says which days are closed.
    `shadows` says which challengers score in the shadow without being asked to: `awaiting`, one that won
    and waits for approval, until it is answered; `ties`, also one that a tie kept from reigning, until the next
    verdict; `by_hand`, none. `resample_by` says what is drawn again and again for every interval (see
    `selection.units`): `auto`, blocks of days as long as a label looks ahead, and entities too where some come back;
    `days` or `entities`, those alone; a column of a key of several, as `auto` with its values in place of the key's.
    """

    name: str
    owner: Annotated[str, Field(min_length=1)]
    description: Annotated[str, Field(min_length=1)]
    entity_key: Column | Annotated[tuple[Column, ...], Field(min_length=1)]
    event_time: Column = "event_time"
    problem: Literal["binary", "multiclass", "regression"]
    label: Column
    classes: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ...] = ()
    label_delay_days: Annotated[int, Field(ge=0)]
    first_day: str
    last_day: str | None = None
    timezone: str
    calendar: Calendar = Calendar()
    feature_model: str
    outcome_model: str
    metrics_model: str | None = None
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]
    baselines: Annotated[tuple[Baseline, ...], Field(min_length=1)]
    primary_metric: Metric
    smallest_effect: Annotated[float, Field(gt=0)]
    guardrails: Guardrails
    slices: tuple[str, ...] = ()
    training: Training = Training()
    scoring: Scoring = Scoring()
    decision_threshold: float = 0.5
    drift: Drift = Drift()
    business: BusinessMetric | None = None
    schedules: Schedules = Schedules()
    shadows: Literal["by_hand", "awaiting", "ties"] = "awaiting"
    resample_by: str = "auto"

    @field_validator("name", "feature_model", "outcome_model", "metrics_model")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            return check_model_name(value)
        except ImagoError as error:
            raise ValueError(f"allowed: {error.facts['allowed']}") from None

    @field_validator("entity_key")
    @classmethod
    def _is_a_key(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        if len(set(names)) < len(names):
            raise ValueError(f"allowed: each column once, given {', '.join(names)}")
        taken = [name for name in names if name in RESERVED or name.startswith("score_")]
        if taken:
            raise ValueError(
                f"{taken[0]} is a name of Imago's own (so are {', '.join(sorted(RESERVED))}, score_*); "
                "give the column another name in the dbt models"
            )
        return value

    @field_validator("first_day", "last_day")
    @classmethod
    def _is_a_day(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_day(value)
            except ImagoError:
                raise ValueError("allowed: a day as YYYY-MM-DD") from None
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("allowed: a name of the tz database, as America/New_York")
        return value

    @field_validator("baselines", mode="before")
    @classmethod
    def _baselines_are_compulsory(cls, value: Any) -> Any:
        if not value:
            raise ValueError("a spec without baselines is refused: name at least one naive rule to beat")
        return value

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        names = [*(part.name for part in self.candidates), *(part.name for part in self.baselines)]
        columns = [feature.name for feature in self.features]
        for what, given in (("candidates and baselines", names), ("features", columns)):
            twice = sorted({name for name in given if given.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: each name once, but {', '.join(twice)} stand twice")
        strangers = sorted(set(self.drift.bounds) - {*columns, *DRIFT_COLUMNS})
        if strangers:
            raise ValueError(
                f"drift.bounds: {', '.join(strangers)} are neither features nor {', '.join(DRIFT_COLUMNS)}"
            )
        for column, asked in self.drift.bounds.items():
            unmeasured = sorted(set(asked) - set(self.drift_measures(column)))
            if unmeasured:
                raise ValueError(
                    f"drift.bounds: {', '.join(unmeasured)} of {column} is never measured; allowed: "
                    f"{', '.join(self.drift_measures(column))}"
                )
        if self.problem == "binary" and not 0 < self.decision_threshold < 1:
            raise ValueError(f"decision_threshold: allowed between 0 and 1, given {self.decision_threshold}")
        if "event_time" in self.entity_keys and self.event_time != "event_time":
            raise ValueError("entity_key: event_time can be a part of the key only where it is the spec's event_time")
        if self.label in self.entity_keys:
            raise ValueError(f"entity_key: the label {self.label!r} cannot be a part of the key")
        if self.label in columns:
            raise ValueError(f"features: the label {self.label!r} cannot be a feature")
        unknown = sorted(set(self.slices) - set(columns))
        if unknown:
            raise ValueError(f"slices: {', '.join(unknown)} are not features")
        if self.primary_metric not in _METRICS_OF[self.problem]:
            allowed = ", ".join(sorted(_METRICS_OF[self.problem]))
            raise ValueError(f"primary_metric: allowed for {self.problem}: {allowed}, given {self.primary_metric}")
        searching = [one.name for one in self.candidates if one.search is not None]
        if searching and not self.training.tuning_days:
            raise ValueError(f"training.tuning_days: {', '.join(searching)} search on the tuning days, given 0")
        better = (self.guardrails.floor < self.guardrails.ceiling) != self.lower_is_better
        if not better:
            raise ValueError("guardrails: the ceiling must be better than the floor")
        units = ("auto", "days", "entities", *self.entity_keys)
        if self.resample_by not in units:
            allowed = ", ".join(units)
            raise ValueError(f"resample_by: allowed {allowed}, given {self.resample_by}")
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("last_day: it lies before first_day")
        return self

    @model_validator(mode="after")
    def _fits_its_problem(self) -> Self:
        if self.problem == "multiclass" and (len(self.classes) < 3 or len(set(self.classes)) < len(self.classes)):
            raise ValueError(f"classes: multiclass needs three or more, each once, given {self.classes}")
        if self.problem != "multiclass" and self.classes:
            raise ValueError(f"classes: allowed for multiclass only, the problem is {self.problem}")
        if self.problem != "binary" and self.business is not None:
            raise ValueError(f"business: prices of yes and no are for binary only, the problem is {self.problem}")
        if self.problem != "binary" and self.decision_threshold != 0.5:
            raise ValueError(f"decision_threshold: allowed for binary only, the problem is {self.problem}")
        return self

    def check_day(self, ds: str, *, environment: str | None = None) -> str:
        """The day back, when it is a day of the model's world. Raises SpecError before `first_day` and after
        `last_day`: no retry brings such a day."""
        parse_day(ds)
        if self.first_day <= ds <= (self.last_day or ds):
            return ds
        raise SpecError(
            f"{ds} lies outside of the days of {self.name}",
            environment=environment,
            model=self.name,
            partition=ds,
            rule="the model's days",
            allowed=f"{self.first_day} to {self.last_day or 'today'}",
            seen=ds,
            next_step="run it again with an allowed day, or change first_day or last_day in the spec",
        )

    @property
    def entity_keys(self) -> tuple[str, ...]:
        """The columns of the key, in order."""
        return (self.entity_key,) if isinstance(self.entity_key, str) else self.entity_key

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller primary metric is the better one."""
        return self.primary_metric in LOWER_IS_BETTER

    def drift_measures(self, column: str) -> tuple[str, ...]:
        """What is measured of a feature, of `prediction.score`, `prediction.decision` or `rows`."""
        if column == "rows":
            return ("volume",)
        if column == "prediction.decision":
            return () if self.problem == "regression" else ("rate_shift", "missing_rise", "unseen_rise")
        feature = next((one for one in self.features if one.name == column), None)
        if feature is not None and feature.calendar:
            return ("missing_rise",)
        numeric = feature is None or feature.kind == "numeric"
        shapes = ("psi", "jensen_shannon", *(("wasserstein",) if numeric else ()))
        return (*shapes, *(("mean_shift",) if feature is None else ()), "missing_rise", "unseen_rise")

    @property
    def calendar_names(self) -> tuple[str, ...]:
        """The features whose values their day determines."""
        return tuple(feature.name for feature in self.features if feature.calendar)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The model's input columns, in order."""
        return tuple(feature.name for feature in self.features)
