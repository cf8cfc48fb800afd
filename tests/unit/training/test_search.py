"""A candidate's search: what it sees, what it chooses, and that a kill changes nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from toy_world import CONTRACT, LIVE, line, make_spec, trees

from imago.errors import ImagoError
from imago.jobs import training
from imago.registry.tracking import Tracker
from imago.specs import Candidate, Choice, Range, Search
from imago.storage import Storage
from imago.training import fitting, search, snapshot

DS = "2013-02-27"
SEARCH = Search(
    space=(
        Choice(setting="model__max_leaf_nodes", values=(3, 7, 31)),
        Range(setting="model__learning_rate", low=0.01, high=0.5, log=True),
    ),
    trials=5,
    seconds=600,
)


def searching(found=SEARCH, build=trees):
    spec = make_spec(build)
    candidate = Candidate(name="trees", build=build, why="w", search=found)
    return spec.model_copy(update={"candidates": (candidate,)})


def frozen_of(environment, spec):
    return snapshot.freeze(environment, spec, DS, contract=CONTRACT, run_id="test")


def trial_files(environment):
    return [name for name in Storage(environment).list("snapshots") if "/search/" in name and name.endswith(".json")]


def test_the_settings_follow_from_the_seed_and_stay_in_the_space():
    assert search.draw(SEARCH, 7) == search.draw(SEARCH, 7)
    assert search.draw(SEARCH, 7) != search.draw(SEARCH, 8)
    longer = search.draw(SEARCH.model_copy(update={"trials": 40}), 7)
    assert longer[:5] == search.draw(SEARCH, 7)
    assert {one["model__max_leaf_nodes"] for one in longer} == {3, 7, 31}
    rates = [one["model__learning_rate"] for one in longer]
    assert 0.01 <= min(rates) < 0.02
    assert 0.3 < max(rates) <= 0.5


def test_a_small_space_is_tried_whole_and_nothing_twice():
    small = Search(
        space=(Range(setting="a", low=1, high=8, log=True), Choice(setting="b", values=(None, "x", True))),
        trials=100,
        seconds=1,
    )
    drawn = [(one["a"], one["b"]) for one in search.draw(small, 3)]
    assert len(drawn) == 24
    assert set(drawn) == {(a, b) for a in range(1, 9) for b in (None, "x", True)}
    assert all(type(a) is int for a, _ in drawn)


@pytest.fixture
def tiny(world):
    """A snapshot, and a spec whose search tries three learning rates."""
    found = Search(space=(Choice(setting="model__learning_rate", values=(0.1, 0.2, 0.4)),), trials=3, seconds=600)
    spec = searching(found)
    return spec, frozen_of(world, spec)


def told(spec, values, seconds=0.0):
    """A search whose attempts give these values of the metric, in order."""
    waiting = iter(values)

    def attempt(settings):
        time.sleep(seconds)
        return {f"tuning_{spec.primary_metric}": next(waiting)}

    return search.run(spec, spec.candidates[0], attempt)


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ((0.7, 0.6, 0.9, 0.8), 2),
        ((0.7, 0.7, 0.7, 0.7), 0),
        ((0.7, 0.8, 0.8, 0.6), 1),
        ((float("nan"), 0.5, float("nan"), 0.6), 3),
        ((0.7, float("inf"), 0.6, 0.6), 0),
    ],
)
def test_the_best_on_the_tuning_days_is_chosen_the_earlier_keeps_a_tie_and_nan_never_wins(tiny, values, chosen):
    spec, _ = tiny
    assert told(spec, values).best.number == chosen


def test_where_lower_is_better_the_lowest_is_chosen(tiny):
    spec = tiny[0].model_copy(update={"primary_metric": "log_loss"})
    assert told(spec, (0.7, 0.6, 0.9, 0.8)).best.number == 1


def test_a_search_without_any_number_is_refused(tiny):
    with pytest.raises(ImagoError, match="no trial of the search of trees has a roc_auc"):
        told(tiny[0], (float("nan"),) * 4)


def test_once_its_seconds_are_used_up_no_further_trial_begins_and_the_result_says_so(tiny, caplog):
    spec = tiny[0]
    short = spec.candidates[0].search.model_copy(update={"seconds": 0.01})
    spec = spec.model_copy(update={"candidates": (spec.candidates[0].model_copy(update={"search": short}),)})
    found = told(spec, (0.5, 0.6, 0.9, 0.9), seconds=0.02)
    assert (len(found.trials), found.best.number, found.ended_by) == (2, 1, "seconds")
    assert "another machine may choose otherwise" in caplog.text


def test_values_that_the_estimator_refuses_are_named(tiny):
    spec, frozen = tiny
    found = Search(space=(Choice(setting="model__max_leaf_nodes", values=(-3, -4)),), trials=1, seconds=600)
    spec = searching(found)
    with pytest.raises(ImagoError, match=r"trial 1 .*max_leaf_nodes") as refused:
        fitting.fit(spec, frozen, spec.candidates[0])
    assert str(refused.value.facts["seen"]) in ("{'model__max_leaf_nodes': -3}", "{'model__max_leaf_nodes': -4}")


def test_an_unknown_setting_is_the_candidates_own_fault_and_is_named_before_the_fit(world):
    found = Search(space=(Choice(setting="model__max_leafs", values=(3, 7)),), trials=1, seconds=600)
    spec = searching(found)
    frozen = training.freeze(world, spec, DS, LIVE)
    result = training.fit(world, spec, frozen["snapshot"], "trees", LIVE)
    assert "model__max_leafs" in result["failed"]
    assert "model__max_leaf_nodes" in str(result["facts"])
    assert trial_files(world) == []


def test_the_holdout_and_the_days_before_the_tuning_part_have_no_say(world):
    spec = searching()
    frozen = frozen_of(world, spec)
    flipped = pc.and_(pc.greater_equal(frozen.rows["ds"], frozen.cut.holdout_first), pc.equal(frozen.rows["gate"], "A"))
    rows = frozen.rows.set_column(
        frozen.rows.schema.get_field_index("label"),
        "label",
        pc.if_else(pc.fill_null(flipped, False), pc.subtract(pa.scalar(1, pa.int32()), frozen.rows["label"]),
                   frozen.rows["label"]),
    )  # fmt: skip
    one = spec.candidates[0]
    first = fitting.fit(spec, frozen, one)
    other = fitting.fit(spec, snapshot.Snapshot(frozen.folder, frozen.manifest, rows), one)
    assert first.metrics["holdout_roc_auc"] != other.metrics["holdout_roc_auc"]
    assert [trial.metrics for trial in first.found.trials] == [trial.metrics for trial in other.found.trials]
    assert first.scores.tobytes() == other.scores.tobytes()


def test_the_winner_is_fitted_with_what_won_and_reports_the_tuning_metrics_of_that_trial(world):
    spec = searching()
    frozen = frozen_of(world, spec)
    fitted = fitting.fit(spec, frozen, spec.candidates[0])
    best = max(fitted.found.trials, key=lambda trial: (trial.metrics["tuning_roc_auc"], -trial.number))
    assert fitted.found.best == best
    assert best.number > 0  # else this test shows nothing
    settings = fitted.pipeline.get_params()
    assert {name: settings[name] for name in best.settings} == best.settings
    assert fitted.metrics["tuning_roc_auc"] == best.metrics["tuning_roc_auc"]
    plain = fitting.fit(spec, frozen, spec.candidates[0].model_copy(update={"search": None}))
    written = fitted.found.trials[0]
    assert written.settings == {"model__max_leaf_nodes": 31, "model__learning_rate": 0.1}
    assert plain.metrics["tuning_roc_auc"] == written.metrics["tuning_roc_auc"]


def test_another_search_is_another_fit(world):
    spec = searching()
    frozen = frozen_of(world, spec)
    longer = spec.candidates[0].model_copy(update={"search": SEARCH.model_copy(update={"trials": 6})})
    assert fitting.identity(spec, frozen, spec.candidates[0], "abc") != fitting.identity(spec, frozen, longer, "abc")


def test_trials_and_choice_stand_in_the_result_the_parameters_and_a_table(world):
    spec = searching()
    frozen = training.freeze(world, spec, DS, LIVE)
    result = training.fit(world, spec, frozen["snapshot"], "trees", LIVE)
    told = result["search"]
    assert (told["trials"], told["ended_by"]) == (6, "trials")
    tracker = Tracker(world, "toy")
    params = tracker.client.get_run(result["run_id"]).data.params
    assert params["search_chosen"] == str(told["chosen"])
    assert params["max_leaf_nodes"] == str(told["settings"]["model__max_leaf_nodes"])
    folder = tracker.artifact_folder(result["run_id"])
    table = json.loads(Storage(world).read_bytes(f"{folder}/trials.json"))
    assert table["columns"][:4] == ["trial", "chosen", "model__max_leaf_nodes", "model__learning_rate"]
    assert [row[0] for row in table["data"] if row[1]] == [told["chosen"]]
    assert len(trial_files(world)) == 6


@pytest.mark.parametrize(
    "damage", [b"", b'{"number": 2', b'{"number": 2, "settings": {}, "metrics": {}, "seconds": 1}']
)
def test_a_record_that_is_not_whole_or_of_other_settings_is_fitted_again(world, damage):
    spec = searching()
    frozen = frozen_of(world, spec)
    one, book = spec.candidates[0], search.Book(world, f"{frozen.folder}/search/x")
    first = fitting.fit(spec, frozen, one, book)
    Storage(world).write_bytes(f"{book.folder}/trial-0002.json", damage)
    second = fitting.fit(spec, frozen, one, book)
    assert (first.found.reused, second.found.reused) == (0, 5)
    assert second.found.best.number == first.found.best.number
    assert second.scores.tobytes() == first.scores.tobytes()
    assert book.read(2, first.found.trials[2].settings) == second.found.trials[2]


WORKER = """
import csv, json, os, sys
from imago.environments import Environment
from imago.jobs import training
from imago.training import fitting
from test_search import searching
from toy_world import LIVE
fitted = fitting._fitted
def counted(*given):
    with open(sys.argv[3], "a") as file:
        csv.writer(file).writerow([os.getpid()])
    return fitted(*given)
