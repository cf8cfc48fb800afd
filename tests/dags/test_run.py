"""What a task reads out of its run: the day, the mode, the settings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from imago.backfill.stages import cascade
from imago.errors import (
    EnvironmentMismatch,
    ImagoError,
    LedgerUnavailable,
    MissingPartition,
    SpecError,
    StorageUnavailable,
)
from imago_airflow.connections import environment_for, with_connections
from imago_airflow.run import champion_of, day_of, mode_of, open_run


class FakeConnection:
    def __init__(self, **values):
        self.host = self.login = self.password = self.schema = self.port = None
        self.extra_dejson = {}
        self.__dict__.update(values)


def test_the_partition_key_is_the_day():
    assert day_of(partition_key="2013-10-05", asked=None) == "2013-10-05"
    assert day_of(partition_key=None, asked="2013-10-05") == "2013-10-05"
    assert day_of(partition_key=None, asked=None) is None


@pytest.mark.parametrize(
    ("key", "asked"), [("2013-10-05", "2013-10-06"), ("yesterday", None), (None, "2013-13-01"), ("../x", None)]
)
def test_two_days_or_none_that_is_a_day_are_refused(key, asked):
    with pytest.raises(ImagoError):
        day_of(partition_key=key, asked=asked)


@pytest.mark.parametrize(
    ("run_type", "extras", "asked", "mode"),
    [
        ("scheduled", [], None, "live"),
        ("manual", [], "auto", "live"),
        ("manual", [], "backfill", "backfill"),
        ("backfill", [], "auto", "backfill"),
        ("backfill", [], "live", "backfill"),
        ("asset_triggered", [{"mode": "live"}], "auto", "live"),
        ("asset_triggered", [{"mode": "backfill"}], "auto", "backfill"),
        ("asset_triggered", [{"mode": "backfill"}, {"mode": "live"}], "auto", "live"),
        ("asset_triggered", [{}], "auto", "live"),
    ],
)
def test_the_mode_travels_in_the_events(run_type, extras, asked, mode):
    assert mode_of(run_type=run_type, triggering_extras=extras, asked=asked) == mode


def test_a_connection_fills_in_what_the_variables_leave_out():
    connections = {
        "imago_prod_ledger": FakeConnection(host="db", port=5432, schema="imago", login="a b", password="p@ss"),
        "imago_prod_storage": FakeConnection(extra_dejson={"root": "s3://other"}, login="key", password="secret"),
    }
    given = {"IMAGO_PROD_STORAGE_ROOT": "s3://bucket"}
    found = with_connections("prod", given, find=connections.get)
    assert found["IMAGO_PROD_LEDGER_URL"] == "postgresql+psycopg2://a%20b:p%40ss@db:5432/imago"
    assert found["IMAGO_PROD_STORAGE_ROOT"] == "s3://bucket"
    assert "IMAGO_PROD_S3_ACCESS_KEY" not in found, "a variable names the storage, so its connection is not asked"


def test_a_process_refuses_an_environment_that_it_does_not_host(monkeypatch):
    monkeypatch.setenv("IMAGO_ENVIRONMENTS", "dev")
    with pytest.raises(EnvironmentMismatch, match="does not host prod"):
        environment_for("prod")


@pytest.mark.parametrize(
    ("asked", "extras", "champion"),
    [
        (None, [], "as-was"),
        ("today", [], "today"),
        ("as-was", [{"champion": "today"}], "today"),
        ("2", [{"champion": "today"}], "2"),
        ("as-was", [{"champion": "today"}, {}], "as-was"),
        ("as-was", [{"champion": "today"}, {"champion": "3"}], "as-was"),
    ],
)
def test_the_champion_of_a_backfill_travels_in_its_events_unless_they_disagree(asked, extras, champion):
    assert champion_of(triggering_extras=extras, asked=asked) == champion


def test_a_backfill_of_features_ends_with_monitoring_metrics_and_shadows():
    assert cascade("feature_refresh") == (
        "feature_refresh", "batch_scoring", "monitoring", "metric_refresh", "shadow_scoring",
    )  # fmt: skip
    assert cascade("training") == ("training", "deployment", "endpoint_deploy")


@pytest.mark.parametrize("key", ["2012-12-31", "2014-01-01", "1999-01-01", "9999-12-31"])
def test_a_run_for_a_day_outside_of_the_models_world_is_refused_and_not_tried_again(key):
    """A missing partition is tried again, since it may be on its way. Such a day never comes."""
    context = {
        "dag_run": SimpleNamespace(consumed_asset_events=[], run_type="manual", triggering_user_name=None),
        "ti": SimpleNamespace(dag_id="d", run_id="r", try_number=1, task_id="t"),
        "params": {},
        "partition_key": key,
    }
    with pytest.raises(SpecError, match=f"{key} lies outside of the days of flight_delays") as refused:
        open_run(context, environment="dev", model="flight_delays")
    assert refused.value.facts["allowed"] == "2013-01-01 to 2013-12-31"
    assert not isinstance(refused.value, MissingPartition | LedgerUnavailable | StorageUnavailable)
