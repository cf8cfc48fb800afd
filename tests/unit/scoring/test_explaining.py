"""One prediction, made again from its provenance: equal, or a clear answer why not."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import FIRST, LIVE, SPEC, crown, publish, world_rows
from shadow_world import left_by_a_training
from typer.testing import CliRunner

from imago import cli, ledger
from imago.errors import ImagoError, MissingPartition, ModelRefused
from imago.jobs import scoring, shadow_scoring, shadows
from imago.jobs.explaining import explain
from imago.ledger import champions
from imago.scoring.explanation import differences, of_driver
from imago.specs import Scoring
from imago.storage import Storage
from imago.tables import Table

KEY = f"{FIRST}-007"


def corrected(env, shift):
    publish(env, "features", world_rows([FIRST], shift=shift)[0], [FIRST])


def vacuumed(env):
    return Table(env, "toy", "features").vacuum(older_than=timedelta(0))


@pytest.fixture
def scored(reign):
    scoring.score(reign, SPEC, FIRST, LIVE)
    return reign


def test_every_row_of_a_day_is_made_again_equal_and_the_drivers_are_told_in_words(scored):
    for number in range(0, 40, 8):
        assert explain(scored, SPEC, f"{FIRST}-{number:03d}", FIRST)["equal"] is True
    told = explain(scored, SPEC, KEY, FIRST)
    assert told["verdict"] == f"The prediction of {KEY} on {FIRST} was made again from its provenance, and is equal."
    assert (told["model"]["version"], told["model"]["kind"], told["different"]) == ("1", "champion", {})
    strongest = told["drivers"][0]
    direction = "raises" if strongest["effect"] > 0 else "lowers"
    assert f"{direction} the chance of label by {100 * abs(strongest['effect']):.1f} points" in strongest["words"]


def test_a_threshold_that_moved_since_does_not_make_an_old_decision_wrong(scored):
    moved = SPEC.model_copy(update={"decision_threshold": 0.05})
    keys = [f"{FIRST}-{number:03d}" for number in range(40)]
    assert all(explain(scored, moved, key, FIRST)["equal"] for key in keys[::4])


def test_a_new_champion_and_corrected_features_leave_old_predictions_explained(scored):
    crown(scored, seed=900, ds="2013-02-17", version="2")
    corrected(scored, 2.0)
    told = explain(scored, SPEC, KEY, FIRST)
    assert (told["equal"], told["model"]["version"]) == (True, "1")


def test_a_row_that_was_changed_is_not_equal_and_both_values_are_told(scored):
    table = Table(scored, "toy", "predictions")
    inputs, rows = table.partition(FIRST).inputs, table.require(FIRST)
    place = rows.schema.get_field_index("score")
    changed = rows.set_column(place, "score", pc.add(rows.column("score"), pa.scalar(0.25)))
    table.publish(changed, days=(FIRST,), key=("key",), fence=table.draw_fence(), context=LIVE, inputs=inputs)
    told = explain(scored, SPEC, KEY, FIRST)
    stored, rebuilt = told["different"]["score"]
    assert (told["equal"], list(told["different"])) == (False, ["score"])
    assert stored == pytest.approx(rebuilt + 0.25)
    assert "NOT equal" in told["verdict"]


def test_features_that_were_vacuumed_are_said_so_with_what_is_still_known_and_the_way_out(scored):
    corrected(scored, 1.0)  # the version before it is pinned by the training
    scoring.score(scored, SPEC, FIRST, LIVE)
    score = explain(scored, SPEC, KEY, FIRST)["stored"]["score"]
    corrected(scored, 2.0)
    assert vacuumed(scored)
    with pytest.raises(MissingPartition, match="were vacuumed, and the day's features are others by now") as gone:
        explain(scored, SPEC, KEY, FIRST)
    assert f"score {score!r}" in gone.value.message
    assert "imago backfill toy" in gone.value.next_step


def test_the_same_features_published_again_stand_in_for_those_that_were_vacuumed(scored):
    corrected(scored, 1.0)
    scoring.score(scored, SPEC, FIRST, LIVE)
    read = Table(scored, "toy", "predictions").partition(FIRST).inputs["features"]["version"]
    corrected(scored, 2.0)
    corrected(scored, 1.0)
    assert vacuumed(scored)
    with pytest.raises(MissingPartition, match="was vacuumed"):
        Table(scored, "toy", "features").read([FIRST], version=read)
    assert explain(scored, SPEC, KEY, FIRST)["equal"] is True


def test_a_model_that_can_no_longer_be_loaded_is_said_so_with_the_ledger_entry(scored):
    Storage(scored).write_bytes("mlflow/toy/1/model/model.onnx", b"other bytes")
    with pytest.raises(ModelRefused, match=r"cannot be made again: .*digest.*it stands as score") as refused:
        explain(scored, SPEC, KEY, FIRST)
    assert "ledger entry" in str(refused.value.facts["seen"])
    assert "--champion today" in refused.value.next_step


def test_a_key_that_is_not_there_and_a_day_that_nobody_scored_name_what_is(scored):
    with pytest.raises(ImagoError, match="no prediction is stored for nobody") as unknown:
        explain(scored, SPEC, "nobody", FIRST)
    assert unknown.value.facts["allowed"] == f"one of the day's 40 keys, such as {FIRST}-000, {FIRST}-001"
    with pytest.raises(MissingPartition, match="not published"):
        explain(scored, SPEC, KEY, "2013-03-02")


def test_a_row_without_a_score_names_the_rule_that_it_broke_and_is_made_again_without_one(reign):
    spec = SPEC.model_copy(update={"scoring": Scoring(bad_rows="null")})
    day, _ = world_rows([FIRST])
    place = day.schema.get_field_index("risk")
    risk = day.column("risk").to_pylist()
    risk[7] = 60.0  # the contract allows -50 to 50
    publish(reign, "features", day.set_column(place, "risk", pa.array(risk, pa.float64())), [FIRST])
    scoring.score(reign, spec, FIRST, LIVE)
    # The spec of today would score it: the policy of then counts.
    for now in (spec, SPEC):
        told = explain(reign, now, KEY, FIRST)
        assert (told["equal"], told["stored"]["score"], told["reason"]["code"]) == (True, None, "range:risk")
        assert told["reason"]["words"].startswith("risk is 60")
        assert told["drivers"] == []


def test_what_a_shadow_said_of_a_row_is_explained_by_its_own_model(scored):
    left_by_a_training(scored, {"2": 900})
    shadows.start(scored, SPEC, "2", LIVE, reason="is it better?")
    shadow_scoring.score(scored, SPEC, FIRST, LIVE)
    told = explain(scored, SPEC, KEY, FIRST, shadow="2")
    assert (told["equal"], told["table"], told["model"]["kind"]) == (True, "shadow_predictions", "shadow")
    assert told["stored"]["score"] != explain(scored, SPEC, KEY, FIRST)["stored"]["score"]
    with pytest.raises(ImagoError, match="version 3 did not shadow") as refused:
        explain(scored, SPEC, KEY, FIRST, shadow="3")
    assert refused.value.facts["allowed"] == "2"


def test_the_command_line_tells_it_to_people_and_to_machines(scored, monkeypatch):
    monkeypatch.setattr("imago.cli.explain.environment", lambda name: scored)
    monkeypatch.setattr("imago.cli.explain.get_model", lambda name: SPEC)
    words = ["explain", "toy", "--key", KEY, "--ds", FIRST]
    people = CliRunner().invoke(cli._typer, words)
    assert people.exit_code == 0
    for said in ("and is equal", "What drove it", "the chance of label", "ledger entry"):
        assert said in people.output
    told = json.loads(CliRunner().invoke(cli._typer, [*words, "--json"]).stdout)
    assert told["equal"] is True
    assert told["drivers"][0]["words"]


def test_words_for_a_value_that_is_missing_and_for_one_that_moves_nothing():
    assert of_driver(SPEC, "noise", None, 0.1, 0.02, True) == (
        "noise is missing (usually 0.1), which raises the chance of label by 2.0 points"
    )
    assert of_driver(SPEC, "gate", "A", "A", 0.0, True) == (
        "gate is A (usually A), which does not move the chance of label"
    )


def test_two_rows_differ_in_what_is_not_the_same_whatever_is_missing_in_both():
    one = {"key": "a", "ds": "x", "score": None, "decision": True}
    assert differences(one, {"key": "a", "score": None, "decision": False}) == {"decision": [True, False]}
    assert differences({"score": float("nan")}, {"score": float("nan")}) == {}


def test_a_score_of_a_file_that_is_not_the_judged_pipeline_is_not_equal(reign):
    """The file that scores is made that of another pipeline, with digests that agree: only the pipeline can tell."""
    with ledger.connect(reign).connect() as connection:
        first = champions.reigning(connection, "toy")
    second = crown(reign, seed=900, ds="2013-02-17", version="2")
    storage, folder = Storage(reign), "mlflow/toy/2/model"
    storage.write_bytes(f"{folder}/model.skops", storage.read_bytes("mlflow/toy/1/model/model.skops"))
    digests = {**second.artifacts, "model.skops": first.artifacts["model.skops"]}
    card = json.loads(storage.read_bytes(f"{folder}/model.json"))
    card["files"] = {name: digests[name] for name in card["files"]}
    digests["model.json"] = storage.write_bytes(f"{folder}/model.json", json.dumps(card).encode())
    with ledger.connect(reign).begin() as connection:
        mixed = dataclasses.replace(second, version="3", run_id="run-3", artifacts=digests, effective_ds=FIRST)
        champions.crown(connection, mixed, expected=second.id)
    scoring.score(reign, SPEC, FIRST, LIVE, champion="3")
    told = explain(reign, SPEC, KEY, FIRST)
    assert told["rebuilt"] == told["stored"]["score"]
    assert (told["equal"], told["different"]) == (False, {"score": [told["stored"]["score"], told["pipeline"]]})
    assert abs(told["pipeline"] - told["rebuilt"]) > 1e-5
