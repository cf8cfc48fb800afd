"""From published tables to a verdict in the ledger, on a real Postgres and a real MLflow store."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest
from sqlalchemy import select
from toy_world import BACKFILL, DAYS, LIVE, line, make_spec, publish, rows, train, trees

from imago.errors import ChampionChanged, NoChampion, ReleaseBlocked
from imago.jobs import champions as jobs
from imago.jobs import deployment
from imago.ledger import champions, connect
from imago.ledger.schema import alerts, decisions
from imago.registry.tracking import Tracker
from imago.specs import Feature

DS = "2013-02-27"


def told(environment):
    query = (
        select(alerts.c.rule, alerts.c.severity, alerts.c.title).where(alerts.c.model == "toy").order_by(alerts.c.id)
    )
    with connect(environment).connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def reigning(environment):
    with connect(environment).connect() as connection:
        return champions.reigning(connection, "toy")


def count(environment, table):
    with connect(environment).connect() as connection:
        return len(connection.execute(select(table.c.id)).all())


def test_a_first_training_gives_a_champion_that_scores_the_next_day_and_a_retry_changes_nothing(world):
    spec = make_spec(line, trees)
    report = train(world, spec, DS)
    assert set(report["holdout"]) == {"line", "trees", "prior", "by_gate"}
    assert report["holdout"]["prior"] == 0.5
    first = deployment.judge(world, spec, DS, LIVE)
    assert (first["outcome"], first["moved"]) == ("promoted", True)
    champion = reigning(world)
    assert (champion.effective_ds, champion.trained_until) == ("2013-02-28", "2013-02-11")
    aliases = Tracker(world, "toy").client.get_registered_model("dev.toy").aliases
    assert {name: str(version) for name, version in aliases.items()} == {
        "champion": champion.version,
        "challenger": champion.version,
    }
    again = deployment.judge(world, spec, DS, LIVE)
    assert (again["outcome"], again["decision_id"]) == ("promoted", first["decision_id"])
    assert reigning(world) == champion
    assert [rule for rule, *_ in told(world)] == ["champion_promoted"]
    assert "prior" in first["markdown"]


def test_an_effect_that_the_holdout_can_hardly_show_is_told_in_the_alert_and_the_dossier(world):
    from imago.storage import Storage

    spec = make_spec().model_copy(update={"smallest_effect": 0.001})
    train(world, spec, DS)
    verdict = deployment.judge(world, spec, DS, LIVE)
    with connect(world).connect() as connection:
        (body,) = connection.execute(select(alerts.c.body)).scalars()
    warning = dict(body["facts"])["warning"]
    assert warning.startswith("the smallest worthwhile effect 0.001 is under 1.5 standard errors")
    assert f"T{warning[1:]}." in Storage(world).read_bytes(verdict["dossier"]).decode()


def test_the_holdouts_digest_stands_in_the_ledger_and_is_that_of_its_rows(world, spec):
    from imago.jobs.training import load_manifest
    from imago.tables.digest import content_digest
    from imago.training import snapshot

    train(world, spec, DS)
    deployment.judge(world, spec, DS, LIVE)
    with connect(world).connect() as connection:
        (recorded,) = connection.execute(select(decisions.c.holdout_digest)).scalars()
    rows = snapshot.load(world, load_manifest(world, spec, DS)["snapshot"]).rows.to_pandas()
    of_holdout = rows[(rows["ds"] >= "2013-02-13") & (rows["ds"] <= "2013-02-26")].sample(frac=1.0, random_state=1)
    schema = snapshot.load(world, load_manifest(world, spec, DS)["snapshot"]).rows.schema
    again = pa.Table.from_pandas(of_holdout, schema=schema, preserve_index=False)
    assert recorded == content_digest(again, ("ds", "key"))


def test_training_again_reuses_the_finished_runs(world, spec):
    train(world, spec, DS)
    tracker = Tracker(world, "toy")
    before = len(tracker.client.search_runs([tracker.experiment_id]))
    train(world, spec, DS)
    assert before == 4  # line, two baselines, summary
    assert len(tracker.client.search_runs([tracker.experiment_id])) == before
    assert len(tracker.client.search_model_versions("name = 'dev.toy'")) == 1


def test_a_later_training_that_is_no_better_keeps_the_champion(world, spec):
    train(world, spec, "2013-02-20")
    deployment.judge(world, spec, "2013-02-20", LIVE)
    before = reigning(world)
    train(world, spec, DS)
    verdict = deployment.judge(world, spec, DS, LIVE)
    assert (verdict["outcome"], verdict["moved"]) == ("kept", False)
    assert f"champion v{before.version}" in verdict["scores"]
    assert reigning(world) == before


def test_shuffled_labels_block_the_release_with_one_critical_alert_even_after_retries(dev, spec):
    publish(dev, *rows(shuffled=True))
    train(dev, spec, DS)
    for _ in range(3):
        with pytest.raises(ReleaseBlocked, match=r"prior|by_gate"):
            deployment.judge(dev, spec, DS, LIVE)
    assert reigning(dev) is None
    ((rule, severity, title),) = told(dev)
    assert (rule, severity) == ("baseline_not_beaten", "critical")
    assert "baseline" in title
    assert count(dev, decisions) == 1


def test_a_planted_outcome_column_is_refused_and_named(dev, spec):
    features, outcomes = rows()
    leaked = features.append_column("final_status", outcomes["label"].cast(pa.float64()).fill_null(0.0))
    publish(dev, leaked, outcomes)
    leaking = spec.__class__(
        **{
            **dict(spec),
            "feature_model": "leaking_features",
            "features": (*spec.features, Feature(name="final_status", kind="numeric")),
        }
    )
    train(dev, leaking, DS)
    with pytest.raises(ReleaseBlocked, match=r"leak.*final_status"):
        deployment.judge(dev, leaking, DS, LIVE)
    assert reigning(dev) is None
    assert [rule for rule, *_ in told(dev)] == ["leak_suspected"]


def test_a_backfill_decides_nothing_and_later_repeats_what_was_decided(world, spec):
    train(world, spec, DS)
    assert deployment.judge(world, spec, DS, BACKFILL)["outcome"] == "none"
    assert reigning(world) is None
    deployment.judge(world, spec, DS, LIVE)
    before, said = reigning(world), told(world)
    assert deployment.judge(world, spec, DS, BACKFILL)["outcome"] == "promoted"
    assert (reigning(world), told(world)) == (before, said)


def test_a_live_run_of_an_older_training_does_not_dethrone_a_later_one(world, spec):
    train(world, spec, DS)
    deployment.judge(world, spec, DS, LIVE)
    before = reigning(world)
    train(world, spec, "2013-02-20")
    verdict = deployment.judge(world, spec, "2013-02-20", LIVE)
    assert verdict["outcome"] == "kept"
    assert "later training" in verdict["reason"]
    assert reigning(world) == before


def test_where_approval_is_asked_for_nothing_moves_until_a_person_is_named(make_environment, spec):
    prod = make_environment("prod", requires_approval=True)
    publish(prod, *rows())
    train(prod, spec, DS)
    waiting = deployment.judge(prod, spec, DS, LIVE)
    assert (waiting["outcome"], waiting["moved"]) == ("awaiting", False)
    assert reigning(prod) is None
    done = deployment.promote(prod, spec, waiting["decision_id"], "ada", LIVE)
    assert done["outcome"] == "promoted"
    assert reigning(prod).decided_by == "ada"
    deployment.promote(prod, spec, waiting["decision_id"], "ada", LIVE)
    with connect(prod).connect() as connection:
        assert len(champions.history(connection, "toy")) == 1


def test_an_approval_is_void_when_another_champion_reigns_meanwhile(make_environment, spec):
    prod = make_environment("prod", requires_approval=True)
    publish(prod, *rows())
    train(prod, spec, DS)
    waiting = deployment.judge(prod, spec, DS, LIVE)
    with connect(prod).begin() as connection:
        entry = deployment._entry(decision_of(connection, waiting["decision_id"]), decided_by="someone else")
        champions.crown(connection, dataclasses.replace(entry, decision_id=None), expected=None)
    with pytest.raises(ChampionChanged):
        deployment.promote(prod, spec, waiting["decision_id"], "ada", LIVE)


def decision_of(connection, decision_id):
    from imago.ledger import decisions as book

    return book.get(connection, decision_id)


def test_a_rollback_is_a_row_and_takes_effect_on_the_first_unscored_day(world):
    spec = make_spec(line, trees)
    train(world, spec, DS)
    deployment.judge(world, spec, DS, LIVE)
    first = reigning(world)
    with pytest.raises(NoChampion, match="no earlier champion"):
        jobs.rollback(world, spec, LIVE)
    other = next(
        v
        for v in Tracker(world, "toy").client.search_model_versions("name = 'dev.toy'")
        if str(v.version) != first.version
    )
    with connect(world).begin() as connection:
        second = champions.crown(
            connection,
            dataclasses.replace(first, version=str(other.version), effective_ds="2013-03-01", decision_id=None),
            expected=first.id,
        )
    back = jobs.rollback(world, spec, LIVE, reason="it was too quiet")
    assert (back["version"], back["action"], back["previous_id"]) == (first.version, "rollback", second.id)
    assert jobs.at(world, "toy", "2013-02-28")["version"] == first.version
    assert jobs.history(world, "toy")["problems"] == []
    assert len(jobs.history(world, "toy")["rows"]) == 3
    assert DAYS[-1] == "2013-03-01"
