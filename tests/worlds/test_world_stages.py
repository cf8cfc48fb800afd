"""Each stage of the lifecycle on each world, by the jobs that the DAGs call. Values are compared with pandas and plain
Python over the raw files, which know nothing of the platform."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from imago import keys, ledger
from imago.answers import scores_in
from imago.cli.clients import client_variables
from imago.context import RunContext
from imago.days import shift
from imago.errors import ClosedDay, ImagoError
from imago.jobs import corrections, explaining, retention, serving, shadow_scoring, shadows
from imago.ledger import champions
from imago.serving.app import create
from imago.specs import hosted_models
from imago.tables import Table
from imago.tables.digest import content_digest
from imago_testing.worlds.building import BACKFILL, LIVE, Built, scored_days
from imago_testing.worlds.world import Delivery, moment


def raw(built: Built, kind: str, ds: str) -> pd.DataFrame:
    return next(file.rows for file in built.world.files(ds) if file.kind == kind).to_pandas(types_mapper=pd.ArrowDtype)


def kinds(built: Built) -> tuple[str, str]:
    """The raw kinds of the rows and of their labels."""
    first, second = built.world.files(built.world.open_days[0])
    return first.kind, second.kind


def truth(built: Built, ds: str) -> dict[tuple, object]:
    """The label of each key, from the raw file; without those that have none."""
    label = {"customers": "cancelled", "parcels": "hours", "tickets": "queue"}[built.world.name]
    rows = raw(built, kinds(built)[1], ds)
    names = list(built.spec.entity_keys)
    found = {key if isinstance(key, tuple) else (key,): value for key, value in zip(
        rows[names].itertuples(index=False, name=None), rows[label].tolist(), strict=True)}  # fmt: skip
    return {key: int(value) if built.world.name == "customers" else value
            for key, value in found.items() if value is not None and not pd.isna(value)}  # fmt: skip


def key_of(built: Built, row: dict[str, object]) -> tuple:
    return tuple(row[name] for name in built.spec.entity_keys)


def rows_of(built: Built, name: str, ds: str) -> list[dict[str, object]]:
    return built.table(name).require(ds).to_pylist()


def test_each_open_day_is_published_with_the_keys_of_its_raw_file(built: Built):
    names = list(built.spec.entity_keys)
    for name, kind in zip(("features", "outcomes"), kinds(built), strict=True):
        assert tuple(built.table(name).published_days()) == built.world.open_days
        for ds in built.world.open_days[::20]:
            expected = list(raw(built, kind, ds)[names].itertuples(index=False, name=None))
            assert sorted(key_of(built, row) for row in rows_of(built, name, ds)) == sorted(expected)


def test_a_day_is_the_same_alone_and_in_a_range_and_a_second_run_changes_nothing(built: Built):
    days = built.world.open_days[40:43]
    for name in ("features", "outcomes"):
        before = {ds: built.table(name).partition(ds).digest for ds in days}
        for ds in days:
            assert built.refresh(name, ds, ds)["changed"] == 0
        assert {ds: built.table(name).partition(ds).digest for ds in days} == before
        stored = built.table(name).read([days[0]])
        assert content_digest(stored, built.spec.entity_keys) == before[days[0]]


def test_the_stored_labels_are_those_of_the_raw_files(built: Built):
    for ds in built.world.open_days[::25]:
        stored = {key_of(built, row): row[built.spec.label] for row in rows_of(built, "outcomes", ds)}
        assert {key: value for key, value in stored.items() if value is not None} == truth(built, ds)


def test_the_training_learns_from_days_whose_labels_were_known_and_finds_a_champion(built: Built):
    ds = built.world.trainings[0]
    frozen, word = built.summaries["training"]["frozen"], built.summaries["deployment"]

    assert frozen["outcomes_known_later"] == 0
    assert frozen["cut"]["holdout_last"] <= shift(ds, -built.spec.label_delay_days)
    assert frozen["parts"]["train"]["rows"] > 200
    assert word["outcome"] == "promoted"
    assert word["challenger"] in {one.name for one in built.spec.candidates}
    with ledger.connect(built.env).connect() as connection:
        reigning = champions.reigning(connection, built.spec.name)
    assert (reigning.version, reigning.training_ds) == (word["version"], ds)


def test_every_row_is_scored_once_under_its_own_key(built: Built):
    for ds in scored_days(built.world):
        stored = rows_of(built, "predictions", ds)
        expected = [key_of(built, row) for row in rows_of(built, "features", ds)]
        assert [key_of(built, row) for row in stored] == sorted(expected)
        assert all(math.isfinite(row["score"]) for row in stored)
        if built.spec.problem == "multiclass":
            assert {row["decision"] for row in stored} <= set(built.spec.classes)
        if built.spec.problem == "binary":
            assert all(row["decision"] == (row["score"] >= built.spec.decision_threshold) for row in stored)
    schema = built.table("predictions").require(scored_days(built.world)[0]).schema
    features = built.table("features").require(scored_days(built.world)[0]).schema
    assert [schema.field(name).type for name in built.spec.entity_keys] == [
        features.field(name).type for name in built.spec.entity_keys
    ]


def test_a_day_that_is_scored_again_live_or_as_a_backfill_has_the_same_digest(built: Built):
    days = scored_days(built.world)[:2]
    before = [built.table("predictions").partition(ds).digest for ds in days]

    for context in (BACKFILL, LIVE):
        again = built.score(days, context)
        assert [told["digest"] for told in again] == before
        assert not any(told["changed"] for told in again)


def test_the_champion_tells_more_than_chance_on_the_days_that_it_scores(built: Built):
    pairs = []
    for ds in scored_days(built.world):
        known = truth(built, ds)
        pairs += [(row, known[key_of(built, row)]) for row in rows_of(built, "predictions", ds)
                  if key_of(built, row) in known]  # fmt: skip
    if built.spec.problem == "binary":
        up, down = ([row["score"] for row, label in pairs if label == value] for value in (1, 0))
        wins = sum((a > b) + 0.5 * (a == b) for a in up for b in down) / (len(up) * len(down))
        assert wins > 0.75
    elif built.spec.problem == "multiclass":
        assert sum(row["decision"] == label for row, label in pairs) / len(pairs) > 0.6
    else:
        mean = sum(label for _, label in pairs) / len(pairs)
        squares = [sum((label - guess) ** 2 for guess, label in some) for some in (
            [(row["score"], label) for row, label in pairs], [(mean, label) for _, label in pairs])]  # fmt: skip
        assert squares[0] < 0.3 * squares[1]


def test_any_prediction_is_explained_by_the_text_of_its_key(built: Built):
    ds = scored_days(built.world)[0]
    rows = built.table("predictions").require(ds)
    for place, text in list(enumerate(keys.texts(rows, built.spec.entity_keys).to_pylist()))[::29]:
        told = explaining.explain(built.env, built.spec, text, ds)
        assert told["equal"], told
        assert told["stored"]["score"] == rows.column("score")[place].as_py()
        assert {driver["feature"] for driver in told["drivers"]} <= set(built.spec.feature_names)
    with pytest.raises(ImagoError, match="nobody"):
        explaining.explain(built.env, built.spec, "nobody" if len(built.spec.entity_keys) == 1 else "1,nobody", ds)


def test_each_scored_day_is_monitored_by_every_feature_without_an_alarm(built: Built):
    told = built.summaries["monitoring"]
    assert [one["ds"] for one in told] == list(scored_days(built.world))
    assert not any(one["alarms"] for one in told)
    drift = built.table("drift").require(scored_days(built.world)[-1])
    assert set(built.spec.feature_names) <= set(drift.column("column").to_pylist())


def test_the_endpoint_gives_what_the_batch_gave_for_every_key(built: Built):
    told = serving.deploy(built.env, built.spec, LIVE)
    ds = told["ds"]
    assert ds == built.world.open_days[-1]
    built.score([ds])
    stored = built.table("predictions").require(ds)
    texts = keys.texts(stored, built.spec.entity_keys).to_pylist()
    with TestClient(create(built.env, hosted_models)) as client:
        for text, row in zip(texts, stored.to_pylist(), strict=True):
            answer = client.get(f"/v1/{built.spec.name}/{quote(text, safe='')}")
            assert answer.status_code == 200, answer.text
            said = answer.json()
            assert (said["score"], said.get("decision")) == (row["score"], row.get("decision"))
        missing = client.get(f"/v1/{built.spec.name}/nobody")
        assert missing.status_code == 404
        assert missing.json()["error"]["next_step"]


def test_a_challenger_shadows_the_champion_on_its_own_features(built: Built):
    ds = scored_days(built.world)[2]
    others = [fit for fit in built.summaries["training"]["fits"]
              if fit.get("version") and fit["version"] != built.summaries["deployment"]["version"]]  # fmt: skip
    version = others[0]["version"]

    shadows.start(built.env, built.spec, version, LIVE, reason="a test asks")
    told = shadow_scoring.score(built.env, built.spec, ds, BACKFILL)

    assert "skipped" not in told
    stored = built.table("shadow_predictions").require(ds)
    assert set(stored.column("model_version").to_pylist()) == {version}
    champion = built.table("predictions").require(ds)
    assert sorted(keys.texts(stored, built.spec.entity_keys).to_pylist()) == sorted(
        keys.texts(champion, built.spec.entity_keys).to_pylist()
    )
    shadows.stop(built.env, built.spec, version, LIVE, reason="the test is over")


def test_the_metrics_of_a_day_are_those_that_plain_python_counts(built: Built):
    days = scored_days(built.world)
    built.measure(days, BACKFILL)
    for ds in days:
        known = truth(built, ds)
        pairs = [(row, known[key_of(built, row)]) for row in rows_of(built, "predictions", ds)
                 if key_of(built, row) in known]  # fmt: skip
        stored = {row["metric"]: row["value"] for row in rows_of(built, "metrics", ds) if row["slice"] == "all"}
        assert stored[built.world.money] == pytest.approx(money(built, pairs)), (ds, sorted(stored))
        if built.spec.problem == "regression":
            squares = [(row["score"] - label) ** 2 for row, label in pairs]
            assert stored["rmse"] == pytest.approx(math.sqrt(sum(squares) / len(squares)))
        if built.spec.problem == "multiclass":
            right = [row["decision"] == label for row, label in pairs]
            assert stored["accuracy"] == pytest.approx(sum(right) / len(right))


def money(built: Built, pairs: list[tuple[dict, object]]) -> float:
    """What the metrics model of a world counts, in its own currency."""
    if built.world.name == "parcels":
        return sum(12.5 for row, hours in pairs if hours > row["score"] + 2)
    if built.world.name == "tickets":
        return sum(240.0 for row, queue in pairs if row["decision"] != queue)
    prices = built.spec.business
    return sum(prices.caught if label else prices.false_alarm for row, label in pairs if row["decision"])


def test_a_closed_day_is_built_and_scored_by_nobody(build_once):
    built = build_once("customers")
    sunday = "2024-04-28"
    for stage in (lambda: built.refresh("features", sunday, sunday), lambda: built.score([sunday])):
        with pytest.raises(ClosedDay, match="sunday") as refused:
            stage()
        assert refused.value.facts["rule"] == "calendar"
    assert built.table("features").partition(sunday) is None
    assert sunday not in scored_days(built.world)


def test_a_correction_rebuilds_the_day_that_it_touches_and_no_other(built: Built):
    ds, kind = built.world.open_days[10], kinds(built)[1]
    before = {day: built.table("outcomes").partition(day).digest for day in built.world.open_days}
    file = next(file for file in built.world.files(ds) if file.kind == kind)
    changed = file.rows.slice(0, 3)
    label = changed.column_names[-1]
    values = {"cancelled": [True, True, True], "hours": [1.5, 2.5, 3.5], "queue": ["other", "billing", "other"]}[label]
    place = changed.column_names.index(label)
    changed = changed.set_column(place, label, pa.array(values, changed.schema.field(label).type))
    late = Delivery(kind, ds, moment(ds, built.spec.timezone, days=40, hours=1), changed)
    late.write(built.env)

    told = corrections.correct(
        built.env, built.spec, "outcomes", RunContext(run_id="corrections", code_commit="worlds")
    )

    assert told["changed_days"] == [ds]
    assert told["refused"] == {}
    after = {day: built.table("outcomes").partition(day).digest for day in built.world.open_days}
    assert [day for day in after if after[day] != before[day]] == [ds]
    stored = {key_of(built, row): row[built.spec.label] for row in rows_of(built, "outcomes", ds)}
    for row, value in zip(changed.to_pylist(), values, strict=True):
        assert stored[key_of(built, row)] == value


def test_retention_keeps_what_explains_and_every_newest_day(built: Built):
    now = datetime.now(UTC)
    assert retention.clean(built.env, [built.spec], now, dry_run=True)["vacuumed_files"] == {}
    late = now + timedelta(days=400)
    counts = {name: Table(built.env, built.spec.name, name).read().num_rows for name in ("features", "predictions")}

    retention.clean(built.env, [built.spec], late)

    assert {name: Table(built.env, built.spec.name, name).read().num_rows for name in counts} == counts
    ds = scored_days(built.world)[0]
    text = keys.texts(built.table("predictions").require(ds), built.spec.entity_keys)[0].as_py()
    assert explaining.explain(built.env, built.spec, text, ds)["equal"]


def test_the_share_of_missing_values_is_the_raw_files_own(built: Built):
    """A feature keeps its nulls: none is filled in, none is lost between the raw file and the published day."""
    kind = kinds(built)[0]
    for ds in built.world.open_days[5::30]:
        published, files = built.table("features").require(ds), raw(built, kind, ds)
        for name in built.spec.feature_names:
            if name in files.columns:
                assert published.column(name).null_count == int(files[name].isna().sum()), (ds, name)
                if pa.types.is_integer(published.schema.field(name).type):
                    assert pc.sum(published.column(name)).as_py() == int(files[name].sum())


OUTSIDER = """
import sys
import mlflow, numpy as np, pandas as pd

