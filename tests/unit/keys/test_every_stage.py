"""Entities that come back every day, under keys of every type: each stage takes them, and keeps the type."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from urllib.parse import quote

import champion_world
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import DAYS, FIRST, LIVE, ROWS, crown, world_rows
from fastapi.testclient import TestClient
from shadow_world import left_by_a_training

from imago import keys
from imago.jobs import metrics, monitoring, scoring, scoring_parts, serving, shadow_metrics, shadow_scoring, shadows
from imago.jobs.explaining import explain
from imago.scoring import predictions
from imago.serving.app import create
from imago.specs import Scoring
from imago.tables import Table
from imago.training import snapshot

HOSTILE = (
    "a/b",
    "",
    "007",
    "7",
    "é",
    "e\u0301",
    "it's",
    'say "hi"',
    "..",
    "line\nend",
    "a,b",
    "c\\d",
    "😀",
    "%2F",
    "x" * 10_000,
)
TEXTS = [*HOSTILE, *(f"name {place}" for place in range(ROWS - len(HOSTILE)))]
NUMBERS = [2**63 - 1, 2**63 - 2, 2**53, 2**53 + 1, -(2**63), -1, 0, *range(1, ROWS - 6)]
KINDS = {
    "whole numbers": {"customer": pa.array(NUMBERS, pa.int64())},
    "texts": {"name": pa.array(TEXTS, pa.string())},
    "UUIDs": {"parcel": pa.array([str(uuid.UUID(int=place * 7919)) for place in range(ROWS)], pa.string())},
    "days": {"birthday": pa.array([dt.date(1969, 12, 20) + dt.timedelta(place) for place in range(ROWS)], pa.date32())},
    "decimals": {"price": pa.array([decimal.Decimal(place - 9) / 100 for place in range(ROWS)], pa.decimal128(12, 2))},
    "several": {
        "shop": pa.array([place % 3 - 1 for place in range(ROWS)], pa.int16()),
        "name": pa.array([TEXTS[place // 3] for place in range(ROWS)], pa.string()),
        "open": pa.array([place % 2 == 0 for place in range(ROWS)], pa.bool_()),
    },
}


@pytest.fixture(params=list(KINDS))
def keyed(request, dev, monkeypatch):
    """(environment, spec): the toy world, in which the same entities come back every day, and its champion."""
    entity = KINDS[request.param]
    names = tuple(entity)
    spec = champion_world.SPEC.model_copy(update={"entity_key": names[0] if len(names) == 1 else names})
    monkeypatch.setattr(champion_world, "SPEC", spec)
    order = np.random.default_rng(3).permutation(ROWS * len(DAYS))
    for name, rows in zip(("features", "outcomes"), world_rows(), strict=True):
        again = pa.table({column: pa.concat_arrays([values] * len(DAYS)) for column, values in entity.items()})
        for column in rows.drop_columns("key").column_names:
            again = again.append_column(column, rows.column(column))
        table = Table(dev, spec.name, name)
        given = {"days": DAYS, "key": spec.entity_keys, "context": LIVE}
        # In any order, whole and day by day: the same content.
        first = table.publish(again.take(order), fence=table.draw_fence(), **given)
        one = again.filter(pc.equal(again["ds"], DAYS[5]))
        assert table.publish(one, fence=table.draw_fence(), **{**given, "days": [DAYS[5]]}).changed == ()
        assert table.publish(again, fence=table.draw_fence(), **given).digests == first.digests
    crown(dev)
    return dev, spec


def test_a_range_is_frozen_whole_with_the_keys_own_types(keyed):
    env, spec = keyed
    rows, _ = snapshot.rows_of(env, spec, champion_world.TRAINED, {"features": None, "outcomes": None})
    truth = Table(env, spec.name, "outcomes").read(DAYS[:30])

    assert rows.column_names[: 1 + len(spec.entity_keys)] == ["ds", *spec.entity_keys]
    told = truth.filter(pc.is_valid(truth["label"]))
    expected = {(*[row[name] for name in ("ds", *spec.entity_keys)],): row["label"] for row in told.to_pylist()}
    frozen = {(*[row[name] for name in ("ds", *spec.entity_keys)],): row["label"] for row in rows.to_pylist()}
    assert {key: label for key, label in frozen.items() if key[0] in DAYS[:30]} == expected


def test_scoring_in_one_piece_and_in_parts_explaining_and_measuring(keyed, monkeypatch):
    env, spec = keyed
    monkeypatch.setattr(predictions, "BATCH_ROWS", 7)
    whole = scoring.score(env, spec, FIRST, LIVE)
    features = Table(env, spec.name, "features").require(FIRST)
    stored = Table(env, spec.name, "predictions").require(FIRST)
    names = list(spec.entity_keys)

    assert stored.select(names).schema.types == features.select(names).schema.types
    assert stored.select(names).equals(features.select(names))  # every key, in the order of the values
    in_parts = spec.model_copy(update={"scoring": Scoring(parts=3)})
    planned = scoring_parts.plan(env, in_parts, FIRST, LIVE)
    made = [scoring_parts.score_part(env, in_parts, planned["assignment"], one, LIVE) for one in planned["slices"]]
    again = scoring_parts.publish_parts(env, in_parts, planned["assignment"], made, LIVE)
    assert (again["digest"], again["changed"]) == (whole["digest"], False)

    for place in (0, 1, ROWS // 2, ROWS - 1):
        text = keys.texts(stored, names)[place].as_py()
        told = explain(env, spec, text, FIRST)
        assert told["equal"], told["different"]
        assert [told["stored"][name] for name in names] == [stored[name][place].as_py() for name in names]

    monitoring.monitor(env, spec, FIRST, LIVE)
    measured = metrics.refresh(env, spec, FIRST, LIVE)
    truth = Table(env, spec.name, "outcomes").require(FIRST)
    labels = dict(
        zip(zip(*(truth[name].to_pylist() for name in names), strict=True), truth["label"].to_pylist(), strict=True)
    )
    decided = zip(
        zip(*(stored[name].to_pylist() for name in names), strict=True), stored["decision"].to_pylist(), strict=True
    )
    worth = sum((10.0 if labels[key] else -5.0) for key, decision in decided if decision and labels[key] is not None)
    assert measured["rows"] == truth["label"].drop_null().length()
    assert measured["business_value"] == worth


def test_a_shadow_scores_the_same_keys_and_is_judged_by_their_outcomes(keyed):
    env, spec = keyed
    scoring.score(env, spec, FIRST, LIVE)
    left_by_a_training(env, {"2": 5}, spec=spec)
    shadows.start(env, spec, version="2", context=LIVE, reason="it is new")
    told = shadow_scoring.score(env, spec, FIRST, LIVE)
    sums = Table(env, spec.name, "shadow_metrics").require(FIRST)
    truth = Table(env, spec.name, "outcomes").require(FIRST)

    assert told["scored"] == {"2": ROWS}
    every = sums.filter(pc.equal(sums["slice"], "all"))
    assert pc.sum(every["rows"]).as_py() == ROWS
    assert pc.sum(every["matured"]).as_py() == len(truth["label"].drop_null())
    assert shadow_metrics.compare(env, spec, FIRST, LIVE)["changed"] is False


def test_the_endpoint_answers_for_every_key_in_its_text_form(keyed):
    env, spec = keyed
    serving.deploy(env, spec, LIVE)
    rows = Table(env, spec.name, "features").require(DAYS[-1])
    with TestClient(create(env, lambda: (spec,))) as client:
        for place, text in enumerate(keys.texts(rows, spec.entity_keys).to_pylist()):
            answer = client.get(f"/v1/{spec.name}", params={"key": text})
            if text not in (".", ".."):  # clients leave these out of a path
                assert client.get(f"/v1/{spec.name}/{quote(text, safe='')}").json() == answer.json()
            assert answer.status_code == 200, (text[:40], answer.text)
            expected = {name: keys.as_json(rows[name][place].as_py()) for name in spec.entity_keys}
            assert {name: answer.json()[name] for name in spec.entity_keys} == expected
        assert client.get(f"/v1/{spec.name}/nobody%20here").status_code == 404
