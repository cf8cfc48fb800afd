"""From the dashboard, each incident and each training's dossier is one click away."""

from __future__ import annotations

from champion_world import FIRST, LIVE

from imago import dashboard
from imago.alerts.outbox import Alert, raise_alert
from imago.days import shift
from imago.jobs import scoring
from imago.ledger import connect, decisions


def test_incidents_and_dossiers_are_links_of_the_dashboard(reign, toy):
    with connect(reign).begin() as connection:
        alert = Alert(model=toy.name, rule="drift", subject="risk", title="t", why="w", did="d", next_step="n")
        raise_alert(connection, alert, LIVE)
        for ds, outcome in (("2013-02-10", "awaiting"), ("2013-02-10", "promoted"), ("2013-02-17", "kept")):
            decisions.record(
                connection,
                model=toy.name,
                training_ds=ds,
                run_id="r",
                outcome=outcome,
                incumbent_id=None,
                challenger_version=None,
                holdout_digest=None,
                verdict={},
            )
    page = dashboard.render(reign, toy)
    assert '<a href="../alerts/dev">All incidents</a>' in page
    assert "<a href='../alerts/dev/1'>open</a>" in page
    newest = page.index('<a href="../dossiers/dev/toy/2013-02-17">2013-02-17</a></td><td>kept</td>')
    assert page.index('<a href="../dossiers/dev/toy/2013-02-10">2013-02-10</a></td><td>promoted</td>') > newest
    assert "awaiting" not in page  # the newest decision on a training is the one that counts


def test_days_that_were_never_scored_are_named_with_the_command_that_scores_them(reign, toy):
    for ds in (FIRST, shift(FIRST, 3)):
        scoring.score(reign, toy, ds, LIVE)
    page = dashboard.render(reign, toy)
    command = f"imago backfill toy --from {shift(FIRST, 1)} --to {shift(FIRST, 2)} --stage batch_scoring --env dev"
    assert f"<code>{command}</code>" in page
