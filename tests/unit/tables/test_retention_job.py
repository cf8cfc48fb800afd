"""Retention: old things go, young and pinned ones stay, and the summary says what went."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from imago.context import RunContext
from imago.environments import Environment
from imago.jobs import retention
from imago.specs import get_model
from imago.storage import Storage
from imago.tables import Table

SPEC = get_model("flight_delays")
NOW = datetime.now(UTC)


def put(env: Environment, rel: str, *, days_ago: float) -> Path:
    """A file whose folders are as old as it is."""
    Storage(env).write_bytes(rel, b"x")
    path = Path(env.storage_root) / rel
    moment = time.time() - days_ago * 86400
    for place in (path, path.parent):
        os.utime(place, (moment, moment))
    return path


def test_attempts_and_audit_pages_go_when_they_are_old(dev: Environment) -> None:
    old_rows = put(dev, "staging/flight_delays/features-2013-01-01-7/flight_delays_features.parquet", days_ago=15)
    new_rows = put(dev, "staging/flight_delays/features-2013-01-02-8/flight_delays_features.parquet", days_ago=13)
    old_page = put(dev, "audits/flight_delays/features/2013-01-01..2013-01-01-7/index.html", days_ago=366)
    new_page = put(dev, "audits/flight_delays/features/2013-01-02..2013-01-02-8/index.html", days_ago=364)

    summary = retention.clean(dev, [SPEC], NOW)

    assert summary["staged_attempts"] == ["staging/flight_delays/features-2013-01-01-7"]
    assert summary["audit_pages"] == ["audits/flight_delays/features/2013-01-01..2013-01-01-7"]
    assert [path.exists() for path in (old_rows, new_rows, old_page, new_page)] == [False, True, False, True]
    assert retention.clean(dev, [SPEC], NOW)["staged_attempts"] == []


def test_an_attempt_that_was_killed_before_it_wrote_anything_goes_too(dev: Environment) -> None:
    path = put(dev, "staging/flight_delays/features-2013-01-01-7/x", days_ago=20)
    path.unlink()
    os.utime(path.parent, (time.time() - 20 * 86400,) * 2)
    assert retention.clean(dev, [SPEC], NOW)["staged_attempts"] == ["staging/flight_delays/features-2013-01-01-7"]
    assert not path.parent.exists()


def test_the_settings_of_the_environment_say_how_long_things_stay(make_environment) -> None:
    hasty = make_environment("staging", keep_staging_days=2)
    put(hasty, "staging/flight_delays/features-2013-01-01-7/x", days_ago=3)
    assert len(retention.clean(hasty, [SPEC], NOW)["staged_attempts"]) == 1


def test_what_killed_attempts_left_in_a_table_goes_and_young_versions_stay(dev: Environment) -> None:
    table = Table(dev, SPEC.name, "features")
    for value in (1.0, 2.0):
        rows = pa.table({"flight_key": ["a"], "ds": ["2013-01-01"], "value": [value]})
        table.publish(
            rows, days=["2013-01-01"], key=("flight_key",), fence=table.draw_fence(), context=RunContext(run_id="r")
        )
    put(dev, f"{table.relative}/ds=2013-01-01/orphan.parquet", days_ago=31)

    newest = table.version()
    assert retention.clean(dev, [SPEC], NOW)["vacuumed_files"] == {"flight_delays/features": 1}
    assert [table.read(version=v)["value"].to_pylist() for v in (newest - 1, newest)] == [[1.0], [2.0]]


@pytest.mark.parametrize("field", ["keep_versions_days", "keep_staging_days", "keep_audits_days"])
def test_nothing_can_be_set_to_go_at_once(make_environment, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make_environment("dev", **{field: 0})


def test_a_summary_of_an_empty_environment_is_empty(dev: Environment) -> None:
    summary = retention.clean(dev, [SPEC], NOW + timedelta(days=400))
    assert not any(summary.values())
