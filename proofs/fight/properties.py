"""The rule over generated score tables: whoever is promoted has earned it, and nothing idle changes a verdict.

A table is a holdout: days, truth, every contestant's scores, a slice column. Tables are drawn so that all outcomes come
up often: models of many strengths, twins, noise, scores that tie, that are missing or not finite, one class, few days,
few rows, losses where lower is better, slices on which one fails.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn import metrics

from imago.selection import Bar, Check, Contestant, Verdict, decide
from imago.selection.units import Units
from proofs.report import Report

RESAMPLES = 200
_METRICS = ("roc_auc", "roc_auc", "roc_auc", "log_loss", "average_precision", "rmse", "mae")
_LOWER = ("log_loss", "rmse", "mae")


@dataclass
class Case:
    """One generated table and the spec's bar."""

    contestants: list[Contestant]
    bar: Bar
    days: np.ndarray
    truth: np.ndarray
    scores: dict[str, np.ndarray]
    slices: dict[str, np.ndarray]
    allowed_loss: float
    checks: dict[str, list[Check]] = field(default_factory=dict)

    def verdict(self) -> Verdict:
        return decide(
            self.contestants, bar=self.bar, units=Units.of_days(self.days), truth=self.truth, scores=self.scores,
            slices=self.slices,
            allowed_loss=self.allowed_loss, seed=5, resamples=RESAMPLES, checks=self.checks,
        )  # fmt: skip


