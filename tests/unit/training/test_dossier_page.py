"""The dossier of a real fight: all that a reader needs stands on one page, which is stored, linked and found again."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from planted import DS, WORLDS
from sqlalchemy import select
from toy_world import LIVE, line, make_spec, publish, rows, train, trees

from imago.errors import ReleaseBlocked
from imago.jobs import approval, deployment, dossiers
from imago.ledger import connect
from imago.ledger.schema import alerts
from imago.storage import Storage


def stored(environment, summary):
    storage, path = Storage(environment), summary["dossier"]
    return storage.read_bytes(path).decode(), json.loads(storage.read_bytes(path.replace(".html", ".json")))


@pytest.fixture
def sliced():
    return make_spec(line, trees).model_copy(update={"slices": ("gate",)})


def test_the_page_says_who_won_by_how_much_where_and_on_what_data(world, sliced):
    train(world, sliced, DS)
    verdict = deployment.judge(world, sliced, DS, LIVE)
    page, said = stored(world, verdict)
    assert said["headline"] == f"{verdict['challenger']} is the new champion"
    assert {one["name"] for one in said["contestants"]} == {"line", "trees", "prior", "by_gate"}
    assert (said["against"], said["outcome"], said["effective_ds"]) == ("by_gate", "promoted", "2013-02-28")
    winner = said["contestants"][0]
    assert winner["gap"]["low"] > 0
    assert winner["score"] == pytest.approx(verdict["scores"][winner["name"]])
    assert winner["gap"]["estimate"] == pytest.approx(winner["score"] - verdict["scores"]["by_gate"])
    assert winner["money_gap"]["estimate"] == pytest.approx(said["flips"]["money"])
    assert [one["label"] for one in said["slices"]] == [f"gate {name}" for name in _by_rows(said)]
    assert sum(one["count"] for one in said["slices"]) == said["parts"][-1]["rows"]
    assert said["flips"]["rows"] == sum(one["rows"] for one in said["flips"]["directions"])
    assert [part["part"] for part in said["parts"]] == ["train", "tuning", "fit", "holdout"]
    assert all(one["state"] == "passed" for one in said["gates"])
    for heading in ("Who took part", "What the decisions would have been worth", "Decisions that change", "Slices",
                    "Calibration", "Importance", "Gates", "The data it saw", "Approval and records"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == 2 * (len(said["contestants"]) - 1) + 1
    assert not re.search(r"<script|<link|@import|url\(|<img", page), "the page needs no other file and no other host"
    assert dossiers.page(world, sliced, DS) == page
    assert dossiers.page(world, sliced, "2013-02-01") is None
    run = f"mlflow/toy/{verdict['training_run']}/artifacts/dossier.html"
    assert Storage(world).read_bytes(run).decode() == page
    assert Storage(world).read_bytes(run.replace(".html", ".md")).decode() == verdict["markdown"]
    assert said["sentence"] in verdict["markdown"]


def _by_rows(said):
    return [one["value"] for one in sorted(said["slices"], key=lambda one: -one["count"])]


def test_the_importance_that_a_training_stored_is_drawn(world, sliced):
    train(world, sliced, DS)
    from imago.jobs.training import load_manifest

    for one in load_manifest(world, sliced, DS)["contestants"]:
        found = {"mean": {"risk": 0.2, "gate": 0.05}, "std": {"risk": 0.01, "gate": 0.01}}
        Storage(world).write_bytes(f"mlflow/toy/{one['run_id']}/artifacts/importance.json", json.dumps(found).encode())
    page, said = stored(world, deployment.judge(world, sliced, DS, LIVE))
    assert [one["name"] for one in said["importance"]] == ["risk", "gate"]
    assert "when one feature" in page


def test_a_blocked_release_links_its_dossier_and_lists_the_causes_there(make_environment, spec):
    hosted = make_environment("dev", airflow_url="http://airflow:8080/")
    publish(hosted, *WORLDS["dead_feature"]())
    train(hosted, spec, DS)
    address = f"http://airflow:8080/imago/dossiers/dev/toy/{DS}"
    with pytest.raises(ReleaseBlocked, match=address):
        deployment.judge(hosted, spec, DS, LIVE)
    with connect(hosted).connect() as connection:
        (body,) = connection.execute(select(alerts.c.body)).scalars()
    assert dict(body["links"])["Dossier"] == address
    page = dossiers.page(hosted, spec, DS)
    assert "A feature is dead." in page
    assert "risk holds only the value 0.25" in page
    assert "docs/runbooks/baseline_not_beaten.md#dead-feature" in page


def test_an_approval_is_written_into_the_page_and_links_back_from_the_form(make_environment, spec):
    prod = make_environment("prod", requires_approval=True, airflow_url="http://airflow:8080")
    publish(prod, *rows())
    train(prod, spec, DS)
    waiting = deployment.judge(prod, spec, DS, LIVE)
    assert f"[The whole page, with pictures](http://airflow:8080/imago/dossiers/prod/toy/{DS})" in waiting["markdown"]
    assert "Nobody has approved yet" in dossiers.page(prod, spec, DS)
    with connect(prod).connect() as connection:
        (body,) = connection.execute(select(alerts.c.body).where(alerts.c.rule == "approval_awaited")).scalars()
    assert ["Dossier", f"http://airflow:8080/imago/dossiers/prod/toy/{DS}"] in body["links"]
    asked = datetime.now(UTC)
    for _ in range(2):
        deployment.promote(prod, spec, waiting["decision_id"], "ada <b>", LIVE)
        page = dossiers.page(prod, spec, DS)
        # On one day or, at midnight, the next.
        assert any(f"ada &lt;b&gt; approved on {day:%Y-%m-%d}" in page for day in (asked, datetime.now(UTC)))
        assert "line is the new champion" in page
        assert "would score from" not in page


def test_an_answer_that_promotes_nobody_is_written_into_the_page_until_a_later_one_does(make_environment, spec):
    prod = make_environment("prod", requires_approval=True, airflow_url="http://airflow:8080")
    publish(prod, *rows())
    train(prod, spec, DS)
    waiting = deployment.judge(prod, spec, DS, LIVE)
    for _ in range(2):
        approval.close(prod, spec, waiting["decision_id"], "expired", by="nobody", context=LIVE)
        page = dossiers.page(prod, spec, DS)
        assert "Nobody answered in time whether version 1 may reign; the champion stays." in page
        assert "Nobody has approved yet" not in page
    deployment.promote(prod, spec, waiting["decision_id"], "ada", LIVE)
    assert "ada approved on" in dossiers.page(prod, spec, DS)
    with connect(prod).connect() as connection:
        (body,) = connection.execute(select(alerts.c.body).where(alerts.c.rule == "approval_ended")).scalars()
    assert ["Dossier", f"http://airflow:8080/imago/dossiers/prod/toy/{DS}"] in body["links"]


def test_a_fight_of_an_older_training_has_a_page_without_a_comparison(world, spec):
    train(world, spec, DS)
    deployment.judge(world, spec, DS, LIVE)
    train(world, spec, "2013-02-20")
    _, said = stored(world, deployment.judge(world, spec, "2013-02-20", LIVE))
    assert (said["outcome"], said["forest"], said["flips"], said["slices"]) == ("kept", None, None, [])
