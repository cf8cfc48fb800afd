"""The verdicts of drift as Great Expectations carries them: an expectation of its own kind for each finding.

The batch is the profile: a row for each column and window, with the counts on both sides. The metric takes each measure
from those counts by itself, so a verdict that Great Expectations repeats was computed twice. Load this module only
where it is used: it imports Great Expectations, which is the slowest import of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, render_suite_parameter_string
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer

from imago.monitoring import divergence, series
from imago.monitoring.drift import Finding
from imago.monitoring.profiles import Profile
from imago.monitoring.reference import Reference
from imago.monitoring.series import LENGTHS, ROWS
from imago.monitoring.wording import MEASURES, WINDOWS
from imago.validator import library, validate

METRIC = "imago.profile.drift"
SAME = 2e-6  # a finding's value is rounded to six digits


class ProfileDrift(TableMetricProvider):
    """One measure of one column over one window, from the counts in the batch."""

    metric_name = METRIC
    value_keys = ("profiled", "measure", "window")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - as Great Expectations calls it
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> float:
        batch, _, _ = execution_engine.get_compute_domain(
            domain_kwargs=metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        mine = batch[
            (batch["profiled"] == metric_value_kwargs["profiled"]) & (batch["window"] == metric_value_kwargs["window"])
        ]
        if len(mine) != 1:
            raise ValueError(f"{len(mine)} rows of the profile for {metric_value_kwargs}")
        return value_of(mine.iloc[0], metric_value_kwargs["measure"])


class ExpectProfileDriftToStayBelow(BatchExpectation):
    """Expects a measure of drift to stay below its threshold, or to last for no more than `confirmed` says."""

    profiled: str
    measure: str
    window: str
    threshold: float
    confirmed: bool  # whether the windows before say so too; what is not confirmed alarms nobody

    metric_dependencies = (METRIC,)
    success_keys = ("profiled", "measure", "window", "threshold", "confirmed")

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        value = metrics[METRIC]
        broken = bool(value >= self.threshold - SAME) and self.confirmed
        return {"success": not broken, "result": {"observed_value": value}}

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None, **_: Any
    ) -> list[RenderedStringTemplateContent]:
        asked = configuration.kwargs
        words = f"{MEASURES[asked['measure']]} {WINDOWS[asked['window']]} below $threshold"
        words = f"$profiled: {words}" + ("" if asked["confirmed"] else " (the windows before do not confirm it)")
        params = {"profiled": asked["profiled"], "threshold": f"{asked['threshold']:.4g}"}
        template = {"template": words, "params": params}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]


def suite(ds: str, findings: Sequence[Finding]) -> Any:
    """One expectation for each finding of a day."""
    return library().ExpectationSuite(
        f"drift of {ds}",
        expectations=[
            ExpectProfileDriftToStayBelow(
                profiled=one.column,
                measure=one.measure,
                window=one.window,
                threshold=one.threshold,
                confirmed=one.lasting is not None and one.lasting >= one.threshold,
                severity=FailureSeverity.CRITICAL if one.weight >= 0.5 else FailureSeverity.WARNING,
                meta={"finding": [one.column, one.measure, one.window]},
            )
            for one in findings
        ],
    )


def judged(
    ds: str, findings: Sequence[Finding], profiles: Mapping[str, Profile], reference: Reference
) -> ExpectationSuiteValidationResult:
    """Runs the suite of a day over its profile."""
    return validate(batch(ds, profiles, reference), suite(ds, findings))


def doubts(findings: Sequence[Finding], validation: ExpectationSuiteValidationResult) -> list[str]:
    """Where Great Expectations did not say what the judgement says: a check that did not run, raised, found another
    value or another verdict. Empty when checks run = checks declared and all agree."""
    told: dict[tuple[str, ...], list[Any]] = {}
    for result in validation.results:
        about = result.expectation_config.meta if result.expectation_config else None
        told.setdefault(tuple((about or {}).get("finding", ())), []).append(result)
    found = []
    for one in findings:
        results = told.pop((one.column, one.measure, one.window), [])
        name = f"{one.measure} of {one.column} over {one.window}"
        if len(results) != 1:
            found.append(f"{name}: {len(results) or 'no'} results")
            continue
        seen = (results[0].result or {}).get("observed_value")
        if seen is None or not np.isclose(seen, one.value, rtol=0, atol=SAME):
            found.append(f"{name}: it finds {seen} where the judgement finds {one.value}")
        elif bool(results[0].success) is (one.level == "critical"):
            found.append(f"{name}: it says {'met' if results[0].success else 'not met'}, the judgement {one.level}")
    return [*found, *(f"an expectation for nothing that was judged: {key}" for key in told)]


def batch(ds: str, profiles: Mapping[str, Profile], reference: Reference) -> pd.DataFrame:
    """The profile of a day as a table: one row for each column and window."""
    held = {day: profile for day, profile in profiles.items() if day <= ds}
    days = series.calendar(sorted(held), ds)
    rows = []
    for name, one in series.stack(held, days, reference.profile).items():
        for window in LENGTHS:
            now, base = one.over(window).last(1), series.base_of(one, window, 1)
            rows.append({"profiled": name, "window": window, "trained": one.trained, "now": now, "base": base})
    counted = next(iter(series.stack(held, days, reference.profile).values())).rows
    change = float(series.volume(counted, days, reference.weekday_rows)[-1])
    rows.append({"profiled": ROWS, "window": "day", "trained": None, "now": change, "base": None})
    return pd.DataFrame(rows)


def value_of(row: Any, measure: str) -> float:
    """One measure, straight from the counts of a row of the batch."""
    now, base, trained = row["now"], row["base"], row["trained"]
    if measure == "volume":
        return float(now)
    if measure in ("missing_rise", "unseen_rise"):
        count, usual = (
            (now.missing, trained.missing_rate) if measure == "missing_rise" else (now.unseen, trained.unseen_rate)
        )
        return max(float(count[0] / now.rows[0]) - usual, 0.0)
    counts, before = now.counts[0], base.counts[0]
    if measure == "rate_shift":
        return float(np.abs(counts / now.rows[0] - before / base.rows[0]).max())
    if measure in ("psi", "jensen_shannon"):
        sides = (series.groups_of(trained, side.counts[0], side.unseen[0]) for side in (base, now))
        return float(getattr(divergence, measure)(*sides))
    means = [float(side.totals[0] / max(side.counts[0].sum(), 1)) for side in (now, base)]
    away = abs(means[0] - means[1])
    if measure == "mean_shift":
        return away / trained.deviation
    if not counts.sum():
        return 0.0
    if trained.kind == "discrete":
        moved = divergence.wasserstein_of_points(before, counts, series.points_of(trained))
    else:
        low, high = min(now.low[0], base.low[0]), max(now.high[0], base.high[0])
        edges = np.array(trained.edges)
        moved = divergence.wasserstein(before, counts, edges, np.array(low), np.array(high))
    return max(float(moved), away) / float(trained.deviation)
