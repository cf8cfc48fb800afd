"""Timetables whose partitions are days, driven by the clock or by one asset, and backfillable either way.

A partition is a day of the spec's time zone: its key is `YYYY-MM-DD` and its `partition_date` is that day's midnight.
A cron expression says when a run starts; `days_back` says how many days earlier the day lies that it works on.

Both lean on the core classes that the scheduler deserializes, which may move in a minor release of Airflow; the
dependency is pinned for that reason, and `tests/dags/test_runs.py` breaks first.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import pendulum
from airflow._shared.timezones.timezone import parse_timezone
from airflow.partition_mappers.temporal import StartOfDayMapper
from airflow.serialization.encoders import ensure_serialized_asset
from airflow.timetables.base import DagRunInfo, Timetable
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable
from croniter import croniter

from imago.days import midnight, moment, parse_day
from imago.errors import ImagoError
from imago.specs.calendar import Calendar

if TYPE_CHECKING:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.utils.types import DagRunType
    from pendulum import DateTime

KEY_FORMAT = "%Y-%m-%d"
_CLOSED_AT_MOST = 24 * 7  # ticks in a row on closed weekdays: more than a week of them, hour by hour
_LONGEST_SKIP = datetime.timedelta(hours=25)  # islands that changed the side of the date line


def _start_of(ds: str, timezone: str) -> DateTime:
    return pendulum.instance(midnight(ds, timezone), tz="UTC")


class DayPartitionTimetable(CronPartitionTimetable):
    """Starts a run at each tick of `cron`, for the day `days_back` days before the tick.

    Unlike its parent, whose offset counts ticks, the offset counts days, so that a weekly run can work on yesterday;
    and `partition_date` is midnight whatever the hour of the cron, as it is for runs that an asset event starts. Days
    before `first_day` or after `last_day` get no run, neither by the clock nor by a backfill: a world that ended in
    2013 is quiet today. A DAG's `end_date` would do that too, but it also holds up every manual run for ever. Nor do
    days that `closed_weekdays` and `closed_days` close.
    """

    def __init__(
        self,
        cron: str,
        *,
        timezone: Any,
        days_back: int = 0,
        first_day: str | None = None,
        last_day: str | None = None,
        closed_weekdays: Iterable[str] = (),
        closed_days: Iterable[str] = (),
    ) -> None:
        super().__init__(cron, timezone=timezone, key_format=KEY_FORMAT)
        self.days_back = days_back
        self.first_day = first_day
        self.last_day = last_day
        closed: dict[str, Any] = {"closed_weekdays": tuple(closed_weekdays), "closed_days": tuple(closed_days)}
        self.calendar = Calendar(**closed)

    def serialize(self) -> dict[str, Any]:
        stored = super().serialize()
        return {
            "cron": stored["expression"],
            "timezone": stored["timezone"],
            "days_back": self.days_back,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "closed_weekdays": list(self.calendar.closed_weekdays),
            "closed_days": list(self.calendar.closed_days),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        return cls(**{**data, "timezone": parse_timezone(data["timezone"])})

    @property
    def summary(self) -> str:
        back = f", {self.days_back} days back" if self.days_back > 1 else ", the day before" if self.days_back else ""
        return f"{self._expression}{back}"

    # Airflow lets a local time that the clock skips be an hour earlier, before midnight: the day before would run twice
    # and the day itself never. So what a local time means is asked of `imago.days`, as everywhere else.

    def localize_partition_datetime(self, dt: datetime.datetime) -> DateTime:
        clock = datetime.datetime.combine(dt.date(), dt.time())  # not pendulum's, which has arithmetic of its own
        return pendulum.instance(moment(clock, self._zone), tz="UTC")

    def _decode_partition_date(self, partition_key: str) -> datetime.datetime:
        return _start_of(partition_key, self._zone)

    def _get_next(self, current: DateTime) -> DateTime:
        return self._beside(current, "get_next")

    def _get_prev(self, current: DateTime) -> DateTime:
        return self._beside(current, "get_prev")

    def _beside(self, current: DateTime, step: Literal["get_next", "get_prev"]) -> DateTime:
        """The nearest tick after or before `current`."""
        way = 1 if step == "get_next" else -1
        local = current.in_timezone(self._timezone).naive()
        # From a little before, since an hour that comes twice lies on both sides of `current`.
        times = croniter(self._expression, local - way * _LONGEST_SKIP)
        while True:
            found = self.localize_partition_datetime(getattr(times, step)(datetime.datetime))
            if (found > current) if way > 0 else (found < current):
                return found

    @property
    def _zone(self) -> str:
        return str(self._timezone.name)

    def _get_partition_info(self, run_date: DateTime) -> tuple[DateTime, str]:
        day = run_date.in_timezone(self._timezone).date() - datetime.timedelta(days=self.days_back)
        return _start_of(day.isoformat(), self._zone), day.isoformat()

    def _info(self, run_date: DateTime) -> DagRunInfo:
        partition_date, key = self._get_partition_info(run_date)
        return DagRunInfo(run_after=run_date, data_interval=None, partition_date=partition_date, partition_key=key)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        # A cron whose ticks all fall on closed weekdays never gives a day; it is not looked for without an end.
        closed_in_a_row = 0
        while info and closed_in_a_row <= _CLOSED_AT_MOST + len(self.calendar.closed_days):
            key = str(info.partition_key)
            if self.last_day and key > self.last_day:
                return None
            if self.calendar.is_open(key):
                if key >= (self.first_day or key):
                    return info
                closed_in_a_row = 0
            else:
                closed_in_a_row += 1
            info = self._info(self._get_next(info.run_after))
        return None

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        """One run for each day in `[earliest, latest]` that the cron would work on and whose run is already due."""
        first, last = self.localize_partition_datetime(earliest), self.localize_partition_datetime(latest)
        now = datetime.datetime.now(tz=datetime.UTC)
        back = datetime.timedelta(days=self.days_back)
        run_date = self._align_to_next(self.localize_partition_datetime(earliest + back))
        while run_date <= now:
            info = self._info(run_date)
            if info.partition_date is None or info.partition_date > last:
                return
            key = str(info.partition_key)
            in_world = (self.first_day or key) <= key <= (self.last_day or key)
            if info.partition_date >= first and in_world and self.calendar.is_open(key):
                yield info
            run_date = self._get_next(run_date)


class DayMapper(StartOfDayMapper):
    """Keeps a day's key as it is, and gives its first moment; the parent's way back to the key goes through Airflow's
    reading of a local time, which may lie on the day before."""

    def to_downstream(self, key: str) -> str:
        try:
            return parse_day(key).isoformat()
        except ImagoError as error:
            raise ValueError(str(error)) from None  # what the scheduler expects of a key that is none

    def to_partition_date(self, downstream_key: str) -> datetime.datetime:
        return _start_of(downstream_key, str(self._timezone.name))


class DayAssetTimetable(PartitionedAssetTimetable):
    """Starts a run when `asset` announces a day, and can be backfilled by itself over the days that `cron` gives.

    Airflow's own `PartitionedAssetTimetable` refuses backfills because it has no idea which keys exist. Give it ONE
    asset: with two, re-running one of them alone leaves a half-filled entry pending for ever.
    """

    periodic = True  # what the backfill API asks for
    can_be_scheduled = False  # the clock never starts a run

    def __init__(
        self,
        *,
        asset: Any,
        cron: str,
        timezone: Any,
        days_back: int = 0,
        first_day: str | None = None,
        last_day: str | None = None,
        closed_weekdays: Iterable[str] = (),
        closed_days: Iterable[str] = (),
    ) -> None:
        self._days = DayPartitionTimetable(
            cron,
            timezone=timezone,
            days_back=days_back,
            first_day=first_day,
            last_day=last_day,
            closed_weekdays=closed_weekdays,
            closed_days=closed_days,
        )
        super().__init__(
            assets=ensure_serialized_asset(asset),
            # The same instant as the backfill's `partition_date`, by which Airflow knows that a day has already run.
            default_partition_mapper=DayMapper(timezone=self._days._timezone, input_format=KEY_FORMAT),
        )

    def serialize(self) -> dict[str, Any]:
        from airflow.serialization.encoders import encode_asset_like

        return {"asset": encode_asset_like(self.asset_condition), **self._days.serialize()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PartitionedAssetTimetable:
        from airflow.serialization.decoders import decode_asset_like

        given = {"timezone": parse_timezone(data["timezone"]), "asset": decode_asset_like(data["asset"])}
        return cls(**{**data, **given})

    @property
    def summary(self) -> str:
        names = ", ".join(key.name for key, _ in self.asset_condition.iter_assets())
        return f"each day of {names}"

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        return self._days.iter_partition_dagrun_infos(earliest=earliest, latest=latest)

    def localize_partition_datetime(self, dt: datetime.datetime) -> DateTime:
        return self._days.localize_partition_datetime(dt)

    def generate_run_id(
        self, *, run_type: DagRunType, data_interval: DataInterval | None, run_after: DateTime, **extra: Any
    ) -> str:
        # With the key and a random end: a second backfill of a day makes a second run beside the first.
        return self._days.generate_run_id(run_type=run_type, data_interval=data_interval, run_after=run_after, **extra)
