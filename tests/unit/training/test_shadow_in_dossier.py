"""The dossier of a challenger that has scored in the shadow since its fight."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from toy_world import LIVE, line, make_spec, publish, rows, train

from imago.jobs import deployment, dossiers, metrics, scoring, shadow_report, shadow_scoring, shadows
from imago.jobs.training import load_manifest
from imago.ledger import champions, connect, decisions
from imago.storage import Storage

DS, DAYS = "2013-02-26", ("2013-02-27", "2013-02-28")


def other_champion(env, spec):
    """Crowns the best baseline's files, which no fight would: somebody has to reign while the winner shadows."""
    word = load_manifest(env, spec, DS)
    one = next(one for one in word["contestants"] if one["contestant"] == "by_gate")
    with connect(env).begin() as connection:
        now = champions.reigning(connection, "toy")
        entry = replace(
            now, version="9", run_id=one["run_id"], decision_id=None, decided_at=datetime.now(UTC), **one["artifact"]
        )
        champions.crown(connection, entry, expected=now.id)


def test_the_dossier_tells_of_the_days_in_the_shadow_and_an_answer_keeps_them(dev):
    spec = make_spec(line).model_copy(update={"slices": ("gate",)})
    publish(dev, *rows())
    train(dev, spec, DS)
    won = deployment.judge(dev, spec, DS, LIVE)
    other_champion(dev, spec)
    shadows.start(dev, spec, won["version"], LIVE, reason="it won, and does not reign")
    assert "In the shadow" not in dossiers.page(dev, spec, DS)
    for ds in DAYS:
        scoring.score(dev, spec, ds, LIVE)
        shadow_scoring.score(dev, spec, ds, LIVE)
    metrics.refresh(dev, spec, DAYS[0], LIVE)
    page = dossiers.page(dev, spec, DS)
    told = shadow_report.of_version(dev, spec, won["version"])
    assert (told["against"], told["days"]) == (["9"], 2)
    assert told["sentence"].replace("'", "&#39;") in page
    order = [page.index(f"<h2>{name}</h2>") for name in ("Decisions that change", "In the shadow", "Slices")]
    assert order == sorted(order)
    assert "line was right" in page

    with connect(dev).connect() as connection:
        recorded = decisions.of_training(connection, "toy", DS)
    assert "In the shadow" not in Storage(dev).read_bytes(won["dossier"]).decode()
    dossiers.close(dev, spec, recorded, "bob declined it")
    kept = Storage(dev).read_bytes(won["dossier"]).decode()
    assert told["sentence"].replace("'", "&#39;") in kept
    assert "Bob declined it" in kept


def test_a_shadow_that_cannot_be_read_does_not_stand_in_the_way_of_the_dossier(dev, monkeypatch):
    recorded = {"challenger_version": "2", "verdict": {"facts": {}}}

    def broken(*given):
        raise RuntimeError("the table is damaged")

    monkeypatch.setattr(shadow_report, "of_version", broken)
    assert dossiers._in_the_shadow(dev, make_spec(), recorded) is None
