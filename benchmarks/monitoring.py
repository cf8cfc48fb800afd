"""What comparing one partition costs, against scipy and beside Evidently: `python -m benchmarks.monitoring`.

A partition of 1,000,000 rows and 20 columns is profiled and compared with the champion's reference. scipy takes both
sides as rows for the same figures: the Wasserstein distance and the Jensen-Shannon distance of each column; PSI over
tenths and the missing rate are taken by numpy. Evidently runs in a virtual environment of its own below `.imago/bench/`
(it needs pandas 2) and is left out, with the reason, where that cannot be installed.

The contenders take turns, so that what else the machine does meets all of them alike; scipy and Evidently take part in
fewer rounds, since they take so much longer.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from benchmarks.timing import Contender, machine, table, take_turns
from imago.dbt.project import project_folder
from imago.monitoring import series
from imago.monitoring.bins import freeze
from imago.monitoring.profiles import Profile

ROWS, COLUMNS = 1_000_000, 20
TARGET = 30.0
GROUPS = 10
_PACKAGES = ("evidently==0.7.*", "pandas<3", "pyarrow")
_EVIDENTLY = """
import sys, time, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_feather(path) for path in sys.argv[1:3])
started = time.perf_counter()
Report([DataDriftPreset()]).run(current, reference)
print("BENCH", time.perf_counter() - started)
"""

Columns = dict[str, np.ndarray]


def sides(rows: int, columns: int) -> tuple[Columns, Columns]:
    """Rows of the training and of a day: normal, skewed, few-valued and shifted columns."""
    random = np.random.default_rng(1)

    def one(number: int, shift: float) -> np.ndarray:
        kind = number % 4
        if kind == 0:
            return random.normal(size=rows) + shift
        if kind == 1:
            return random.gamma(2.0, size=rows) * (1 + shift)
        if kind == 2:
            return random.integers(0, 300, rows) / 7 + shift
        return random.integers(0, 24, rows).astype(float)

    made = [{f"x{number}": one(number, shift) for number in range(columns)} for shift in (0.0, 0.02)]
    return made[0], made[1]


def by_profile(frozen: Profile, reference: Profile, day: Columns) -> dict[str, dict[str, float]]:
    """The figures from the day's profile, which is made here too."""
    profile = Profile.of(day, frozen)
    found = {}
    for name, one in series.stack({"2013-10-01": profile}, ("2013-10-01",), reference).items():
        measures = series.measured(name, one)
        shapes = ("psi", "jensen_shannon", "wasserstein", "missing_rise")
        found[name] = {shape: float(measures["day", shape][0]) for shape in shapes}
    return found


def by_scipy(reference: Columns, day: Columns) -> dict[str, dict[str, float]]:
    """The same figures from the rows."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    found = {}
    for name, before in reference.items():
        now = day[name]
        edges = np.unique(np.quantile(before, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        p, q = (np.bincount(np.searchsorted(edges, side, side="right"), minlength=len(edges) + 1) + 0.5
                for side in (before, now))  # fmt: skip
        p, q = p / p.sum(), q / q.sum()
        found[name] = {
            "psi": float(np.sum((q - p) * np.log(q / p))),
            "jensen_shannon": float(jensenshannon(p, q, base=2)),
            "wasserstein": float(wasserstein_distance(before, now) / before.std()),
            "missing_rise": float(np.isnan(now).mean() - np.isnan(before).mean()),
        }
    return found


class Evidently:
    """Evidently's own preset, in an environment of its own. `missing` says why it cannot take part."""

    def __init__(self, folder: Path, reference: Columns, day: Columns) -> None:
        home = project_folder().parent / ".imago" / "bench" / "evidently"
        self.python = home / "bin" / "python"
        self.missing = self._install(home)
        self.files = [str(folder / f"{name}.feather") for name in ("reference", "day")]
        for path, columns in zip(self.files, (reference, day), strict=True):
            feather.write_feather(pa.table(columns), path)

    def _install(self, home: Path) -> str:
        if (home / ".installed").is_file():
            return ""
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        print("Installing Evidently in an environment of its own ...", flush=True)
        for command in (["venv", "--quiet", "--clear", str(home)],
                        ["pip", "install", "--quiet", "--python", str(self.python), *_PACKAGES]):  # fmt: skip
            done = subprocess.run([uv, *command], capture_output=True, text=True)
            if done.returncode:
                return f"it cannot be installed: {(done.stderr or done.stdout).strip()[-300:]}"
        (home / ".installed").touch()
        return ""

    def run(self) -> float:
        """Its seconds, without its imports and without reading the files."""
        done = subprocess.run([str(self.python), "-c", _EVIDENTLY, *self.files], capture_output=True, text=True)
        told = [line for line in done.stdout.splitlines() if line.startswith("BENCH ")]
        if not told:
            raise SystemExit(f"Evidently failed: {done.stderr.strip()[-800:]}")
        return float(told[0].removeprefix("BENCH "))


def main(given: list[str] | None = None) -> int:
    """Prints the table; 1 when comparing takes more than a thirtieth of scipy's time, or the figures differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--without-evidently", action="store_true")
    told = parser.parse_args(given)
    print(machine())
    reference, day = sides(told.rows, COLUMNS)
    frozen = freeze(reference, dict.fromkeys(reference, "numeric"))
    known = Profile.of(reference, frozen)
    ours = Contender("Imago: the day's profile and its measures", lambda _: by_profile(frozen, known, day), told.rounds)
    theirs = Contender("scipy and numpy on the rows of both sides", lambda _: by_scipy(reference, day), 3)
    contenders = [ours, theirs]
    with tempfile.TemporaryDirectory(prefix="imago-bench-") as folder:
        if not told.without_evidently:
            evidently = Evidently(Path(folder), reference, day)
            if evidently.missing:
                print(f"Evidently is left out: {evidently.missing}")
            else:
                contenders.append(Contender("Evidently 0.7, its drift preset", lambda _: evidently.run(), 2))
        take_turns(contenders)
    table(f"One partition of {told.rows:,} rows x {COLUMNS} columns against the training", contenders, against=ours)
    ratio = theirs.median / ours.median
    print(f"\n1/{ratio:.0f} of scipy's time; the target is at most 1/{TARGET:.0f}")
    apart = _apart(by_profile(frozen, known, day), by_scipy(reference, day))
    print("largest difference from scipy: " + ", ".join(f"{name} {value:.1e}" for name, value in apart.items()))
    # The Jensen-Shannon distance is a root: near zero it makes much of which tenth a tied value falls into.
    wrong = apart["wasserstein"] > 1e-3 or apart["jensen_shannon"] > 2e-2 or apart["psi"] > 2e-3
    return int(ratio < TARGET or wrong)


def _apart(ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]]) -> dict[str, float]:
    measures = next(iter(theirs.values()))
    return {one: max(abs(ours[name][one] - theirs[name][one]) for name in theirs) for one in measures}


if __name__ == "__main__":
    sys.exit(main())
