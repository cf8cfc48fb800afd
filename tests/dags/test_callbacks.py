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


def context(error: object = None) -> dict[str, object]:
    task = SimpleNamespace(
        dag_id=DAG, run_id="r", task_id="score", map_index=-1, try_number=1, max_tries=2, start_date=None
    )
    run = SimpleNamespace(dag_id=DAG, run_id="r", run_type="scheduled", conf={}, partition_key="2013-10-05")
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
