"""Challengers in the shadow of a reigning champion, on a real ledger and real tables: scored, compared, judged."""

from __future__ import annotations

import dataclasses

import pyarrow.compute as pc
import pytest
from champion_world import BACKFILL, FIRST, LIVE, ROWS, SPEC, TRAINED, publish, world_rows
from shadow_world import left_by_a_training
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from imago import ledger
from imago.days import days_between, shift
from imago.errors import ImagoError, MissingPartition, ModelRefused, ShadowFailed
from imago.jobs import metrics, scoring, shadow_metrics, shadow_report, shadow_scoring, shadows
from imago.ledger.schema import alerts, incidents
from imago.storage import Storage
from imago.tables import Table

NEXT = shift(FIRST, 1)


@pytest.fixture
def challenged(reign):
    """A world in which version 2, from the same training, was left beside the champion."""
    left_by_a_training(reign, {"2": 900})
    return reign


def start(env, version="2", **more):
    return shadows.start(env, SPEC, version, LIVE, reason="is it better live?", **more)


def day(env, ds=FIRST, context=LIVE):
    scoring.score(env, SPEC, ds, context)
    return shadow_scoring.score(env, SPEC, ds, context)


def table(env, name):
    return Table(env, "toy", name)


def warnings(env):
    query = select(alerts.c.subject, alerts.c.severity, alerts.c.ds).where(alerts.c.rule == "shadow_failed")
    with ledger.connect(env).connect() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(alerts.c.id))]


def break_files(env, version):
    Storage(env).write_bytes(f"mlflow/toy/{version}/model/model.json", b"{}")


def test_who_shadows_since_when_and_why_stands_in_the_ledger_and_cannot_be_changed(challenged):
    begun = start(challenged)
    assert (begun["version"], begun["effective_ds"], begun["reason"]) == ("2", FIRST, "is it better live?")
    assert start(challenged)["id"] == begun["id"]
    shadows.stop(challenged, SPEC, "2", LIVE, reason="seen enough")
    (only,) = shadows.listed(challenged, "toy")
    assert (only["stands"], only["stopped"]["reason"]) == (False, "seen enough")
    assert start(challenged)["id"] != begun["id"]
    assert [one["stands"] for one in shadows.listed(challenged, "toy")] == [False, True]
    for change in ("update shadows set reason = 'other'", "delete from shadows"):
        with pytest.raises(DBAPIError, match="append-only"), ledger.connect(challenged).begin() as connection:
            connection.execute(text(change))


def test_what_cannot_be_a_shadow_is_refused_with_the_way_out(challenged):
    with pytest.raises(ImagoError, match="left a version 9") as unknown:
        start(challenged, "9")
    assert unknown.value.facts["allowed"] == "2"
    with pytest.raises(ImagoError, match="version 1 reigns"):
        start(challenged, "1")
    with pytest.raises(ImagoError, match="has learned from 2013-01-20"):
        start(challenged, effective_ds="2013-01-20")
    with pytest.raises(ImagoError, match="needs a reason"):
        shadows.start(challenged, SPEC, "2", LIVE, reason=" ")
    with pytest.raises(ImagoError, match="does not shadow"):
        shadows.stop(challenged, SPEC, "2", LIVE, reason="why not")
    break_files(challenged, "2")
    with pytest.raises(ModelRefused, match="digest"):
        start(challenged)
    assert shadows.listed(challenged, "toy") == []


def test_without_a_shadow_a_day_is_skipped_and_nothing_is_written(reign):
    told = day(reign)
    assert "no version of toy shadows" in told["skipped"]
    assert table(reign, "shadow_predictions").version() is None
    assert metrics.refresh(reign, SPEC, FIRST, LIVE)["shadow"]["skipped"] == f"no version shadowed {FIRST}"


