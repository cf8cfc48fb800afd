"""What a contestant's run in MLflow says: parameters, metrics on each part, files, and where it comes from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mlflow.models import ModelSignature
from toy_world import LIVE, make_spec, train, trees

from imago.jobs import training
from imago.registry import load_model
from imago.registry.tracking import Tracker
from imago.specs import Candidate, Choice, Search
from imago.storage import Storage
from imago.training import card, snapshot

DS = "2013-02-27"
METRICS = {"roc_auc", "average_precision", "log_loss", "brier", "calibration_error"}


def record(environment, spec, contestant):
    """(result, MLflow run, the run's files by name, the frozen snapshot)"""
    frozen = training.freeze(environment, spec, DS, LIVE)
    result = training.fit(environment, spec, frozen["snapshot"], contestant, LIVE)
    tracker, storage = Tracker(environment, spec.name), Storage(environment)
    folder = tracker.artifact_folder(result["run_id"])
    files = {name.removeprefix(f"{folder}/"): storage.read_bytes(name) for name in storage.list(folder)}
    run = tracker.client.get_run(result["run_id"])
    return result, run, files, snapshot.load(environment, frozen["snapshot"])


@pytest.mark.parametrize("contestant", ["line", "by_gate"])
def test_every_run_names_its_parts_its_origin_and_what_it_cost(world, spec, contestant):
    result, run, files, frozen = record(world, spec, contestant)
    for part in ("train", "tuning", "holdout"):
        assert {name.removeprefix(f"{part}_") for name in run.data.metrics if name.startswith(f"{part}_")} >= METRICS
    assert run.data.metrics["fit_seconds"] > 0
    assert run.data.metrics["peak_memory_mb"] > 50
    assert run.data.params["seed"] == "1"
    assert run.data.params["snapshot_digest"] == frozen.digest
    for table in ("features", "outcomes"):
        assert run.data.params[f"{table}_version"] == str(frozen.manifest["versions"][table])
    assert run.data.tags["mlflow.source.git.commit"] == LIVE.code_commit
    assert {"imago.lib.python", "imago.lib.scikit-learn", "imago.lib.scipy", "imago.lib.onnx"} <= set(run.data.tags)
    assert {"model_card.md", "signature.json", "plots/roc.png", "plots/precision_recall.png",
            "plots/calibration.png", "plots/gain.png", "plots/importance.png"} <= set(files)  # fmt: skip
    assert "trials.json" not in files
    assert json.loads(run.data.tags["imago.result"])["metrics"] == result["metrics"]


def test_the_run_that_compares_all_names_its_origin_too(world, spec):
    report = train(world, spec, DS)
    run = Tracker(world, spec.name).client.get_run(report["training_run"])
    frozen = snapshot.load(world, run.data.tags["imago.snapshot"])
    assert run.data.tags["mlflow.source.git.commit"] == LIVE.code_commit
    assert (run.data.params["seed"], run.data.params["snapshot_digest"]) == ("1", frozen.digest)
    below = f"tags.`mlflow.parentRunId` = '{report['training_run']}'"
    tracker = Tracker(world, spec.name)
    nested = {
        found.data.tags["imago.contestant"] for found in tracker.client.search_runs([tracker.experiment_id], below)
    }
    assert nested == {
        one.name for one in (*spec.candidates, *spec.baselines)
    }  # a tree in MLflow's list, not a flat one
    assert run.data.params["features_version"] == str(frozen.manifest["versions"]["features"])
    assert run.data.params["outcomes_version"] == str(frozen.manifest["versions"]["outcomes"])


def test_the_model_card_tells_the_numbers_of_the_run(world, spec):
    result, _, files, frozen = record(world, spec, "line")
    card = files["model_card.md"].decode()
    cut, parts = frozen.cut, frozen.manifest["parts"]
    assert f"| train | {cut.train_first} to {cut.train_last} | {parts['train']['rows']:,} |" in card
    for name in METRICS:
        row = " | ".join(f"{result['metrics'][f'{part}_{name}']:.4f}" for part in ("train", "tuning", "holdout"))
        assert f"| {name} | {row} |" in card
    assert "Owner: tests" in card
    for fact in (frozen.digest, LIVE.code_commit, result["run_id"]):
        assert f"`{fact}`" in card

    truth, scores = snapshot.labels(frozen.part("holdout"), spec), load_model(world, result["artifact"]).predict(
        frozen.part("holdout"))  # fmt: skip
    said = scores >= spec.decision_threshold
    right, wrong, missed = (
        int(np.sum(which)) for which in (said & (truth == 1), said & (truth == 0), ~said & (truth == 1))
    )
    assert (
        f"A score of 0.5 or more counts as yes. On the holdout that is {right + wrong:,} of {len(truth):,} rows; "
        in card
    )
    assert f"{right:,} of them were right, and {missed:,} of {right + missed:,} cases were missed." in card
    assert f"Saved: {10 * right - 5 * wrong:,} USD on the holdout." in card


def test_the_card_of_a_baseline_says_that_it_is_never_promoted_and_that_of_a_search_shows_its_trials(world):
    spec = make_spec(trees)
    search = Search(space=(Choice(setting="model__max_leaf_nodes", values=(3, 7)),), trials=2, seconds=600)
    spec = spec.model_copy(update={"candidates": (Candidate(name="trees", build=trees, why="w", search=search),)})
    assert "never promoted" in record(world, spec, "prior")[2]["model_card.md"].decode()
    result, _, files, _ = record(world, spec, "trees")
    card = files["model_card.md"].decode()
    assert "never promoted" not in card
    table = json.loads(files["trials.json"])
    place = table["columns"].index("tuning_roc_auc")
    for row in table["data"]:
        number = f"**{row[0]}**" if row[0] == result["search"]["chosen"] else str(row[0])
        assert f"| {number} | {row[2]} | {row[place]:.5f} |" in card


def test_the_card_and_the_run_say_whether_the_model_answers_missing_and_unseen_values(world, spec):
    _, run, files, _ = record(world, spec, "line")
    assert run.data.tags["imago.answers_missing_values"] == "yes"
    assert run.data.tags["imago.answers_unseen_categories"] == "yes"
    assert "| answers unseen categories | `yes` |" in files["model_card.md"].decode()


@pytest.mark.parametrize(
    ("refused", "missing", "unseen"),
    [
        ({}, "yes", "yes"),
        ({"missing": ["risk"], "unseen": ["gate"]}, "yes, except in risk", "no (gate)"),
        ({"missing": ["risk", "gate"]}, "no (gate, risk)", "yes"),
    ],
)
def test_what_a_model_cannot_answer_is_named_by_column(refused, missing, unseen):
    told = card.answers_in_words(refused, [("gate", "categorical"), ("risk", "numeric")])
    assert told == {"answers missing values": missing, "answers unseen categories": unseen}


def test_the_signature_is_mlflows_own_and_names_every_input(world, spec):
    _, _, files, _ = record(world, spec, "line")
    signature = ModelSignature.from_dict(json.loads(files["signature.json"]))
    assert signature.inputs.input_names() == list(spec.feature_names)
    assert [kind.name for kind in signature.inputs.input_types()] == ["string", "double", "double"]
    assert signature.outputs.input_names() == ["score"]
