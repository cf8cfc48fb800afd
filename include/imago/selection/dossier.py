"""The dossier: one page that says why the champion is the champion, for people who do not read code.

It is rendered from plain JSON, which is stored beside it, so that an approval can be added later without a fight.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imago import pages
from imago.amounts import amount as money
from imago.selection.words import TONES

HERE = Path(__file__).parent
_STANDINGS = {"WIN": "won", "TIE": "not proved", "LOSE": "lost", "OUT": "not admitted"}
_WORST_SLICES = 5


def html(said: Mapping[str, Any]) -> str:
    """The page: one file, without scripts, and without anything from another host."""
    page: str = pages.template(HERE, "dossier_page.html").render(
        said=said, tone=TONES[said["outcome"]], standings=_STANDINGS
    )
    return page


def markdown(said: Mapping[str, Any]) -> str:
    """The same in words, for Airflow's pages."""
    link = [f"[The whole page, with pictures]({said['address']})", ""] if said["address"].startswith("http") else []
    lines = [f"# {said['headline']}", "", said["sentence"], "", *link]
    lines += [f"- {tile['label']}: **{tile['value']}**" for tile in said["tiles"]]
    if said["approval"]:
        lines += [f"- {said['approval']}"]
    if said["causes"]:
        lines += ["", "## Likely causes", ""]
        lines += [f"{place}. **{one['title']}**: {one['said']}" for place, one in enumerate(said["causes"], 1)]
    lines += ["", "## Who took part", "", *_contestants(said)]
    lines += ["", f"Intervals draw {said['drawn']}, again and again."]
    if said["warnings"]:
        lines += ["", "## Warnings", "", *(f"- {warning}" for warning in said["warnings"])]
    failed = [one for one in said["gates"] if one["state"] == "failed"]
    if failed:
        lines += ["", "## Gates that did not hold", ""]
        lines += [f"- {' of '.join(filter(None, (one['gate'], one['who'])))}: {one['detail']}" for one in failed]
    lines += _flips(said["flips"], said)
    worst = sorted((one for one in said["slices"] if one["estimate"] is not None), key=lambda one: one["estimate"])
    if worst:
        lines += ["", f"## The weakest slices of {said['challenger']} against {said['against']}", ""]
        lines += [f"- {one['label']}: {one['estimate']:+.4f} on {one['count']:,} rows, {one['standing']}"
                  for one in worst[:_WORST_SLICES]]  # fmt: skip
    lines += ["", "## The data", ""]
    lines += [f"- {part['name']}: {part['first']} to {part['last']}, {part['rows']:,} rows" for part in said["parts"]]
    lines += [f"- {one['first']} to {one['last']} ({one['count']} days): {one['what']}" for one in said["days"]]
    lines += [f"- {one['name']}: version {one['version']}, {one['days']} days, digest {one['digest'][:16]}"
              for one in said["tables"]]  # fmt: skip
    lines += [f"- digest of the holdout: {said['holdout_digest'][:16]}"]
    return "\n".join(lines) + "\n"


def _contestants(said: Mapping[str, Any]) -> list[str]:
    unit = said["unit"]
    last = f" {unit} on the holdout |" if unit else ""
    lines = [f"| contestant | {said['metric']} | 95% interval | verdict | why |{last}",
             "|---|---:|---|---|---|" + ("---:|" if unit else "")]  # fmt: skip
    for one in said["contestants"]:
        score = "none" if one["score"] is None else f"{one['score']:.4f}"
        around = "none" if one["range"] is None else "{:.4f} to {:.4f}".format(*one["range"])
        cells = [one["name"], score, around, _STANDINGS[one["standing"]], one["why"]]
        if unit:
            cells.append("" if one["money"] is None else money(one["money"]))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _flips(flips: Mapping[str, Any] | None, said: Mapping[str, Any]) -> list[str]:
    if not flips:
        return []
    lines = ["", f"## Decisions that change: {flips['rows']:,} of {flips['of']:,}", ""]
    for one in flips["directions"]:
        worth = f", worth {money(one['money'], said['unit'], sign=True)}" if one["money"] is not None else ""
        lines.append(f"- {one['words']}: {one['rows']:,} rows, {one['right']:,} of them right{worth}")
    return lines
