"""The plan of a real ledger and real tables, beside what scoring then really does."""

from __future__ import annotations

import dataclasses

import pytest
from champion_world import BACKFILL, FIRST, LIVE, crown, publish, world_rows

from imago import ledger
from imago.backfill import words
from imago.backfill.facts import Wish
from imago.days import days_between, shift
from imago.errors import ImagoError
from imago.jobs import backfilling, monitoring, scoring
from imago.ledger import champions
from imago.ledger.schema import alerts, online_scores
from imago.specs import Calendar
from imago.tables import Table

AGAIN = "2013-02-17"  # the second training; its champion scores from the 18th on
DAYS = days_between(FIRST, shift(FIRST, 8))  # 11 to 19 February


class FakeAirflow:
    """Runs every day of a range, and notes the backfills that it is asked for."""

    def __init__(self, states=None):
        self.made = []
        self.states = states or {}  # of days that have a run, and get no further one

    def plan_backfill(self, dag_id, first, last, *, reprocess="none", conf=None):
        return tuple(ds for ds in days_between(first, last) if ds not in self.states)

    def states_of_days(self, dag_id, days):
        return {ds: self.states[ds] for ds in days if ds in self.states}

    def seconds_of_runs(self, dag_id, count):
        return [3.0, 1.0, 2.0] if dag_id.endswith("batch_scoring") else []

    def backfill(self, dag_id, first, last, *, reprocess="none", max_active_runs=4, conf=None):
        from imago.airflow_api.client import Backfill

        self.made.append((dag_id, first, last, reprocess, max_active_runs, conf))
        return Backfill(id=7, dag_id=dag_id, keys=days_between(first, last), known=frozenset())


def wish(**asked):
    given = {"stage": "batch_scoring", "first": DAYS[0], "last": DAYS[-1], "reprocess": "completed"}
    return Wish(**given | asked)


def plan_of(env, spec, **asked):
    return backfilling.plan(env, spec, wish(**asked), FakeAirflow())


def kinds(plan, stage="batch_scoring"):
    return {day.ds: day.what for part in plan.stages if part.stage == stage for day in part.days}


@pytest.fixture
def scored(reign, toy):
    """Nine days that were scored live: all by version 1, although version 2 reigned from the 18th on."""
    for ds in DAYS:
        scoring.score(reign, toy, ds, LIVE)
    crown(reign, seed=900, ds=AGAIN, version="2")
    return reign


def test_each_choice_is_planned_as_scoring_then_does_it(scored, toy):
    before = {ds: Table(scored, "toy", "predictions").partition(ds).digest for ds in DAYS}
    assert set(kinds(plan_of(scored, toy)).values()) == {"same"}
    for ds in DAYS:
        again = scoring.score(scored, toy, ds, BACKFILL)
        assert (again["changed"], again["digest"]) == (False, before[ds])

    planned = plan_of(scored, toy, champion="today")
    assert set(kinds(planned).values()) == {"rewrite"}
    assert all(scoring.score(scored, toy, ds, BACKFILL, champion="today")["changed"] for ds in DAYS)
    stored = Table(scored, "toy", "predictions").partition(DAYS[0]).inputs
    assert (stored["champion_choice"], stored["model_version"]) == ("today", "2")

    # From now on the partition records version 2, and as-was keeps it; version 1 brings the first rows back.
    assert set(kinds(plan_of(scored, toy)).values()) == {"same"}
    assert set(kinds(plan_of(scored, toy, champion="1")).values()) == {"rewrite"}
    back = {ds: scoring.score(scored, toy, ds, BACKFILL, champion="1")["digest"] for ds in DAYS}
    assert back == before


def test_days_that_the_model_of_today_learned_from_are_leaking_in_the_plan_and_in_the_partition(scored, toy):
    with ledger.connect(scored).connect() as connection:
        until = champions.reigning(connection, "toy").trained_until
    planned = plan_of(scored, toy, first="2013-02-01", champion="today")
    assert planned.leaking == days_between("2013-02-01", until)
    for ds in (until, shift(until, 1)):
        told = scoring.score(scored, toy, ds, BACKFILL, champion="today")
        assert told["leaking"] is (ds in planned.leaking)
        assert Table(scored, "toy", "predictions").partition(ds).inputs["leaking"] is told["leaking"]


def test_a_day_nobody_reigned_on_fails_in_the_plan_with_the_options_that_are_left(scored, toy):
    planned = plan_of(scored, toy, first="2013-02-05", last="2013-02-05")
    (day,) = planned.stages[0].days
    assert (day.what, planned.works) == ("fail", False)
    assert day.why.endswith("choose another champion: today, 1, 2")