def test_a_shadow_scores_the_rows_of_the_champion_in_a_partition_of_its_own(challenged):
    start(challenged)
    before = scoring.score(challenged, SPEC, FIRST, LIVE)
    told = shadow_scoring.score(challenged, SPEC, FIRST, LIVE)
    rows = table(challenged, "shadow_predictions").require(FIRST)
    theirs = table(challenged, "predictions").require(FIRST)
    assert told["scored"] == {"2": ROWS}
    assert rows.column("key").to_pylist() == theirs.column("key").to_pylist()
    assert set(rows.column("model_version").to_pylist()) == {"2"}
    assert rows.column("score").to_pylist() != theirs.column("score").to_pylist()
    stored = table(challenged, "shadow_predictions").partition(FIRST)
    champion = table(challenged, "predictions").partition(FIRST)
    assert (stored.mode, champion.mode, champion.digest) == ("shadow", "live", before["digest"])
    assert stored.inputs["features"] == champion.inputs["features"]
    assert stored.inputs["shadows"]["2"]["rows"] == ROWS
    again = shadow_scoring.score(challenged, SPEC, FIRST, BACKFILL)
    assert (again["changed"], again["digest"], again["compared"]["changed"]) == (False, told["digest"], False)


def test_a_day_that_nobody_scored_waits_for_the_champion(challenged):
    start(challenged)
    with pytest.raises(MissingPartition, match="nobody has scored"):
        shadow_scoring.score(challenged, SPEC, FIRST, LIVE)


def test_metric_refresh_says_who_was_right_and_scoring_late_gives_the_same(challenged):
    start(challenged)
    day(challenged)
    early = table(challenged, "shadow_metrics").require(FIRST)
    # These outcomes are published from the first, as in a backfill: what the two stages write is one and the same.
    judged = metrics.refresh(challenged, SPEC, FIRST, LIVE)
    assert judged["shadow"]["compared"] == ["2"]
    assert judged["shadow"]["changed"] is False
    assert table(challenged, "shadow_metrics").require(FIRST).equals(early)
    told = shadow_report.of_version(challenged, SPEC, "2")
    ours = {row["key"]: row for row in table(challenged, "shadow_predictions").require(FIRST).to_pylist()}
    theirs = {row["key"]: row for row in table(challenged, "predictions").require(FIRST).to_pylist()}
    labels = {row["key"]: row["label"] for row in table(challenged, "outcomes").require(FIRST).to_pylist()}
    flips = [key for key in ours if ours[key]["decision"] != theirs[key]["decision"]]
    known = [key for key in flips if labels[key] is not None]
    right = [key for key in known if ours[key]["decision"] == bool(labels[key])]
    # Caught 10, false alarm -5: a right flip gains one of them, a wrong one loses it.
    money = sum((10 if labels[key] else 5) * (1 if key in right else -1) for key in known)
    assert flips
    assert (told["flips"]["rows"], told["flips"]["known"], told["flips"]["shadow_right"]) == (
        len(flips), len(known), len(right),
    )  # fmt: skip
    assert told["flips"]["champion_right"] == len(known) - len(right)
    assert told["money"]["estimate"] == money
    stored = table(challenged, "metrics").require(FIRST).to_pylist()
    auc = next(row["value"] for row in stored if (row["metric"], row["slice"]) == ("roc_auc", "all"))
    assert told["metric"]["champion"] == pytest.approx(auc, abs=2e-3)


def test_before_the_outcomes_only_opinions_and_after_a_correction_the_new_truth(challenged):
    start(challenged)
    later = "2013-03-02"
    features, outcomes = world_rows([later], seed=8)
    publish(challenged, "features", features, [later])
    day(challenged, later)
    told = shadow_report.of_version(challenged, SPEC, "2")
    assert (told["known"], told["money"]) == (0, None)
    assert told["pending"] is not None
    publish(challenged, "outcomes", outcomes, [later])
    metrics.refresh(challenged, SPEC, later, LIVE)
    first = shadow_report.of_version(challenged, SPEC, "2")
    assert first["known"] == outcomes.num_rows - outcomes.column("label").null_count
    assert first["pending"] is None
    flipped = outcomes.set_column(
        outcomes.schema.get_field_index("label"), "label", pc.subtract(1, outcomes.column("label")).cast("int32")
    )
    publish(challenged, "outcomes", flipped, [later])
    metrics.refresh(challenged, SPEC, later, LIVE)
    second = shadow_report.of_version(challenged, SPEC, "2")
    assert (second["flips"]["shadow_right"], second["flips"]["champion_right"]) == (
        first["flips"]["champion_right"], first["flips"]["shadow_right"],
    )  # fmt: skip


