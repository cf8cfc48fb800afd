"""What a new user types first: the version, a completion, an impossible day, a list of days in a narrow terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from imago.days import day_key, days_between, parse_day, shift
from imago.environments import load_environment
from imago.ledger import connect
from imago.ledger.schema import publications
from imago.names import TABLE_NAMES, WRITERS, fill_commands
from imago.specs import Calendar, get_model
from imago.specs.calendar import WEEKDAYS, holes
from imago.storage import Storage

MODEL = "flight_delays"
NO_DAYS = ("2013-02-30", "2013-13-01", "2013-2-3", "0000-01-01", "yesterday", "２０１３-０１-０１", "2013-10-02\n")


def published(env, table: str, rows_of: dict[str, int], versions: int = 1) -> None:
    """Rows of the ledger as publications of these days leave them."""
    with connect(env).begin() as connection:
        connection.execute(delete(publications))
        for version in range(1, versions + 1):
            for ds, rows in rows_of.items():
                values = {"model": MODEL, "table_name": table, "ds": ds, "version": version, "fence": version}
                values |= {"changed": True, "rows": rows, "digest": "d" * 64, "mode": "backfill", "code_commit": "c"}
                run_id = f"dev__{MODEL}__feature_refresh/backfill__2013-10-01T00:00:00+00:00"
                connection.execute(insert(publications).values({**values, "run_id": run_id, "inputs": {}}))


def test_the_version_is_that_of_the_package_and_of_the_commit(imago):
    from importlib import metadata

    from imago.context import code_commit

    assert imago("--version").out == f"imago {metadata.version('imago')} (commit {code_commit()})\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_be_taught_the_verbs(shell):
    program = str(Path(sys.executable).parent / "imago")
    script = subprocess.run(
        [program], env={**os.environ, "_IMAGO_COMPLETE": f"source_{shell}"}, capture_output=True, text=True, check=True
    )
    assert "_IMAGO_COMPLETE" in script.stdout


def test_a_verb_is_completed():
    program = str(Path(sys.executable).parent / "imago")
    variables = {"_IMAGO_COMPLETE": "complete_bash", "COMP_WORDS": "imago parti", "COMP_CWORD": "1"}
    done = subprocess.run([program], env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["partitions"]


@pytest.mark.parametrize("day", NO_DAYS)
@pytest.mark.parametrize(
    "words",
    [
        ("partitions", "features", MODEL, "--ds"),
        ("run", "batch_scoring", MODEL, "--ds"),
        ("run", "feature_refresh", MODEL, "--ds", "2013-10-02", "--to"),
        ("explain", MODEL, "--key", "k", "--ds"),
        ("champion", "at", MODEL),
        ("backfill", MODEL, "--to", "2013-10-03", "--from"),
    ],
    ids=" ".join,
)
def test_a_day_that_is_none_is_refused_by_every_verb(imago, words, day):
    said = imago(*words, day)
    assert said.code == 1
    assert "Traceback" not in said.err + said.out
    assert "is not a day" in said.err
    assert "Next: give a day like 2013-10-02" in said.err


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(st.dates(datetime(2013, 1, 1).date(), datetime(2013, 1, 20).date()).map(day_key),
                         st.integers(0, 10**9), min_size=1),
    versions=st.integers(1, 3),
    table=st.sampled_from(TABLE_NAMES),
)  # fmt: skip
def test_every_published_day_and_every_hole_is_shown_in_eighty_columns(imago, dev, rows, versions, table):
    published(dev, table, rows, versions)
    said = imago("partitions", table, MODEL)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    for ds, count in rows.items():
        (line,) = [line for line in lines if line.strip().startswith(ds)]
        assert f"{count:,}" in line
        assert len(line) <= 80
    missing = sorted(set(days_between(min(rows), max(rows))) - set(rows))
    commands = [line.strip() for line in lines if line.strip().startswith("imago backfill ")]
    filled = [ds for command in commands for ds in days_between(command.split()[4], command.split()[6])]
    assert filled == missing
    assert all(f"--stage {WRITERS[table]} --env dev" in command for command in commands)


@given(
    st.sets(st.dates(datetime(2013, 1, 1).date(), datetime(2013, 3, 1).date()).map(day_key)),
    st.sets(st.sampled_from(WEEKDAYS), max_size=6),
)
def test_the_holes_are_the_open_days_from_the_first_to_the_last_that_are_missing(days, weekdays):
    calendar = Calendar(closed_weekdays=tuple(weekdays))
    spec = get_model(MODEL).model_copy(update={"calendar": calendar})
    missing = [ds for first, last in holes(spec, days) for ds in days_between(first, last) if calendar.is_open(ds)]
    between = days_between(min(days), max(days)) if days else ()
    assert missing == [ds for ds in between if ds not in days and WEEKDAYS[parse_day(ds).weekday()] not in weekdays]


def test_the_commands_that_fill_holes_can_be_pasted():
    assert fill_commands("m", "metrics", "prod", [("2013-10-03", "2013-10-04")]) == [
        "imago backfill m --from 2013-10-03 --to 2013-10-04 --stage metric_refresh --env prod"
    ]


def test_a_day_outside_of_the_models_world_is_refused_before_anything_runs(imago):
    spec = get_model(MODEL)
    for ds in (shift(spec.first_day, -1), shift(spec.last_day or "", 1)):
        said = imago("run", "training", MODEL, "--ds", ds)
        assert said.code == 1
        assert f"{ds} lies outside of the days of {MODEL}" in said.err
        assert "2013-01-01 to 2013-12-31" in said.err
        assert "Next:" in said.err


def test_a_storage_that_is_down_is_said_in_a_few_lines(imago, monkeypatch):
    from imago.stack.ports import choose

    for name, value in {
        "STORAGE_ROOT": "s3://nobody-is-there/root",
        "S3_ENDPOINT": f"http://127.0.0.1:{choose(preferred=None, taken=set())}",
        "S3_ACCESS_KEY": "key",
        "S3_SECRET_KEY": "secret-word",
    }.items():
        monkeypatch.setenv(f"IMAGO_DEV_{name}", value)
    said = imago("explain", MODEL, "--key", "k", "--ds", "2013-10-02")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 12
    said = imago("run", "feature_refresh", MODEL, "--ds", "2013-10-02")
    assert said.code == 1
    assert "the storage does not answer" in said.err
    assert "s3://nobody-is-there/root" in said.err
    assert "Next: imago doctor" in said.err
    assert "secret-word" not in said.err
    assert len(said.err.splitlines()) <= 12


def test_the_variables_for_other_clients_read_what_imago_wrote(imago, make_on_s3, monkeypatch, dev):
    """They are put into a shell and used by boto3 without a word of ours."""
    env = make_on_s3()
    Storage(env).write_bytes("mlflow/any.txt", b"as Imago wrote it")
    for name, value in {
        "STORAGE_ROOT": env.storage_root,
        "S3_ENDPOINT": env.s3_endpoint,
        "S3_ACCESS_KEY": env.s3_access_key,
        "S3_SECRET_KEY": env.s3_secret_key.get_secret_value(),
    }.items():
        monkeypatch.setenv(f"IMAGO_DEV_{name}", value)
    exports = imago("client-env").out
    bucket, _, prefix = env.storage_root.removeprefix("s3://").partition("/")
    script = (
        f"{exports}\n{sys.executable} -c 'import boto3; "
        f'found = boto3.client("s3").get_object(Bucket="{bucket}", Key="{prefix}/mlflow/any.txt"); '
        f'print(found["Body"].read().decode())\''
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "IMAGO_", "MLFLOW_"))}
    done = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "as Imago wrote it", done.stderr
    assert f"MLFLOW_TRACKING_URI={load_environment('dev').mlflow_uri}" in exports