fitting._fitted = counted
values = json.loads(sys.argv[1])
training.fit(Environment.model_validate(values), searching(), sys.argv[2], "trees", LIVE)
"""


def worker(environment, folder, fits: Path):
    values = environment.model_dump(mode="json") | {"ledger_url": environment.ledger_url.get_secret_value()}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(values), folder, str(fits)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        },
        start_new_session=True,
    )


def fits_of(file: Path, pid: int) -> int:
    return [row[0] for row in csv.reader(io.StringIO(file.read_text()))].count(str(pid))


def test_a_search_killed_in_the_middle_goes_on_and_chooses_as_if_nothing_had_happened(world, tmp_path):
    spec = searching()
    frozen = training.freeze(world, spec, DS, LIVE)
    undisturbed = fitting.fit(spec, snapshot.load(world, frozen["snapshot"]), spec.candidates[0])

    fits = tmp_path / "fits.csv"
    first = worker(world, frozen["snapshot"], fits)
    while len(trial_files(world)) < 3:
        assert first.poll() is None, "the worker ended before its third trial was seen"
        time.sleep(0.002)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    recorded = len(trial_files(world))
    assert 3 <= recorded < 6
    second = worker(world, frozen["snapshot"], fits)
    assert second.wait() == 0

    # Only the trials that are not on record, the one on a few rows before them, and the last fit.
    assert fits_of(fits, second.pid) == 1 + 6 - recorded + 1
    tracker = Tracker(world, "toy")
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
    result = training.fit(world, spec, frozen["snapshot"], "trees", LIVE)
    assert result["reused"]
    assert result["search"]["chosen"] == undisturbed.found.best.number
    assert result["search"]["settings"] == undisturbed.found.best.settings
    assert result["metrics"] == undisturbed.metrics
    from imago.registry import load_model

    model = load_model(world, result["artifact"], format="skops")
    scores = model.predict(snapshot.load(world, frozen["snapshot"]).part("holdout"))
    assert np.array_equal(scores, undisturbed.scores)


def test_a_line_without_a_search_says_nothing_of_one(world, spec):
    frozen = training.freeze(world, spec, DS, LIVE)
    assert "search" not in training.fit(world, spec, frozen["snapshot"], line.__name__, LIVE)
    assert trial_files(world) == []