def test_a_shadow_that_breaks_stops_nobody_else_and_is_one_warning(challenged):
    left_by_a_training(challenged, {"3": 40}, ds="2013-02-09")
    start(challenged)
    start(challenged, "3")
    day(challenged)
    before = table(challenged, "predictions").partition(FIRST)
    kept = table(challenged, "shadow_predictions").partition(FIRST).digest
    break_files(challenged, "3")
    for _ in range(2):
        with pytest.raises(ShadowFailed, match="version 3 could not score in the shadow"):
            day(challenged, NEXT)
    assert set(table(challenged, "shadow_predictions").require(NEXT).column("model_version").to_pylist()) == {"2"}
    assert warnings(challenged) == [("version 3", "warning", NEXT)]
    assert shadow_report.of_version(challenged, SPEC, "2")["days"] == 2
    # The day that it had scored before stands: the same model, the same features.
    with pytest.raises(ShadowFailed):
        shadow_scoring.score(challenged, SPEC, FIRST, LIVE)
    assert table(challenged, "shadow_predictions").partition(FIRST).digest == kept
    assert table(challenged, "predictions").partition(FIRST) == before
    shadows.stop(challenged, SPEC, "3", LIVE, reason="broken")
    with ledger.connect(challenged).connect() as connection:
        query = select(incidents.c.status).where(incidents.c.rule == "shadow_failed")
        assert set(connection.execute(query).scalars()) == {"resolved"}


def test_rows_of_a_broken_shadow_that_no_longer_hold_are_dropped(challenged):
    left_by_a_training(challenged, {"3": 40}, ds="2013-02-09")
    start(challenged)
    start(challenged, "3")
    day(challenged)
    corrected, _ = world_rows([FIRST], shift=1.0)
    publish(challenged, "features", corrected, [FIRST])
    break_files(challenged, "3")
    with pytest.raises(ShadowFailed):
        day(challenged)
    assert set(table(challenged, "shadow_predictions").require(FIRST).column("model_version").to_pylist()) == {"2"}


def test_a_stopped_shadow_keeps_its_days_and_a_correction_still_reaches_them(challenged):
    start(challenged)
    day(challenged)
    shadows.stop(challenged, SPEC, "2", LIVE, reason="seen enough")
    assert "skipped" in day(challenged, NEXT)
    before = table(challenged, "shadow_predictions").partition(FIRST)
    assert day(challenged)["changed"] is False
    corrected, _ = world_rows([FIRST], shift=1.0)
    publish(challenged, "features", corrected, [FIRST])
    scoring.score(challenged, SPEC, FIRST, LIVE)
    # Until the shadow is scored again, the two were made from different features: not held against each other.
    told = shadow_metrics.compare(challenged, SPEC, FIRST, LIVE)
    assert "other features" in told["left_out"]["2"]
    assert shadow_report.of_version(challenged, SPEC, "2") is None
    assert shadow_scoring.score(challenged, SPEC, FIRST, LIVE)["changed"] is True
    assert table(challenged, "shadow_predictions").partition(FIRST).digest != before.digest
    assert shadow_report.of_version(challenged, SPEC, "2")["days"] == 1


def test_a_stopped_shadow_whose_files_are_gone_fails_nothing(challenged):
    left_by_a_training(challenged, {"3": 40}, ds="2013-02-09")
    start(challenged)
    start(challenged, "3")
    day(challenged)
    before = table(challenged, "shadow_predictions").partition(FIRST).digest
    shadows.stop(challenged, SPEC, "3", LIVE, reason="seen enough")
    Storage(challenged).delete("mlflow/toy/3")
    assert day(challenged)["digest"] == before
    corrected, _ = world_rows([FIRST], shift=1.0)
    publish(challenged, "features", corrected, [FIRST])
    assert day(challenged)["scored"] == {"2": ROWS}
    assert warnings(challenged) == []


def test_any_order_of_days_and_stages_ends_in_the_same_tables(challenged):
    left_by_a_training(challenged, {"3": 40}, ds="2013-02-09")
    days = days_between(FIRST, shift(FIRST, 3))
    for version in ("2", "3"):
        start(challenged, version)
    for ds in days:
        day(challenged, ds)
        metrics.refresh(challenged, SPEC, ds, LIVE)
    names = ("shadow_predictions", "shadow_metrics")
    before = {name: [info.digest for info in table(challenged, name).partitions()] for name in names}
    for ds in reversed(days):
        metrics.refresh(challenged, SPEC, ds, BACKFILL)
        day(challenged, ds, BACKFILL)
    assert {name: [info.digest for info in table(challenged, name).partitions()] for name in names} == before
    told = shadow_report.show(challenged, SPEC)
    assert [(one["version"], one["told"]["days"]) for one in told["shadows"]] == [("3", 4), ("2", 4)]
    part = shadow_report.show(challenged, SPEC, "2", first=days[1], last=days[2])["shadows"]
    assert [(one["version"], one["told"]["days"]) for one in part] == [("2", 2)]


