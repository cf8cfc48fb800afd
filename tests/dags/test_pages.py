"""Imago's pages answer nobody who is not logged in to Airflow."""

from __future__ import annotations


def test_every_page_asks_for_airflows_login(airflow_process, tmp_path):
    answers = airflow_process("knock_at_pages.py", home=tmp_path)
    assert {"/{environment}/{model}", "/shadow/{environment}/{model}", "/dossiers/{environment}/{model}/{ds}"} <= set(
        answers
    )
    assert set(answers.values()) == {401}, answers


def test_pages_see_new_removed_and_broken_models_without_a_restart(airflow_process, tmp_path):
    told = airflow_process("pages_of_new_models.py", home=tmp_path)
    status = {at: {name: answer[0] for name, answer in answers.items()} for at, answers in told.items()}
    known = 503  # what a model whose environment has no settings says

    assert status["start"] == {"index": 307, "first": known, "second": 404, "broken": 404}
    assert status["new"] == {"index": 200, "first": known, "second": known, "broken": 404}
    assert status["broken"] == {"index": 200, "first": 404, "second": known, "broken": known}
    assert "nothing_of_that_name" in told["broken"]["broken"][1]
    assert "nothing_of_that_name" in told["broken"]["index"][1]
    assert status["none"]["index"] == 200
    assert "There is no model" in told["none"]["index"][1]