def test_a_champion_whose_files_are_not_whole_fails_its_days_in_the_plan(scored, toy):
    from imago.storage import Storage

    with ledger.connect(scored).connect() as connection:
        first = champions.history(connection, "toy")[0]
    storage = Storage(scored)
    storage.write_bytes(f"{storage.relative(first.artifact_uri)}/model.onnx", b"other bytes")
    planned = plan_of(scored, toy)
    assert set(kinds(planned).values()) == {"fail"}
    assert "version 1 cannot be loaded" in planned.stages[0].days[0].why
    assert set(kinds(plan_of(scored, toy, champion="today")).values()) == {"rewrite"}


def test_the_drift_of_later_days_is_part_of_the_blast_radius_and_of_what_monitoring_does(scored, toy):
    for ds in DAYS:
        monitoring.monitor(scored, toy, ds, LIVE)
    planned = plan_of(scored, toy, last=FIRST, champion="2")
    assert kinds(planned, "monitoring") == {FIRST: "rewrite"}
    # A judgement looks at four weeks, so all days after the rewritten one.
    assert planned.judged_again == tuple(DAYS[1:])
    scoring.score(scored, toy, FIRST, BACKFILL, champion="2")
    assert monitoring.monitor(scored, toy, FIRST, BACKFILL)["judged"] == [FIRST, *planned.judged_again]


def test_what_was_approved_is_what_runs_and_nothing_else(scored, toy):
    airflow = FakeAirflow()
    approved = plan_of(scored, toy, champion="today", max_active_runs=2)
    asked = wish(champion="today", max_active_runs=2)
    started = backfilling.start(scored, toy, asked, airflow, approved=approved.fingerprint)
    assert (started["backfill"], started["days"], started["champion"]) == (7, 9, "today")
    assert airflow.made == [
        ("dev__toy__batch_scoring", DAYS[0], DAYS[-1], "completed", 2, {"champion": "today"}),
    ]
    corrected, _ = world_rows([FIRST], shift=1.0)
    publish(scored, "features", corrected, [FIRST])
    with pytest.raises(ImagoError, match="no longer what was approved"):
        backfilling.start(scored, toy, asked, airflow, approved=approved.fingerprint)
    assert len(airflow.made) == 1


def test_no_backfill_moves_the_champion_pages_anyone_or_touches_the_online_store(scored, toy):
    from sqlalchemy import func, select

    def facts():
        with ledger.connect(scored).connect() as connection:
            rows = len(champions.history(connection, "toy"))
            online = connection.execute(select(func.count(), func.max(online_scores.c.loaded_at))).one()
            paged = connection.execute(select(func.count()).where(alerts.c.status != "digest")).scalar_one()
            return rows, tuple(online), paged

    before = facts()
    for choice in ("as-was", "today", "1"):
        for ds in DAYS[:3]:
            assert scoring.score(scored, toy, ds, BACKFILL, champion=choice)["online"] == "untouched"
            monitoring.monitor(scored, toy, ds, BACKFILL)
    assert facts() == before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stage": "scoring"}, "is no stage"),
        ({"reprocess": "all"}, "is no reprocess"),
        ({"champion": "tody"}, "chooses no champion"),
        ({"stage": "monitoring", "champion": "today"}, "monitoring scores nothing"),
        ({"first": "2013-02-20", "last": "2013-02-11"}, "ends before it starts"),
        ({"max_active_runs": 0}, "none at all"),
    ],
)
def test_a_wish_that_cannot_be_had_is_refused_before_anything_is_asked(reign, toy, asked, said):
    with pytest.raises(ImagoError, match=said):
        plan_of(reign, toy, **asked)


def test_nothing_is_changed_by_a_plan(scored, toy):
    tables = ("features", "predictions", "profiles")
    before = {name: Table(scored, "toy", name).version() for name in tables}
    plan_of(scored, toy, champion="today")
    assert {name: Table(scored, "toy", name).version() for name in tables} == before
    assert plan_of(scored, toy).estimate.seconds == pytest.approx(9 * 2.0 / 4)
    assert dataclasses.asdict(plan_of(scored, toy))["days"] == DAYS


def test_a_day_that_airflow_leaves_out_is_named_with_the_reason(scored, toy):
    world = toy.model_copy(update={"last_day": DAYS[6], "calendar": Calendar(closed_days=(DAYS[4],))})
    states = {DAYS[1]: "running", DAYS[2]: "success", DAYS[4]: "none", DAYS[7]: "none", DAYS[8]: "none"}
    airflow = FakeAirflow(states)
    plan = backfilling.plan(scored, world, wish(reprocess="none"), airflow)
    assert plan.omitted == {
        DAYS[1]: "a run of it is running now; Airflow leaves it out",
        DAYS[2]: "it ran before (success), and the reprocess `none` leaves it alone",
        DAYS[4]: "closed by the calendar",
        DAYS[7]: "outside of the model's days",
        DAYS[8]: "outside of the model's days",
    }
    assert plan.as_dict()["omitted"] == plan.omitted
    text = words.text(plan)
    assert f"Left out: {DAYS[1]}: a run of it is running now; Airflow leaves it out." in text
    assert f"Left out: {DAYS[7]} to {DAYS[8]} (2 days): outside of the model's days." in text
