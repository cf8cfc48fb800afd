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