def run(tables: int, seed: int = 2013) -> Report:
    """Draws `tables` score tables and tries every property on each."""
    report = Report("properties of the rule")
    random = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for number in range(tables):
        case = drawn(random)
        verdict = case.verdict()
        outcomes[f"{verdict.outcome} by {verdict.gate}"] += 1
        found = [*earned(case, verdict), *idle(case, verdict, random), *harder(case, verdict, random)]
        broken.update(found)
        report.check(f"table {number} (seed {seed})", not found, "; ".join(found))
    report.say("outcomes: " + ", ".join(f"{count} {name}" for name, count in outcomes.most_common()))
    report.say(f"{sum(broken.values())} violations" + (f": {dict(broken)}" if broken else ""))
    gates = ("fight", "tripwire", "leak", "incumbent", "candidates", "baselines", "floor", "slices", "memory")
    rare = [gate for gate in gates if sum(n for name, n in outcomes.items() if name.endswith(gate)) < tables // 1000]
    report.check("every gate decided at least one table in a thousand", not rare, rare)
    return report


# --- tables ---------------------------------------------------------------------------------------------------------


def drawn(random: np.random.Generator) -> Case:
    """One table. Everything is drawn, so that two properties meet in one table as well."""
    metric = str(random.choice(_METRICS))
    days = int(random.choice([1, 3, 6, 7, 8, 12, 20], p=[0.02, 0.03, 0.03, 0.12, 0.2, 0.4, 0.2]))
    per_day = int(random.choice([3, 20, 60], p=[0.1, 0.4, 0.5]))
    day = np.repeat(np.array([f"2013-09-{place + 1:02d}" for place in range(days)]), per_day)
    rows = len(day)
    signal = random.normal(size=rows)
    if metric in ("rmse", "mae"):
        truth = signal + 0.3 * random.normal(size=rows)
    else:
        share = random.choice([-6.0, -2.0, 0.0], p=[0.05, 0.35, 0.6])
        truth = (random.random(rows) < 1 / (1 + np.exp(-2 * signal - share))).astype(float)
        if random.random() < 0.02:
            truth[:] = random.integers(0, 2)
    if random.random() < 0.05:
        truth = random.permutation(truth)
    slices = {"gate": random.choice(["A", "B", ""], rows, p=[0.45, 0.45, 0.1])} if random.random() < 0.7 else {}
    contestants, scores = _entrants(random, metric, signal, slices)
    bar = Bar(
        metric, metric not in _LOWER, float(random.choice([0.002, 0.01, 0.05])),
        floor=_bound(random, metric, low=True), ceiling=_bound(random, metric, low=False),
        gates=("memory",) if random.random() < 0.3 else (),
    )  # fmt: skip
    names = [one.name for one in contestants if one.role == "candidate"]
    checks = {
        name: [Check("memory", bool(random.random() < 0.8), "so many MB")] for name in names if random.random() < 0.9
    }
    return Case(contestants, bar, day, truth, scores, slices, float(random.choice([0.0, 0.02, 0.1])), checks)


def _entrants(
    random: np.random.Generator, metric: str, signal: np.ndarray, slices: dict[str, np.ndarray]
) -> tuple[list[Contestant], dict[str, np.ndarray]]:
    roles = ["candidate"] * int(random.choice([0, 1, 2, 4], p=[0.04, 0.4, 0.4, 0.16]))
    roles += ["baseline"] * int(random.choice([0, 1, 2], p=[0.03, 0.57, 0.4]))
    roles += ["champion"] if random.random() < 0.6 else []
    scores: dict[str, np.ndarray] = {}
    contestants = []
    for place, role in enumerate(random.permutation(roles)):
        name = f"{chr(97 + place)}-{role}"
        fault = "it has seen the holdout" if random.random() < 0.03 and role != "baseline" else None
        contestants.append(Contestant(name, str(role), float(random.choice([0.99, math.nan, 0.0])), fault))  # type: ignore[arg-type]
        if random.random() < 0.02:
            continue  # it was not loaded
        if scores and random.random() < 0.12:
            scores[name] = next(iter(scores.values())).copy()  # a twin
            continue
        noise = random.choice([3.0, 8.0] if role == "baseline" else [0.05, 0.5, 1.0, 2.0, 8.0])
        values = signal + noise * random.normal(size=len(signal))
        if slices and role == "candidate" and random.random() < 0.3:
            values = np.where(slices["gate"] == "A", -values, 2 * signal)
        if metric not in ("rmse", "mae"):
            values = 1 / (1 + np.exp(-values))
        if random.random() < 0.1:
            values = np.round(values, 1)
        if random.random() < 0.02:
            values[random.integers(len(values))] = random.choice([math.nan, math.inf, -math.inf])
        scores[name] = values
    return contestants, scores


def _bound(random: np.random.Generator, metric: str, *, low: bool) -> float | None:
    if random.random() < (0.5 if low else 0.7):
        return None
    if metric in _LOWER:
        return float(random.uniform(0.4, 1.5)) if low else float(random.uniform(0.05, 0.4))
    return float(random.uniform(0.5, 0.7)) if low else float(random.uniform(0.8, 0.99))


# --- what has to hold -----------------------------------------------------------------------------------------------


def earned(case: Case, verdict: Verdict) -> list[str]:
    """What a promotion owes, checked against scikit-learn's own metrics and not the product's."""
    found = []
    rulings = {ruling.name: ruling for ruling in verdict.rulings}
    for name, ruling in rulings.items():
        broken = name not in case.scores or not np.isfinite(case.scores[name]).all()
        if broken and (ruling.score is not None or ruling.standing not in ("OUT",)):
            found.append("scores that are missing or not finite take part")
        if ruling.standing == "WIN":
            found += _owed(case, verdict, name)
    champion = next((one.name for one in case.contestants if one.role == "champion"), None)
    if (verdict.outcome == "promoted") != any(ruling.standing == "WIN" for ruling in verdict.rulings) and (
        verdict.outcome == "promoted"
    ):
        found.append("promoted without a WIN")
    if verdict.outcome == "promoted":
        name = str(verdict.challenger)
        roles = {one.name: one.role for one in case.contestants}
        if roles[name] != "candidate":
            found.append(f"a {roles[name]} was promoted")
        said = case.checks.get(name, [])
        if any(not check.passed for check in said) or (case.bar.gates and not said):
            found.append("promoted although a gate did not pass")
        if champion is not None and verdict.opponent != champion:
            found.append("promoted past the champion")
        for one in case.contestants:
            if one.role == "baseline" and not _gain(case, name, one.name) >= case.bar.smallest_effect - 1e-9:
                found.append("promoted without beating a baseline")
            if one.role == "champion" and not _gain(case, name, one.name) >= case.bar.smallest_effect - 1e-9:
                found.append("promoted although it is no better than the champion")
        if not any(one.role == "baseline" for one in case.contestants):
            found.append("promoted without a baseline")
        if len(np.unique(case.days)) < 7:
            found.append("promoted on a few days")
    return found


def _owed(case: Case, verdict: Verdict, name: str) -> list[str]:
    ruling = next(ruling for ruling in verdict.rulings if ruling.name == name)
    gap = ruling.difference
    if ruling.role != "candidate":
        return [f"a {ruling.role} wins"]
    if gap is None or gap.low is None or gap.estimate is None or not gap.low > 0:
        return ["a WIN without a lower bound above 0"]
    if not gap.estimate >= case.bar.smallest_effect - 1e-9:
        return ["a WIN below the smallest effect"]
    if abs(gap.estimate - _gain(case, name, str(verdict.opponent))) > 1e-9:
        return ["an estimate that is not the difference of the metrics"]
    return []


def _gain(case: Case, ours: str, theirs: str) -> float:
    gain = _metric(case, ours) - _metric(case, theirs)
    return gain if case.bar.higher_is_better else -gain


def _metric(case: Case, name: str) -> float:
    if name not in case.scores or not np.isfinite(case.scores[name]).all():
        return math.nan
    truth, scores = case.truth, case.scores[name]
    compute: dict[str, Any] = {
        "roc_auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "log_loss": lambda t, s: metrics.log_loss(t, s, labels=[0, 1]),
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
    }
    if case.bar.metric in ("roc_auc", "average_precision") and len(np.unique(truth)) < 2:
        return math.nan
    return float(compute[case.bar.metric](truth, scores))


def idle(case: Case, verdict: Verdict, random: np.random.Generator) -> list[str]:
    """What must not matter: the order of rows, that of contestants, what they are called, what somebody stored."""
    order = random.permutation(len(case.truth))
    shuffled = replace(
        case, days=case.days[order], truth=case.truth[order],
        scores={name: values[order] for name, values in case.scores.items()},
        slices={name: values[order] for name, values in case.slices.items()},
    )  # fmt: skip
    turned = replace(case, contestants=[case.contestants[place] for place in random.permutation(len(case.contestants))])

    def new(name: str) -> str:
        return f"x{name}x"  # keeps the alphabet's order

    named = replace(
        case, contestants=[replace(one, name=new(one.name)) for one in case.contestants],
        scores={new(name): values for name, values in case.scores.items()},
        checks={new(name): said for name, said in case.checks.items()},
    )  # fmt: skip
    stored = replace(case, contestants=[replace(one, score=0.97) for one in case.contestants])
    found = []
    for what, other, back in (
        ("the order of rows", shuffled, lambda name: name),
        ("the order of contestants", turned, lambda name: name),
        ("a name", named, lambda name: None if name is None else new(name)),
        ("a stored metric", stored, lambda name: name),
    ):
        after = other.verdict()
        same = (after.outcome, after.gate, after.challenger, after.opponent, after.best_baseline) == (
            verdict.outcome, verdict.gate, back(verdict.challenger), back(verdict.opponent),
            back(verdict.best_baseline),
        )  # fmt: skip
        standings = {back(ruling.name): ruling.standing for ruling in verdict.rulings}
        if not same or {ruling.name: ruling.standing for ruling in after.rulings} != standings:
            found.append(f"{what} changed the verdict")
    return found


def harder(case: Case, verdict: Verdict, random: np.random.Generator) -> list[str]:
    """Company must not help: whoever did not win among few does not win among more, worse or better."""
    if not case.scores:
        return []
    won = {ruling.name for ruling in verdict.rulings if ruling.standing == "WIN"}
    noise = random.normal(size=len(case.truth))
    worse = noise if case.bar.metric in ("rmse", "mae") else 1 / (1 + np.exp(-noise))
    company = {f"z{place}": worse for place in range(int(random.integers(1, 6)))}
    more = replace(
        case, contestants=[*case.contestants, *(Contestant(name, "candidate", None) for name in company)],
        scores={**case.scores, **company},
        checks={**case.checks, **{name: [Check("memory", True, "little")] for name in company}},
    )  # fmt: skip
    after = more.verdict()
    found = []
    if {ruling.name for ruling in after.rulings if ruling.standing == "WIN"} - won - set(company):
        found.append("more challengers made a win easier")
    if after.outcome == "promoted" and verdict.outcome != "promoted" and after.challenger not in company:
        found.append("a worse challenger promoted somebody who had lost")
    return found
