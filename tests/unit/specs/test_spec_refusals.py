"""Specs and environments: what is not valid is refused with the field, the value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from imago.environments import load_environment
from imago.errors import SettingsError, SpecError
from imago.specs import (
    Baseline,
    BusinessMetric,
    Choice,
    Drift,
    Guardrails,
    ModelSpec,
    Range,
    Schedules,
    Scoring,
    Search,
    Training,
    get_model,
)

GOOD = {
    "IMAGO_DEV_STORAGE_ROOT": "s3://imago-dev",
    "IMAGO_DEV_LEDGER_URL": "postgresql+psycopg2://imago_dev:secret-word@127.0.0.1/imago",
    "IMAGO_DEV_MLFLOW_URI": "http://127.0.0.1:5050",
}


def changed(**fields: Any) -> ModelSpec:
    spec = get_model("flight_delays")
    return ModelSpec(**{**{name: getattr(spec, name) for name in ModelSpec.model_fields}, **fields})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Flight Delays"),
        ("entity_key", "a; drop table"),
        ("label", "carrier"),
        ("metrics_model", "../x"),
        ("first_day", "2013-02-30"),
        ("last_day", "2012-12-31"),
        ("timezone", "New York"),
        ("decision_threshold", 7.0),
        ("baselines", ()),
        ("slices", ("nowhere",)),
        ("primary_metric", "rmse"),
        ("label_delay_days", -1),
        ("drift", Drift(bounds={"nowhere": {"psi": 1.0}})),
        ("guardrails", Guardrails(floor=0.9, ceiling=0.6)),
    ],
)
def test_a_spec_that_is_not_valid_is_refused_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=field):
        changed(**{field: value})


# A partition is a day: these fire more than once in one.
TOO_OFTEN = ("0 * * * *", "*/15 6 * * *", "0 6,18 * * *", "0 6-8 * * *", "0 */12 * * *", "5,35 1 * * *", "* * * * *")


def test_a_schedule_that_fires_once_a_day_or_less_is_taken():
    for cron in ("30 6 * * *", "0 0 * * 3", "15 23 1 * *", "00 05 * 1-6 mon-fri"):
        assert Schedules(daily=cron, training=cron).daily == cron


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (Schedules, {"daily": "not a cron at all"}),
        *((Schedules, {field: cron}) for field in ("daily", "training") for cron in TOO_OFTEN),
        (Guardrails, {"floor": float("nan"), "ceiling": 0.8}),
        (BusinessMetric, {"name": "x", "unit": "USD", "caught": float("inf"), "false_alarm": 0.0, "missed": 0.0}),
        (Scoring, {"engine": "pandas"}),
        (Scoring, {"parts": 0}),
        (Scoring, {"bad_rows": "drop"}),
        (Scoring, {"max_bad_rate": 1.5}),
        (Drift, {"bounds": {"carrier": {"psi": -1.0}}}),
        (Drift, {"bounds": {"carrier": {"beauty": 1.0}}}),
    ],
)
def test_a_part_of_a_spec_that_is_not_valid_is_refused(part: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"allowed|finite|bound|critical|engine|parts|bad_rows|max_bad_rate"):
        part(**fields)


SPACE = (Choice(setting="model__max_iter", values=(50, 100)),)


@pytest.mark.parametrize(
    ("part", "fields", "named"),
    [
        (Search, {"space": (), "trials": 3, "seconds": 60}, "space"),
        (Search, {"space": SPACE, "trials": 0, "seconds": 60}, "trials"),
        (Search, {"space": SPACE, "trials": 3, "seconds": 0}, "seconds"),
        (Search, {"space": SPACE * 2, "trials": 3, "seconds": 60}, "model__max_iter stand twice"),
        (Choice, {"setting": "model__max_iter", "values": (50,)}, "values"),
        (Choice, {"setting": "model__max_iter", "values": (50, 50)}, "each value once"),
        (Choice, {"setting": "model.max_iter", "values": (50, 100)}, "setting"),
        (Range, {"setting": "model__l2", "low": 1.0, "high": 1.0}, "above low"),
        (Range, {"setting": "model__l2", "low": 0.0, "high": 1.0, "log": True}, "above 0"),
        (Baseline, {"name": "rule", "build": print, "why": "w", "search": None}, "candidates only"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_with_its_field(part: Any, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError, match=named):
        part(**fields)


def test_a_search_without_tuning_days_is_refused() -> None:
    spec = changed()
    search = Search(space=SPACE, trials=1, seconds=60)
    searching = spec.candidates[0].model_copy(update={"search": search})
    with pytest.raises(SpecError, match=r"tuning_days.*logistic_regression"):
        changed(candidates=(searching, *spec.candidates[1:]), training=Training(tuning_days=0))


def test_a_valid_spec_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        changed().owner = "somebody"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("IMAGO_DEV_STORAGE_ROOT", "relative/folder"),
        ("IMAGO_DEV_STORAGE_ROOT", "/srv/x/../y"),
        ("IMAGO_DEV_MLFLOW_URI", "garbage"),
        ("IMAGO_DEV_ALERT_CHANNEL", "imago"),
    ],
)
def test_a_setting_that_is_not_valid_is_refused_with_its_variable_and_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_environment("dev", {**GOOD, variable: value})
    assert variable in str(refusal.value)
    assert value in str(refusal.value)


def test_a_secret_never_stands_in_a_refusal() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_environment("dev", {**GOOD, "IMAGO_DEV_LEDGER_URL": "mysql://root:secret-word@127.0.0.1/x"})
    assert "IMAGO_DEV_LEDGER_URL" in str(refusal.value)
    assert "secret-word" not in str(refusal.value)
