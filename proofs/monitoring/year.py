"""The real year of flights under champions of the flights' own spec: each day scored, profiled, judged, and held
against the truth. Without Airflow and without tables; the functions are the jobs' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imago.answers import told
from imago.days import days_between, shift
from imago.jobs.references import reference_from
from imago.measures import roc_auc
from imago.monitoring.drift import Finding, Verdict, judge, looked_at, verdicts
from imago.monitoring.profiles import Profile
from imago.monitoring.reference import Reference, profiled_columns
from imago.specs import ModelSpec, get_model
from imago.training import fitting, snapshot
from imago.training.cut import Cut, cut

SPEC: ModelSpec = get_model("flight_delays")
WITHOUT_SEARCH = SPEC.candidates[1].model_copy(update={"search": None})


@dataclass(frozen=True)
class Champion:
    """A trained model and its reference."""

    where: Cut
    pipeline: Any
    reference: Reference


@dataclass(frozen=True)
class Day:
    """What a day came to; `truth` is its AUC once its outcomes are known."""

    ds: str
    rows: int
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    estimate: float | None
    truth: float

    @property
    def fired(self) -> dict[str, list[str]]:
        """The columns of each concern that alarms."""
        return {one.concern: one.columns for one in self.verdicts if one.fired}


class Year:
    """The year's features and outcomes, as `proofs.flights` keeps them in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.features = pq.read_table(folder / "features.parquet")
        self.labelled = snapshot.join(self.features, pq.read_table(folder / "outcomes.parquet"), SPEC)
        self._scored: dict[tuple[str, str], tuple[np.ndarray, Profile]] = {}

    def champion(self, where: Cut) -> Champion:
        """The spec's boosted trees, without their search, on the days of `where`."""
        frozen = snapshot.Snapshot("year", {"cut": where.as_dict(), "digest": "year"}, self.labelled)
        fitted = fitting.fit(SPEC, frozen, WITHOUT_SEARCH)
        assert fitted.needed is not None

        def predict(rows: pa.Table) -> np.ndarray:
            return _scores(fitted.pipeline, rows)

        name = f"{where.train_first}..{where.trained_until}"
        return Champion(where, fitted.pipeline, reference_from(SPEC, name, frozen, predict, fitted.needed.mean))

    def days(self, champion: Champion, first: str, last: str, spoil: Any = None) -> Iterator[Day]:
        """Each day judged as monitoring would, with the profiles of the days before it under the same champion. `spoil`
        changes a day's rows before they are scored."""
        profiles = {ds: one for ds, one in champion.reference.recent.items() if ds < first}
        for ds in days_between(first, last):
            rows = _of(self.features, ds)
            if spoil is not None:
                rows = spoil(ds, rows)
            scores = _scores(champion.pipeline, rows)
            columns = profiled_columns(rows, SPEC.feature_names, told(SPEC, scores))
            profiles[ds] = Profile.of(columns, champion.reference.profile)
            seen = {day: profiles[day] for day in looked_at(profiles, ds, SPEC.drift.confirm)}
            findings = judge(ds, seen, champion.reference, SPEC.drift)
            known = _of(self.labelled, ds)
            truth = roc_auc(snapshot.labels(known, SPEC), _scores(champion.pipeline, known))
            estimator = champion.reference.estimator
            estimate = estimator.estimate(profiles[ds]) if estimator else None
            yield Day(ds, rows.num_rows, findings, verdicts(findings), estimate, truth)


def cut_at(ds: str) -> Cut:
    """The cut of a training of that day, by the spec."""
    return cut(SPEC, ds)


def between(first: str, last: str, holdout: int = 30) -> Cut:
    """A cut that learns from those days only; the last of them are the holdout."""
    holdout_first = shift(last, 1 - holdout)
    until = shift(holdout_first, -2)
    tuning = shift(until, -13)
    return Cut(last, first, shift(tuning, -2), tuning, first, until, holdout_first, last)


def _of(rows: pa.Table, ds: str) -> pa.Table:
    return rows.filter(pc.equal(rows.column("ds"), ds)).combine_chunks()


def _scores(pipeline: Any, rows: pa.Table) -> np.ndarray:
    from threadpoolctl import threadpool_limits

    from imago.registry.inputs import columns_of, frame_of
    from imago.registry.outputs import scores_of

    columns = columns_of(rows, [(feature.name, feature.kind) for feature in SPEC.features])
    with threadpool_limits(limits=1):
        return np.asarray(scores_of(pipeline, frame_of(columns), SPEC.problem))
