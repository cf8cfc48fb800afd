"""All contestants of one training side by side, for the summary run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from imago.environments import Environment
from imago.registry import load_model
from imago.specs import ModelSpec
from imago.training import plots
from imago.training.evaluation import METRICS
from imago.training.snapshot import Snapshot, label_words, labels

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}table{border-collapse:collapse;width:100%}
td,th{padding:.35rem .6rem;border-bottom:1px solid #d0d7de;text-align:right}
td:first-child,th:first-child,td.text{text-align:left}tr.baseline{color:#6e7781}tr.failed{color:#a40e26}"""


Results = Sequence[Mapping[str, Any]]


def identity(results: Results, failed: Results) -> str:
    facts = [
        "training",
        *(result["run_id"] for result in results),
        {one["contestant"]: one["failed"] for one in failed},
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def holdout_scores(environment: Environment, frozen: Snapshot, result: Mapping[str, Any]) -> np.ndarray:
    """Scores on the holdout by a saved model, loaded as production loads it. Raises ModelRefused when it does not
    load or does not answer."""
    return load_model(environment, result["artifact"]).predict(frozen.part("holdout"))


def markdown(spec: ModelSpec, results: Results, failed: Results) -> str:
    names = METRICS[spec.problem]
    lines = ["| contestant | role | " + " | ".join(names) + " | seconds |", "|---" * (len(names) + 3) + "|"]
    for result in _ranked(spec, results):
        cells = [f"{result['metrics'][f'holdout_{name}']:.4f}" for name in names]
        lines.append(
            f"| {result['contestant']} | {result['role']} | " + " | ".join(cells) + f" | {result['seconds']:.1f} |"
        )
    reasons = [f"- **{one['contestant']}** ({one['role']}) failed: {one['failed']}" for one in failed]
    return "\n".join(lines) + ("\n\n" + "\n".join(reasons) if reasons else "")


def files(
    spec: ModelSpec, frozen: Snapshot, results: Results, failed: Results, scores: Mapping[str, np.ndarray]
) -> dict[str, bytes]:
    """The page and the pictures, by name."""
    truth = labels(frozen.part("holdout"), spec)
    made = plots.pictures(spec.problem, truth, scores, spec.classes) if scores else {}
    return {
        "comparison.html": _page(spec, frozen, results, failed).encode(),
        **{f"plots/{name}": data for name, data in made.items()},
    }


def _ranked(spec: ModelSpec, results: Results) -> list[Mapping[str, Any]]:
    key = f"holdout_{spec.primary_metric}"
    return sorted(results, key=lambda result: result["metrics"][key], reverse=not spec.lower_is_better)


def _page(spec: ModelSpec, frozen: Snapshot, results: Results, failed: Results) -> str:
    names, where = METRICS[spec.problem], frozen.cut
    head = "".join(
        f"<th>{name}</th>"
        for name in ("contestant", "role", *names, f"tuning {spec.primary_metric}", "file", "seconds")
    )
    body = []
    for result in _ranked(spec, results):
        metrics = result["metrics"]
        cells = "".join(f"<td>{metrics[f'holdout_{name}']:.4f}</td>" for name in names)
        tuning, role = metrics.get(f"tuning_{spec.primary_metric}"), escape(result["role"])
        body.append(
            f'<tr class="{role}"><td>{escape(result["contestant"])}</td><td class="text">{role}</td>'
            f"{cells}<td>{'' if tuning is None else f'{tuning:.4f}'}</td>"
            f"<td>{escape(result['artifact']['artifact_format'])}</td>"
            f"<td>{result['seconds']:.1f}</td></tr>"
        )
    for one in failed:
        reason = f'<td class="text" colspan="{len(names) + 3}">failed: {escape(one["failed"])}</td>'
        body.append(
            f'<tr class="failed"><td>{escape(one["contestant"])}</td><td class="text">{escape(one["role"])}</td>'
            f"{reason}</tr>"
        )
    parts = frozen.manifest["parts"]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(spec.name)}, training {where.training_ds}</title>"
        f"<style>{_STYLE}</style><h1>{escape(spec.name)}: training {where.training_ds}</h1>"
        f"<p>Learns from {where.fit_first} to {where.trained_until}, judged on "
        f"{where.holdout_first} to {where.holdout_last} "
        f"({parts['holdout']['rows']:,} rows, {label_words(parts['holdout'])}). "
        f"Metrics are those of the holdout.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></html>"
    )
