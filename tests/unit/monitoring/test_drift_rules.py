from __future__ import annotations

import numpy as np
import pytest

from imago.days import days_between
from imago.monitoring.drift import judge, verdicts
from imago.monitoring.profiles import Profile
from imago.monitoring.reference import Reference, fit_reference, profiled_columns
from imago.specs import Drift

DAYS = days_between("2013-01-01", "2013-02-25")
ROWS = 300


def day(seed: int, *, shift: float = 0.0, missing: float = 0.0, rows: int = ROWS, season: float = 0.0):
    random = np.random.default_rng(seed)
    calm = random.normal(size=rows) + shift
    calm[random.random(rows) < missing] = np.nan
    gate = random.choice(["A", "B"], rows)
    score = 1 / (1 + np.exp(-np.nan_to_num(calm)))
    import pyarrow as pa

    table = pa.table({"calm": calm, "season": random.normal(size=rows) + season, "gate": gate})
    return profiled_columns(table, ("calm", "season", "gate"), {"score": score, "decision": pa.array(score > 0.8)})


def joined(parts):
    import pyarrow as pa

    names = parts[0].keys()
    return {
        name: np.concatenate([np.asarray(part[name], dtype=object) for part in parts])
        if name == "gate" or name.endswith("decision")
        else np.concatenate([np.asarray(part[name], dtype=float) for part in parts])
        for name in names
    } | {"gate": pa.array([value for part in parts for value in part["gate"].to_pylist()])}


@pytest.fixture(scope="module")
def reference() -> Reference:
    parts = [day(seed, season=seed / 20) for seed in range(len(DAYS))]
    kinds = {"calm": "numeric", "season": "numeric", "gate": "categorical"}
    days = [ds for ds in DAYS for _ in range(ROWS)]
    columns = joined(parts)
    columns["prediction.decision"] = np.asarray(columns["prediction.decision"], dtype=str)
    return fit_reference(identity="x", columns=columns, kinds=kinds, decisions=("false", "true"), days=days)


def findings_of(reference, parts, thresholds=None):
    profiles = [Profile.of(part, reference.profile) for part in parts]
    return judge(
        ds="2013-03-01",
        day=profiles[-1],
        window=Profile.merge(profiles),
        window_days=len(profiles),
        reference=reference,
        thresholds=thresholds or Drift(),
    )


def fired(findings):
    return {verdict.concern: verdict.worst[0].column for verdict in verdicts(findings) if verdict.fired}


def test_days_like_those_of_the_training_raise_nothing(reference):
    for seed in range(100, 130):
        assert fired(findings_of(reference, [day(seed + 1000 * n, season=1.4) for n in range(7)])) == {}


def test_a_column_that_moved_by_a_deviation_alarms_on_its_first_day_and_is_named(reference):
    calm = [day(200 + n, season=1.4) for n in range(6)]
    found = fired(findings_of(reference, [*calm, day(300, shift=1.5, season=1.4)]))
    assert found["inputs"] == "calm"


def test_a_column_that_follows_the_season_may_move_as_far_as_it_did_in_training(reference):
    summer = [day(400 + n, season=2.4) for n in range(7)]
    assert "inputs" not in fired(findings_of(reference, summer))
    beyond = [day(400 + n, season=9.0) for n in range(7)]
    assert fired(findings_of(reference, beyond))["inputs"] == "season"


def test_a_column_gone_missing_alarms_on_the_day_and_is_not_called_drift_of_shape(reference):
    calm = [day(500 + n, season=1.4) for n in range(6)]
    found = fired(findings_of(reference, [*calm, day(600, missing=1.0, season=1.4)]))
    assert found["missing_values"] == "calm"
    assert "inputs" not in found


def test_half_of_the_rows_gone_is_a_matter_of_volume(reference):
    assert fired(findings_of(reference, [day(700, rows=ROWS // 3, season=1.4)])).keys() == {"volume"}


def test_scores_that_moved_are_told_as_predictions(reference):
    found = fired(findings_of(reference, [day(800 + n, shift=2.0, season=1.4) for n in range(7)]))
    assert found["predictions"] in ("prediction.score", "prediction.decision")


def test_bounds_of_a_seasonal_column_are_the_specs_own(reference):
    moved = [day(900 + n, shift=1.0, season=1.4) for n in range(7)]
    assert "inputs" in fired(findings_of(reference, moved))
    assert "inputs" not in fired(findings_of(reference, moved, Drift(seasonal={"calm": (4.0, 8.0)})))


def test_a_reference_survives_its_file(reference):
    again = Reference.from_json(reference.to_json())
    assert again.profile == reference.profile
    assert again.limit("calm", "psi", 7) == reference.limit("calm", "psi", 7)
    assert again.to_json() == reference.to_json()
