"""The dossier says who won, and shows names as they are without letting them be markup."""

from __future__ import annotations

from imago.selection import Bar, Contestant, Difference, judge
from imago.selection.dossier import Dossier

BAR = Bar("roc_auc", True, 0.01)
FIGHT = [
    Contestant("prior", "baseline", 0.50),
    Contestant("<b>trees", "candidate", 0.74),
    Contestant("lost", "candidate", None),
]
VERDICT = judge(FIGHT, {("<b>trees", "prior"): Difference(0.24, 0.2, 0.28)}, BAR)
PAGE = Dossier(
    title="toy, training of 2013-10-01",
    outcome="promoted",
    verdict=VERDICT,
    facts={"judged on": "September"},
    intervals={"<b>trees": (0.7, 0.78)},
    money={"<b>trees": 1234.4},
    unit="USD",
    pictures={"wide": b"a", "roc": b"b"},
)


def test_contestants_stand_best_first_and_those_without_a_score_last():
    assert [ruling.name for ruling in PAGE.ranked()] == ["<b>trees", "prior", "lost"]


def test_the_page_is_one_whole_document_with_everybody_on_it():
    page = PAGE.html()
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == page.count("</table>") == 1
    assert page.count("<img") == 2
    assert "&lt;b&gt;trees" in page
    assert "<b>trees" not in page
    assert "1,234" in page


def test_the_text_has_a_row_for_each_contestant():
    text = PAGE.markdown()
    assert text.startswith("# A new champion: <b>trees")
    assert "| prior | 0.5000 | none | LOSE |" in text
    assert "| lost | none | none | OUT |" in text
