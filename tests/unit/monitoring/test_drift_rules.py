from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from imago.days import days_between, shift
from imago.monitoring.drift import judge, looked_at, verdicts
from imago.monitoring.profiles import Profile
from imago.monitoring.reference import Reference, fit_reference, profiled_columns
from imago.specs import Drift

DAYS = days_between("2013-01-01", "2013-02-25")
ROWS = 300
KINDS = {"calm": "numeric", "season": "numeric", "gate": "categorical"}


def rows_of(count, *, seed, moved=0.0, missing=0.0, season=0.0, gates=("A", "B")):
    random = np.random.default_rng(seed)
    calm = random.normal(size=count) + moved
    calm[random.random(count) < missing] = np.nan
    return {
        "calm": calm,
        "season": random.normal(size=count) + season,
        "gate": random.choice(gates, count),
        "score": 1 / (1 + np.exp(-np.nan_to_num(calm))),
    }


def columns_of(rows):
    told = {"score": rows["score"], "decision": pa.array(rows["score"] > 0.8)}
    return profiled_columns(pa.table(rows), tuple(KINDS), told)


def fitted(importance=None):
    parts = [rows_of(ROWS, seed=number, season=number / 20) for number in range(len(DAYS))]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    days = [ds for ds in DAYS for _ in range(ROWS)]
    return fit_reference(
        identity="x", columns=columns_of(whole), kinds=KINDS, decisions=("false", "true"), days=days,
        trained_until="2013-02-18", importance=importance,
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fitted()


def told(reference, days, drift=None):
    """The verdicts of each day: `days` are the changes of each day after the reference's last, None for no profile."""
    profiles, said = dict(reference.recent), []
    for number, changes in enumerate(days, start=1):
        if changes is None:
            said.append(None)
            continue
        ds = shift(DAYS[-1], number)
        rows = rows_of(**{"count": ROWS, "seed": 1000 + number, "season": 2.8, **changes})
        profiles[ds] = Profile.of(columns_of(rows), reference.profile)
        rules = drift or Drift()
        seen = {day: profiles[day] for day in looked_at(profiles, ds, rules.confirm)}
        found = verdicts(judge(ds, seen, reference, rules))
        said.append({one.concern: one.columns for one in found if one.fired})
    return said


def test_what_is_over_does_not_alarm_for_the_rest_of_its_month(reference):
    days = told(reference, [{"moved": 2.0}] * 2 + [{}] * 9)
    assert "inputs" in days[1]
    assert "inputs" not in days[-1]


def test_days_like_those_of_the_training_raise_nothing(reference):
    assert told(reference, [{}] * 30) == [{}] * 30


def test_a_column_that_moved_by_half_a_deviation_alarms_on_its_second_day_and_is_named_first(reference):
    first, second = told(reference, [{"moved": 0.5}] * 2)
    assert "inputs" not in first
    assert second["inputs"][0] == "calm"


def test_one_odd_day_confirms_nothing(reference):
    assert all("inputs" not in day for day in told(reference, [{"moved": 0.5}, {}, {"moved": 0.5}, {}]))


def test_a_day_that_is_not_there_does_not_break_the_row(reference):
    assert told(reference, [{"moved": 0.5}, None, {"moved": 0.5}])[-1]["inputs"][0] == "calm"


def test_windows_too_far_apart_confirm_nothing(reference):
    days = [{"moved": 1.5}, *[None] * 8, {"moved": 1.5}]
    assert "inputs" not in told(reference, days)[-1]


def test_a_spec_may_ask_for_more_windows_or_for_none(reference):
    days = [{"moved": 0.5}] * 3
    assert ["inputs" in day for day in told(reference, days, Drift(confirm=3))] == [False, False, True]
    assert ["inputs" in day for day in told(reference, days, Drift(confirm=1))] == [True, True, True]


def test_a_column_that_follows_the_season_may_move_as_far_as_it_did_in_training(reference):
    assert all("inputs" not in day for day in told(reference, [{"season": 2.9}] * 4))
    assert "season" in told(reference, [{"season": 9.0}] * 4)[-1]["inputs"]


def test_a_column_gone_missing_alarms_on_the_day_and_is_not_called_drift_of_shape(reference):
    (day,) = told(reference, [{"missing": 1.0}])
    assert day["missing_values"] == ["calm"]
    assert "inputs" not in day


def test_a_category_that_was_never_seen_alarms_on_the_day(reference):
    assert told(reference, [{"gates": ("A", "Z")}])[0]["missing_values"] == ["gate"]


def test_half_of_the_rows_gone_is_a_matter_of_volume_and_of_the_day(reference):
    assert told(reference, [{"count": ROWS // 2}])[0] == {"volume": ["rows"]}


def test_scores_that_moved_are_told_as_predictions(reference):
    assert "prediction.score" in told(reference, [{"moved": 1.0}] * 2)[-1]["predictions"]


def test_bounds_of_a_column_are_the_specs_own(reference):
    lenient = Drift(bounds={"calm": dict.fromkeys(("psi", "jensen_shannon"), 0.9) | {"wasserstein": 3.0}})
    assert "inputs" not in told(reference, [{"moved": 0.5}] * 4, lenient)[-1]
    strict = Drift(bounds={"gate": {"psi": 1e-9}})
    assert told(reference, [{}] * 2, strict)[-1]["inputs"] == ["gate"]


def test_few_rows_have_to_differ_more(reference):
    assert all("inputs" not in day for day in told(reference, [{"count": 30}] * 10))


def test_a_smaller_budget_raises_the_bounds(reference):
    past = reference.noise("calm", "day", "psi", 2)
    often, seldom = (past.bound(rare, ROWS, 1.0) for rare in (1e-3, 1e-6))
    assert 0 < often < seldom


def test_a_feature_that_the_model_does_not_need_has_to_move_further_and_is_named_later():
    one = fitted(importance={"gate": 0.2, "season": 0.1, "calm": 0.0})
    assert [one.weight(name) for name in ("gate", "calm", "prediction.score")] == [1.0, 0.0, 1.0]
    found = {
        x.column: x for x in judge("2013-02-25", one.recent, one, Drift()) if (x.measure, x.window) == ("psi", "day")
    }
    assert found["calm"].threshold == pytest.approx(0.15 * 1.5)
    assert found["gate"].threshold == pytest.approx(0.15)


def test_a_reference_survives_its_file(reference):
    again = Reference.from_json(reference.to_json())
    assert again == reference
    assert again.to_json() == reference.to_json()
