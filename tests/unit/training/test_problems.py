"""A model of each problem type lives its whole life: trained, fought for, promoted, scoring, judged by the truth."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from problem_world import CLASSES, PROBLEMS, boosting, forest, linear, spec_of, world_rows
from toy_world import BACKFILL, LIVE, make_spec, publish, train

from imago import dashboard
from imago.days import shift
from imago.errors import ImagoError, ModelRefused, ReleaseBlocked
from imago.jobs import deployment, explaining, metrics, monitoring, scoring, serving
from imago.ledger import champions, connect
from imago.registry import load_model
from imago.registry.tracking import Tracker
from imago.storage import Storage
from imago.tables import Table
from imago.training import snapshot
from imago.training.evaluation import METRICS

DS, FIRST = "2013-02-27", "2013-02-28"
PICTURES = {
    "binary": {"roc", "precision_recall", "calibration", "gain", "importance"},
    "multiclass": {"roc", "precision_recall", "calibration", "gain", "confusion_matrix", "importance"},
    "regression": {"calibration", "predicted_vs_true", "residuals", "importance"},
}
DECIDES = {
    "binary": {"score", "decision"},
    "multiclass": {"score", "decision", "score_early", "score_on_time", "score_late"},
    "regression": {"score"},
}


def reigning(environment):
    with connect(environment).connect() as connection:
        return champions.reigning(connection, "toy")


def files_of(environment, run_id):
    storage, folder = Storage(environment), Tracker(environment, "toy").artifact_folder(run_id)
    return {name.removeprefix(f"{folder}/"): storage.read_bytes(name) for name in storage.list(folder)}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_model_of_each_problem_lives_its_whole_life(dev, problem):
    spec = spec_of(problem, linear)
    publish(dev, *world_rows(problem))
    report = train(dev, spec, DS)
    verdict = deployment.judge(dev, spec, DS, LIVE)
    assert (verdict["outcome"], verdict["moved"], verdict["challenger"]) == ("promoted", True, "linear")
    champion = reigning(dev)
    assert champion.effective_ds == FIRST
    assert verdict["scores"]["linear"] == pytest.approx(report["holdout"]["linear"], abs=1e-4)

    scored = scoring.score(dev, spec, FIRST, LIVE)
    rows = Table(dev, "toy", "predictions").require(FIRST)
    assert set(rows.column_names) == {"key", "ds", "event_time", "model_version", *DECIDES[problem]}
    assert sum(scored["decisions"].values()) == (0 if problem == "regression" else scored["rows"])
    assert scoring.score(dev, spec, FIRST, BACKFILL)["changed"] is False
    told = explaining.explain(dev, spec, "007", FIRST)
    assert told["equal"] is True
    assert abs(told["drivers"][0]["effect"]) > 0

    seen = monitoring.monitor(dev, spec, FIRST, LIVE)
    assert seen["critical"] == 0
    judged = metrics.refresh(dev, spec, FIRST, LIVE)
    stored = {
        (row["metric"], row["slice"]): row["value"] for row in Table(dev, "toy", "metrics").require(FIRST).to_pylist()
    }
    assert {name for name, part in stored if part == "all"} >= set(METRICS[problem])
    _, outcomes = world_rows(problem)
    of_day = rows.join(outcomes.select(["ds", "key", spec.label]), keys=["ds", "key"]).sort_by("key")
    of_day = of_day.filter(of_day[spec.label].is_valid())
    assert judged["rows"] == of_day.num_rows
    assert stored[spec.primary_metric, "all"] == pytest.approx(by_hand(spec, of_day), rel=1e-9)

    online = serving.deploy(dev, spec, LIVE)
    assert (online["changed"], online["proof"]["status"]) == (True, 200)
    assert serving.refresh(dev, spec, online["ds"], champion) in ("unchanged", "untouched", "swapped")
    page = dashboard.render(dev, spec)
    assert f"{online['ds']}, {online['rows']:,} keys" in page
    assert "None" not in page
    assert "nan" not in page


def by_hand(spec, rows):
    label, score = np.array(rows[spec.label].to_pylist()), rows["score"].to_numpy()
    if spec.problem == "regression":
        return float(np.sqrt(np.mean((label - score) ** 2)))
    if spec.problem == "multiclass":
        return float(-np.mean([np.log(row[f"score_{row[spec.label]}"]) for row in rows.to_pylist()]))
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label == 1] for b in score[label == 0]]
    return float(np.mean(pairs))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_run_keeps_its_pictures_its_importance_and_all_metrics_on_each_part(dev, problem):
    spec = spec_of(problem, linear)
    publish(dev, *world_rows(problem))
    train(dev, spec, DS)
    tracker = Tracker(dev, "toy")
    runs = tracker.client.search_runs([tracker.experiment_id], "tags.`imago.role` != 'training'")
    assert len(runs) == 1 + len(spec.baselines)
    for run in runs:
        files = files_of(dev, run.info.run_id)
        assert {name for name in files if name.startswith("plots/")} == {
            f"plots/{one}.png" for one in PICTURES[problem]
        }
        assert all(files[f"plots/{one}.png"].startswith(b"\x89PNG") for one in PICTURES[problem])
        for part in ("train", "tuning", "holdout"):
            assert {f"{part}_{name}" for name in METRICS[problem]} <= set(run.data.metrics)
        needed = json.loads(files["importance.json"])
        assert set(needed["mean"]) == set(needed["std"]) == set(spec.feature_names)
        assert (needed["metric"], needed["days"]) == (spec.primary_metric, "the tuning days")
        if run.data.tags["imago.contestant"] == "linear":
            assert max(needed["mean"], key=needed["mean"].get) == "risk"
            assert abs(needed["mean"]["noise"]) < needed["mean"]["risk"] / 20
        if run.data.tags["imago.contestant"] == "best_column":
            assert {name for name, lost in needed["mean"].items() if lost} == {"risk"}
        if run.data.tags["imago.contestant"] == "prior":
            assert set(needed["mean"].values()) == {0.0}


def test_without_tuning_days_the_importance_is_that_of_the_holdout(dev):
    spec = spec_of("regression", linear, training=make_spec().training.model_copy(update={"tuning_days": 0}))
    publish(dev, *world_rows("regression"))
    train(dev, spec, DS)
    verdict = deployment.judge(dev, spec, DS, LIVE)
    said = json.loads(Storage(dev).read_bytes(verdict["dossier"].replace(".html", ".json")))
    assert said["importance"][0]["name"] == "risk"
    assert said["importance_on"].endswith(" rows of the holdout")


def test_the_dossier_shows_the_calibration_of_a_class_and_of_a_number(dev):
    spec = spec_of("multiclass", linear)
    publish(dev, *world_rows("multiclass"))
    train(dev, spec, DS)
    verdict = deployment.judge(dev, spec, DS, LIVE)
    said = json.loads(Storage(dev).read_bytes(verdict["dossier"].replace(".html", ".json")))
    assert said["calibration"]["of"] in CLASSES
    assert [len(one["points"]) for one in said["calibration"]["lines"]] == [10, 10]
    # The gate judges the class that is promised worst, and so does the picture.
    gate = next(one for one in said["gates"] if one["gate"] == "Calibration")
    assert gate["detail"].startswith(f"Calibration error {said['calibration']['errors']['linear']:.4f}")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_export_answers_as_the_pipeline_does_on_the_whole_holdout(dev, problem):
    from imago.jobs import training

    spec = spec_of(problem, linear, boosting, forest)
    publish(dev, *world_rows(problem))
    frozen = training.freeze(dev, spec, DS, LIVE)
    holdout = snapshot.load(dev, frozen["snapshot"]).part("holdout")
    for name in ("linear", "boosting", "forest"):
        artifact = training.fit(dev, spec, frozen["snapshot"], name, LIVE)["artifact"]
        assert artifact["artifact_format"] == "onnx"
        one, other = (load_model(dev, artifact, format=kind).predict(holdout) for kind in ("onnx", "skops"))
        assert one.shape == other.shape == ((holdout.num_rows, 3) if problem == "multiclass" else (holdout.num_rows,))
        span = float(np.ptp(other)) if problem == "regression" else 1.0
        assert np.abs(one - other).max() <= 1e-5 * span
    baseline = training.fit(dev, spec, frozen["snapshot"], "best_column", LIVE)["artifact"]
    assert baseline["artifact_format"] == "skops"


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_shuffled_labels_block_the_release(dev, problem):
    spec = spec_of(problem, linear)
    publish(dev, *world_rows(problem, shuffled=True))
    train(dev, spec, DS)
    with pytest.raises(ReleaseBlocked, match="no candidate beats the baseline"):
        deployment.judge(dev, spec, DS, LIVE)
    assert reigning(dev) is None


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_a_leak_is_refused_and_the_column_named(dev, problem):
    spec = spec_of(problem, boosting)
    features, outcomes = world_rows(problem)
    label = outcomes[spec.label].to_pylist()
    told = [None if one is None else float(CLASSES.index(one) if problem == "multiclass" else one / 4) for one in label]
    place = features.schema.get_field_index("noise")
    publish(dev, features.set_column(place, "noise", pa.array(told, pa.float64())), outcomes)
    train(dev, spec, DS)
    with pytest.raises(ReleaseBlocked, match=r"leak.*noise \(explains \d+% of the label alone\)"):
        deployment.judge(dev, spec, DS, LIVE)


def test_a_class_that_the_spec_does_not_name_is_refused_by_the_training(dev):
    features, outcomes = world_rows("multiclass")
    publish(dev, features, outcomes)
    with pytest.raises(ImagoError, match=r"rule=classes.*early, on_time, cancelled.*late"):
        train(dev, spec_of("multiclass", classes=("early", "on_time", "cancelled")), DS)


def test_a_class_that_nobody_can_learn_is_refused_by_the_training(dev):
    publish(dev, *world_rows("multiclass"))
    with pytest.raises(ImagoError, match=r"train part needs rows of every class.*cancelled"):
        train(dev, spec_of("multiclass", classes=(*CLASSES, "cancelled")), DS)


def test_texts_are_no_label_of_a_regression(dev):
    publish(dev, *world_rows("multiclass"))
    with pytest.raises(ImagoError, match=r"rule=problem.*numbers for regression"):
        train(dev, spec_of("regression", label="came"), DS)


def test_a_champion_of_other_classes_neither_scores_nor_fights(dev):
    spec = spec_of("multiclass", linear)
    publish(dev, *world_rows("multiclass"))
    train(dev, spec, "2013-02-20")
    deployment.judge(dev, spec, "2013-02-20", LIVE)
    other = spec_of("multiclass", linear, classes=("late", "on_time", "early"))
    with pytest.raises(ModelRefused, match=r"another classes than the spec names.*rule=classes"):
        scoring.score(dev, other, "2013-02-25", LIVE)
    train(dev, other, DS)
    with pytest.raises(ReleaseBlocked, match="champion v1 cannot be compared"):
        deployment.judge(dev, other, DS, LIVE)


def test_predictions_of_other_classes_come_in_columns_of_their_own_and_old_days_keep_theirs(dev):
    spec = spec_of("multiclass", linear)
    publish(dev, *world_rows("multiclass"))
    train(dev, spec, DS)
    deployment.judge(dev, spec, DS, LIVE)
    scoring.score(dev, spec, FIRST, LIVE)
    table = Table(dev, "toy", "predictions")
    rows = table.require(FIRST).rename_columns(
        [name.replace("score_late", "score_delayed") for name in table.require(FIRST).column_names]
    )
    before = table.version()
    table.publish(rows, days=(FIRST,), key=("key",), fence=table.draw_fence(), context=LIVE)
    assert table.require(FIRST)["score_delayed"].to_pylist() == rows["score_delayed"].to_pylist()
    assert "score_late" in table.read([FIRST], version=before).column_names


@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_a_world_that_moved_shows_in_the_predictions_drift(dev, problem):
    spec = spec_of(problem, linear)
    publish(dev, *world_rows(problem))
    train(dev, spec, DS)
    deployment.judge(dev, spec, DS, LIVE)
    days = (FIRST, shift(FIRST, 1))  # what lasts for two windows is confirmed
    features, _ = world_rows(problem, days=days, shift=3.0)
    table = Table(dev, "toy", "features")
    table.publish(features, days=days, key=("key",), fence=table.draw_fence(), context=LIVE)
    for ds in days:
        scoring.score(dev, spec, ds, LIVE)
        alarms = monitoring.monitor(dev, spec, ds, LIVE)["alarms"]
    assert "predictions" in alarms
    measured = {(row["column"], row["measure"]) for row in Table(dev, "toy", "drift").require(days[-1]).to_pylist()}
    assert (("prediction.decision", "rate_shift") in measured) == (problem == "multiclass")


def test_a_metric_below_the_floor_by_chance_alone_alarms_nobody(dev):
    """The floor of a number is judged by what the days themselves vary."""
    spec = spec_of("regression", linear)
    publish(dev, *world_rows("regression"))
    train(dev, spec, "2013-02-15")
    deployment.judge(dev, spec, "2013-02-15", LIVE)
    days = [f"2013-02-{day}" for day in range(16, 23)]
    for ds in days:
        scoring.score(dev, spec, ds, LIVE)
        window = metrics.refresh(dev, spec, ds, LIVE)["window"]
    assert (window["days"], window["rows"] > 190) == (7, True)
    assert 0 < window["standard_error"] < window["value"] / 5
    at = window["value"] - window["standard_error"]
    for floor, alarm in ((at, False), (window["value"] / 2, True)):
        strict = spec.model_copy(update={"guardrails": spec.guardrails.model_copy(update={"floor": floor})})
        assert metrics.refresh(dev, strict, days[-1], LIVE)["alarm"] is alarm
