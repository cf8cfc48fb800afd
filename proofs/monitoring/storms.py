"""The flights of 2013: faults planted in a calm October, February's blizzard and July's storms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from proofs import flights
from proofs.monitoring.year import Champion, Day, Year, between, cut_at
from proofs.report import Report

PLANTED = "2013-10-16"
BLIZZARD = ("2013-02-08", "2013-02-09")


def run(url: str, home: Path, report: Report) -> None:
    """Adds what the real year shows to the report."""
    flights.build(url, home)
    year = Year(home)
    autumn, spring = year.champion(cut_at("2013-10-01")), year.champion(between("2013-03-01", "2013-06-28"))
    _calm(report, list(year.days(autumn, "2013-10-02", "2013-12-31")))
    _planted(report, year, autumn)
    _blizzard(report, list(year.days(spring, "2013-01-31", "2013-02-28")))
    _summer(report, list(year.days(spring, "2013-06-29", "2013-08-31")))


def _calm(report: Report, days: Sequence[Day]) -> None:
    early = [one.ds for one in days if one.fired and one.ds <= "2013-10-31"]
    report.check("October raises nothing", not early, early)
    told = [f"{one.ds} ({', '.join(columns[0] for columns in one.fired.values())})" for one in days if one.fired]
    report.say(f"October to December under the champion of 1 October: {len(told)} days alarm: {', '.join(told)}")
    found = np.array([(one.estimate, one.truth) for one in days])
    errors = np.abs(found[:, 0] - found[:, 1])
    near, spread = np.corrcoef(found.T)[0, 1], found[:, 1].std()
    report.say(f"estimated AUC of single days: off by {errors.mean():.3f} on average, correlation with the truth "
               f"{near:.2f}; a day's AUC varies by {spread:.3f} by itself")  # fmt: skip


def _planted(report: Report, year: Year, champion: Champion) -> None:
    column = "departure_minute"
    trained = champion.reference.profile.columns[column]
    half = 0.5 * float(trained.deviation or 0.0)

    def later(ds: str, rows: pa.Table) -> pa.Table:
        if ds < PLANTED:
            return rows
        moved = np.asarray(rows.column(column).cast(pa.float64())) + half
        return rows.set_column(rows.schema.get_field_index(column), column, pa.array(moved))

    days = list(year.days(champion, "2013-10-14", "2013-10-17", later))
    named = [one.fired.get("inputs", [])[:1] for one in days if one.ds >= PLANTED]
    report.check("half a deviation in the flights' most needed column", [column] in named, named)
    report.say(f"{column} of the flights half a deviation ({half:.0f} minutes) off: named first on day "
               f"{named.index([column]) + 1 if [column] in named else None}")  # fmt: skip

    def gone(ds: str, rows: pa.Table) -> pa.Table:
        if ds < PLANTED:
            return rows
        place = rows.schema.get_field_index("humidity_pct")
        return rows.set_column(place, "humidity_pct", pa.nulls(rows.num_rows, pa.float64()))

    (day,) = (one for one in year.days(champion, "2013-10-14", PLANTED, gone) if one.ds == PLANTED)
    report.check("a column of the flights gone null", day.fired.get("missing_values") == ["humidity_pct"], day.fired)


def _blizzard(report: Report, days: Sequence[Day]) -> None:
    by_day = {one.ds: one for one in days}
    before = [one.ds for one in days if one.fired and one.ds < BLIZZARD[0]]
    report.check("the week before the blizzard raises nothing", not before, before)
    report.check("the blizzard is told on its days", all(by_day[ds].fired for ds in BLIZZARD), {})
    after = [one.ds for one in days if "carrier_cancelled_rate_7d" in one.fired.get("inputs", ())]
    report.check("the cancellations of the blizzard are told", bool(after) and after[0] <= "2013-02-13", after)
    report.check("February ends in peace", not by_day["2013-02-28"].fired, by_day["2013-02-28"].fired)
    for one in days:
        if one.fired and one.ds <= after[0]:
            report.say(f"February: {_told(one)}")
    report.say(f"February: the last day that alarms is {max(one.ds for one in days if one.fired)}")


def _summer(report: Report, days: Sequence[Day]) -> None:
    fired = {one.ds: one.fired for one in days if one.fired}
    late = [ds for ds, said in fired.items() if any("late_rate" in column for column in said.get("inputs", ()))]
    report.check("July's late flights are told in its first week", bool(late) and late[0] <= "2013-07-07", late[:1])
    decided = [ds for ds, said in fired.items() if "prediction.decision" in said.get("predictions", ())]
    report.check("July's decisions are told", bool(decided) and "2013-07-07" < decided[0] <= "2013-07-31", decided[:1])
    report.check("the summer ends", "2013-08-31" not in fired, fired.get("2013-08-31"))
    told = [one for one in days if one.ds in (late[:1] + decided[:1])]
    for one in told:
        report.say(f"July: {_told(one)}")
    report.say(f"July: late flights alarm from {late[0]} to {late[-1]}, decisions from {decided[0]} to {decided[-1]}")


def _told(day: Day) -> str:
    said = "; ".join(f"{concern}: {', '.join(columns[:3])}" for concern, columns in day.fired.items())
    return f"{day.ds}, {day.rows} rows, AUC {day.truth:.2f} (estimated {day.estimate:.2f}): {said}"
