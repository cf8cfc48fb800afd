"""What a contestant's run keeps besides its model: the model card, the signature, and the trials of its search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imago.amounts import amount
from imago.errors import FitFailed
from imago.specs import Baseline, Candidate, ModelSpec
from imago.training.cut import Cut
from imago.training.evaluation import METRICS
from imago.training.fitting import Fitted, libraries, role_of
from imago.training.snapshot import Snapshot, label_words

FILE = "model_card.md"
TRIALS = "trials.json"
_PARTS = {
    "train": "the rows that it learned from",
    "tuning": "days that this fit had not seen",
    "holdout": "days that no contestant has seen",
}


def files(
    spec: ModelSpec, snapshot: Snapshot, one: Candidate | Baseline, fitted: Fitted, facts: Mapping[str, Any]
) -> dict[str, bytes]:
    """The files by name. `facts` are the run's own: settings, model format, code commit, MLflow run."""
    made = {
        FILE: markdown(spec, snapshot, one, fitted, facts).encode(),
        "signature.json": json.dumps(signature(spec, fitted), indent=1).encode(),
    }
    if isinstance(one, Candidate) and one.search is not None:
        made[TRIALS] = json.dumps(trials(fitted)).encode()
    return made


def answers_in_words(refused: Mapping[str, Sequence[str]], features: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What the model said when it was asked (`answers` of its model.json), a line for each question.

    >>> refused = {"missing": ["wind_mph"], "unseen": ["carrier"]}
    >>> answers_in_words(refused, [("wind_mph", "numeric"), ("carrier", "categorical")])
    {'answers missing values': 'yes, except in wind_mph', 'answers unseen categories': 'no (carrier)'}
    """
    columns = {
        "missing values": ("missing", [name for name, _ in features]),
        "unseen categories": ("unseen", [name for name, kind in features if kind == "categorical"]),
    }
    lines = {}
    for question, (key, asked) in columns.items():
        no = [name for name in asked if name in refused.get(key, ())]
        if not asked:
            answer = "there are no such columns"
        elif not no:
            answer = "yes"
        else:
            answer = f"no ({', '.join(no)})" if len(no) == len(asked) else f"yes, except in {', '.join(no)}"
        lines[f"answers {question}"] = answer
    return lines


def failed(spec: ModelSpec, snapshot: Snapshot, one: Candidate | Baseline, fault: FitFailed) -> str:
    """The card of a contestant that could not be trained."""
    facts = [("what failed", fault.message), *fault.facts.items(), ("next step", fault.next_step)]
    lines = [
        f"# {one.name} of {spec.name}, training {snapshot.cut.training_ds}",
        f"**FAILED.** There is no model. {one.why}",
        *_table(("fact", "value"), [(name, value) for name, value in facts if value]),
        f"Snapshot: `{snapshot.folder}`, digest `{snapshot.digest}`. The other contestants were trained without it.",
    ]
    return _paragraphs(lines)


def signature(spec: ModelSpec, fitted: Fitted) -> dict[str, Any]:
    """MLflow's signature: each input with its type, and what `predict` gives for a row. Every input may be missing."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    kinds = {"numeric": "double", "categorical": "string"}
    inputs = Schema([ColSpec(kinds[part.kind], part.name, required=False) for part in spec.features])
    if fitted.scores.ndim == 1:
        outputs = Schema([ColSpec("double", "score")])
    else:
        outputs = Schema([TensorSpec(np.dtype("float64"), (-1, *fitted.scores.shape[1:]), "score")])
    told: dict[str, Any] = ModelSignature(inputs=inputs, outputs=outputs).to_dict()
    return told


def trials(fitted: Fitted) -> dict[str, Any]:
    """The trials as MLflow writes a table: columns and rows."""
    assert fitted.found is not None
    found = fitted.found
    settings, metrics = list(found.best.settings), list(found.best.metrics)
    return {
        "columns": ["trial", "chosen", *settings, *metrics, "seconds"],
        "data": [
            [
                trial.number,
                trial.number == found.best.number,
                *(trial.settings[name] for name in settings),
                *(trial.metrics[name] for name in metrics),
                trial.seconds,
            ]
            for trial in found.trials
        ],
    }


def markdown(
    spec: ModelSpec, snapshot: Snapshot, one: Candidate | Baseline, fitted: Fitted, facts: Mapping[str, Any]
) -> str:
    """The model card."""
    where, manifest, role = snapshot.cut, snapshot.manifest, role_of(one)
    stands = (
        "It may become champion." if role == "candidate" else "A naive rule: compared in each fight, never promoted."
    )
    lines = [
        f"# {spec.name}: {one.name}",
        f"{spec.description}",
        f"**{role.capitalize()}**, {one.why} {stands}",
        f"Owner: {spec.owner}. Training of {where.training_ds}.",
        "## Data",
        *_table(
            ("part", "days", "rows", "label"),
            [
                (name, _days(where, part), *_size(manifest, part))
                for name, part in (("train",) * 2, ("tuning",) * 2, ("last fit", "fit"), ("holdout",) * 2)
                if part in ("fit", "holdout") or where.tuning_first
            ],
        ),
        "What each day is for:",
        *_table(("days", "how many", "what for"), [(f"{first} to {last}", count, what)
                                                   for first, last, count, what in where.purposes()]),
        f"Label: `{spec.label}`, known {spec.label_delay_days} days after its prediction. Outcomes count that were "
        f"known when the next part began, those of the holdout by {manifest['known_by']} UTC; "
        f"{manifest['outcomes_known_later']} came in later and take no part. Features: {len(spec.features)}, of "
        f"`{spec.feature_model}`.",
        *(f"- `{name}` exists since {since or 'no day of this training'}; it is null in the rows of days without it."
          for name, since in sorted(manifest["joined"].items())),
        "## Metrics",
        *_metrics(spec, fitted),
        *(f"- {part}: {told}." for part, told in _PARTS.items() if f"{part}_{spec.primary_metric}" in fitted.metrics),
        *_decision(spec, fitted),
        *_search(spec, one, fitted),
        "## Limits",
        *(f"- {limit}" for limit in _limits(spec, snapshot, fitted)),
        "## Made from",
        *_table(
            ("what", "value"),
            [
                ("snapshot", f"`{snapshot.folder}`"),
                ("digest of its rows", f"`{snapshot.digest}`"),
                *((f"version of {name}", version) for name, version in manifest["versions"].items()),
                ("seed", spec.training.seed),
                ("seconds of all fits", f"{fitted.seconds:.1f}"),
                ("peak memory, MB", f"{fitted.memory_mb:.0f}"),
                *((name, f"`{value}`") for name, value in facts.items()),
                *libraries().items(),
            ],
        ),
    ]  # fmt: skip
    return _paragraphs(lines)


def _days(where: Cut, part: str) -> str:
    """The days of a part, and how many of them are open where the calendar closes some."""
    days = where.days(part)
    return f"{days[0]} to {days[-1]}" + (f", {len(days)} open days" if where.closed else "")


def _size(manifest: Mapping[str, Any], part: str) -> tuple[str, str]:
    told = manifest["parts"][part]
    return f"{told['rows']:,}", label_words(told)


def _metrics(spec: ModelSpec, fitted: Fitted) -> list[str]:
    parts = [part for part in _PARTS if f"{part}_{spec.primary_metric}" in fitted.metrics]
    rows = [(name, *(f"{fitted.metrics[f'{part}_{name}']:.4f}" for part in parts)) for name in METRICS[spec.problem]]
    return [*_table(("metric", *parts), rows), f"The fight is decided by {spec.primary_metric}."]


def _decision(spec: ModelSpec, fitted: Fitted) -> list[str]:
    if spec.problem != "binary":
        return []
    said, true = fitted.scores >= spec.decision_threshold, fitted.truth == 1
    hits, alarms, cases = int((said & true).sum()), int(said.sum()), int(true.sum())
    lines = [
        "## Decision",
        f"A score of {spec.decision_threshold:g} or more counts as yes. On the holdout that is {alarms:,} of "
        f"{len(said):,} rows; {hits:,} of them were right, and {cases - hits:,} of {cases:,} cases were missed.",
    ]
    worth = spec.business
    if worth is not None:
        quiet = len(said) - alarms - (cases - hits)
        value = worth.caught * hits + worth.false_alarm * (alarms - hits) + worth.missed * (cases - hits)
        lines.append(f"{worth.name.capitalize()}: {amount(value + worth.quiet * quiet, worth.unit)} on the holdout.")
    return lines


def _search(spec: ModelSpec, one: Candidate | Baseline, fitted: Fitted) -> list[str]:
    if not isinstance(one, Candidate) or one.search is None or fitted.found is None:
        return []
    found, metric = fitted.found, f"tuning_{spec.primary_metric}"
    names = list(found.best.settings)
    rows = [
        (
            f"**{trial.number}**" if trial.number == found.best.number else trial.number,
            *(f"{value:.5g}" if isinstance(value, float) else value for value in map(trial.settings.get, names)),
            f"{trial.metrics[metric]:.5f}",
            f"{trial.seconds:.1f}",
        )
        for trial in found.trials
    ]
    return [
        "## Search",
        f"Fitted on the train days, judged on the tuning days; trial 0 is as written, the chosen one is in bold. Ended "
        f"by: {found.ended_by} (at most {one.search.trials} beside trial 0, {one.search.seconds:g} s).",
        *_table(("trial", *names, metric, "seconds"), rows),
    ]


def _limits(spec: ModelSpec, snapshot: Snapshot, fitted: Fitted) -> list[str]:
    where, rows = snapshot.cut, snapshot.part("fit")
    months = sorted({day[:7] for day in where.days("fit")})
    limits = [
        f"It has seen the days {where.fit_first} to {where.trained_until} ({len(months)} months) and no others: "
        "a season or an event outside of them is new to it.",
        f"It was judged on {len(where.days('holdout'))} days; a metric of so few days moves from month to month.",
        "It ranks by what went together in the past. That a feature moves the score does not say that it causes the "
        "outcome.",
    ]
    gap = fitted.metrics[f"train_{spec.primary_metric}"] - fitted.metrics[f"holdout_{spec.primary_metric}"]
    limits.append(
        f"{spec.primary_metric} moves by {abs(gap):.4f} from the rows that it learned from to the holdout "
        f"({'worse' if (gap > 0) != spec.lower_is_better else 'not worse'} there)."
    )
    missing = {part.name: rows.column(part.name).null_count / rows.num_rows for part in spec.features if rows.num_rows}
    sparse = [f"{name} ({share:.0%})" for name, share in missing.items() if share > 0.2]
    if sparse:
        limits.append(f"Often missing in what it learned from: {', '.join(sparse)}.")
    return limits


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)]


def _paragraphs(lines: Sequence[str]) -> str:
    text = ""
    for line in lines:
        listed = line.startswith("- ") and text.rpartition("\n\n")[2].startswith("- ")
        text = line if not text else f"{text}{chr(10) if listed else chr(10) * 2}{line}"
    return text + "\n"
