"""A backfill of thirty days, really scored, ends in one message."""

from __future__ import annotations

import dataclasses

import pytest
from champion_world import BACKFILL, LIVE, crown
from pydantic import SecretStr
from sqlalchemy import select

from imago.context import RunContext
from imago.days import days_between
from imago.errors import MissingPartition
from imago.jobs import alerts as jobs
from imago.jobs import failures, monitoring, scoring
from imago.ledger import connect
from imago.ledger.schema import alerts

DAYS = days_between("2013-01-31", "2013-03-01")
AFTER = "2013-03-02"  # a day without features
DAG = "dev__toy__batch_scoring"


@pytest.fixture
def env(reign, monkeypatch):
    """The environment as callbacks find it, in the process's variables."""
    for name, value in reign:
        if value is not None and name not in ("name", "requires_approval"):
            secret = value.get_secret_value() if isinstance(value, SecretStr) else value
            monkeypatch.setenv(f"IMAGO_DEV_{name.upper()}", str(secret))
    return reign


def closed(env, **given):
    return jobs.close_digests(env, **given)["digests"]


def test_thirty_days_are_told_once_with_who_scored_them_and_how_many_changed(env, toy, hostile_slack):
    for ds in DAYS[-3:]:
        scoring.score(env, toy, ds, LIVE, champion="today")
    crown(env, seed=900, ds="2013-02-17", version="2")
    crown(env, seed=1, ds="2013-02-18", version="3")

    for ds in DAYS:
        run = dataclasses.replace(BACKFILL, run_id=f"{DAG}/{ds}")
        # The last two days keep the champion that their partitions record.
        scoring.score(env, toy, ds, run, champion="as-was" if ds in DAYS[-2:] else "today")
        monitoring.monitor(env, toy, ds, run)
        # The delivery comes by after each day. A day may take longer than the quiet minute: no seconds stand for it.
        assert closed(env, quiet_seconds=0, busy=lambda models: models) == []
    with pytest.raises(MissingPartition) as gone:
        scoring.score(env, toy, AFTER, BACKFILL)
    failures.task_failed(
        "dev", toy.name, DAG, AFTER, "score", AFTER, gone.value, {}, RunContext(run_id="x", mode="backfill")
    )

    (digest,) = closed(env, quiet_seconds=0, busy=lambda models: [])
    assert closed(env, quiet_seconds=0, busy=lambda models: []) == []
    assert digest["title"].startswith("Backfill of toy: 120 partitions, 2013-01-31 to 2013-03-02, ")
    with connect(env).connect() as connection:
        told = connection.execute(select(alerts).where(alerts.c.rule == "backfill_digest")).one()
    facts = dict(told.body["facts"])
    assert facts["scored"] == "30 days: 28 changed, 2 unchanged, 1 failed"
    assert facts["champion"] == "today: version 3, 28 days; as-was: version 1, 2 days"
    # Version 3 was trained on 18 February: 7 days of holdout, from the 11th on, and a day of delay before them.
    assert facts["leaking"].startswith("10 days, 2013-01-31 to 2013-02-09: the model's training saw them")
    assert facts["failed"] == AFTER
    assert "backfill them again" in told.body["next_step"]

    with hostile_slack() as slack:
        env = env.model_copy(update={"slack_token": SecretStr("xoxb"), "slack_base_url": slack.url})
        jobs.deliver(env, seconds=25)
        (message,) = slack.shown
    assert "Backfill of toy" in message["text"]


def test_a_failed_day_that_was_scored_since_is_no_longer_told_as_failed(env, toy):
    context = RunContext(run_id="x", mode="backfill")
    failures.task_failed("dev", toy.name, DAG, "x", "score", DAYS[-1], None, {}, context)
    scoring.score(env, toy, DAYS[-1], BACKFILL)
    closed(env, quiet_seconds=0)
    with connect(env).connect() as connection:
        told = connection.execute(select(alerts).where(alerts.c.rule == "backfill_digest")).one()
    facts = dict(told.body["facts"])
    assert facts["scored"] == "1 day: 1 changed, 0 unchanged"
    assert "failed" not in facts


def test_a_backfill_that_hangs_is_told_all_the_same_after_hours(env, toy):
    scoring.score(env, toy, DAYS[-1], BACKFILL)
    assert closed(env, quiet_seconds=0, busy=lambda models: models) == []
    assert len(closed(env, quiet_seconds=0, busy=lambda models: models, busy_seconds=0)) == 1
