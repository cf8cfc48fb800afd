"""A day on a real Spark (local mode, real Java) is the day that the Arrow engine publishes, to the last bit."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from champion_world import DAYS, FIRST, LIVE, SPEC, crown, publish, world_rows
from sqlalchemy import select

from imago import ledger
from imago.errors import DamagedPartition, Fenced, ImagoError, MissingPartition, ModelRefused, RefusedPartition
from imago.jobs import explaining, scoring, scoring_spark
from imago.ledger import champions
from imago.ledger.schema import alerts
from imago.specs import Scoring
from imago.tables import Table
from tests.waiting import HANGS

ROWS = 150_000  # three batches

try:
    import pyspark
except ImportError:
    pyspark = None
needs_spark = pytest.mark.skipif(
    pyspark is None or shutil.which("java") is None, reason="needs PySpark (`make spark`) and Java 17"
)


@pytest.fixture
def on_spark(toy):
    return toy.model_copy(update={"scoring": Scoring(engine="spark", parts=3)})


@pytest.fixture(scope="module")
def spark():
    """One session for all tests: to start one takes seconds. Who asks for a session is given the running one."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        running = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        with running.getOrCreate() as session:
            session.sparkContext.setLogLevel("OFF")
            yield session


@pytest.fixture
def large(reign):
    """The first scored day with as many rows as make Spark worth it."""
    return replaced(reign)


def replaced(env, *, strange: int = 0):
    day, _ = world_rows([FIRST])
    picked = np.random.default_rng(7).integers(0, day.num_rows, ROWS)
    rows = day.take(pa.array(picked))
    rows = rows.set_column(0, "key", pa.array([f"{number:07d}" for number in range(ROWS)]))
    if strange:
        gates = rows.column("gate").to_pylist()
        gates[-strange:] = ["Z"] * strange
        rows = rows.set_column(rows.schema.get_field_index("gate"), "gate", pa.array(gates))
    publish(env, "features", rows, [FIRST])
    return env


def versions(env):
    return [Table(env, "toy", name).version() for name in ("predictions", "profiles")]


@needs_spark
@pytest.mark.usefixtures("spark")
def test_spark_publishes_no_new_version_of_what_arrow_published(large, toy, on_spark):
    whole = scoring.score(large, toy, FIRST, LIVE)
    before = versions(large)
    told = scoring.score(large, on_spark, FIRST, dataclasses.replace(LIVE, run_id="on-spark"))
    assert told["rows"] == ROWS
    assert told["changed"] is False
    assert {**told, "changed": True} == {**whole, "changed": True}
    assert versions(large) == before


@needs_spark
@pytest.mark.usefixtures("spark")
def test_a_first_score_on_spark_is_explained_and_arrow_finds_it_equal(large, toy, on_spark):
    told = scoring.score(large, on_spark, FIRST, LIVE)
    assert told["changed"] is True
    stored = Table(large, "toy", "predictions").require(FIRST)
    assert (stored.num_rows, stored.column("key")[ROWS - 1].as_py()) == (ROWS, f"{ROWS - 1:07d}")
    assert explaining.explain(large, toy, f"{ROWS - 1:07d}", FIRST)["equal"] is True
    assert scoring.score(large, toy, FIRST, dataclasses.replace(LIVE, run_id="again"))["changed"] is False


@needs_spark
@pytest.mark.usefixtures("spark")
def test_workers_reach_tables_on_s3_by_themselves(make_on_s3, toy, on_spark):
    env = make_on_s3("dev")
    features, outcomes = world_rows()
    publish(env, "features", features, DAYS)
    publish(env, "outcomes", outcomes, DAYS)
    crown(env)
    told = scoring.score(env, on_spark, FIRST, LIVE)
    assert told["changed"] is True
    assert scoring.score(env, toy, FIRST, dataclasses.replace(LIVE, run_id="again"))["digest"] == told["digest"]


@needs_spark
@pytest.mark.usefixtures("spark")
def test_bad_rows_of_any_slice_are_counted_and_told_as_by_arrow(reign, toy):
    policy = {"bad_rows": "null", "max_bad_rate": 0.5}
    replaced(reign, strange=70_000)  # in two of the three slices
    told = {}
    for engine in ("arrow", "spark"):
        spec = toy.model_copy(update={"scoring": Scoring(engine=engine, parts=3, **policy)})
        told[engine] = scoring.score(reign, spec, FIRST, LIVE)
    assert told["spark"]["unscored"] == 70_000
    assert told["spark"]["digest"] == told["arrow"]["digest"]
    strict = toy.model_copy(update={"scoring": Scoring(engine="spark", parts=3)})
    with pytest.raises(RefusedPartition, match="do not keep the contract") as refused:
        scoring.score(reign, strict, FIRST, LIVE)
    assert (refused.value.facts["column"], refused.value.facts["rows"]) == ("gate", 70_000)


@needs_spark
@pytest.mark.usefixtures("spark")
def test_what_a_worker_refuses_is_raised_as_it_was_and_told_once(reign, on_spark):
    rows, _ = world_rows([FIRST])
    table = Table(reign, "toy", "features")
    file = Path(table.files([FIRST])[0])
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedPartition, match="does not hold the bytes") as damage:
        scoring.score(reign, on_spark, FIRST, LIVE)
    assert damage.value.facts["partition"] == FIRST
    publish(reign, "features", rows, [FIRST])

    with_another = on_spark.model_copy(update={"features": (*on_spark.features, _feature("joins_later"))})
    assert scoring.score(reign, with_another, FIRST, LIVE)["rows"] == 40
    publish(reign, "features", rows.drop_columns(["risk"]), [FIRST])
    with pytest.raises(RefusedPartition, match="version 1 was trained with risk"):
        scoring.score(reign, on_spark, FIRST, LIVE)
    with ledger.connect(reign).connect() as connection:
        rules = connection.execute(select(alerts.c.rule).where(alerts.c.model == "toy")).scalars().all()
    assert rules == ["prediction_refused"]


