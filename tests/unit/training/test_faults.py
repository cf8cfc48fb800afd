"""One candidate's fault costs the others nothing; a baseline's, or that of all candidates, promotes nobody."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sqlalchemy import select
from toy_world import LIVE, line, make_spec, train, trees

from imago.errors import FitFailed
from imago.jobs import deployment, training
from imago.ledger import connect
from imago.ledger.schema import alerts, incidents
from imago.registry import allowed
from imago.registry.tracking import Tracker
from imago.specs import Baseline, Candidate, Choice, Search
from imago.storage import Storage

DS = "2013-02-27"


class Odd(ClassifierMixin, BaseEstimator):
    """A classifier of its own that gives what it is asked to give."""

    def __init__(self, gives="nan"):
        self.gives = gives

    def fit(self, X, y):
        if self.gives == "fit":
            raise RuntimeError("the solver went astray")
        if self.gives == "exit":
            raise SystemExit(3)
        if self.gives == "memory":
            raise MemoryError
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_proba(self, X):
        scores = np.full((len(X), 2), 0.5)
        if self.gives in ("nan", "inf"):
            scores[3, 1] = float(self.gives)
        if self.gives == "beyond":
            scores[3, 1] = 1.5
        if self.gives == "predict":
            raise KeyError("a column that was renamed")
        return scores[:-1] if self.gives == "short" else scores


class Unknown(Odd):
    """A class that no allow-list names."""


@pytest.fixture(autouse=True)
def allowed_here(monkeypatch):
    """Only `Odd`: so that what it does wrong is seen, and not merely that nobody knows it."""
    monkeypatch.setitem(allowed.TYPES, __name__, {"Odd"})


def odd(gives):
    return lambda spec, seed: Pipeline([("model", Odd(gives))])


def no_builder(spec, seed):
    raise ImportError("no module named lightgbm")


def with_function(spec, seed):
    good = line(spec, seed)
    return Pipeline([("fill", FunctionTransformer(lambda frame: frame)), *good.steps])


def spline(spec, seed):
    good = line(spec, seed)
    return Pipeline([good.steps[0], ("spline", SplineTransformer()), good.steps[1]])


FAULTS = {
    "no_builder": (no_builder, "could not be built: ImportError: no module named lightgbm"),
    "no_estimator": (lambda spec, seed: None, "could not be built: TypeError: its builder gave None"),
    "a_class": (lambda spec, seed: Odd, "could not be built: TypeError"),
    "fit": (odd("fit"), "could not be fitted: RuntimeError: the solver went astray"),
    "exit": (odd("exit"), "could not be fitted: SystemExit: 3"),
    "memory": (odd("memory"), "could not be fitted: MemoryError"),
    "nan": (odd("nan"), "predicts NaN or infinity for 1 of"),
    "inf": (odd("inf"), "predicts NaN or infinity for 1 of"),
    "beyond": (odd("beyond"), "predicts a probability outside of 0 to 1 for 1 of"),
    "short": (odd("short"), "predicts an array of the wrong shape"),
    "predict": (odd("predict"), "could not be asked for the scores"),
    "custom_class": (lambda spec, seed: Pipeline([("model", Unknown())]), "its step model is a test_faults.Unknown"),
    "with_function": (
        with_function,
        "its step fill.func holds the function test_faults.with_function",
    ),
    "spline": (spline, "its step spline is a sklearn.preprocessing._polynomial.SplineTransformer"),
}


def spec_with(*names, **changes):
    bad = tuple(Candidate(name=name, build=FAULTS[name][0], why="w") for name in names)
    return make_spec(trees).model_copy(update={"candidates": (*bad, *make_spec(trees).candidates), **changes})


def all_alerts(environment):
    with connect(environment).connect() as connection:
        return [tuple(row) for row in connection.execute(
            select(alerts.c.rule, alerts.c.severity, alerts.c.subject).order_by(alerts.c.id))]  # fmt: skip


def test_whatever_a_candidate_does_wrong_the_others_are_trained_reported_and_judged(world):
    spec = spec_with(*FAULTS)
    report = train(world, spec, DS)
    assert set(report["holdout"]) == {"trees", "prior", "by_gate"}
    assert set(report["failed"]) == set(FAULTS)
    for name, (_, reason) in FAULTS.items():
        assert reason in report["failed"][name], report["failed"][name]
    client = Tracker(world, "toy").client
    page = Storage(world).read_bytes(f"mlflow/toy/{report['training_run']}/artifacts/comparison.html").decode()
    note = client.get_run(report["training_run"]).data.tags["mlflow.note.content"]
    for name in FAULTS:
        assert f"<td>{name}</td>" in page
        assert f"**{name}** (candidate) failed" in note
    warnings = [("candidate_failed", "warning", name) for name in sorted(FAULTS)]
    assert sorted(all_alerts(world)) == warnings

    verdict = deployment.judge(world, spec, DS, LIVE)
    assert (verdict["outcome"], verdict["challenger"]) == ("promoted", "trees")
    assert {verdict["standings"][name] for name in FAULTS} == {"OUT"}
    assert "no module named lightgbm" in verdict["markdown"]
    assert train(world, spec, DS)["failed"] == report["failed"]
    assert [row for row in all_alerts(world) if row[0] == "candidate_failed"] == warnings


def test_the_run_of_a_candidate_that_failed_ends_as_failed_and_its_card_says_why(world):
    frozen = training.freeze(world, spec := spec_with("no_builder", "fit"), DS, LIVE)
    for name, reason in (("no_builder", "lightgbm"), ("fit", "the solver went astray")):
        result = training.fit(world, spec, frozen["snapshot"], name, LIVE)
        run = Tracker(world, "toy").client.get_run(result["run_id"])
        assert (run.info.status, result["version"]) == ("FAILED", None)
        assert reason in run.data.tags["imago.failed"]
        card = Storage(world).read_bytes(f"mlflow/toy/{result['run_id']}/artifacts/model_card.md").decode()
        assert "**FAILED.**" in card
        assert reason in card
    assert Tracker(world, "toy").client.search_model_versions("name = 'dev.toy'") == []


def test_a_search_that_fails_costs_its_own_candidate_alone(world):
    wrong = Search(space=(Choice(setting="model__depth", values=(1, 2)),), trials=2, seconds=600)
    refused = Search(space=(Choice(setting="model__max_leaf_nodes", values=(-3, -5)),), trials=2, seconds=600)
    spec = make_spec(line).model_copy(update={"candidates": (
        Candidate(name="misspelt", build=trees, why="w", search=wrong),
        Candidate(name="refused", build=trees, why="w", search=refused),
        *make_spec(line).candidates,
    )})  # fmt: skip
    report = train(world, spec, DS)
    assert "names a setting that its pipeline does not have" in report["failed"]["misspelt"]
    assert "trial 1 of the search of refused could not be fitted" in report["failed"]["refused"]
    assert set(report["holdout"]) == {"line", "prior", "by_gate"}


def test_when_all_candidates_fail_the_training_fails_with_all_reasons_and_nothing_is_left_to_judge(world):
    spec = make_spec().model_copy(update={"candidates": spec_with("fit", "nan").candidates[:2]})
    with pytest.raises(FitFailed) as failure:
        train(world, spec, DS)
    assert "all 2 candidates failed" in str(failure.value)
    assert "the solver went astray" in str(failure.value)
    assert "NaN or infinity" in str(failure.value)
    assert not Storage(world).exists(training.manifest_path("toy", DS))


def test_a_baseline_that_fails_ends_the_training_whatever_the_candidates_did(world):
    rules = (*make_spec().baselines, Baseline(name="broken", build=odd("fit"), why="w"))
    spec = make_spec(line).model_copy(update={"baselines": rules})
    with pytest.raises(FitFailed, match="1 of 3 baselines failed, so nothing can be promoted"):
        train(world, spec, DS)
    assert not Storage(world).exists(training.manifest_path("toy", DS))


def test_a_fit_that_left_no_result_counts_as_failed_and_the_others_go_on(world):
    spec = make_spec(line, trees)
    frozen = training.freeze(world, spec, DS, LIVE)
    fitted = [training.fit(world, spec, frozen["snapshot"], name, LIVE) for name in ("line", "prior", "by_gate")]
    report = training.report(world, spec, DS, frozen["snapshot"], fitted, LIVE)
    assert "left no result" in report["failed"]["trees"]
    assert json.loads(Storage(world).read_bytes(report["manifest"]))["failed"][0]["contestant"] == "trees"
    assert deployment.judge(world, spec, DS, LIVE)["challenger"] == "line"


def test_a_later_training_in_which_the_candidate_is_fitted_ends_its_incident(world):
    train(world, spec_with("fit"), "2013-02-20")
    good = make_spec(trees)
    mended = good.model_copy(update={"candidates": (*good.candidates, Candidate(name="fit", build=line, why="w"))})
    train(world, mended, DS)
    with connect(world).connect() as connection:
        rows = connection.execute(select(incidents.c.rule, incidents.c.subject, incidents.c.status)).all()
    assert [tuple(row) for row in rows] == [("candidate_failed", "fit", "resolved")]
