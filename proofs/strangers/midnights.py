"""Local midnights that the clocks skip or repeat, in every time zone: all parts of Imago mean one instant."""

from __future__ import annotations

import importlib
import os
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from proofs.strangers.case import Case, Workplace

# Without stubs of its own; its tables differ from zoneinfo's here and there.
pytz: Any = importlib.import_module("pytz")

# Airflow writes its folder when it is first imported; not into anybody's home.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")

FIRST, LAST = date(1972, 1, 1), date(2037, 12, 31)
# Where midnight itself is skipped or comes twice, on many days.
NASTY = [
    "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "America/Havana", "Asia/Amman", "Atlantic/Azores",
    "Pacific/Apia", "Asia/Tehran", "America/St_Johns", "Asia/Gaza", "America/Santiago", "Pacific/Kwajalein",
    "Australia/Lord_Howe",
    "America/Asuncion", "Asia/Damascus", "America/Scoresbysund", "Africa/Casablanca", "Pacific/Fakaofo",
    "Asia/Kathmandu",
]  # fmt: skip


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    draw = random.Random(seed)
    everywhere = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    for _ in range(count):
        zone = draw.choice(NASTY if draw.random() < 0.6 else everywhere)
        days = transitions(zone)
        day = draw.choice(days) if days and draw.random() < 0.9 else FIRST + timedelta(days=draw.randrange(23_000))
        yield Case(f"midnights: {day} in {zone}", partial(agreed, zone, day), refusable=False)


@cache
def transitions(zone: str) -> list[date]:
    """The local days on which, or beside which, the clocks change."""
    place, found = ZoneInfo(zone), []
    moment = datetime(FIRST.year, 1, 1, tzinfo=UTC)
    before = moment.astimezone(place).utcoffset()
    while moment.year <= LAST.year:
        moment += timedelta(days=1)
        offset = moment.astimezone(place).utcoffset()
        if offset != before:
            day = moment.astimezone(place).date()
            found += [day + timedelta(days=n) for n in (-1, 0, 1)]
        before = offset
    return found


def first_moment(zone: str, day: date) -> datetime:
    """The oracle: the first second at which a clock there shows this day or a later one, by looking at the clock."""
    place = ZoneInfo(zone)
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=27)
    while moment.astimezone(place).date() < day:
        moment += timedelta(minutes=1)
    moment -= timedelta(minutes=1)
    while moment.astimezone(place).date() < day:
        moment += timedelta(seconds=1)
    return moment.replace(tzinfo=None)


def agreed(zone: str, day: date) -> tuple[object, object]:
    """What each part says of the day's start, and of the day that a run at that moment works on."""
    from imago.alerts.watch import _fires
    from imago.days import midnight, shift
    from imago.training.cut import training_moment

    ds, start = day.isoformat(), first_moment(zone, day)
    spec: Any = type("Spec", (), {"timezone": zone})
    told = {
        "days": midnight(ds, zone),
        "training": training_moment(spec, shift(ds, -1)),
        "watchdog": [fire.replace(tzinfo=None) for fire in _fires("0 0 * * *", ds, zone)],
        **airflow(zone, ds),
    }
    if same_history(zone, start):
        told["dbt"] = datetime.fromisoformat(day_start_of_dbt(zone, day))
    # A day that the island skipped is over before it begins: its run is that of the day after.
    keys = [ds] if first_moment(zone, day + timedelta(days=1)) > start else []
    expected = {"days": start, "training": start, "watchdog": [start], "partition": start, "key": ds, "clock": keys,
                "ticks": [start] if keys else []}  # fmt: skip
    return told, {**expected, **({"dbt": start} if "dbt" in told else {})}


def airflow(zone: str, ds: str) -> dict[str, object]:
    """What Airflow's timetable says: the partition that an event makes, and the runs that the clock starts that day."""
    import pendulum
    from airflow.sdk import Asset

    from imago_airflow.timetable import DayAssetTimetable, DayPartitionTimetable

    by_asset = DayAssetTimetable(asset=Asset(uri="imago://dev/strangers/features"), cron="0 0 * * *", timezone=zone)
    by_clock = DayPartitionTimetable("0 0 * * *", timezone=zone)
    mapper = by_asset.default_partition_mapper
    key = mapper.to_downstream(ds)
    moment = pendulum.instance(datetime.fromisoformat(ds) - timedelta(hours=52), tz="UTC")
    ticks = []
    for _ in range(8):  # days before and after; as the scheduler goes from run to run
        following = by_clock._get_next(moment)
        assert following > moment
        assert by_clock._get_prev(following) <= moment
        moment = following
        info = by_clock._info(moment)
        if info.partition_key == ds:
            assert info.partition_date is not None
            begins, runs = (one.in_timezone("UTC").naive() for one in (info.partition_date, moment))
            ticks.append((info.partition_key, begins, runs))
    found = mapper.to_partition_date(ds)
    assert found is not None
    partition = found.astimezone(UTC).replace(tzinfo=None)
    assert all(begins == runs for _, begins, runs in ticks)
    return {"partition": datetime.fromisoformat(str(partition)), "key": key, "clock": [key for key, _, _ in ticks],
            "ticks": [datetime.fromisoformat(str(runs)) for _, _, runs in ticks]}  # fmt: skip


@cache
def _macros() -> Any:
    import jinja2

    from imago.dbt.project import project_folder

    class Returned(Exception):
        pass

    def back(value: object) -> None:
        raise Returned(value)

    source = (project_folder() / "macros/days.sql").read_text()
    modules = {"datetime": __import__("datetime"), "pytz": pytz}
    template = jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(
        source, globals={"modules": modules, "return": back}
    )
    return template.module, Returned


def same_history(zone: str, around: datetime) -> bool:
    """Whether pytz, which dbt has, knows the same clock changes there as the machine's own tables: the two come out at
    different times, which is why a job gives dbt the moments."""
    place, other = ZoneInfo(zone), pytz.timezone(zone)
    hours = [around + timedelta(hours=n) for n in range(-50, 51)]
    return all(
        moment.replace(tzinfo=UTC).astimezone(place).utcoffset() == other.fromutc(moment).utcoffset()
        for moment in hours
    )


def day_start_of_dbt(zone: str, day: date) -> str:
    """What the project's macro works out when it is run by hand."""
    module, returned = _macros()
    try:
        module.day_start(datetime(day.year, day.month, day.day), zone)
    except returned as found:
        return str(found.args[0])
    raise AssertionError("the macro returned nothing")
