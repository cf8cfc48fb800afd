"""The dossier: one page that says why the champion is the champion, for people who do not read code."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from imago.selection.terms import Ruling, Verdict

_HEADLINE = {
    "promoted": "A new champion: {challenger}",
    "awaiting": "{challenger} has won, and waits for approval",
    "kept": "The champion stays",
    "blocked": "Release blocked: a naive rule is not beaten",
    "rejected": "Release refused",
}
_TONE = {"promoted": "#1a7f37", "awaiting": "#9a6700", "kept": "#57606a", "blocked": "#cf222e", "rejected": "#cf222e"}
_STYLE = """body{font:16px/1.55 system-ui,sans-serif;color:#1f2328;max-width:62rem;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
td,th{padding:.45rem .6rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
.tag{display:inline-block;color:#fff;border-radius:1rem;padding:.05rem .7rem;font-size:.8rem;letter-spacing:.02em}
.facts{display:flex;flex-wrap:wrap;gap:.6rem 2.2rem;margin:1rem 0;color:#57606a}
.facts b{display:block;color:#1f2328;font-weight:600}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}
.pictures img{max-width:100%;border:1px solid #d8dee4;border-radius:.4rem}
img.wide{max-width:100%}.baseline td{color:#57606a}"""


@dataclass(frozen=True)
class Dossier:
    """What the page shows beside the verdict. `facts` are label to text; `money` is what each contestant's decisions
    would have been worth on the holdout, in `unit`; `pictures` are caption to PNG, the first one shown wide."""

    title: str
    outcome: str  # the verdict's, or "awaiting"
    verdict: Verdict
    facts: Mapping[str, str]
    intervals: Mapping[str, tuple[float, float]]
    money: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        return _HEADLINE[self.outcome].format(challenger=self.verdict.challenger)

    def ranked(self) -> Sequence[Ruling]:
        """Best score first; those without one come last."""
        sign = -1.0 if self.verdict.bar.higher_is_better else 1.0
        return sorted(self.verdict.rulings, key=lambda r: (r.score is None, sign * (r.score or 0.0)))

    def markdown(self) -> str:
        lines = [f"# {self.headline}", "", f"{self.title}. {_sentence(self.verdict.reason)}", ""]
        lines += [f"- {label}: {text}" for label, text in self.facts.items()]
        money = f" | {self.unit} on the holdout" if self.money else ""
        lines += ["", f"| contestant | {self.verdict.bar.metric} | 95% interval | verdict | why{money} |"]
        lines += ["|---|---:|---|---|---" + ("|---:" if self.money else "") + "|"]
        for ruling in self.ranked():
            cells = [ruling.name, _number(ruling.score), self._span(ruling.name), ruling.standing, ruling.reason]
            if self.money:
                cells.append(_money(self.money.get(ruling.name)))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        head = ["contestant", f"{self.verdict.bar.metric}", "95% interval", "verdict", "why"]
        numeric = {1, 2, 5}
        if self.money:
            head.append(f"{self.unit} on the holdout")
        header = "".join(
            f"<th{' class=n' if place in numeric else ''}>{escape(text)}</th>" for place, text in enumerate(head)
        )
        rows = []
        for ruling in self.ranked():
            cells = [
                ruling.name,
                _number(ruling.score),
                self._span(ruling.name),
                ruling.standing,
                _sentence(ruling.reason),
            ]
            if self.money:
                cells.append(_money(self.money.get(ruling.name)))
            row = "".join(
                f"<td{' class=n' if place in numeric else ''}>{escape(text)}</td>" for place, text in enumerate(cells)
            )
            rows.append(f'<tr class="{ruling.role}">{row}</tr>')
        facts = "".join(f"<span><b>{escape(text)}</b>{escape(label)}</span>" for label, text in self.facts.items())
        shown = list(self.pictures.items())
        wide = "".join(_image(caption, data, "wide") for caption, data in shown[:1])
        rest = "".join(_image(caption, data, "") for caption, data in shown[1:])
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{_STYLE}</style>"
            f'<span class="tag" style="background:{_TONE[self.outcome]}">{escape(self.outcome)}</span>'
            f"<h1>{escape(self.headline)}</h1><p>{escape(self.title)}. {escape(_sentence(self.verdict.reason))}</p>"
            f'<div class="facts">{facts}</div>{wide}'
            f"<h2>Who took part, and why each won or "
            f"lost</h2><table><thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            f'<h2>How they look</h2><div class="pictures">{rest}</div></html>'
        )

    def _span(self, name: str) -> str:
        if name not in self.intervals:
            return "none"
        low, high = self.intervals[name]
        return f"{low:.4f} to {high:.4f}"


def _image(caption: str, data: bytes, style: str) -> str:
    return (
        f'<img class="{style}" alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
    )


def _number(score: float | None) -> str:
    return "none" if score is None else f"{score:.4f}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
