"""The DAGs on a real Airflow database: backfills are accepted, and a run announces what it should and nothing else."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture(scope="module")
def ran(postgres_url, airflow_process, tmp_path_factory):
    import sqlalchemy as sa

    database = f"airflow_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"create database {database}"))
    url = sa.make_url(postgres_url)
    home = tmp_path_factory.mktemp("airflow-runs")
    engine.dispose()
    return airflow_process(
        "run_dags.py",
        home=home,
        variables={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.set(database=database).render_as_string(hide_password=False),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "IMAGO_DEV_STORAGE_ROOT": str(home / "storage"),
            "IMAGO_DEV_LEDGER_URL": postgres_url,
            "IMAGO_DEV_MLFLOW_URI": "http://127.0.0.1:9",
        },
    )


@pytest.mark.parametrize(
    "stage",
    ["feature_refresh", "outcome_refresh", "batch_scoring", "monitoring", "metric_refresh", "shadow_scoring"],
)
def test_a_day_stage_can_be_backfilled_by_itself(ran, stage):
    assert ran["backfills"][stage] == ["2013-10-05", "2013-10-06", "2013-10-07"]


@pytest.mark.parametrize("stage", ["training", "deployment", "endpoint_deploy"])
def test_a_weekly_stage_can_be_backfilled_on_the_last_closed_days_of_its_cron(ran, stage):
    # The cron runs on Wednesdays, so its days are Tuesdays.
    assert ran["backfills"][stage] == ["2013-10-01", "2013-10-08"]


def test_reprocess_decides_whether_days_that_ran_run_again(ran):
    assert ran["again_none"] == []
    assert ran["again_completed"] == ["2013-10-05", "2013-10-06", "2013-10-07"]


def test_a_backfill_hands_the_champion_of_its_form_to_each_of_its_runs_and_refuses_one_that_cannot_be(ran):
    assert ran["chosen"] == [{"champion": "today"}] * 3
    assert "tody" in ran["mistyped"]


def test_a_day_that_is_scored_announces_its_predictions_and_its_metrics_only_where_they_are_behind(ran):
    assert ran["scored_once"]["calls"] == [["champion", "as-was"], ["score", "2013-10-11", "live"]]
    assert ran["scored_once"]["starts"] == [["monitoring", "2013-10-11"], ["shadow_scoring", "2013-10-11"]]
    again = ran["scored_again"]
    assert again["calls"] == [["champion", "3"], ["score", "2013-10-10", "backfill"]]
    stages = ("metric_refresh", "monitoring", "shadow_scoring")
    assert again["starts"] == [[stage, "2013-10-10"] for stage in stages]
    assert again["events"] == [["2013-10-10", "backfill"]] * 2


def test_features_that_are_refreshed_for_a_champion_carry_it_to_what_scores_them(ran):
    assert ran["refreshed_for_today"]["champions"] == ["today"]
    assert ran["day"]["champions"] == [None]


def test_a_backfill_stops_at_the_last_day_of_the_world(ran):
    assert ran["beyond_the_world"] == ["2013-12-30", "2013-12-31"]


def test_a_day_is_one_executed_task_that_announces_its_day_itself(ran):
    day = ran["day"]
    assert day["tasks"] == {"refresh": "success", "announce": "skipped"}
    assert day["calls"] == [["features", "2013-10-08", "2013-10-08", "live"]]
    assert day["events"] == [["2013-10-08", "live"]]
    assert day["starts"] == [["batch_scoring", "2013-10-08"]]


def test_loading_a_range_is_one_job_and_starts_nothing(ran):
    loaded = ran["range"]
    assert loaded["tasks"] == {"refresh": "success", "announce": "skipped"}
    assert loaded["calls"] == [["features", "2013-01-01", "2013-01-31", "backfill"]]
    assert loaded["events"] == []
    assert loaded["starts"] == []


def test_a_loaded_range_announces_the_days_that_the_form_names(ran):
    loaded = ran["range_announced"]
    assert loaded["tasks"] == {"refresh": "success", "announce": "success"}
    assert loaded["events"] == [["2013-01-30", "backfill"], ["2013-01-31", "backfill"]]
    assert loaded["starts"] == [["batch_scoring", "2013-01-30"], ["batch_scoring", "2013-01-31"]]


def test_half_a_range_fails_before_any_work_and_says_what_to_fill_in(ran):
    half = ran["half_a_range"]
    assert half["state"] == "failed"
    assert {call[0] for call in half["calls"]} == {"failed"}
    assert "both `from_day` and `to_day`" in half["calls"][0][1]


def test_corrections_announce_exactly_the_days_that_changed_and_as_history(ran):
    corrected = ran["corrected"]
    assert corrected["tasks"] == {"outcomes": "success", "features": "success"}
    assert corrected["calls"] == [["correct", "outcomes"], ["correct", "features"]]
    assert corrected["events"] == [["2013-10-02", "backfill"], ["2013-10-04", "backfill"]]
    assert corrected["starts"] == [["metric_refresh", "2013-10-02"], ["metric_refresh", "2013-10-04"]]


def test_corrections_that_change_nothing_announce_nothing(ran):
    assert ran["nothing_corrected"]["state"] == "success"
    assert ran["nothing_corrected"]["events"] == []


def test_a_run_without_a_day_fails_and_says_where_to_give_one(ran):
    assert ran["no_day"]["state"] == "failed"
    assert "partition key" in ran["no_day"]["calls"][0][1]


def test_each_fit_of_a_training_carries_its_contestants_name_and_hands_its_own_result_on(ran):
    from imago_models import FLIGHT_DELAYS

    names = [one.name for one in (*FLIGHT_DELAYS.candidates, *FLIGHT_DELAYS.baselines)]
    trained = ran["trained"]
    assert trained["mapped"] == {str(place): name for place, name in enumerate(names)}
    fitted = [{"contestant": name, "snapshot": "snapshots/2013-10-01"} for name in names]
    assert trained["calls"] == [["2013-10-01", "snapshots/2013-10-01", fitted]]
    assert trained["events"] == [["2013-10-01", "live"]]


def test_a_fit_that_fails_is_red_and_the_report_goes_on_with_its_reason_and_the_others(ran):
    from imago_models import FLIGHT_DELAYS

    names = [one.name for one in (*FLIGHT_DELAYS.candidates, *FLIGHT_DELAYS.baselines)]
    trained, bad = ran["trained_with_faults"], {"logistic_regression", "random_forest"}
    assert trained["fits"] == {name: "failed" if name in bad else "success" for name in names}
    assert (trained["state"], trained["tasks"]["report"]) == ("success", "success")
    assert trained["events"] == [["2013-10-01", "live"]]
    *alerted, (_, _, fitted) = trained["calls"]
    assert {result["contestant"]: result.get("failed") for result in fitted} == {
        name: "it holds a function" if name == "logistic_regression" else None
        for name in names
        if name != "random_forest"  # its process is gone, and with it its result
    }
    # The fault is the report's to alert; what left no result is a failed task as any other.
    assert [call[:2] for call in alerted] == [["failed", "the process is gone"]]


def test_a_freeze_that_fails_ends_the_training_as_failed_and_nothing_is_reported(ran):
    run = ran["nothing_frozen"]
    assert (run["state"], run["tasks"]["freeze"], run["tasks"]["report"]) == ("failed", "failed", "upstream_failed")
    assert run["events"] == []


def test_a_kept_champion_is_not_announced(ran):
    assert ran["kept"]["tasks"] == {"judge": "success", "approve": "skipped", "promote": "skipped"}
    assert ran["kept"]["events"] == []


def test_a_champion_that_moved_is_announced(ran):
    assert ran["promoted"]["events"] == [["2013-10-01", "live"]]
    assert ran["promoted"]["starts"] == [["endpoint_deploy", "2013-10-01"]]


def test_history_does_not_go_online(ran):
    assert ran["deployed_in_backfill"]["tasks"] == {"deploy": "skipped"}
    assert ran["deployed_in_backfill"]["calls"] == []


def test_a_scored_day_starts_its_monitoring_and_its_shadows_in_the_same_mode(ran):
    assert ran["scored_in_backfill"]["events"] == [["2013-10-01", "backfill"]]
    assert ran["scored_in_backfill"]["starts"] == [["monitoring", "2013-10-01"], ["shadow_scoring", "2013-10-01"]]


def test_a_shadow_announces_nothing_so_nothing_can_follow_from_it(ran):
    shadowed = ran["shadowed"]
    assert shadowed["tasks"] == {"shadow_score": "success"}
    assert shadowed["calls"] == [["shadow", "2013-10-01", "live"]]
    assert (shadowed["events"], shadowed["starts"]) == ([], [])


def test_a_day_on_which_nobody_shadows_is_skipped(ran):
    assert ran["nobody_shadows"]["tasks"] == {"shadow_score": "skipped"}
    assert ran["nobody_shadows"]["state"] == "success"


def test_a_day_in_parts_is_bound_once_scored_by_mapped_tasks_and_announced_by_the_one_that_publishes(ran):
    parts = ran["in_parts"]
    bound = {"ds": "2013-10-08", "choice": "today"}
    assert parts["calls"] == [[bound, [{"part": 1, "of": "2013-10-08"}, {"part": 2, "of": "2013-10-08"}]]]
    assert parts["mapped"] == {"0": "part 1, rows 1 to 131,072", "1": "part 2, rows 131,073 to 200,000"}
    assert (parts["events"], parts["champions"]) == ([["2013-10-08", "live"]], ["today"])
