"""The measures on real flights and real weather, held against their plain definitions on the raw values and scipy."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from imago.landing.flights import package_folder
from imago.monitoring import series
from imago.monitoring.bins import freeze
from imago.monitoring.profiles import Profile

SPRING, NOW = 4, 7  # the months that are compared
FLIGHTS = ("dep_delay", "distance", "sched_dep_time", "carrier", "dest")
WEATHER = ("temp", "humid", "wind_speed", "pressure")
NAMES = ("carrier", "dest")
NUMBERS = tuple(name for name in (*FLIGHTS, *WEATHER) if name not in NAMES)
GRID = 1e-4  # of a value: what the sums behind a deviation are rounded by


@pytest.fixture(scope="module")
def raw():
    """Column to its values in spring and now; missing numbers are NaN."""
    found = {}
    for file, names in (("flights.csv.zip", FLIGHTS), ("weather.csv", WEATHER)):
        rows = pd.read_csv(package_folder() / file, usecols=["month", *names])
        for name in names:
            kind = object if name in NAMES else float
            found[name] = tuple(rows.loc[rows["month"] == month, name].to_numpy(kind) for month in (SPRING, NOW))
    return found


@pytest.fixture(scope="module")
def measured(raw):
    """Column to measure to its value, as monitoring takes it; and the profile of spring."""
    kinds = {name: "categorical" if name in NAMES else "numeric" for name in raw}
    told = {}
    for name, (before, now) in raw.items():
        bins = freeze({name: before}, {name: kinds[name]})
        trained, day = (Profile.of({name: values}, bins) for values in (before, now))
        days = series.stack({"2013-07-01": day}, ["2013-07-01"], trained)
        measures = series.measured(name, days[name])
        told[name] = {measure: values[0] for (window, measure), values in measures.items() if window == "day"}
        told[name]["profile"] = trained.columns[name]
    return told


def groups(values, now, frozen):
    """Rows of both sides in groups of about a tenth of spring's rows each, with one more for names unseen in spring."""
    if frozen.kind == "categorical":
        seen, later = Counter(values), Counter(now)
        names = sorted(seen, key=lambda name: (-seen[name], name))
        before, after = np.array([seen[name] for name in names]), np.array([later[name] for name in names])
        unseen = len(now) - after.sum()
    else:
        edges = [-np.inf, *frozen.edges, np.inf]
        before, after = (np.histogram(side[~np.isnan(side)], edges)[0] for side in (values, now))
        unseen = 0
    tenth = np.minimum((np.cumsum(before) - before) * 10 // before.sum(), 9)
    return [
        np.array([*(counts[tenth == number].sum() for number in np.unique(tenth)), extra])
        for counts, extra in ((before, 0), (after, unseen))
    ]


def shares(counts):
    return (counts + 0.5) / (counts + 0.5).sum()


@pytest.mark.parametrize("name", [*FLIGHTS, *WEATHER])
def test_psi_and_jensen_shannon_are_those_of_tenths_of_springs_rows(name, raw, measured):
    p, q = (shares(counts) for counts in groups(*raw[name], measured[name]["profile"]))
    assert measured[name]["psi"] == pytest.approx(sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True)))
    assert measured[name]["jensen_shannon"] == pytest.approx(jensenshannon(p, q, base=2))
    assert measured[name]["psi"] > 1e-4


def bin_error(before, now, frozen):
    """How far the distance can be wrong because rows are told by their bins only: evenly spread over a bin of width w,
    rows lie w / 2 away at most (on average over the bin); of few values, each row lies at the value next to it."""
    if frozen.kind == "discrete":
        values = np.unique(before)
        return np.abs(now[:, None] - values).min(axis=1).mean()
    edges = [min(before.min(), now.min()), *frozen.edges, max(before.max(), now.max())]
    p, q = (np.histogram(side, [-np.inf, *frozen.edges, np.inf])[0] / len(side) for side in (before, now))
    return (np.diff(edges).clip(0) * (p + q)).sum() / 2


@pytest.mark.parametrize("name", NUMBERS)
def test_the_wasserstein_distance_is_scipys_of_the_raw_values_in_deviations_of_spring(name, raw, measured):
    before, now = (side[~np.isnan(side)] for side in raw[name])
    expected = wasserstein_distance(before, now) / before.std()
    error = bin_error(before, now, measured[name]["profile"]) / before.std()
    assert measured[name]["wasserstein"] == pytest.approx(expected, abs=error + GRID * expected)
    # Most of that error cancels out. What is left is largest for delays, whose last bin reaches from 6 hours to 16.
    assert measured[name]["wasserstein"] == pytest.approx(expected, rel=0.05, abs=1e-3)


@pytest.mark.parametrize("name", [*FLIGHTS, *WEATHER])
def test_missing_values_rise_by_the_difference_of_their_shares(name, raw, measured):
    before, now = (pd.isna(side).mean() for side in raw[name])
    assert measured[name]["missing_rise"] == pytest.approx(max(now - before, 0.0))


def test_both_kinds_of_numbers_are_among_the_columns(measured):
    assert {found["profile"].kind for found in measured.values()} == {"numeric", "discrete", "categorical"}
