from __future__ import annotations

import threading
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from champion_world import BACKFILL, DAYS, FIRST, LIVE, ROWS, crown
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from imago import answers, dashboard, ledger
from imago.errors import ImagoError, NoChampion
from imago.jobs import metrics, monitoring, scoring, serving
from imago.ledger import online
from imago.ledger.schema import alerts, online_requests, online_scores
from imago.serving.app import create
from imago.tables import Table

NEWEST = DAYS[-1]


def test_before_the_first_deploy_the_endpoint_says_so(reign, toy):
    with TestClient(create(reign, lambda: (toy,))) as client:
        response = client.get("/health")
    assert response.status_code == 503
    assert response.json()["error"]["message"] == "nothing is deployed yet"


def test_the_endpoint_answers_as_the_batch_does_with_the_features_used(reign, toy):
    told = serving.deploy(reign, toy, LIVE)
    assert (told["ds"], told["rows"], told["changed"], told["model_version"]) == (NEWEST, ROWS, True, "1")
    scoring.score(reign, toy, NEWEST, LIVE)
    stored = {row["key"]: row for row in Table(reign, "toy", "predictions").require(NEWEST).to_pylist()}
    features = {row["key"]: row for row in Table(reign, "toy", "features").require(NEWEST).to_pylist()}
    with TestClient(create(reign, lambda: (toy,))) as client:
        for key, row in stored.items():
            answer = client.get(f"/v1/toy/{key}").json()
            assert (answer["score"], answer["decision"]) == (row["score"], row["decision"])
            assert answer["features"] == {name: features[key][name] for name in toy.feature_names}


def test_an_unknown_key_or_model_is_a_404_that_says_what_to_do(reign, toy):
    serving.deploy(reign, toy, LIVE)
    with TestClient(create(reign, lambda: (toy,))) as client:
        for path in ("/v1/toy/no/such key", "/v1/other/x", "/v1/toy/%00"):
            response = client.get(path)
            assert response.status_code == 404
            assert response.json()["error"]["next_step"]


def test_requests_are_logged_with_what_was_answered(reign, toy):
    serving.deploy(reign, toy, LIVE)
    with TestClient(create(reign, lambda: (toy,))) as client:
        client.get(f"/v1/toy/{NEWEST}-003")
        client.get("/v1/toy/nobody")
    with ledger.connect(reign).connect() as connection:
        rows = connection.execute(select(online_requests).order_by(online_requests.c.id)).mappings().all()
    assert [(row["key"], row["status"], row["model_version"]) for row in rows] == [
        (f"{NEWEST}-003", 200, "1"),
        ("nobody", 404, None),
    ]


def test_deploying_twice_changes_nothing(reign, toy):
    serving.deploy(reign, toy, LIVE)
    assert serving.deploy(reign, toy, LIVE)["changed"] is False


def test_a_new_champion_replaces_all_answers_at_once(reign, toy):
    serving.deploy(reign, toy, LIVE)
    crown(reign, seed=900, ds="2013-02-17", version="2")
    assert serving.deploy(reign, toy, LIVE)["proof"]["status"] == 200
    with ledger.connect(reign).connect() as connection:
        versions = connection.execute(select(online_scores.c.model_version).distinct()).scalars().all()
    assert versions == ["2"]


def test_a_failed_proof_leaves_the_old_answers_and_one_alert(reign, toy, monkeypatch):
    serving.deploy(reign, toy, LIVE)
    second = crown(reign, seed=900, ds="2013-02-17", version="2")
    real = online.lookup

    def wrong(connection, model, key):
        row = real(connection, model, key)
        return {**row, "score": row["score"] + 0.1}

    monkeypatch.setattr(online, "lookup", wrong)
    for _ in range(2):
        with pytest.raises(ImagoError, match="old answers stand"):
            serving.deploy(reign, toy, LIVE)
    monkeypatch.undo()
    with ledger.connect(reign).connect() as connection:
        assert online.state(connection, "toy")["champion_id"] != second.id
        assert online.lookup(connection, "toy", f"{NEWEST}-000")["model_version"] == "1"
        assert connection.execute(select(alerts.c.rule)).scalars().all() == ["endpoint_failed"]


def test_a_backfill_does_not_touch_the_online_table(reign, toy):
    assert "only touched by live runs" in serving.deploy(reign, toy, BACKFILL)["skipped"]
    serving.deploy(reign, toy, LIVE)
    assert scoring.score(reign, toy, NEWEST, BACKFILL)["online"] == "untouched"


def test_live_scoring_keeps_the_endpoint_at_its_newest_day(reign, toy):
    assert scoring.score(reign, toy, FIRST, LIVE)["online"] == "not deployed"
    serving.deploy(reign, toy, LIVE)
    assert scoring.score(reign, toy, FIRST, LIVE)["online"] == "untouched"  # an older day than the one served
    assert scoring.score(reign, toy, NEWEST, LIVE)["online"] == "unchanged"


