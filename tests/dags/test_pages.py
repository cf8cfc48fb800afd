"""Imago's pages answer nobody who is not logged in to Airflow."""

from __future__ import annotations


def test_every_page_asks_for_airflows_login(airflow_process, tmp_path):
    answers = airflow_process("knock_at_pages.py", home=tmp_path)
    assert {"/{environment}/{model}", "/shadow/{environment}/{model}", "/dossiers/{environment}/{model}/{ds}"} <= set(
        answers
    )
    assert set(answers.values()) == {401}, answers
