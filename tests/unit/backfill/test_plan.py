"""What a backfill would do to each day: literal facts, answers by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imago.backfill.facts import Facts, Past, Wish
from imago.backfill.plan import make
from imago.backfill.words import headline, markdown, notes, text
from imago.days import shift
from imago.ledger.champions import Champion
from imago.tables import PartitionInfo

D1, D2, D3, D4 = "2013-03-01", "2013-03-02", "2013-03-03", "2013-03-04"


def champion(number, *, trained_until="2013-02-20"):
    return Champion(
        id=number, model="toy", action="promote", version=str(number), run_id=f"run-{number}", artifact_uri="u",
        artifact_sha256=f"sha-{number}", artifact_format="onnx", artifacts={}, training_ds="2013-02-28",
        trained_until=trained_until, effective_ds="2013-03-01", decided_at=datetime(2013, 2, 28, tzinfo=UTC),
        decided_by="test", decision_id=None, reason="r",
    )  # fmt: skip


def info(ds, digest="d", rows=10, **inputs):
    return PartitionInfo(
        ds=ds, rows=rows, digest=digest, version=1, fence=1, run_id="r", mode="live", code_commit="c", inputs=inputs,
        published_at="2013-03-05T00:00:00+00:00",
    )  # fmt: skip


def scored(ds, number=1, *, features="f", threshold=0.5):
    return info(
        ds, f"p{number}", champion_id=number, model_version=str(number), artifact_sha256=f"sha-{number}",
        features={"digest": features, "version": 1}, decision_threshold=threshold,
    )  # fmt: skip


def facts(stage="batch_scoring", days=(D1, D2), *, chosen=1, **changed):
    """Two days that were scored by version 1 and monitored; nothing has changed since."""
    stored = {
        "features": {ds: info(ds, "f", contract="k", dbt_project="x") for ds in (D1, D2, D3)},
        "outcomes": {},
        "predictions": {ds: scored(ds) for ds in (D1, D2, D3)},
        "profiles": {ds: info(ds, f"q{ds}", reference="sha-1") for ds in (D1, D2, D3)},
        "drift": {},
        "metrics": {},
        "shadow_predictions": {},
    }
    window = {D1: (D1,), D2: (D1, D2), D3: (D2, D3)}
    stored["drift"] = {
        ds: info(ds, reference="sha-1", profiles={day: f"q{day}" for day in days}) for ds, days in window.items()
    }
    given = Facts(
        environment="dev",
        model="toy",
        wish=Wish(stage=stage, first=days[0], last=days[-1], reprocess="completed"),
        runs=days,
        stored=stored,
        raw={},
        builds={"features": {"contract": "k", "dbt_project": "x"}},
        chosen=dict.fromkeys(days, champion(chosen)),
        refused={},
        rules={"decision_threshold": 0.5, "bad_rows": {"policy": "stop"}},
        shadows=(),
        window=lambda days, ds: tuple(day for day in sorted(days) if shift(ds, -1) <= day <= ds),
        past={},
        omitted={},
    )
    return replace(given, **changed)


def stored_with(given, table, *infos, without=()):
    days = {ds: found for ds, found in given.stored[table].items() if ds not in without}
    return replace(given, stored={**given.stored, table: {**days, **{one.ds: one for one in infos}}})


def days_of(plan, stage):
    return {day.ds: (day.what, day.why) for part in plan.stages if part.stage == stage for day in part.days}


def test_the_same_features_and_champion_are_a_no_op_of_which_nothing_follows():
    plan = make(facts())
    assert days_of(plan, "batch_scoring") == dict.fromkeys((D1, D2), ("same", "same features, same champion"))
    assert {what for what, _ in days_of(plan, "monitoring").values()} == {"same"}
    assert days_of(plan, "metric_refresh") == dict.fromkeys((D1, D2), ("skip", "its outcomes are not known yet"))
    assert plan.judged_again == ()


def test_another_champion_rewrites_its_days_their_drift_and_that_of_the_days_whose_window_holds_them():
    plan = make(facts(chosen=2))
    assert days_of(plan, "batch_scoring")[D1] == ("rewrite", "version 1 becomes 2")
    assert {what for what, _ in days_of(plan, "monitoring").values()} == {"rewrite"}
    assert plan.judged_again == (D3,)  # a window of two days: the drift of 3 March looks at 2 March too
    assert plan.stages[0].rows == 20


def test_corrected_features_and_a_moved_threshold_rewrite_a_day_and_each_says_so():
    corrected = stored_with(facts(), "features", info(D1, "corrected"))
    assert days_of(make(corrected), "batch_scoring")[D1] == ("rewrite", "its features changed since")
    moved = make(facts(rules={"decision_threshold": 0.4}))
    assert days_of(moved, "batch_scoring")[D2] == ("rewrite", "the decision threshold changed: 0.5 becomes 0.4")


def test_a_moved_policy_of_bad_rows_rewrites_a_day_that_knows_another_one():
    given = facts(rules={"bad_rows": {"policy": "null", "unseen": "score"}})
    knows = scored(D1)
    knows.inputs["bad_rows"] = {"policy": "stop", "unseen": "score", "unscored": 0}
    told = days_of(make(stored_with(given, "predictions", knows)), "batch_scoring")
    assert told[D1] == ("rewrite", "the bad rows policy changed: stop becomes null")
    assert told[D2][0] == "same"  # from before there was one


def test_shadows_follow_the_predictions_that_they_are_compared_with():
    shadowed = info(D1, shadows={"9": {}}, champion={"digest": "p1"})
    given = stored_with(facts(shadows=("9",)), "shadow_predictions", shadowed)
    assert days_of(make(given), "shadow_scoring") == {
        D1: ("same", "same predictions, same shadows"),
        D2: ("create", "nobody shadowed it yet"),
    }
    again = make(stored_with(facts(chosen=2), "shadow_predictions", shadowed))
    assert days_of(again, "shadow_scoring") == {
        D1: ("rewrite", "the champion's predictions change"),
        D2: ("skip", "no version shadows"),
    }


def test_a_day_without_features_and_a_day_without_a_champion_would_fail_with_their_reasons():
    given = stored_with(facts(refused={D2: "nobody reigns on 2013-03-02"}), "features", without=(D1,))
    plan = make(given)
    assert days_of(plan, "batch_scoring") == {
        D1: ("fail", "its features are not published: begin with feature_refresh"),
        D2: ("fail", "nobody reigns on 2013-03-02"),
    }
    assert {what for what, _ in days_of(plan, "monitoring").values()} == {"skip"}
    assert plan.works is False


@pytest.mark.parametrize(("trained_until", "leaking"), [("2013-03-01", (D1,)), ("2013-02-28", ())])
def test_days_that_the_training_saw_are_told_as_leaking(trained_until, leaking):
    chosen = dict.fromkeys((D1, D2), champion(1, trained_until=trained_until))
    plan = make(replace(facts(), chosen=chosen))
    assert plan.leaking == leaking
    assert any(note.startswith("Leaking") for note in notes(plan)) is bool(leaking)


def test_features_that_are_built_again_decide_only_then_what_is_scored():
    touched = facts("feature_refresh", raw={"features": {D1: ("raw/weather/a changed",)}})
    plan = make(touched)
    assert days_of(plan, "feature_refresh")[D1] == ("rewrite", "raw/weather/a changed")
    assert days_of(plan, "feature_refresh")[D2] == ("same", "raw files and dbt project are the same")
    assert [what for what, _ in days_of(plan, "batch_scoring").values()] == ["maybe", "same"]
    # The drift of 2 March looks at 1 March too.
    assert [what for what, _ in days_of(plan, "monitoring").values()] == ["maybe", "maybe"]


def test_another_dbt_project_and_a_day_that_is_not_there_are_built_and_nothing_fails_for_want_of_features():
    changed = facts("feature_refresh", (D1, D4), builds={"features": {"contract": "k", "dbt_project": "y"}})
    plan = make(changed)
    assert days_of(plan, "feature_refresh") == {
        D1: ("rewrite", "the dbt project changed"),
        D4: ("create", "it is not published yet"),
    }
    assert days_of(plan, "batch_scoring")[D4] == ("create", "it was never scored")


def known(given, digest):
    """The same facts, with outcomes and metrics of 1 March that were made of predictions `digest`."""
    given = stored_with(given, "outcomes", info(D1, "o"))
    return stored_with(given, "metrics", info(D1, predictions={"digest": digest}, outcomes={"digest": "o"}))


def test_metrics_follow_predictions_that_change_where_the_outcome_is_known():
    assert days_of(make(known(facts(chosen=2), "p1")), "metric_refresh") == {
        D1: ("rewrite", "its predictions change"),
        D2: ("skip", "its outcomes are not known yet"),
    }
    assert days_of(make(known(facts(), "p1")), "metric_refresh")[D1] == ("skip", "its predictions stay as they are")


def test_metrics_by_themselves_are_the_same_unless_they_are_of_other_predictions():
    given = facts("metric_refresh", (D1,))
    assert days_of(make(known(given, "p1")), "metric_refresh")[D1][0] == "same"
    assert days_of(make(known(given, "old")), "metric_refresh")[D1] == ("rewrite", "its predictions changed since")
    assert days_of(make(given), "metric_refresh")[D1][0] == "fail"


def test_the_estimate_counts_all_runs_of_all_stages_and_names_those_that_never_ran():
    past = {"batch_scoring": Past(runs=20, seconds=12.0), "monitoring": Past(runs=10, seconds=6.0)}
    outcomes = known(facts(chosen=2, past=past), "p1")
    found = make(outcomes).estimate
    # Two days scored and monitored, and the metrics of one day; four at a time: (2 * 12 + 2 * 6) / 4.
    assert (found.seconds, found.runs, found.looked_at, found.unknown) == (9.0, 4, 30, ("metric_refresh",))
    assert make(facts()).estimate is None


def test_two_plans_have_one_fingerprint_exactly_if_they_would_do_the_same():
    plan = make(facts(chosen=2))
    assert make(facts(chosen=2, past={"batch_scoring": Past(runs=1, seconds=9)})).fingerprint == plan.fingerprint
    others = (facts(), facts(chosen=2, days=(D1,)), stored_with(facts(chosen=2), "features", info(D1, "corrected")))
    assert plan.fingerprint not in {make(other).fingerprint for other in others}


def test_a_plan_reads_well_and_a_year_of_it_stays_short():
    chosen = {D1: champion(2, trained_until=D1), D2: champion(2, trained_until=D1)}
    plan = make(replace(facts(chosen=2), chosen=chosen))
    assert headline(plan) == (
        "2 days of toy in dev from batch_scoring on, 2013-03-01 to 2013-03-02, scored by the champion of each day."
    )
    told = markdown(plan)
    assert "| 2013-03-01 | version 1 | version 2 | yes |" in told
    assert "| batch\\_scoring | predictions | 2 | 2 |  | 20 |" in told
    assert "No champion moves, nobody is paged" in told
    plain = text(plan).splitlines()
    (place,) = [place for place, line in enumerate(plain) if line == "Partitions:"]
    assert plain[place + 1 : place + 3] == [
        "  DAG            writes       runs  rewritten  skipped  rows",
        "  batch_scoring  predictions     2          2             20",
    ]
    from imago.days import days_between

    year = days_between("2013-01-01", "2013-12-31")
    assert len(markdown(make(facts(days=year, chosen=2)))) < 5000


def test_what_comes_from_data_cannot_break_the_table():
    plan = make(facts(refused={D1: "no | such <b>model</b>\n[x](http://y)"}))
    (line,) = [line for line in markdown(plan).splitlines() if "such" in line]
    assert line.endswith("no \\| such \\<b\\>model\\</b\\> \\[x\\](http://y) |")


def test_nothing_to_do_says_how_days_that_ran_are_run_again():
    plan = make(replace(facts(), runs=(), wish=replace(facts().wish, reprocess="none")))
    assert "completed" in notes(plan)[0]
    assert markdown(plan).startswith("**Nothing to do for toy in dev")


def test_a_narrow_terminal_keeps_names_and_numbers_whole(monkeypatch, capsys):
    from rich.console import Console

    from imago.cli import backfill

    monkeypatch.setattr(backfill, "console", Console(width=80, highlight=False))
    chosen = {D1: champion(2), D2: champion(1)}
    backfill._show(make(stored_with(replace(facts(), chosen=chosen), "drift", without=(D1,))))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "DAG writes runs created rewritten as is skipped rows" in lines
    assert "batch_scoring predictions 2 1 1 10" in lines


def test_a_plan_names_the_days_of_its_range_that_the_calendar_closes():
    omitted = dict.fromkeys((D2, D4), "closed by the calendar")
    plan = make(replace(facts(days=(D1, D3)), omitted=omitted))
    assert notes(plan)[0] == f"Left out: {D2}, {D4} (2 days): closed by the calendar."
    assert plan.as_dict()["omitted"] == omitted
    assert all("Closed" not in note for note in notes(make(facts(days=(D1,)))))
