"""Columns that their day determines are not compared with the training, and bounds that say nothing are refused."""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.dashboard.charts import Mark, Series, lines
from imago.days import days_between, shift
from imago.errors import SpecError
from imago.monitoring import divergence, series
from imago.monitoring.drift import judge
from imago.monitoring.profiles import Profile
from imago.monitoring.reach import check_bounds, of_the_day, reach
from imago.monitoring.reference import Reference, fit_reference, profiled_columns
from imago.specs import Drift, Feature, ModelSpec, get_model

DAYS = days_between("2013-01-01", "2013-03-31")
ROWS = 40
KINDS = {"calm": "numeric", "weekday": "categorical", "month": "numeric", "yearday": "numeric", "weekend": "numeric"}


def rows_of(ds: str, *, seed: int) -> dict[str, object]:
    day, random = date.fromisoformat(ds), np.random.default_rng(seed)
    calm = random.normal(size=ROWS)
    return {
        "calm": calm,
        "weekday": [day.strftime("%A")] * ROWS,
        "month": np.full(ROWS, float(day.month)),
        "yearday": np.full(ROWS, float(day.timetuple().tm_yday)),
        "weekend": np.full(ROWS, float(day.weekday() >= 5)),
        "score": 1 / (1 + np.exp(-calm)),
    }


def columns_of(rows: dict[str, object]) -> dict[str, object]:
    answers = {"score": rows["score"], "decision": pa.array(np.asarray(rows["score"]) > 0.8)}
    return profiled_columns(pa.table(rows), tuple(KINDS), answers)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return _reference()


@cache
def _reference() -> Reference:
    parts = [rows_of(ds, seed=number) for number, ds in enumerate(DAYS)]
    whole = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
    return fit_reference(
        identity="x", columns=columns_of(whole), kinds=KINDS, decisions=("false", "true"),  # type: ignore[arg-type]
        days=[ds for ds in DAYS for _ in range(ROWS)],
    )  # fmt: skip


def spec_with(calendar: tuple[str, ...] = (), **bounds: dict[str, float]) -> ModelSpec:
    base = get_model("flight_delays")
    features = tuple(Feature(name=name, kind=kind, calendar=name in calendar) for name, kind in KINDS.items())  # type: ignore[arg-type]
    given = {name: getattr(base, name) for name in ModelSpec.model_fields}
    drift = Drift(bounds={name.replace("__", "."): asked for name, asked in bounds.items()})
    return ModelSpec(**{**given, "features": features, "slices": (), "drift": drift})


def test_columns_of_the_calendar_are_found_and_no_others(reference: Reference) -> None:
    assert reference.calendar == ("month", "weekday", "weekend", "yearday")
    assert Reference.from_json(reference.to_json()).calendar == reference.calendar


def test_a_new_month_and_a_new_day_of_the_year_are_no_drift(reference: Reference) -> None:
    profiles, alarms = dict(reference.recent), []
    for number in range(1, 20):  # April, which no day of the training was
        ds = shift(DAYS[-1], number)
        profiles[ds] = Profile.of(columns_of(rows_of(ds, seed=900 + number)), reference.profile)
        findings = judge(ds, profiles, reference, Drift())
        alarms += [one for one in findings if one.level == "critical"]
        measured = {(one.column, one.measure) for one in findings if one.column in reference.calendar}
        assert measured == {(name, "missing_rise") for name in reference.calendar}
    assert alarms == []


def test_a_column_that_the_spec_calls_calendar_is_not_compared_either(reference: Reference) -> None:
    ds = shift(DAYS[-1], 1)
    moved = rows_of(ds, seed=1) | {"calm": np.full(ROWS, 9.0)}
    profiles = {**reference.recent, ds: Profile.of(columns_of(moved), reference.profile)}
    assert any(one.column == "calm" and one.measure == "psi" for one in judge(ds, profiles, reference, Drift()))
    left = judge(ds, profiles, reference, Drift(), ("calm",))
    assert [one.measure for one in left if one.column == "calm"] == ["missing_rise"]


def test_a_calendar_feature_that_goes_missing_still_alarms(reference: Reference) -> None:
    ds = shift(DAYS[-1], 1)
    empty = rows_of(ds, seed=1) | {"month": np.full(ROWS, np.nan)}
    profiles = {**reference.recent, ds: Profile.of(columns_of(empty), reference.profile)}
    (found,) = [one for one in judge(ds, profiles, reference, Drift()) if one.column == "month"]
    assert (found.measure, found.value, found.level) == ("missing_rise", 1.0, "critical")


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=12), st.integers(1, 500), st.data())
def test_no_day_is_farther_away_than_the_reach(counts: list[int], rows: int, data: st.DataObject) -> None:
    names = [name for number, count in enumerate(counts) for name in [f"c{number}"] * count]
    columns = {"x": pa.array(names), "prediction.score": np.linspace(0, 1, len(names))}
    trained = fit_reference(
        identity="x", columns=columns, kinds={"x": "categorical"}, decisions=(), days=["2013-01-01"] * len(names)
    ).profile.columns["x"]
    groups = series.groups_of(trained, np.array(trained.counts), trained.unseen)
    shares = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(groups), max_size=len(groups)).filter(any)))
    now = shares / shares.sum() * rows
    for measure in ("psi", "jensen_shannon"):
        assert float(getattr(divergence, measure)(groups, now)) <= reach(measure, trained, rows) + 1e-9, measure
    assert reach("jensen_shannon", trained, rows) < 1.0


