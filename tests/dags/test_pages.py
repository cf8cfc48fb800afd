"""Imago's pages answer nobody who is not logged in to Airflow, and have a way on where there is no page."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def answers(airflow_process, tmp_path_factory):
    return airflow_process("knock_at_pages.py", home=tmp_path_factory.mktemp("airflow"))


def test_every_page_asks_for_airflows_login(answers):
    strangers = answers["strangers"]
    pages = {"/{environment}/{model}", "/shadow/{environment}/{model}", "/dossiers/{environment}/{model}/{ds}"}
    assert pages <= set(strangers)
    assert set(strangers.values()) == {401}, strangers


def test_an_address_without_a_page_is_a_page_with_a_way_on(answers):
    assert len(answers["missing"]) == 9
    for path, answer in answers["missing"].items():
        assert answer["status"] == 404, path
        assert answer["type"].startswith("text/html"), path
        assert "<a href='/imago/'>All models</a>" in answer["text"], path
        assert "<script>" not in answer["text"], path


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
