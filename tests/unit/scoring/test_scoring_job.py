from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import BACKFILL, FIRST, LIVE, ROWS, crown, publish, world_rows

from imago.errors import Fenced, MissingPartition, NoChampion, RefusedPartition
from imago.features.refusals import tell_refused
from imago.jobs import explaining, scoring
from imago.tables import Table


def test_a_second_run_publishes_no_new_version_of_predictions_or_profile(reign, toy):
    first = scoring.score(reign, toy, FIRST, LIVE)
    tables = [Table(reign, "toy", name) for name in ("predictions", "profiles")]
    before = [table.version() for table in tables]
    second = scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="again"))
    assert (first["rows"], first["changed"], second["changed"]) == (ROWS, True, False)
    assert second["digest"] == first["digest"]
    assert [table.version() for table in tables] == before


def test_rows_hold_only_what_every_run_of_the_same_model_would_give(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    rows = Table(reign, "toy", "predictions").require(FIRST)
    assert sorted(rows.column_names) == ["decision", "ds", "event_time", "key", "model_version", "score"]
    keys = rows.column("key").to_pylist()
    assert keys == sorted(keys)
    assert rows.column("decision").to_pylist() == [score >= 0.5 for score in rows.column("score").to_pylist()]


def test_provenance_names_the_champion_and_the_features_that_were_read(reign, toy):
    scoring.score(reign, toy, FIRST, BACKFILL)
    features = Table(reign, "toy", "features").partition(FIRST)
    stored = Table(reign, "toy", "predictions").partition(FIRST)
    assert stored.inputs["features"] == {"digest": features.digest, "version": features.version}
    assert (stored.inputs["model_version"], stored.inputs["champion_choice"], stored.mode) == (
        "1",
        "as-was",
        "backfill",
    )
    assert stored.inputs["leaking"] is False


def test_the_commit_and_the_ledger_say_what_a_partition_was_made_of_and_no_row_does(reign, toy):
    summary = scoring.score(reign, toy, FIRST, BACKFILL)
    table = Table(reign, "toy", "predictions")
    info = table.partition(FIRST)
    (commit,) = [json.loads(one["imago"]) for one in table.open().history() if "imago" in one]

    (file,) = commit["days"][FIRST]["files"].values()
    assert commit["days"][FIRST] == {
        "rows": ROWS, "digest": summary["digest"], "files": {next(iter(commit["days"][FIRST]["files"])): file},
    }  # fmt: skip
    assert hashlib.sha256(Path(table.files([FIRST])[0]).read_bytes()).hexdigest() == file
    assert commit["inputs"] == info.inputs
    for said in (commit, dataclasses.asdict(info)):
        assert (said["run_id"], said["mode"], said["code_commit"]) == ("test", "backfill", "abc")
    assert (info.rows, info.digest, info.version) == (ROWS, summary["digest"], summary["version"])
    assert info.inputs["champion_id"] == summary["champion_id"] == 1
    assert info.inputs["bad_rows"] == {"policy": "stop", "unseen": "score", "unscored": 0, "reasons": {}}


def test_features_that_were_refused_are_waited_for_and_the_error_says_why(reign, toy):
    day = "2013-03-02"
    refusal = RefusedPartition("gate: allowed values", column="gate", rule="allowed values")
    tell_refused(reign, toy, "features", (day,), refusal, LIVE)
    with pytest.raises(MissingPartition, match=r"Features of 2013-03-02 were refused: gate: allowed values") as missing:
        scoring.score(reign, toy, day, LIVE)
    assert "scoring tries again by itself" in missing.value.next_step


def test_without_any_champion_the_error_says_how_to_get_one(dev, toy):
    features, _ = world_rows([FIRST])
    publish(dev, "features", features, [FIRST])
    for choice in ("as-was", "today"):
        with pytest.raises(NoChampion) as nobody:
            scoring.score(dev, toy, FIRST, LIVE, champion=choice)
        assert "run training and deployment for" in nobody.value.next_step


def test_a_day_without_features_is_never_scored_with_another_days(reign, toy):
    with pytest.raises(MissingPartition, match="no other day stands in"):
        scoring.score(reign, toy, "2013-03-02", LIVE)
    assert Table(reign, "toy", "predictions").version() is None


def test_a_day_before_the_first_reign_names_the_way_out_and_another_champion_may_be_asked_for(reign, toy):
    with pytest.raises(NoChampion, match="nobody reigns on 2013-01-05"):
        scoring.score(reign, toy, "2013-01-05", LIVE)
    told = scoring.score(reign, toy, "2013-01-05", BACKFILL, champion="today")
    assert told["leaking"] is True  # the model learned from that day
    with pytest.raises(NoChampion, match="as-was, today, 1"):
        scoring.score(reign, toy, FIRST, LIVE, champion="9")


def test_as_was_reproduces_the_stored_partition_after_a_new_champion_and_today_does_not(reign, toy):
    before = scoring.score(reign, toy, FIRST, LIVE)
    crown(reign, seed=900, ds=TRAINED_AGAIN, version="2")
    assert scoring.score(reign, toy, FIRST, BACKFILL)["digest"] == before["digest"]
    today = scoring.score(reign, toy, FIRST, BACKFILL, champion="today")
    assert (today["model_version"], today["changed"]) == ("2", True)
    back = scoring.score(reign, toy, FIRST, BACKFILL, champion="1")
    assert back["digest"] == before["digest"]


TRAINED_AGAIN = "2013-02-17"


def test_an_attempt_that_was_overtaken_is_fenced_and_changes_nothing(reign, toy, monkeypatch):
    sleeper = Table(reign, "toy", "predictions").draw_fence()
    scoring.score(reign, toy, FIRST, LIVE)
    version = Table(reign, "toy", "predictions").version()
    changed, _ = world_rows([FIRST], shift=1.0)
    publish(reign, "features", changed, [FIRST])
    monkeypatch.setattr(Table, "draw_fence", lambda self: sleeper)
    with pytest.raises(Fenced):
        scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="sleeper"))
    assert Table(reign, "toy", "predictions").version() == version


