"""Which cohorts are judged by their labels: not those whose labels came early, and the first complete one at once."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import FIRST, LIVE, publish, world_rows
from scipy import stats
from sqlalchemy import select, text

from imago import ledger
from imago.days import shift
from imago.jobs import metrics, scoring
from imago.ledger.schema import alerts, incidents
from imago.metrics.cohorts import dropped, immature
from imago.tables import Table

MATURE = datetime(2013, 2, 13)  # when the outcomes of FIRST, a day late each, are complete


def judged(told_at, *, labelled=0.9, usual=0.9):
    return immature(told_at=datetime.fromisoformat(told_at), mature_at=MATURE, labelled=labelled, usual=usual)


def test_outcomes_are_early_until_the_delays_last_day_is_over():
    assert judged("2013-02-13T00:00:00+00:00") is None
    assert judged("2013-02-13T01:59:00+02:00") == (
        "its outcomes were published at 2013-02-12 23:59 UTC and are complete at 2013-02-13 00:00"
    )


def test_a_cohort_with_less_than_half_of_the_usual_labels_is_not_complete():
    late = "2013-03-01T00:00:00+00:00"
    assert judged(late, labelled=0.44) == "44% of its rows have a label, and 90% usually have"
    assert judged(late, labelled=0.45) is None
    assert judged(late, labelled=0.01, usual=None) is None


def fell(value, rows=100, **changes):
    # One day in twenty may be told for nothing, so the bound lies 1.699 standard errors below (Student, 29 degrees).
    known = {"level": 0.8, "spread": 0.05, "days": 30, "usual_rows": 100, "least": 0.01, "budget": 91 / 20}
    return dropped(value, rows, **{**known, "lower_is_better": False, **changes})


def test_a_drop_is_what_single_days_of_the_holdout_do_not_explain():
    bound = 0.8 - stats.t.ppf(0.95, 29) * 0.05 * (1 + 1 / 30) ** 0.5
    assert bound == pytest.approx(0.7136, abs=1e-4)
    assert fell(0.714) is None
    found = fell(0.713)
    assert (found.value, found.level, found.rows) == (0.713, 0.8, 100)
    assert found.bound == pytest.approx(bound)


def test_of_a_loss_a_rise_is_the_drop():
    assert fell(0.886, lower_is_better=True) is None
    assert fell(0.887, lower_is_better=True).bound == pytest.approx(0.8864, abs=1e-4)


def test_a_drop_below_the_smallest_effect_is_none():
    assert fell(0.61, least=0.2) is None
    assert fell(0.59, least=0.2).bound == pytest.approx(0.6)


def test_a_small_cohort_may_vary_more_and_a_large_one_no_less():
    assert fell(0.6, rows=25).bound == pytest.approx(0.8 - 2 * (0.8 - fell(0.6).bound))
    assert fell(0.6, rows=10_000).bound == fell(0.6).bound


@pytest.mark.parametrize("days", [7, 30, 400])
def test_healthy_days_are_told_as_often_as_the_budget_allows(days):
    random = np.random.default_rng(days)
    worlds = random.normal(0.8, 0.05, (4000, days + 1))
    told = [
        fell(now, level=float(past.mean()), spread=float(past.std(ddof=1)), days=days, least=0.0) is not None
        for *past, now in worlds.tolist()
        for past in [np.array(past)]
    ]
    assert np.mean(told) == pytest.approx(1 / 20, abs=0.012)


def outcomes(env, ds, *, seen=None, wrong=False, labelled=1.0):
    """Publishes the outcomes of a day, with the labels turned round or only some of them there; `seen` is when."""
    rows = world_rows()[1]
    rows = rows.filter(pc.equal(rows.column("ds"), ds))
    label = rows.column("label").combine_chunks()
    if wrong:
        label = pc.subtract(pa.scalar(1, pa.int32()), label)
    kept = pa.array(np.arange(len(label)) < labelled * len(label))
    label = pc.if_else(kept, label, pa.scalar(None, pa.int32()))
    publish(env, "outcomes", rows.set_column(rows.column_names.index("label"), "label", label), [ds])
    if seen is not None:
        with ledger.connect(env).begin() as connection:
            newest = "select max(id) from publications where model = 'toy' and table_name = 'outcomes' and ds = :ds"
            connection.execute(
                text(f"update publications set published_at = :seen where id = ({newest})"),
                {"seen": datetime.fromisoformat(seen).replace(tzinfo=UTC), "ds": ds},
            )


def refreshed(env, spec, ds):
    scoring.score(env, spec, ds, LIVE)
    return metrics.refresh(env, spec, ds, LIVE)


def told(env):
    with ledger.connect(env).connect() as connection:
        return [tuple(row) for row in connection.execute(select(alerts.c.rule, alerts.c.ds).order_by(alerts.c.id))]


def stored(env, ds):
    rows = Table(env, "toy", "metrics").require(ds).to_pylist()
    return {row["metric"]: row["value"] for row in rows if row["slice"] == "all"}


def test_early_labels_are_published_and_raise_nothing_whatever_they_say(reign, toy):
    outcomes(reign, FIRST, wrong=True, labelled=0.7, seen="2013-02-12T12:00")
    found = refreshed(reign, toy, FIRST)
    assert "2013-02-12 12:00" in found["immature"]
    assert found["alarms"] == []
    assert told(reign) == []
    assert stored(reign, FIRST)["roc_auc"] == pytest.approx(found["roc_auc"])
    assert "estimate_error" not in stored(reign, FIRST)
    (info,) = Table(reign, "toy", "predictions").partitions()
    # It would have been a false alarm.
    assert metrics.drop_of(reign, toy, info.inputs["artifact_sha256"], found["roc_auc"], found["rows"]) is not None


def test_a_real_drop_is_told_by_the_first_mature_cohort_and_ends_with_a_good_one(reign, toy):
    second, third = shift(FIRST, 1), shift(FIRST, 2)
    assert refreshed(reign, toy, FIRST)["immature"] is None
    outcomes(reign, second, wrong=True, labelled=0.7, seen="2013-02-13T12:00")
    assert refreshed(reign, toy, second)["alarms"] == []
    outcomes(reign, second, wrong=True, seen="2013-02-14T00:00")
    found = refreshed(reign, toy, second)
    assert (found["immature"], found["alarms"]) == (None, ["metric_drop"])
    assert told(reign) == [("metric_drop", second)]
    assert refreshed(reign, toy, third)["alarms"] == []
    with ledger.connect(reign).connect() as connection:
        assert connection.execute(select(incidents.c.status)).scalars().all() == ["resolved"]


def test_a_cohort_with_few_of_its_labels_is_not_judged_however_late_it_is(reign, toy):
    assert refreshed(reign, toy, FIRST)["immature"] is None
    second = shift(FIRST, 1)
    outcomes(reign, second, wrong=True, labelled=0.4)
    found = refreshed(reign, toy, second)
    assert "usually have" in found["immature"]
    assert told(reign) == []


def test_early_outcomes_that_are_found_equal_later_are_complete(reign, toy):
    outcomes(reign, FIRST, wrong=True, seen="2013-02-12T12:00")
    assert refreshed(reign, toy, FIRST)["immature"] is not None
    outcomes(reign, FIRST, wrong=True, seen="2013-02-13T12:00")
    found = refreshed(reign, toy, FIRST)
    assert (found["immature"], found["alarms"]) == (None, ["metric_drop"])


def test_the_estimate_is_held_against_the_truth_of_a_mature_cohort(reign, toy):
    found = refreshed(reign, toy, FIRST)
    row = stored(reign, FIRST)
    assert row["estimated_roc_auc"] == pytest.approx(found["estimate"])
    assert row["estimate_error"] == pytest.approx(found["estimate"] - found["roc_auc"])


def test_the_window_of_the_floor_leaves_early_days_out(reign, toy):
    outcomes(reign, FIRST, labelled=0.9, seen="2013-02-12T12:00")
    refreshed(reign, toy, FIRST)
    assert refreshed(reign, toy, shift(FIRST, 1))["window"]["days"] == 1


def test_a_champion_of_which_no_reference_is_stored_drops_nowhere(reign, toy):
    assert metrics.drop_of(reign, toy, "0" * 64, 0.1, 1000) is None