@needs_spark
@pytest.mark.usefixtures("spark")
def test_a_worker_loads_no_model_whose_bytes_are_not_those_of_the_ledger(reign, on_spark, spark):
    given, order = scoring_spark._planned(reign, on_spark, FIRST, LIVE, "as-was")
    with ledger.connect(reign).connect() as connection:
        entry = champions.reigning(connection, "toy")
    file = Path(entry.artifact_uri) / f"model.{entry.artifact_format}"
    file.write_bytes(file.read_bytes() + b"x")
    told = scoring_spark.run(spark, order, given["slices"])
    assert {one["refused"] for one in told} == {"ModelRefused"}
    with pytest.raises(ModelRefused, match="nothing was loaded"):
        scoring_spark._unpacked(told)


@needs_spark
@pytest.mark.usefixtures("spark")
def test_an_overtaken_scoring_on_spark_is_fenced(reign, toy, on_spark, spark):
    given, order = scoring_spark._planned(reign, on_spark, FIRST, LIVE, "as-was")
    parts = scoring_spark.run(spark, order, given["slices"])
    newer, _ = world_rows([FIRST], shift=1.0)
    publish(reign, "features", newer, [FIRST])
    scoring.score(reign, toy, FIRST, dataclasses.replace(LIVE, run_id="faster"))
    from imago.jobs.scoring_parts import publish_parts

    with pytest.raises(Fenced, match="run faster"):
        publish_parts(reign, on_spark, given["assignment"], parts, LIVE)


@needs_spark
def test_a_submitted_job_reads_its_order_and_what_it_leaves_is_published(large, toy, on_spark, tmp_path):
    whole = scoring.score(large, toy, FIRST, LIVE)
    given = scoring_spark.plan(large, on_spark, FIRST, dataclasses.replace(LIVE, run_id="submitted"))
    with pytest.raises(MissingPartition, match="left nothing"):
        scoring_spark.publish(large, on_spark, given["assignment"], LIVE)
    # The program as it lies in the storage, where the spec of these tests is a model of the user's.
    entry = tmp_path / "entry.py"
    known = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    known += "import imago_models, champion_world; imago_models.MODELS = (champion_world.SPEC,)\n"
    entry.write_text(known + Path(given["entry"]).read_text())
    submit = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]"]
    submit += ["--conf", "spark.ui.enabled=false", "--conf", "spark.driver.bindAddress=127.0.0.1"]
    done = subprocess.run(
        [*submit, "--conf", "spark.driver.host=127.0.0.1", str(entry), given["order"]],
        env={"PATH": "/usr/bin:/bin", "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr[-3000:]

    told = scoring_spark.publish(large, on_spark, given["assignment"], LIVE)

    assert {**told, "changed": True} == {**whole, "changed": True}
    assert told["changed"] is False


def test_an_order_holds_no_secret_and_comes_back_whole(reign, on_spark, monkeypatch):
    keyed = reign.model_copy(update={"s3_secret_key": "hush", "slack_token": "hush"})
    given, order = scoring_spark._planned(reign, on_spark, FIRST, LIVE, "as-was")
    order = dataclasses.replace(order, env=order.env.model_copy(update={"s3_secret_key": "hush"}))
    data = order.to_json(given["slices"])
    assert b"hush" not in data
    assert keyed.ledger_url.get_secret_value().encode() not in data
    monkeypatch.setattr("imago_models.MODELS", (SPEC,))
    again, slices = scoring_spark.Order.from_json(data)
    assert (again.assignment, again.champion, again.context) == (order.assignment, order.champion, LIVE)
    assert [tuple(piece) for piece in slices] == given["slices"]
    assert again.env.storage_root == reign.storage_root
    assert "none" in again.env.ledger_url.get_secret_value()


def test_without_spark_the_day_is_refused_with_the_ways_out(reign, on_spark, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ImagoError, match="PySpark is not installed") as refusal:
        scoring.score(reign, on_spark, FIRST, LIVE)
    assert "make spark" in refusal.value.next_step
    assert "engine='arrow'" in refusal.value.next_step
    assert Table(reign, "toy", "predictions").version() is None


def test_slices_for_spark_are_as_many_as_the_rows_ask_for(large, on_spark, monkeypatch):
    from imago.jobs import scoring_parts

    assert len(scoring_parts.plan(large, on_spark, FIRST, LIVE)["slices"]) == 3
    one = on_spark.model_copy(update={"scoring": Scoring(engine="spark")})
    assert len(scoring_parts.plan(large, one, FIRST, LIVE)["slices"]) == 1
    monkeypatch.setattr(scoring_parts, "SPARK_ROWS", 80_000)
    slices = scoring_parts.plan(large, one, FIRST, LIVE)["slices"]
    assert json.loads(json.dumps(slices)) == [[1, 0, 98_304], [2, 98_304, ROWS]]


def _feature(name):
    from imago.specs import Feature

    return Feature(name=name, kind="numeric")