uri, file, texts, out = sys.argv[1:]
frame = pd.read_parquet(file)
for name in texts.split(","):  # a feature that is a text for the model, and yes or no in the table
    if frame[name].dtype == bool:
        frame[name] = frame[name].map({True: "true", False: "false"})
np.save(out, np.asarray(mlflow.pyfunc.load_model(uri).predict(frame)))
"""


def test_the_registered_champion_gives_the_stored_scores_to_mlflows_own_client(built: Built, tmp_path):
    spec, ds = built.spec, scored_days(built.world)[0]
    key = [(name, "ascending") for name in spec.entity_keys]
    pq.write_table(built.table("features").require(ds).sort_by(key), tmp_path / "day.parquet")
    stored = built.table("predictions").require(ds).sort_by(key)
    with ledger.connect(built.env).begin() as connection:
        champion = champions.reigning(connection, spec.name)
    uri = f"models:/{built.env.registry_prefix}{spec.name}/{champion.version}"
    texts = ",".join(feature.name for feature in spec.features if feature.kind == "categorical")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OUTSIDER, uri, str(tmp_path / "day.parquet"), texts,
         str(tmp_path / "scores.npy")],
        env={**os.environ, **client_variables(built.env)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    got, expected = np.load(tmp_path / "scores.npy"), scores_in(spec, stored)
    np.testing.assert_allclose(got[:, 1] if spec.problem == "binary" else got, expected, rtol=1e-5, atol=1e-5)
