"""What a dossier says, as plain JSON: gathered from a fight's scores, its frozen rows and its verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imago.amounts import amount, figure
from imago.environments import Environment
from imago.measures import calibration_curve, calibration_error
from imago.registry.tracking import Tracker
from imago.selection import Difference, Verdict, pictures, words, worth
from imago.selection.bootstrap import differences, intervals
from imago.selection.causes import Cause
from imago.selection.contest import confidence
from imago.selection.slices import LEAST_ROWS
from imago.selection.units import Units
from imago.specs import ModelSpec
from imago.storage import Storage
from imago.training import importance
from imago.training.fitting import contestants
from imago.training.snapshot import Snapshot, labels, slice_values

MOST_VALUES = 20  # of a slice's column
_TONES = {"surely better": "better", "surely worse": "worse"}
RESAMPLES = 1000  # of a slice: a picture, not a decision


def gather(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    word: Mapping[str, Any],
    frozen: Snapshot,
    verdict: Verdict,
    outcome: str,
    predictions: Mapping[str, np.ndarray],
    causes: Sequence[Cause],
) -> dict[str, Any]:
    """All that the page shows. The challenger is compared with whom it had to beat; where a baseline blocked the
    release, with that baseline."""
    scene = Scene(spec, frozen, verdict, predictions)
    metric, meaning = words.metric_words(spec.primary_metric)
    gain = scene.money_gain()
    said = {
        "environment": environment.name, "model": spec.name, "description": spec.description, "owner": spec.owner,
        "ds": ds, "outcome": outcome, "headline": words.headline(verdict, outcome),
        "sentence": words.summary(
            verdict, outcome, effective_ds=frozen.cut.effective_ds, days=len(frozen.cut.days("holdout")),
            money=_money_words(spec, gain), cause=causes[0].title if causes else "",
        ),
        "drawn": scene.units.words,
        "metric": metric, "metric_meaning": meaning, "smallest_effect": spec.smallest_effect,
        "challenger": scene.ours, "against": scene.theirs, "approval": "",
        "unit": spec.business.unit if spec.business and scene.priced else "",
        "money_name": spec.business.name if spec.business else "",
        "contestants": scene.contestants(),
        "causes": [cause.as_dict() for cause in causes],
        "gates": words.gates(verdict), "warnings": [words.sentence(warning) for warning in verdict.warnings],
        "slices": scene.slices(), "calibration": scene.calibration(),
        **_importance(environment, spec, word, scene.ours),
        "money": None if gain is None else _gap(gain), "flips": scene.flips(),
        **_data(spec, frozen, verdict),
    }  # fmt: skip
    said["forest"] = pictures.strips(
        [{"name": one["name"], "tone": one["role"], **one["gap"]} for one in said["contestants"] if one["gap"]],
        marks={"worth a change": spec.smallest_effect},
    )
    said["slice_forest"] = pictures.strips([one for one in said["slices"] if one["estimate"] is not None])
    said["money_forest"] = pictures.strips(
        [{"name": one["name"], "tone": one["role"], **one["money_gap"]} for one in said["contestants"]
         if one["money_gap"]], number=lambda value: amount(value, sign=True),
    )  # fmt: skip
    said["tiles"] = _tiles(said)
    return json.loads(json.dumps(said, default=str), parse_constant=lambda _: None)


class Scene:
    """The holdout with everybody's scores, and the two who are compared on it."""

    def __init__(
        self, spec: ModelSpec, frozen: Snapshot, verdict: Verdict, predictions: Mapping[str, np.ndarray]
    ) -> None:
        self.spec = spec
        self.verdict = verdict
        self.predictions = predictions
        self.rows = frozen.part("holdout")
        self.truth = labels(self.rows, spec)
        self.units = Units.of_rows(spec, self.rows)
        opponent = verdict.best_baseline if verdict.outcome == "blocked" else verdict.opponent or verdict.best_baseline
        scored = [name for name in (verdict.challenger, opponent) if name in predictions]
        self.ours: str | None = scored[0] if len(scored) == 2 else None
        self.theirs: str | None = scored[1] if len(scored) == 2 else None
        self.priced = spec.business is not None and spec.problem == "binary"

    def contestants(self) -> list[dict[str, Any]]:
        """Best score first; those without one come last."""
        spec, told = self.spec, contestants(self.spec)
        ranges = intervals(metric=spec.primary_metric, units=self.units, truth=self.truth, scores=self.predictions,
                           seed=spec.training.seed)  # fmt: skip
        gaps = self._gaps()
        sign = 1.0 if spec.lower_is_better else -1.0
        ranked = sorted(self.verdict.rulings, key=lambda one: (one.score is None, sign * (one.score or 0.0)))
        made = []
        for one in ranked:
            money = self._money(one.name)
            made.append({
                "name": one.name, "role": one.role, "score": one.score, "standing": one.standing,
                "why": words.why(one, self.verdict), "what": told[one.name].why if one.name in told else "",
                "range": ranges.get(one.name), "gap": _gap(gaps[one.name]) if one.name in gaps else None,
                "money": None if money is None else float(money.sum()),
                "money_gap": self._money_gap(one.name),
            })  # fmt: skip
        return made

    def slices(self) -> list[dict[str, Any]]:
        """The difference of the two on each value of the spec's slices; the values with most rows of each."""
        if self.ours is None or self.theirs is None:
            return []
        made = []
        for column, values in slice_values(self.spec, self.rows).items():
            names, counts = np.unique(values, return_counts=True)
            for place in np.argsort(-counts, kind="stable")[:MOST_VALUES]:
                rows = values == names[place]
                gap = Difference(None, None, None)
                if rows.sum() >= LEAST_ROWS:
                    pair = (self.ours, self.theirs)
                    gap = self._difference([pair], rows, resamples=RESAMPLES)[pair]
                made.append({
                    "column": column, "value": str(names[place]) or "(missing)", "count": int(rows.sum()),
                    "label": f"{column} {names[place] or '(missing)'}", "standing": _standing(gap),
                    "tone": _TONES.get(_standing(gap), "even"), **_gap(gap),
                })  # fmt: skip
        return made

    def calibration(self) -> dict[str, Any] | None:
        """What the scores promised against what was seen, for the two who are compared. Of several classes, for the one
        whose chances the first promises worst."""
        if self.ours is None or self.theirs is None:
            return None
        truth, of = self.truth, ""
        scores = {name: self.predictions[name] for name in (self.ours, self.theirs)}
        if self.spec.problem == "multiclass":
            told = [(self.truth == place).astype(float) for place in range(len(self.spec.classes))]
            errors = [calibration_error(one, scores[self.ours][:, place]) for place, one in enumerate(told)]
            worst = int(np.argmax(errors))
            truth, of = told[worst], self.spec.classes[worst]
            scores = {name: values[:, worst] for name, values in scores.items()}
        lines, errors_of = {}, {}
        for name, values in scores.items():
            _, promised, observed, rows = calibration_curve(truth, values)
            lines[name] = (promised, observed)
            errors_of[name] = float(np.average(np.abs(promised - observed), weights=rows))
        return {"errors": errors_of, "of": of, **pictures.curves(lines, share=self.spec.problem != "regression")}

    def money_gain(self) -> Difference | None:
        """What the challenger's decisions would have been worth beyond its opponent's, on the whole holdout."""
        gain = self._gain(self.ours)
        return None if gain is None else worth.difference(self.units, gain, seed=self.spec.training.seed)

    def flips(self) -> dict[str, Any] | None:
        if self.ours is None or self.theirs is None or self.spec.problem == "regression":
            return None
        ours, theirs = (self._decided(name) for name in (self.ours, self.theirs))
        found = worth.flips(ours, theirs, self.truth, slice_values(self.spec, self.rows), self._gain(self.ours))
        for one in found["directions"]:
            if self.spec.classes:
                one |= {name: self.spec.classes[int(one[name])] for name in ("before", "after")}
            one["words"] = _direction(one["before"], one["after"], self.spec.problem)
        found["where"] = worth.top_slices(found["where"])
        return found

    def _gaps(self) -> dict[str, Difference]:
        """Everybody's difference to the one who has to be beaten; a candidate's own is that of its ruling."""
        if self.theirs is None:
            return {}
        others = [one.name for one in self.verdict.rulings if one.name in self.predictions and one.name != self.theirs]
        found = self._difference(
            [(name, self.theirs) for name in others],
            slice(None),
            together=[one.name for one in self.spec.candidates],
            confidence=confidence(self.theirs, self.verdict.incumbent),
        )
        return {name: found[name, self.theirs] for name in others}

    def _difference(self, pairs: list[tuple[str, str]], rows: Any, **more: Any) -> dict[tuple[str, str], Difference]:
        names = {name for pair in pairs for name in pair}
        return differences(
            metric=self.spec.primary_metric, higher_is_better=not self.spec.lower_is_better, units=self.units.at(rows),
            truth=self.truth[rows], scores={name: self.predictions[name][rows] for name in names}, pairs=pairs,
            seed=self.spec.training.seed, **more,
        )  # fmt: skip

    def _decided(self, name: str) -> np.ndarray:
        scores = self.predictions[name]
        if scores.ndim == 2:
            return np.asarray(scores.argmax(axis=1), dtype=int)
        return (scores >= self.spec.decision_threshold).astype(int)

    def _money(self, name: str | None) -> np.ndarray | None:
        if not self.priced or self.spec.business is None or name is None or name not in self.predictions:
            return None
        return worth.worth(self._decided(name), self.truth, self.spec.business)

    def _gain(self, name: str | None) -> np.ndarray | None:
        ours, theirs = self._money(name), self._money(self.theirs)
        return None if ours is None or theirs is None else ours - theirs

    def _money_gap(self, name: str) -> dict[str, float | None] | None:
        gain = None if name == self.theirs else self._gain(name)
        return None if gain is None else _gap(worth.difference(self.units, gain, seed=self.spec.training.seed))


