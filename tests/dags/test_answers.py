"""The deployment DAG asks a person, with Airflow's real operator: every answer, and none, ends in the ledger."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def asked(postgres_url, airflow_process, tmp_path_factory):
    import sqlalchemy as sa

    database = f"airflow_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"create database {database}"))
    engine.dispose()
    home = tmp_path_factory.mktemp("airflow-approval")
    url = sa.make_url(postgres_url).set(database=database)
    return airflow_process(
        "answer_approval.py",
        home=home,
        variables={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.render_as_string(hide_password=False),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "PYTHONPATH": f"{PROJECT}:{PROJECT}/include:{PROJECT}/plugins",
            "IMAGO_DEV_STORAGE_ROOT": str(home / "storage"),
            "IMAGO_DEV_LEDGER_URL": postgres_url,
            "IMAGO_DEV_LEDGER_SCHEMA": database,
            "IMAGO_DEV_MLFLOW_URI": f"sqlite:///{home}/mlflow.db",
        },
    )


def test_a_yes_promotes_announces_and_names_who_said_it(asked):
    yes = asked["Approve"]
    assert yes["tasks"] == {"judge": "success", "approve": "success", "promote": "success"}
    assert (yes["moved"], yes["reigns"], yes["alias"]) == (True, [yes["version"], "Ada"], yes["version"])
    assert yes["events"] == ["2013-10-01"]


def test_it_waits_three_days_whatever_the_shared_time_limit_and_shows_the_dossier(asked):
    assert asked["Approve"]["waited"] == [{"body": "**the dossier**", "hours": 72}]


@pytest.mark.parametrize(("word", "answer"), [("Reject", ["declined", "Ada"]), ("nobody", ["expired", "nobody"])])
def test_a_no_and_no_answer_promote_nobody_and_are_no_failure(asked, word, answer):
    no = asked[word]
    assert (no["state"], no["tasks"]["promote"]) == ("success", "skipped")
    assert no["tasks"]["approve"] == ("success" if word == "Reject" else "skipped")
    assert (no["moved"], no["events"], no["answer"]) == (False, [], answer)
    assert no["told"][-1][0] == "approval_ended"


def test_an_approval_that_comes_too_late_fails_visibly_and_voids_the_verdict(asked):
    late = asked["overtaken"]
    assert late["tasks"] == {"judge": "success", "approve": "success", "promote": "failed"}
    assert (late["moved"], late["events"], late["answer"]) == (False, [], ["voided", "Ada"])
    assert late["reigns"] == [late["version"], "somebody else"]


def test_the_trigger_form_rolls_back_names_the_reason_and_announces_the_champion(asked):
    back, first = asked["rollback"], asked["Approve"]["version"]
    assert (back["state"], back["action"], back["version"], back["alias"]) == ("success", "rollback", first, first)
    assert (back["reason"], back["events"]) == ("it was too quiet", ["2013-10-01"])


def test_the_watchdog_puts_an_alias_back_that_was_moved_by_hand(asked):
    looked = asked["watchdog"]
    assert looked["state"] == "success"
    assert looked["alias"] == looked["version"] == asked["Approve"]["version"]


def test_a_yes_starts_the_very_backfill_whose_plan_was_shown(asked):
    yes = asked["backfill"]["Run"]
    assert yes["tasks"] == {"plan": "success", "approve": "success", "start": "success"}
    assert yes["made"] == [["dev__flight_delays__training", "2013-10-01", "2013-10-14", "completed", 4, {}]]
    (seen,) = yes["waited"]
    assert seen["hours"] == 24
    assert "2 days of flight_delays in dev from training on, 2013-10-01 to 2013-10-08" in seen["body"]
    # Two days of training and deployment at 30 s a run, four at a time; history never goes online, so no third run.
    assert "under a minute, if 4 runs, 4 at a time" in seen["body"]


@pytest.mark.parametrize(("word", "state"), [("Cancel", "success"), ("nobody", "skipped")])
def test_a_no_and_no_answer_start_nothing_and_are_no_failure(asked, word, state):
    no = asked["backfill"][word]
    assert (no["state"], no["tasks"]) == ("success", {"plan": "success", "approve": state, "start": "skipped"})
    assert no["made"] == []


def test_a_plan_of_which_every_day_would_fail_asks_nobody(asked):
    fails = asked["backfill"]["fails"]
    assert (fails["state"], fails["made"], fails["waited"]) == ("success", [], [])
    assert fails["tasks"] == {"plan": "success", "approve": "skipped", "start": "skipped"}


def test_a_form_that_cannot_be_had_fails_at_once_and_pages_nobody(asked):
    refused = asked["backfill"]["refused"]
    assert refused["tasks"]["plan"] == "failed"
    assert set(refused["alerts"]) <= {"backfill"}


def test_an_approved_plan_that_would_do_something_else_by_now_is_not_run(asked):
    late = asked["backfill"]["moved on"]
    assert late["tasks"] == {"plan": "success", "approve": "success", "start": "failed"}
    assert late["made"] == []
