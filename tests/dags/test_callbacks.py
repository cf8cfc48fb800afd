"""Airflow's callbacks write the failure down, whatever became of the model's spec meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from imago.ledger import connect
from imago.ledger.schema import alerts, failed_attempts
from imago.specs import hosted
from imago_airflow import callbacks
from imago_airflow.run import champion_of, mode_of

DAG = "dev__toy__batch_scoring"
BROKEN = {
    "gone": "from imago_models.elsewhere import TOY",
    "a typo": "def (",
    "no specs": "MODELS = None",
    "it ends the process": "raise SystemExit(3)",
}


@pytest.fixture
def dev_by_variables(dev, monkeypatch):
    """The environment as callbacks find it, in the process's variables."""
    for name, value in dev:
        if value is not None and name not in ("name", "requires_approval"):
            secret = value.get_secret_value() if isinstance(value, SecretStr) else value
            monkeypatch.setenv(f"IMAGO_DEV_{name.upper()}", str(secret))
    return dev


def context(error: object = None, extras: tuple[object, ...] = ()) -> dict[str, object]:
    task = SimpleNamespace(
        dag_id=DAG, run_id="r", task_id="score", map_index=-1, try_number=1, max_tries=2, start_date=None
    )
    run = SimpleNamespace(
        dag_id=DAG, run_id="r", run_type="asset_triggered" if extras else "scheduled", conf={},
        partition_key="2013-10-05", consumed_asset_events=[SimpleNamespace(extra=extra) for extra in extras],
    )  # fmt: skip
    return {"ti": task, "dag_run": run, "exception": error}


@pytest.mark.parametrize("mistake", BROKEN)
def test_the_failure_of_a_model_whose_spec_broke_meanwhile_is_written_down(
    dev_by_variables, monkeypatch, tmp_path, mistake
):
    (tmp_path / "broken_in_mid_run.py").write_text(BROKEN[mistake])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(hosted.VARIABLE, "broken_in_mid_run:MODELS")

    callbacks.attempt_failed(context(OSError("no route")))
    callbacks.task_failed(context(OSError("no route")))
    callbacks.dag_run_failed(context())

    with connect(dev_by_variables).connect() as connection:
        raised = connection.execute(select(alerts)).all()
        attempts = connection.execute(select(failed_attempts)).all()
    assert [(row.rule, row.model) for row in raised] == [("task_failed", "toy")]
    assert [row.error for row in attempts] == ["OSError: no route"]


@pytest.mark.parametrize(
    "extra", [{"mode": ["live"]}, {"mode": {"a": 1}}, {"mode": None}, {"mode": 7}, {}, None, "live", ["mode"], 3]
)
def test_a_failure_behind_an_event_that_somebody_raised_by_hand_is_written_down(dev_by_variables, extra):
    callbacks.task_failed(context(OSError("no route"), extras=(extra,)))
    with connect(dev_by_variables).connect() as connection:
        assert [(row.rule, row.status) for row in connection.execute(select(alerts))] == [("task_failed", "pending")]


@pytest.mark.parametrize("extra", [{"champion": ["2"], "mode": ["live"]}, {"champion": {"a": 1}}, None, "3", [1]])
def test_what_an_odd_event_holds_is_not_taken_for_a_champion_or_a_mode(extra):
    assert champion_of(triggering_extras=[extra], asked=None) == "as-was"
    assert mode_of(run_type="asset_triggered", triggering_extras=[extra], asked=None) == "live"
    assert mode_of(run_type="asset_triggered", triggering_extras=[{"mode": "backfill"}], asked=None) == "backfill"