def test_the_profile_accounts_for_every_row(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    profile = Table(reign, "toy", "profiles").require(FIRST)
    for row in profile.to_pylist():
        assert sum(row["counts"]) + row["missing"] + row["unseen"] == row["rows"] == ROWS
    assert set(profile.column("column").to_pylist()) == {
        "gate",
        "risk",
        "noise",
        "prediction.score",
        "prediction.decision",
    }


def test_explain_rebuilds_a_prediction_and_names_what_drove_it(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    told = explaining.explain(reign, toy, f"{FIRST}-007", FIRST)
    assert told["equal"] is True
    assert told["drivers"][0]["feature"] in ("risk", "gate")


def test_explain_uses_the_features_that_were_read_then_not_the_corrected_ones(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    corrected, _ = world_rows([FIRST], shift=2.0)
    publish(reign, "features", corrected, [FIRST])
    assert explaining.explain(reign, toy, f"{FIRST}-007", FIRST)["equal"] is True


def test_a_prediction_is_rebuilt_in_the_company_that_it_was_scored_in(reign, toy, monkeypatch):
    from imago.registry import Scorer

    real = Scorer.predict

    # As matrices do: the last bit of a score depends on how many rows are multiplied at once.
    def predict(self, data):
        scores = real(self, data)
        return scores if len(scores) == 1 else scores * (1 + 2**-52)

    monkeypatch.setattr(Scorer, "predict", predict)
    scoring.score(reign, toy, FIRST, LIVE)
    assert all(explaining.explain(reign, toy, f"{FIRST}-{place:03d}", FIRST)["equal"] for place in (0, 17, 39))


def test_a_prediction_is_rebuilt_with_the_threshold_of_then(reign, toy):
    scoring.score(reign, toy, FIRST, LIVE)
    since = toy.model_copy(update={"decision_threshold": 0.99})
    assert explaining.explain(reign, since, f"{FIRST}-007", FIRST)["equal"] is True


def test_a_score_that_is_not_finite_refuses_the_day(toy):
    import numpy as np

    from imago.errors import RefusedPartition
    from imago.scoring.whole import predict

    class Broken:
        card: ClassVar = {"problem": "binary"}

        def predict(self, data: pa.Table) -> np.ndarray:
            return np.array([0.5, np.nan])

    features, _ = world_rows([FIRST])
    with pytest.raises(RefusedPartition, match="1 of 2 rows"):
        predict(toy, Broken(), features.filter(pc.less(features.column("key"), f"{FIRST}-002")), model_version="1")
