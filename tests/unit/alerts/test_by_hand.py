"""What a person runs at a terminal pages nobody: its warnings are printed there, its news is told as ever."""

from __future__ import annotations

from itertools import count

import pytest
from champion_world import DAYS, FIRST
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from imago import ledger
from imago.alerts.outbox import Alert, raise_alerts
from imago.alerts.rules import RULES, SEVERITIES
from imago.cli import model as command
from imago.context import RunContext
from imago.days import days_between
from imago.errors import ImagoError
from imago.jobs import features, metrics, monitoring, scoring, serving
from imago.ledger.schema import alerts, incidents

_number = count()


def counted(environment) -> tuple[int, int]:
    with ledger.connect(environment).connect() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (alerts, incidents)
        )


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(sorted(RULES)), st.sampled_from(SEVERITIES)), min_size=1, max_size=6))
def test_no_rule_writes_a_warning_of_a_run_by_hand(dev, drawn):
    found = [
        Alert(
            model="m", rule=rule, subject=f"s{next(_number)}", title=f"t{place}", why="w", did="d", next_step="n",
            severity=severity,
        )
        for place, (rule, severity) in enumerate(drawn)
    ]  # fmt: skip
    context = RunContext.local(by_hand=True)
    before = counted(dev)
    with ledger.connect(dev).begin() as connection:
        written = raise_alerts(connection, found, context)
    news = sum(severity == "info" for _, severity in drawn)
    assert len(written) == news
    assert counted(dev)[0] - before[0] == news
    assert sorted(alert.title for alert in context.unsent) == sorted(
        alert.title for alert in found if alert.severity != "info"
    )


@pytest.fixture
def by_hand(reign, toy, monkeypatch):
    """`imago run STAGE toy`, in the world with a champion."""
    monkeypatch.setattr(command, "environment", lambda name: reign)

    def run(stage, ds, spec=toy, **options):
        monkeypatch.setattr(command, "get_model", lambda name: spec)
        command.run(stage=stage, model=spec.name, ds=ds, **{"to": None, "env": "dev", "champion": "as-was", **options})

    return run


def test_a_metric_below_its_floor_is_printed_by_hand_and_paged_by_airflow(by_hand, reign, toy, capsys):
    strict = toy.model_copy(update={"guardrails": toy.guardrails.model_copy(update={"floor": 0.97, "ceiling": 0.99})})
    days = days_between(FIRST, "2013-02-17")
    for ds in days:
        scoring.score(reign, strict, ds, RunContext(run_id="r"))
        by_hand("metric_refresh", ds, strict)
    assert counted(reign) == (0, 0)
    said = capsys.readouterr().err
    assert said.count("not sent, since you run it by hand: critical metric_floor") == 1
    assert "the floor is 0.970" in said
    assert "Next:" in said

    metrics.refresh(reign, strict, days[-1], RunContext(run_id="airflow"))
    assert counted(reign) == (1, 1), "the same in Airflow opens the incident"


@pytest.mark.parametrize("stage", ["feature_refresh", "outcome_refresh"])
def test_a_refused_refresh_is_refused_and_printed(by_hand, reign, toy, capsys, stage):
    with pytest.raises(ImagoError) as refused:
        by_hand(stage, FIRST)
    assert refused.value.next_step
    assert counted(reign) == (0, 0)
    assert "critical partition_refused" in capsys.readouterr().err
    with pytest.raises(ImagoError):
        features.refresh(reign, toy, FIRST, FIRST, RunContext(run_id="airflow"))
    assert counted(reign) == (1, 1)


def test_a_failed_proof_of_the_endpoint_is_printed(by_hand, reign, toy, capsys, monkeypatch):
    from imago.ledger import online

    real = online.lookup
    monkeypatch.setattr(online, "lookup", lambda *where: {**real(*where), "score": 2.0})
    with pytest.raises(ImagoError, match="old answers stand"):
        by_hand("endpoint_deploy", DAYS[-1])
    assert counted(reign) == (0, 0)
    assert "critical endpoint_failed" in capsys.readouterr().err


def test_a_quiet_run_prints_no_alert_and_a_day_by_hand_counts_as_any_other(by_hand, reign, toy, capsys):
    for stage in ("batch_scoring", "monitoring", "metric_refresh", "endpoint_deploy"):
        by_hand(stage, FIRST)
    assert "not sent" not in capsys.readouterr().err
    assert scoring.score(reign, toy, FIRST, RunContext(run_id="airflow"))["changed"] is False
    assert monitoring.monitor(reign, toy, FIRST, RunContext(run_id="airflow"))["critical"] == 0
    assert serving.deploy(reign, toy, RunContext(run_id="airflow"))["changed"] is False