@pytest.mark.parametrize("measure", ["jensen_shannon", "rate_shift", "missing_rise", "unseen_rise"])
def test_a_share_beyond_one_is_refused_by_the_spec(measure: str) -> None:
    column = "prediction__decision" if measure == "rate_shift" else "calm"
    with pytest.raises(SpecError, match=f"{measure} never exceeds 1"):
        spec_with(**{column: {measure: 1.01}})


@pytest.mark.parametrize(
    ("column", "measure"),
    [("weekday", "wasserstein"), ("rows", "psi"), ("calm", "volume"), ("calm", "mean_shift"),
     ("prediction__decision", "psi"), ("prediction__score", "rate_shift")],
)  # fmt: skip
def test_a_bound_of_what_is_never_measured_is_refused_by_the_spec(column: str, measure: str) -> None:
    with pytest.raises(SpecError, match="never measured"):
        spec_with(**{column: {measure: 0.5}})


def test_a_bound_of_a_calendar_feature_is_refused_by_the_spec() -> None:
    with pytest.raises(SpecError, match="never measured"):
        spec_with(("month",), month={"psi": 3.0})
    spec_with(("month",), month={"missing_rise": 0.5})


@pytest.mark.parametrize(
    ("column", "measure", "bound", "said"),
    [
        ("calm", "jensen_shannon", 0.999, "beyond what the measure can reach"),
        ("calm", "psi", 500.0, "beyond what the measure can reach"),
        ("prediction__decision", "rate_shift", 0.99, "beyond what the measure can reach"),
        ("prediction__score", "mean_shift", 4.0, "beyond what the measure can reach"),
        ("prediction__score", "wasserstein", 4.0, "beyond what the measure can reach"),
        ("prediction__score", "mean_shift", 1.5, None),
        ("calm", "wasserstein", 400.0, None),  # a feature's numbers have no end
        ("calm", "jensen_shannon", 0.05, "nearly reach it"),
        ("calm", "psi", 0.01, "nearly reach it"),
        ("month", "psi", 3.0, "its day determines its values"),
        ("calm", "jensen_shannon", 0.6, None),
        ("calm", "missing_rise", 0.5, None),
    ],
)
def test_a_bound_that_says_nothing_is_refused_when_it_meets_the_reference(
    reference: Reference, column: str, measure: str, bound: float, said: str | None
) -> None:
    spec = spec_with(**{column: {measure: bound}})
    if said is None:
        check_bounds(spec, reference)
        return
    with pytest.raises(SpecError, match=said) as refused:
        check_bounds(spec, reference)
    assert refused.value.facts["column"] == column.replace("__", ".")
    assert measure in str(refused.value.facts["rule"])
    assert refused.value.next_step


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_day_of_scores_is_farther_away_than_their_reach(low: float, high: float, share: float) -> None:
    reference = _reference()
    ds = shift(DAYS[-1], 1)
    scores = np.where(np.arange(ROWS) < share * ROWS, low, high)
    day = {ds: Profile.of(columns_of(rows_of(ds, seed=1) | {"score": scores}), reference.profile)}
    trained = reference.profile.columns["prediction.score"]
    found = {
        one.measure: one.value
        for one in judge(ds, {**reference.recent, **day}, reference, Drift())
        if one.column == "prediction.score" and one.window == "day"
    }
    for measure in ("mean_shift", "wasserstein"):
        assert found[measure] <= reach(measure, trained, ROWS, chance=True) + 1e-9, measure


def test_what_the_past_gives_is_never_beyond_reach(reference: Reference) -> None:
    ds = shift(DAYS[-1], 1)
    profiles = {**reference.recent, ds: Profile.of(columns_of(rows_of(ds, seed=3)), reference.profile)}
    found = judge(ds, profiles, reference, Drift(jensen_shannon=1.0, false_alerts_per_quarter=1e-9))
    thresholds = [one.threshold for one in found if one.measure == "jensen_shannon"]
    assert len(thresholds) == 8
    assert max(thresholds) < 1.0


def test_a_day_of_one_row_or_one_value_throughout_do_not_make_a_calendar() -> None:
    columns = {"x": pa.array(["a", "b"]), "prediction.score": np.array([0.1, 0.9])}
    bins = fit_reference(
        identity="x", columns=columns, kinds={"x": "categorical"}, decisions=(), days=["2013-01-01", "2013-01-02"]
    ).profile
    bins = Profile({"x": bins.columns["x"]})
    one_row = {ds: Profile.of({"x": pa.array(["ab"[n % 2]])}, bins) for n, ds in enumerate(DAYS)}
    constant = {ds: Profile.of({"x": pa.array(["a", "a"])}, bins) for ds in DAYS}
    by_day = {ds: Profile.of({"x": pa.array(["ab"[n % 2]] * 2)}, bins) for n, ds in enumerate(DAYS)}
    assert [of_the_day("x", days) for days in (one_row, constant, by_day)] == [False, False, True]


def test_a_threshold_far_above_is_named_and_does_not_press_the_line_flat() -> None:
    days, mark = ["2013-01-01", "2013-01-02"], [Mark("threshold", 1.0, "bad")]

    def drawn(*values: float) -> str:
        line = [Series("worst", values, "accent")]
        return lines(days, line, label="x", shown=lambda value: f"{value:.0%}", marks=mark, zero=True)

    low, high = drawn(0.01, 0.02), drawn(0.5, 0.9)
    assert "↑ threshold at 100%, 50 times the highest" in low
    assert "stroke-dasharray" not in low
    assert "stroke-dasharray" in high
    points = low.split('points="')[1].split('"')[0].split()
    assert min(float(point.split(",")[1]) for point in points) < 60
