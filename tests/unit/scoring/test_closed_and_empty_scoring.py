"""A day that is closed is refused with its reason in each stage; one that is empty goes through all of them."""

from __future__ import annotations

import pytest
from champion_world import DAYS, FIRST, LIVE, SPEC, publish, world_rows
from sqlalchemy import select

from imago import ledger
from imago.days import shift
from imago.errors import ClosedDay
from imago.jobs import metrics, monitoring, scoring, scoring_parts, shadow_scoring
from imago.ledger.schema import alerts
from imago.specs import Calendar
from imago.tables import Table
from imago.training import snapshot
from imago.training.cut import cut

SECOND = shift(FIRST, 1)


@pytest.mark.parametrize("stage", [scoring.score, monitoring.monitor, metrics.refresh, shadow_scoring.score])
def test_no_stage_works_on_a_closed_day(reign, stage):
    shop = SPEC.model_copy(update={"calendar": Calendar(closed_days=(FIRST,))})
    with pytest.raises(ClosedDay, match=f"{FIRST} is a closed date") as closed:
        stage(reign, shop, FIRST, LIVE)
    assert (closed.value.facts["model"], closed.value.facts["partition"]) == ("toy", FIRST)
    assert closed.value.next_step


def test_a_training_needs_no_closed_day_and_judges_on_as_many_as_it_was_told(dev):
    shop = SPEC.model_copy(update={"calendar": Calendar(closed_weekdays=("sunday",))})
    features, outcomes = world_rows([ds for ds in DAYS if shop.calendar.is_open(ds)])
    opened = shop.calendar.open_days(DAYS[0], DAYS[-1])
    publish(dev, "features", features, opened)
    publish(dev, "outcomes", outcomes, opened)
    from champion_world import CONTRACT

    frozen = snapshot.freeze(dev, shop, "2013-02-20", contract=CONTRACT, run_id="run")
    assert len(set(frozen.part("holdout")["ds"].to_pylist())) == shop.training.holdout_days
    assert frozen.cut == cut(shop, "2013-02-20")
    assert "2013-02-17" in frozen.cut.closed


@pytest.fixture
def quiet_day(reign):
    """FIRST was published empty, with its outcomes."""
    for name in ("features", "outcomes"):
        table = Table(reign, "toy", name)
        table.publish(
            table.require(FIRST).slice(0, 0), days=[FIRST], key=("key",), fence=table.draw_fence(), context=LIVE,
            allow_empty=True,
        )  # fmt: skip
    return reign


@pytest.mark.parametrize("in_parts", [False, True])
def test_an_empty_day_is_scored_profiled_and_measured_and_alarms_nobody(quiet_day, in_parts):
    if in_parts:
        plan = scoring_parts.plan(quiet_day, SPEC, FIRST, LIVE)
        parts = [scoring_parts.score_part(quiet_day, SPEC, plan["assignment"], one, LIVE) for one in plan["slices"]]
        told = scoring_parts.publish_parts(quiet_day, SPEC, plan["assignment"], parts, LIVE)
    else:
        told = scoring.score(quiet_day, SPEC, FIRST, LIVE)
    assert (told["rows"], told["changed"]) == (0, True)
    assert scoring.score(quiet_day, SPEC, FIRST, LIVE)["changed"] is False
    assert Table(quiet_day, "toy", "predictions").require(FIRST).column_names[0] == "key"

    found = monitoring.monitor(quiet_day, SPEC, FIRST, LIVE)
    assert (found["warnings"], found["critical"]) == (0, 0)
    assert "skipped" in metrics.refresh(quiet_day, SPEC, FIRST, LIVE)
    scoring.score(quiet_day, SPEC, SECOND, LIVE)
    monitoring.monitor(quiet_day, SPEC, SECOND, LIVE)
    assert metrics.refresh(quiet_day, SPEC.model_copy(update={"metrics_model": None}), SECOND, LIVE)["ds"] == SECOND
    with ledger.connect(quiet_day).connect() as connection:
        assert connection.execute(select(alerts.c.rule)).scalars().all() == []
