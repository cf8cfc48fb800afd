"""The dashboard as HTML: facts in, one document out. Every value is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from imago.amounts import amount, figure, short
from imago.dashboard import charts
from imago.dashboard.charts import Mark, Series
from imago.dashboard.facts import Facts
from imago.dashboard.style import STYLE
from imago.names import fill_commands
from imago.specs.calendar import holes

BUSINESS = "business_value"
INPUTS, PREDICTIONS = "inputs", "predictions"
SHOWN_DAYS = 60
WORST = 8


def index_page(models: Sequence[tuple[str, str, str, str]], *, base: str) -> str:
    """The list of (environment, model, description, owner)."""
    cards = "".join(
        f'<a class="card link" href="{escape(base)}{escape(name)}/{escape(model)}"><span class="tag">'
        f"{escape(name)}</span>"
        f"<h2>{escape(model)}</h2><p>{escape(description)}</p><p class='dim'>{escape(owner)}</p></a>"
        for name, model, description, owner in models
    )
    return _document(
        "Imago",
        f'<header><h1>Imago</h1><p class="dim">Models of this Airflow</p></header><div class="grid3">{cards}</div>',
    )


def model_page(facts: Facts) -> str:
    """The page of one model."""
    spec = facts.spec
    body = [
        f'<header><div><h1>{escape(spec.name)}</h1><p class="dim">{escape(spec.description)} '
        f'<a href="../audits/{escape(facts.environment)}/{escape(spec.name)}">The audits of its data</a>'
        f' · <a href="../shadow/{escape(facts.environment)}/{escape(spec.name)}">Its shadows</a>'
        f' · <a href="../alerts/{escape(facts.environment)}">All incidents</a></p></div>'
        f'<span class="tag">{escape(facts.environment)}</span></header>',
        _tiles(facts),
        '<div class="grid2">',
        _card("Champion", _champion(facts)),
        _card("Incidents", _incidents(facts)),
        "</div>",
        _card("Trainings", _trainings(facts), note="Each opens its dossier: who was compared, and why that decision."),
        _card(
            spec.business.name.capitalize(),
            _money(facts),
            note=f"In {spec.business.unit} per day, once its outcome is known; against deciding nothing.",
        )
        if spec.business
        else "",
        '<div class="grid2">',
        _card(
            f"{_title(spec.primary_metric)} by day",
            _quality(facts),
            note="A single day is noisy; the floor is judged over seven days.",
        ),
        _card(
            "Drift by day",
            _drift(facts),
            note="The worst finding as a share of its threshold; it alarms when the next window confirms it.",
        ),
        "</div>",
        '<div class="grid2">',
        _card("What drifts most", _worst(facts)),
        _card("Slices of the newest matured day", _slices(facts)),
        "</div>",
        _card("In the shadow", _shadows(facts)) if facts.shadows else "",
        '<div class="grid2">',
        _card(
            f"{_title(spec.primary_metric)} estimated without labels",
            _estimated(facts),
            note="By the scores alone, of days whose outcome is known by now.",
        ),
        _card("Scored partitions", _partitions(facts)),
        "</div>",
    ]
    return _document(f"{spec.name} · Imago", "".join(body))


def _tiles(facts: Facts) -> str:
    spec, metrics = facts.spec, facts.metrics
    tiles = []
    if spec.business is not None:
        total = sum(day.get(BUSINESS, 0.0) for day in metrics.values())
        tiles.append((_total(total, spec.business.unit), f"{spec.business.name}, {len(metrics)} days"))
    known = [day[spec.primary_metric] for day in metrics.values() if spec.primary_metric in day]
    tiles.append((figure(sum(known) / len(known), 3) if known else "–", f"mean daily {_title(spec.primary_metric)}"))
    tiles.append((f"{len(facts.scored):,}", f"days scored, {sum(info.rows for info in facts.scored):,} predictions"))
    opened = sum(incident["status"] == "open" for incident in facts.incidents)
    tiles.append((str(opened), "open incident" if opened == 1 else "open incidents"))
    cells = "".join(
        f'<div class="tile{" bad" if place == len(tiles) - 1 and opened else ""}"><b>{escape(value)}</b><span>'
        f"{escape(label)}</span></div>"
        for place, (value, label) in enumerate(tiles)
    )
    return f'<div class="tiles">{cells}</div>'


def _champion(facts: Facts) -> str:
    champion = facts.champion
    if champion is None:
        return charts.empty("Nobody reigns yet: run training, then deployment.")
    rows = [
        ("Version", champion.version),
        ("Scores days from", champion.effective_ds),
        ("Learned until", champion.trained_until),
        ("Training", champion.training_ds),
        ("Decided", f"{champion.decided_at:%Y-%m-%d %H:%M} UTC by {champion.decided_by}"),
        ("Served online", _online(facts)),
        ("Entries in the ledger", str(facts.reigns)),
    ]
    reason = f'<p class="reason">{escape(champion.reason)}</p>'
    return reason + _facts(rows) + _rulings(facts.verdict, facts.spec.primary_metric)


def _online(facts: Facts) -> str:
    if facts.online is None:
        return "no: endpoint_deploy has not run"
    ours = facts.champion is not None and facts.online["champion_id"] == facts.champion.id
    return f"{facts.online['ds']}, {facts.online['rows']:,} keys" + ("" if ours else ", by an earlier champion")


def _rulings(verdict: Mapping[str, Any] | None, metric: str) -> str:
    rulings = [one for one in (verdict or {}).get("rulings", ()) if one.get("score") is not None]
    if not rulings:
        return ""
    rows = "".join(
        f"<tr><td>{escape(str(one['name']))}</td><td class='dim'>{escape(str(one['role']))}</td>"
        f"<td class='number'>{figure(float(one['score']))}</td><td>{escape(str(one['standing']))}</td></tr>"
        for one in rulings
    )
    head = (
        f"<tr><th>Contestant</th><th></th><th class='number'>{escape(_title(metric))} on the holdout</th><th></th></tr>"
    )
    return f"<table>{head}{rows}</table>"


def _trainings(facts: Facts) -> str:
    if not facts.trainings:
        return charts.empty("No training was judged yet.")
    rows = "".join(
        f'<tr><td><a href="../dossiers/{quote(facts.environment)}/{quote(facts.spec.name)}/{quote(training["ds"])}">'
        f"{escape(training['ds'])}</a></td><td>{escape(training['outcome'])}</td>"
        f"<td class='dim'>{escape(training['decided_at'])} UTC</td></tr>"
        for training in facts.trainings
    )
    return f"<table><tr><th>Training</th><th>Outcome</th><th>Decided</th></tr>{rows}</table>"


def _incidents(facts: Facts) -> str:
    if not facts.incidents:
        return charts.empty("No incident so far.")
    rows = "".join(
        f"<tr><td><span class='dot {escape(one['severity'] if one['status'] == 'open' else 'calm')}'></span>"
        f"<a href='../alerts/{quote(facts.environment)}/{one['id']}'>{escape(one['status'])}</a></td>"
        f"<td>{escape(one['rule'])}<br><span class='dim'>"
        f"{escape((one['worst'] or {}).get('title') or one['subject'])}</span></td>"
        f"<td class='number'>{one['count']}×</td><td class='dim'>{one['updated_at']:%Y-%m-%d %H:%M}</td></tr>"
        for one in facts.incidents
    )
    return f"<table>{rows}</table>"


def _money(facts: Facts) -> str:
    business = facts.spec.business
    assert business is not None
    days = tuple(facts.metrics)[-SHOWN_DAYS:]
    values = [facts.metrics[day].get(BUSINESS) for day in days]
    return charts.bars(
        days,
        values,
        label=f"{business.name} per day, in {business.unit}",
        shown=lambda value: amount(value, business.unit),
        tick=short,
    )


def _quality(facts: Facts) -> str:
    spec = facts.spec
    days = tuple(facts.metrics)[-SHOWN_DAYS:]
    name = _title(spec.primary_metric)
    return charts.lines(
        days,
        [Series(name, [facts.metrics[day].get(spec.primary_metric) for day in days], "accent")],
        marks=[Mark("floor", spec.guardrails.floor, "bad")],
        label=f"{name} per day",
        shown=lambda value: figure(value, 2),
    )


def _estimated(facts: Facts) -> str:
    metric = facts.spec.primary_metric
    wanted = (f"estimated_{metric}", metric, f"holdout_{metric}")
    # Only a mature day has an estimate beside its truth.
    found = {ds: [day[name] for name in wanted] for ds, day in facts.metrics.items() if day.keys() >= {*wanted}}
    days = tuple(found)[-SHOWN_DAYS:]
    if not days:
        return charts.empty("No estimated day is mature yet.")
    estimated, true, usual = zip(*(found[ds] for ds in days), strict=True)

    def off(said: Sequence[float]) -> str:
        return figure(sum(abs(one - seen) for one, seen in zip(said, true, strict=True)) / len(days), 3)

    return charts.lines(
        days,
        [Series("estimate", estimated, "second"), Series("truth", true, "accent")],
        label=f"{_title(metric)} per day, estimated and true",
        shown=lambda value: figure(value, 2),
    ) + _facts(
        [
            ("Mature days", str(len(days))),
            ("The estimate was off by", f"{off(estimated)} on average"),
            ("The holdout's level alone, by", f"{off(usual)}"),
        ]
    )


def _drift(facts: Facts) -> str:
    days = tuple(facts.drift)[-SHOWN_DAYS:]
    by_kind: dict[str, list[float | None]] = {INPUTS: [], PREDICTIONS: []}
    for day in days:
        for kind, values in by_kind.items():
            shares = [
                row["value"] / row["threshold"]
                for row in facts.drift[day]
                if row["column"].startswith("prediction.") == (kind == PREDICTIONS)
            ]
            values.append(max(shares, default=None))
    return charts.lines(
        days,
        [Series("worst input", by_kind[INPUTS], "accent"), Series("predictions", by_kind[PREDICTIONS], "second")],
        marks=[Mark("threshold", 1.0, "bad")],
        label="drift per day",
        shown=lambda value: f"{value:.0%}",
        zero=True,
    )


def _worst(facts: Facts) -> str:
    if not facts.drift:
        return charts.empty("No day was monitored yet.")
    day = max(facts.drift)
    ranked = sorted(facts.drift[day], key=lambda row: -row["value"] / row["threshold"])[:WORST]
    rows = "".join(
        f"<tr><td><span class='dot {escape(_dot(row['level']))}'></span>{escape(row['column'])}</td>"
        f"<td class='dim'>{escape(row['measure'].replace('_', ' '))}, {escape(row['window'])}</td>"
        f"<td class='number'>{figure(row['value'], 3)}</td>"
        f"<td class='number dim'>{figure(row['threshold'], 3)}</td></tr>"
        for row in ranked
    )
    head = f"<tr><th>{escape(day)}</th><th></th><th class='number'>value</th><th class='number'>threshold</th></tr>"
    return f"<table>{head}{rows}</table>"


def _slices(facts: Facts) -> str:
    metric = facts.spec.primary_metric
    rows = sorted((row for row in facts.slices if row["metric"] == metric), key=lambda row: -row["rows"])[:WORST]
    if not rows:
        return charts.empty("No slice has enough rows yet.")
    cells = "".join(
        f"<tr><td>{escape(row['slice'])}</td><td class='number'>{figure(row['value'], 3)}</td><td class='number dim'>"
        f"{row['rows']:,} rows</td></tr>"
        for row in rows
    )
    return (
        f"<table><tr><th>{escape(rows[0]['ds'])}</th><th class='number'>{escape(_title(metric))}</th><th></th>"
        f"</tr>{cells}</table>"
    )


def _shadows(facts: Facts) -> str:
    spec = facts.spec
    here = f"../shadow/{escape(facts.environment)}/{escape(spec.name)}"
    decides = spec.problem != "regression"
    cells = "".join(
        f'<tr><td><a href="{here}?version={quote(one.shadow.version)}">Version {escape(one.shadow.version)}</a><br>'
        f'<span class="dim">{escape(one.shadow.reason)}</span></td>'
        f"<td class='number'>{one.days}</td><td class='number'>{one.rows:,}</td>"
        + (f"<td class='number'>{one.flips:,}</td>" if decides else "")
        + f"<td class='number'>{one.shadow_right:,} : {one.champion_right:,}</td>"
        + ("" if one.money is None or spec.business is None
           else f"<td class='number'>{escape(amount(one.money, spec.business.unit))}</td>")
        + "</tr>"
        for one in facts.shadows
    )  # fmt: skip
    head = ["days", "rows", *(["decisions that flip"] if decides else []),
            "right on these, it : champion" if decides else "closer, it : champion",
            *([f"{spec.business.name}, beyond the champion's"] if spec.business else [])]  # fmt: skip
    named = "".join(f"<th class='number'>{escape(name)}</th>" for name in head)
    return f"<table><tr><th></th>{named}</tr>{cells}</table>"


def _partitions(facts: Facts) -> str:
    if not facts.scored:
        return charts.empty("No day was scored yet.")
    cells = "".join(
        f'<i class="{"leak" if info.inputs.get("leaking") else escape(info.mode)}" title="{escape(info.ds)}: '
        f"{info.rows:,} rows, version "
        f"{escape(str(info.inputs.get('model_version')))}, {escape(info.mode)}, digest "
        f'{escape(info.digest[:12])}">{escape(info.ds[5:])}</i>'
        for info in facts.scored[-SHOWN_DAYS * 2 :]
    )
    missing = holes(facts.spec, [info.ds for info in facts.scored])
    commands = fill_commands(facts.spec.name, "predictions", facts.environment, missing)
    named = "".join(f"<p class='note'>Not scored; fill it with <code>{escape(one)}</code></p>" for one in commands)
    keys = '<div class="legend"><span><i class="live"></i>live</span><span><i class="backfill"></i>backfill</span>'
    keys += '<span><i class="leak"></i>the model had seen the day</span></div>'
    return f'<div class="days">{cells}</div>{keys}{named}'


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{cells}</dl>"


def _card(title: str, content: str, *, note: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section class="card"><h2>{escape(title)}</h2>{content}{said}</section>'


def _dot(level: str) -> str:
    return "calm" if level == "ok" else level


def _title(metric: str) -> str:
    return {"roc_auc": "AUC", "log_loss": "log loss", "average_precision": "average precision"}.get(metric, metric)


def _total(value: float, unit: str) -> str:
    """A large figure of a tile: short, with its unit."""
    return f"{short(value) if abs(value) >= 10_000 else amount(value)} {unit}"


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )
