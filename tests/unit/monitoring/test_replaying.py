"""Days judged again by changed rules: what would have fired, what of it came before a loss, and nothing is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import BACKFILL, LIVE, publish, world_rows
from sqlalchemy import select, text
from typer.testing import CliRunner

from imago import ledger
from imago.cli import alerts as verbs
from imago.cli import replay as command
from imago.days import days_between, shift
from imago.errors import ImagoError, MissingPartition, SpecError
from imago.jobs import metrics, monitoring, replay, scoring
from imago.ledger.schema import alerts, publications
from imago.monitoring import replaying
from imago.monitoring.replaying import Recorder, with_changes
from imago.specs import Drift
from imago.storage import Storage

DAYS = days_between("2013-02-11", "2013-02-15")
MOVED, LOST = DAYS[:2], DAYS[2]
COLUMNS = ("risk", "prediction.score")


def recorded(days, **fired):
    """A recorder of these days; `fired` is concern to the days on which it did."""
    recorder = Recorder()
    for ds in days:
        recorder.day(ds, {concern: (["risk"], "far") for concern, on in fired.items() if ds in on})
    return recorder


def test_a_concern_that_lasts_is_one_incident_and_after_a_calm_day_another():
    days = days_between("2013-03-01", "2013-03-05")
    fired = ["2013-03-01", "2013-03-02", "2013-03-04"]
    found = replaying.replay(recorded(days, inputs=fired, volume=["2013-03-02"]), days, [])
    assert [(one.ds, one.concern, one.lasts) for one in found.fires] == [
        ("2013-03-01", "inputs", False),
        ("2013-03-02", "inputs", True),
        ("2013-03-02", "volume", False),
        ("2013-03-04", "inputs", False),
    ]
    assert [(one.ds, one.concern) for one in found.incidents] == [
        ("2013-03-01", "inputs"),
        ("2013-03-02", "volume"),
        ("2013-03-04", "inputs"),
    ]


@pytest.mark.parametrize(
    ("loss", "foreseen"),
    [("2013-02-28", False), ("2013-03-01", True), ("2013-03-15", True), ("2013-03-16", False)],
)
def test_a_fire_comes_before_a_loss_of_its_own_day_or_of_the_two_weeks_after(loss, foreseen):
    found = replaying.replay(recorded(["2013-03-01"], inputs=["2013-03-01"]), ["2013-03-01"], [loss])
    (fire,) = found.fires
    assert fire.loss == (loss if foreseen else None)
    assert found.unforeseen == (() if foreseen else (loss,))


def test_a_fire_names_the_first_of_its_losses_and_counts_once():
    days = ["2013-03-01", "2013-03-02"]
    found = replaying.replay(recorded(days, inputs=days), days, ["2013-03-20", "2013-03-09", "2013-03-05"])
    assert found.as_dict() == {
        "days": 2,
        "incidents": 1,
        "before_a_loss": 1,
        "fires": [
            {"ds": ds, "concern": "inputs", "columns": ("risk",), "words": "far", "lasts": lasts, "loss": "2013-03-05"}
            for ds, lasts in zip(days, (False, True), strict=True)
        ],
        "losses_without_a_fire": ["2013-03-20"],
    }


def test_changes_are_laid_over_the_rules_and_leave_the_others():
    rules = Drift(psi=0.2, bounds={"risk": {"psi": 0.4}})
    changes = ["psi=0.3", "confirm=3", "bounds.risk.wasserstein = 2", "bounds.prediction.score.psi=0.5"]
    assert with_changes(rules, changes, COLUMNS) == Drift(
        psi=0.3, confirm=3, bounds={"risk": {"psi": 0.4, "wasserstein": 2}, "prediction.score": {"psi": 0.5}}
    )
    assert with_changes(rules, (), COLUMNS) == rules == Drift(psi=0.2, bounds={"risk": {"psi": 0.4}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("psi", "a number"),
        ("psi=", "a number"),
        ("psi=much", "a number"),
        ("=0.3", "NAME=VALUE"),
        ("pssi=0.3", "NAME=VALUE"),
        ("psi.risk=0.3", "NAME=VALUE"),
        ("bounds=0.3", "NAME=VALUE"),
        ("bounds.risk=0.3", "NAME=VALUE"),
        ("bounds.rsik.psi=0.3", "NAME=VALUE"),
        ("bounds..psi=0.3", "NAME=VALUE"),
        ("retrain=true", "NAME=VALUE"),
        ("bounds.risk.kolmogorov=0.3", "kolmogorov are no measures; allowed: psi, "),
        ("bounds.risk.psi=0", "greater than 0"),
        ("psi=-1", "greater than 0"),
        ("psi=nan", "finite"),
        ("confirm=4", "less than or equal to 3"),
        ("confirm=1.5", "valid integer"),
    ],
)
def test_a_change_that_is_none_is_refused_by_its_own_words(change, said):
    with pytest.raises(ImagoError) as refused:
        with_changes(Drift(), ["volume=0.5", change], COLUMNS)
    assert not isinstance(refused.value, SpecError)  # whose next step would be to mend a file
    assert refused.value.message.startswith(f"{change!r} is no change of the drift rules")
    assert said in str(refused.value)
    assert refused.value.next_step == "correct the change"


def of_days(rows, days, name, change):
    """The rows of these days, one column changed."""
    kept = rows.filter(pc.is_in(rows.column("ds"), pa.array(days)))
    return kept.set_column(kept.column_names.index(name), name, change(kept.column(name)))


@pytest.fixture
def lost(reign, toy):
    """Scored days, of which `risk` moved on the first two, and the labels of the third say the opposite."""
    features, outcomes = world_rows()
    publish(reign, "features", of_days(features, MOVED, "risk", lambda risk: pc.add(risk, 4.0)), MOVED)
    turned = of_days(outcomes, [LOST], "label", lambda label: pc.subtract(pa.scalar(1, pa.int32()), label))
    publish(reign, "outcomes", turned, [LOST])
    for ds in DAYS:
        scoring.score(reign, toy, ds, BACKFILL)
        metrics.refresh(reign, toy, ds, BACKFILL)
    return reign


def written(env):
    """All that stands in the storage, and how many rows the ledger holds of what a judgement writes."""
    with ledger.connect(env).connect() as connection:
        counted = [len(connection.execute(select(table.c.id)).all()) for table in (alerts, publications)]
    return sorted(Storage(env).list("")), counted


def test_the_job_says_what_the_spec_fires_and_what_a_changed_one_would_have(lost, toy):
    changes = ["volume=3", "bounds.risk.psi=8", "bounds.risk.jensen_shannon=0.85", "bounds.risk.wasserstein=100"]
    before = written(lost)
    told = replay.replay(lost, toy, DAYS[0], DAYS[-1], changes)
    assert written(lost) == before
    assert (told["first"], told["last"], told["losses"]) == (DAYS[0], DAYS[-1], [LOST])
    first = next(one for one in told["now"]["fires"] if one["concern"] == "predictions")
    assert (first["ds"], first["columns"][0], first["loss"]) == (DAYS[1], "prediction.score", LOST)
    assert ("risk",) in {one["columns"] for one in told["now"]["fires"] if one["concern"] == "inputs"}
    assert told["now"]["losses_without_a_fire"] == []
    assert told["now"]["days"] == told["changed"]["days"] == 5
    assert {one["concern"] for one in told["changed"]["fires"]} == {"predictions"}
    assert told["changes"] == changes


def test_what_the_job_fires_is_what_monitoring_fired(lost, toy):
    told = replay.replay(lost, toy, DAYS[0], DAYS[-1])
    assert "changed" not in told
    live = {(ds, concern) for ds in DAYS for concern in monitoring.monitor(lost, toy, ds, BACKFILL)["alarms"]}
    again = {(one["ds"], one["concern"]) for one in told["now"]["fires"]}
    assert again == {(ds, concern) for ds, concern in live if concern != "estimated_performance"}
    assert again


def test_early_labels_are_no_loss(lost, toy):
    with ledger.connect(lost).begin() as connection:
        connection.execute(
            text("update publications set published_at = :seen where table_name = 'outcomes' and ds = :ds"),
            {"seen": datetime(2013, 2, 14, 12, tzinfo=UTC), "ds": LOST},
        )
    assert replay.replay(lost, toy, DAYS[0], DAYS[-1])["losses"] == []


def test_a_loss_of_the_two_weeks_after_the_range_counts(lost, toy):
    assert replay.replay(lost, toy, DAYS[0], DAYS[1])["losses"] == [LOST]
    assert replay.replay(lost, toy, DAYS[3], DAYS[4])["losses"] == []


def test_days_without_a_profile_are_left_out_and_a_range_of_them_is_refused(reign, toy):
    scoring.score(reign, toy, DAYS[0], LIVE)
    told = replay.replay(reign, toy, shift(DAYS[0], -3), DAYS[-1])
    assert (told["first"], told["last"], told["now"]["days"]) == (DAYS[0], DAYS[0], 1)
    with pytest.raises(MissingPartition, match="imago partitions profiles toy"):
        replay.replay(reign, toy, DAYS[1], DAYS[-1])


def test_a_bound_of_a_column_that_the_model_does_not_have_is_refused(reign, toy):
    with pytest.raises(ImagoError, match=r"bounds\.rsik\.psi"):
        replay.replay(reign, toy, DAYS[0], DAYS[-1], ["bounds.rsik.psi=0.3"])


def test_the_command_prints_incidents_and_losses_for_people_and_all_of_it_for_machines(lost, toy, monkeypatch):
    monkeypatch.setattr(command, "environment", lambda name: lost)
    monkeypatch.setattr("imago.specs.get_model", lambda name: toy)

    def said(*words):
        done = CliRunner().invoke(
            verbs.area, ["replay", "toy", "--from", DAYS[0], "--to", DAYS[-1], *words], env={"COLUMNS": "200"}
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    job = replay.replay(lost, toy, DAYS[0], DAYS[-1], ["psi=3"])
    assert json.loads(said("--with", "psi=3", "--json")) == json.loads(json.dumps(job))
    spoken = said("--with", "psi=3")
    for name, key in (("By the spec", "now"), ("With psi=3", "changed")):
        found = job[key]
        assert (
            f"{name}: {found['incidents']} incidents in 5 days, {found['before_a_loss']} of them before a real loss."
        ) in spoken
    first = next(one for one in job["now"]["fires"] if one["concern"] == "predictions")
    (line,) = [one for one in said().splitlines() if one.startswith(f"{DAYS[1]}  predictions")]
    assert line.split() == [DAYS[1], "predictions", "prediction.score", *first["words"].split(), LOST]
    assert f"Days on which the matured metric was a real loss: {LOST}." in spoken
    assert "With" not in said()


def test_the_command_names_losses_that_nothing_came_before(lost, toy, monkeypatch):
    monkeypatch.setattr(command, "environment", lambda name: lost)
    monkeypatch.setattr("imago.specs.get_model", lambda name: toy)
    # A bound beyond what a measure can reach counts as its reach, at which even a muted rule fires: so it has to last.
    rules = ["psi", "wasserstein", "mean_shift", "volume"]
    mute = [word for name in rules for word in ("--with", f"{name}=1000")]
    mute += [word for name in ("jensen_shannon", "rate_shift", "missing_rise", "unseen_rise")
             for word in ("--with", f"{name}=1")]  # fmt: skip
    mute += ["--with", "confirm=3"]
    done = CliRunner().invoke(verbs.area, ["replay", "toy", "--from", DAYS[0], "--to", DAYS[-1], *mute])
    assert f"Losses that nothing came before: {LOST}." in done.stdout