def test_nobody_to_serve_says_how_to_get_a_champion(dev, toy):
    with pytest.raises(NoChampion, match="training and deployment"):
        serving.deploy(dev, toy, LIVE)


def test_the_dashboard_shows_an_empty_model_and_a_living_one(reign, toy):
    assert "No day was scored yet" in dashboard.render(reign, toy)
    for ds in DAYS[41:44]:
        scoring.score(reign, toy, ds, LIVE)
        monitoring.monitor(reign, toy, ds, LIVE)
        metrics.refresh(reign, toy, ds, LIVE)
    page = dashboard.render(reign, toy)
    assert "Scores days from" in page
    assert page.count("<svg") == 4
    assert "3 days" in page
    assert "http" not in page.replace("http-equiv", "")


def test_values_from_data_are_escaped_on_the_dashboard(reign, toy):
    wild = toy.model_copy(update={"description": "<script>alert(1)</script>"})
    assert "<script>" not in dashboard.render(reign, wild)
    assert "<script>" not in dashboard.index(["dev"], [wild])


def test_an_answer_does_not_wait_for_the_log():
    from imago.serving.requests import RequestLog

    written, may_write = [], threading.Event()

    def slow(entries):
        may_write.wait()
        written.extend(entries)

    log = RequestLog(slow)
    log.start()
    for number in range(100):
        log.add({"number": number})  # would wait for ever if it waited for the writing
    assert written == []
    may_write.set()
    log.close()
    assert [entry["number"] for entry in written] == list(range(100))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data(), problem=st.sampled_from(["binary", "multiclass", "regression"]), rows=st.integers(1, 20))
def test_an_answer_of_every_problem_is_what_was_predicted(dev, toy, data, problem, rows):
    classes = ("early", "on_time", "late")[: 3 if problem == "multiclass" else 0]
    spec = toy.model_copy(update={"name": f"a_{problem}", "problem": problem, "classes": classes, "business": None})
    shares = data.draw(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=rows, max_size=rows))
    numbers = data.draw(
        st.lists(st.floats(-1e12, 1e12, allow_nan=False, allow_subnormal=False), min_size=rows, max_size=rows)
    )
    scores = {
        "binary": np.array(shares)[:, 0],
        "multiclass": np.array(shares) / np.array(shares).sum(axis=1, keepdims=True),
        "regression": np.array(numbers),
    }[problem]
    told = answers.told(spec, scores)
    keys = [f"k{place}" for place in range(rows)]
    times = pa.array([datetime(2024, 1, 1)] * rows, pa.timestamp("us"))
    known = {"key": keys, "ds": ["2024-01-01"] * rows, "event_time": times}
    features = pa.table({**known, **{name: pa.nulls(rows, pa.float64()) for name in spec.feature_names}})
    scored = pa.table({**known, **told, "model_version": ["7"] * rows})
    with ledger.connect(dev).begin() as connection:
        online.swap(
            connection, spec.name, champion_id=1, ds="2024-01-01", rows=serving.online_rows(spec, scored, features)
        )

    with TestClient(create(dev, lambda: (toy, spec))) as client:
        assert client.get(f"/health/{spec.name}").json()["rows"] == rows
        assert set(client.get("/health").json()["models"]) >= {spec.name}
        for row in scored.to_pylist():
            answer = client.get(f"/v1/{spec.name}/{row['key']}").json()
            assert answer["score"] == row["score"]
            assert answer.get("decision") == row.get("decision")
            assert answer.get("probabilities") == ({name: row[f"score_{name}"] for name in classes} or None)
            assert ("decision" in answer) == (problem != "regression")
            assert ("decision_threshold" in answer) == (problem == "binary")
            assert (answer["key"], answer["model_version"]) == (row["key"], "7")


def test_one_endpoint_serves_every_model_and_sees_a_new_one(reign, toy):
    serving.deploy(reign, toy, LIVE)
    models = [toy]
    other = toy.model_copy(update={"name": "other"})
    with TestClient(create(reign, lambda: models)) as client:
        assert client.get("/health/other").status_code == 404
        models.append(other)
        health = client.get("/health").json()
        assert set(health["models"]) == {"toy"}
        assert health["not_deployed"] == ["other"]
        assert client.get("/health/other").status_code == 503
        assert client.get("/health/toy").json()["rows"] == ROWS
        missing = client.get("/v1/third/x")
        assert missing.status_code == 404
        assert "toy, other" in missing.json()["error"]["next_step"]
        models.clear()
        assert client.get("/health").status_code == 503
        assert client.get("/health").json()["error"]["message"] == "there is no model to serve"
