"""The same rows, code and seed give the same scores, for every contestant of the shipped model: in any order of rows,
on one core or two, in any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imago.days import days_between, parse_day
from imago_models.flight_delays import FLIGHT_DELAYS
from tests.waiting import HANGS

DAYS = days_between("2013-01-01", "2013-04-20")
ROWS = 60


def world(spec, folder: Path) -> tuple[Path, Path]:
    """Features and outcomes of 110 days as the spec names them, with missing values and rare categories."""
    random = np.random.default_rng(3)
    count = len(DAYS) * ROWS
    ds = np.repeat(np.array(DAYS, dtype=object), ROWS)
    known = {
        "ds": pa.array(ds, pa.string()),
        spec.entity_key: pa.array([f"{place % ROWS:03d}" for place in range(count)], pa.string()),
        spec.event_time: pa.array(
            [datetime.combine(parse_day(day), datetime.min.time()) for day in ds], pa.timestamp("us")
        ),
    }
    columns, pull = {}, np.zeros(count)
    for feature in spec.features:
        missing = random.random(count) < 0.05
        if feature.kind == "numeric":
            values = random.gamma(2.0, 3.0, count)
            pull += 0.1 * values * random.normal()
            columns[feature.name] = pa.array(values, pa.float64(), mask=missing)
        else:
            codes = np.minimum(random.geometric(0.2, count), 25)
            pull += 0.3 * np.sin(codes)
            columns[feature.name] = pa.array([f"v{code}" for code in codes], pa.string(), mask=missing)
    label = (pull - np.median(pull) + random.normal(size=count) > 1.0).astype("int32")
    told = pa.array([moment.as_py() + timedelta(hours=36) for moment in known[spec.event_time]], pa.timestamp("us"))
    features, outcomes = folder / "features.parquet", folder / "outcomes.parquet"
    pq.write_table(pa.table({**known, **columns}), features)
    pq.write_table(pa.table({**known, spec.label: label, "known_at": told}), outcomes)
    return features, outcomes


@pytest.fixture(scope="module", params=[FLIGHT_DELAYS], ids=lambda spec: spec.name)
def told(request, tmp_path_factory):
    """What each of four processes says: (cores, seed of the shuffle, 0 for none) to its answer."""
    spec, folder = request.param, tmp_path_factory.mktemp("same-scores")
    tables = world(spec, folder)
    answers = {}
    for cores, seed in ((1, 0), (2, 0), (2, 1), (1, 2)):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(Path(__file__).parent / "same_scores.py"), spec.name,
             *map(str, tables), str(cores), str(seed), str(folder / f"storage-{cores}-{seed}")],
            capture_output=True, text=True, check=False, timeout=HANGS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        answers[cores, seed] = json.loads(done.stdout.splitlines()[-1])
    return spec, answers


def test_scores_of_every_contestant_are_equal_bit_by_bit(told):
    spec, answers = told
    first = {name: found for name, found in answers[1, 0]["told"].items() if name != "unordered"}
    assert set(first) == {one.name for one in (*spec.candidates, *spec.baselines)}
    assert all(found["rows"] == spec.training.holdout_days * ROWS for found in first.values())
    for answer in answers.values():
        assert {name: found for name, found in answer["told"].items() if name != "unordered"} == first


def test_the_processes_did_have_one_and_two_threads(told):
    _, answers = told
    found = {cores: answer["threads"] for (cores, _), answer in answers.items()}
    assert found[1] == 1
    # A container of one core has no second thread to give.
    assert found[2] == 2 or len(os.sched_getaffinity(0)) < 2


def test_rows_in_no_order_would_give_other_scores(told):
    _, answers = told
    assert len({answers[at]["told"]["unordered"]["pipeline"] for at in ((1, 0), (2, 1), (1, 2))}) > 1