def _gap(gap: Difference) -> dict[str, float | None]:
    return {"estimate": gap.estimate, "low": gap.low, "high": gap.high}


def _standing(gap: Difference) -> str:
    if gap.estimate is None or gap.low is None or gap.high is None:
        return "too few rows to tell"
    return "surely better" if gap.low > 0 else "surely worse" if gap.high < 0 else "unsure"


def _direction(before: str, after: str, problem: str) -> str:
    if problem == "binary":
        return "called now, and was not" if after == "1" else "no longer called"
    return f"told {after} now, and {before} before"


def _money_words(spec: ModelSpec, gain: Difference | None) -> str:
    if gain is None or gain.estimate is None or spec.business is None:
        return ""
    side = "more" if gain.estimate >= 0 else "less"
    said = f", and its decisions would have been worth {amount(abs(gain.estimate), spec.business.unit)} {side} there"
    unsure = gain.low is None or gain.high is None or gain.low <= 0 <= gain.high
    return said + (" (which may be chance)" if unsure else "")


def _importance(environment: Environment, spec: ModelSpec, word: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """What the training found of the challenger's features, as it stored it; None where it stored nothing."""
    run = next((one["run_id"] for one in word["contestants"] if one["contestant"] == name), None)
    path = f"{Tracker(environment, spec.name).artifact_folder(run)}/{importance.FILE}" if run else ""
    if not path or not Storage(environment).exists(path):
        return {"importance": None, "importance_on": ""}
    found = json.loads(Storage(environment).read_bytes(path))
    on = f"{found['rows']:,} rows of {found.get('days', 'the tuning days')}" if "rows" in found else ""
    return {"importance": pictures.bars(dict(found["mean"]), dict(found.get("std", {}))), "importance_on": on}


def _data(spec: ModelSpec, frozen: Snapshot, verdict: Verdict) -> dict[str, Any]:
    manifest, cut = frozen.manifest, frozen.cut
    learned = "learned from for tuning" if cut.tuning_first else "learned from"
    spans = {"train": (learned, cut.train_first, cut.train_last),
             "tuning": ("tuned on, then learned from", cut.tuning_first, cut.trained_until),
             "fit": ("learned from in the last fit", cut.fit_first, cut.trained_until),
             "holdout": ("judged on", cut.holdout_first, cut.holdout_last)}  # fmt: skip
    if cut.tuning_first is None:
        del spans["tuning"], spans["fit"]
    shown = [(part, name, first, last) for part, (name, first, last) in spans.items() if first is not None]
    return {
        "parts": [{"part": part, "name": name, "first": first, "last": last, **manifest["parts"][part]}
                  for part, name, first, last in shown],
        "timeline": pictures.timeline([*((part, first, last) for part, _, first, last in shown if part != "fit"),
                                       ("scores", cut.effective_ds, cut.effective_ds)]),
        "days": [{"first": first, "last": last, "count": count, "what": what}
                 for first, last, count, what in cut.purposes()],
        "tables": [{"name": name, **found} for name, found in manifest["inputs"].items()],
        "effective_ds": cut.effective_ds, "trained_until": cut.trained_until, "known_by": manifest["known_by"],
        "outcomes_known_later": manifest["outcomes_known_later"], "label_delay_days": spec.label_delay_days,
        "snapshot": frozen.folder, "digest": frozen.digest, "holdout_digest": frozen.holdout_digest(spec),
        "label": {"binary": "positive", "multiclass": "classes"}.get(spec.problem, "mean label"),
    }  # fmt: skip


def _tiles(said: Mapping[str, Any]) -> list[dict[str, str]]:
    found = next((one for one in said["contestants"] if one["name"] == said["challenger"]), None)
    tiles = []
    if found is not None and found["score"] is not None:
        tiles.append({"value": figure(found["score"]), "label": f"{said['metric']} of {found['name']}"})
    if found is not None and found["gap"] and found["gap"]["estimate"] is not None:
        tiles.append({"value": figure(found["gap"]["estimate"], sign=True), "label": f"against {said['against']}"})
    if said["money"] and said["money"]["estimate"] is not None:
        value = amount(said["money"]["estimate"], said["unit"], sign=True)
        tiles.append({"value": value, "label": f"on the holdout, against {said['against']}"})
    if said["flips"]:
        tiles.append({"value": f"{said['flips']['rows']:,}", "label": f"of {said['flips']['of']:,} decisions change"})
    holdout = said["parts"][-1]
    return [*tiles, {"value": f"{holdout['rows']:,}", "label": f"rows judged, {holdout['first']} to {holdout['last']}"}]