def test_a_comparison_that_fails_costs_the_champion_nothing_and_is_a_warning(challenged, monkeypatch):
    start(challenged)
    day(challenged)

    def broken(*given, **named):
        raise RuntimeError("no space left")

    monkeypatch.setattr(shadow_metrics, "compare", broken)
    judged = metrics.refresh(challenged, SPEC, FIRST, LIVE)
    assert judged["roc_auc"] is not None
    assert judged["shadow"] == {"failed": "RuntimeError: no space left"}
    assert warnings(challenged) == [("comparison", "warning", FIRST)]
    monkeypatch.undo()
    metrics.refresh(challenged, SPEC, FIRST, LIVE)
    assert warnings(challenged)[-1] == ("comparison", "info", FIRST)


def test_an_overtaken_comparison_leaves_what_the_later_one_wrote(challenged, monkeypatch):
    start(challenged)
    day(challenged)
    early = table(challenged, "shadow_metrics").draw_fence()
    _, outcomes = world_rows([FIRST], seed=77)
    publish(challenged, "outcomes", outcomes, [FIRST])
    shadow_metrics.compare(challenged, SPEC, FIRST, LIVE)
    stands = table(challenged, "shadow_metrics").partition(FIRST).digest
    _, outcomes = world_rows([FIRST], seed=78)
    publish(challenged, "outcomes", outcomes, [FIRST])
    monkeypatch.setattr(Table, "draw_fence", lambda self: early)
    told = shadow_metrics.compare(challenged, SPEC, FIRST, dataclasses.replace(LIVE, run_id="sleeper"))
    assert told["overtaken"] is True
    assert table(challenged, "shadow_metrics").partition(FIRST).digest == stands


def test_a_threshold_that_changed_flips_nothing_by_itself(challenged):
    start(challenged)
    scoring.score(challenged, SPEC, FIRST, LIVE)
    stricter = SPEC.model_copy(update={"decision_threshold": 0.9})
    shadow_scoring.score(challenged, stricter, FIRST, LIVE)
    rows = table(challenged, "shadow_predictions").require(FIRST).to_pylist()
    assert all(row["decision"] == (row["score"] >= 0.5) for row in rows)
    scoring.score(challenged, stricter, FIRST, LIVE)
    assert "another threshold" in shadow_metrics.compare(challenged, stricter, FIRST, LIVE)["left_out"]["2"]


def test_a_version_of_an_older_training_scores_no_day_before_its_own_first(challenged):
    start(challenged, effective_ds=NEXT)
    assert "shadows from" in day(challenged)["skipped"]
    assert day(challenged, NEXT)["scored"] == {"2": ROWS}
    assert TRAINED < FIRST


def test_the_dashboard_names_who_shadows_and_links_the_page(challenged):
    from imago.dashboard import render

    assert "<h2>In the shadow</h2>" not in render(challenged, SPEC)
    start(challenged)
    assert "is it better live?" in render(challenged, SPEC)  # before its first day
    day(challenged)
    told = shadow_report.of_version(challenged, SPEC, "2")
    page = render(challenged, SPEC)
    assert '<a href="../shadow/dev/toy?version=2">Version 2</a>' in page
    flips = told["flips"]
    for number in (f"{told['rows']:,}", f"{flips['rows']:,}", f"{flips['shadow_right']} : {flips['champion_right']}"):
        assert f"<td class='number'>{number}</td>" in page


def test_a_shadow_run_that_is_killed_is_a_warning_that_its_next_success_ends(challenged):
    from imago.jobs import failures

    about = {"env_name": "dev", "model": SPEC.name, "dag_id": "dev__toy__shadow_scoring", "run_id": "r", "ds": FIRST}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failures, "load_environment", lambda name: challenged)
        failures.task_failed(**about, task_id="shadow_score", error=RuntimeError("gone"), links={}, context=LIVE)
        assert warnings(challenged) == [("dev__toy__shadow_scoring", "warning", FIRST)]
        assert failures.run_succeeded(**about, context=LIVE) == {"resolved": ["shadow_failed"]}
