"""A run of a closed day is skipped with its reason, whatever started it."""

from __future__ import annotations

import os
import tempfile

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")

from airflow.sdk.exceptions import AirflowSkipException

from imago.context import RunContext
from imago.specs import Calendar, get_model
from imago.specs.calendar import require_open
from imago_airflow.defaults import by_clock
from imago_airflow.operators import base
from imago_airflow.operators.refresh import open_among
from imago_airflow.run import Run

SHOP = get_model("flight_delays").model_copy(update={"calendar": Calendar(closed_weekdays=("sunday",))})
SUNDAY, MONDAY = "2013-12-22", "2013-12-23"


class Told:
    """What a task instance is told."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def xcom_push(self, *, key: str, value: object) -> None:
        self.values[key] = value


class Stage(base.StageOperator):
    def work(self, run, context):
        require_open(run.spec, run.day, environment="dev")
        return {"worked": run.day}


def run_of(ds: str) -> Run:
    return Run(environment=None, spec=SHOP, ds=ds, context=RunContext(run_id="test"))  # type: ignore[arg-type]


def test_a_task_of_a_closed_day_is_skipped_and_says_why(monkeypatch):
    monkeypatch.setattr(base, "open_run", lambda context, **names: run_of(context["ds"]))
    monkeypatch.setattr(base.StageOperator, "done", lambda self, context: None)
    stage, told = Stage(task_id="score", environment="dev", model=SHOP.name), Told()
    assert stage.execute({"ds": MONDAY, "ti": told}) == {"worked": MONDAY}
    with pytest.raises(AirflowSkipException, match="2013-12-22 is a sunday"):
        stage.execute({"ds": SUNDAY, "ti": told})
    assert told.values["refusal"]["partition"] == SUNDAY


def test_closed_days_of_a_loaded_range_are_not_announced():
    assert open_among(run_of(MONDAY), ("2013-12-21", SUNDAY, MONDAY)) == ("2013-12-21", MONDAY)


def test_the_daily_clock_knows_the_calendar_and_that_of_trainings_does_not():
    assert by_clock(SHOP, "0 0 * * *", days_back=0).calendar == SHOP.calendar
    assert by_clock(SHOP, "0 0 * * 1", days_back=1, closed_too=True).calendar == Calendar()
