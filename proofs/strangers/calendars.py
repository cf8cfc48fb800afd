"""Drawn calendars: which days are open, where a training is cut, what falls due, which raw files a range needs.

Each is counted again by weekday numbers and dates, apart from the platform's own walk over day keys.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from imago.alerts.watch import due_partitions
from imago.contracts import Contract, Raw
from imago.errors import ClosedDay
from imago.features.raw import raw_files
from imago.specs import Calendar, ModelSpec, Schedules, Training, get_model
from imago.specs.calendar import WEEKDAYS, require_open
from imago.storage import Storage
from imago.training.cut import cut
from proofs.strangers.case import Case, Workplace

LEAST_TRAINING = 14


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    """`count` cases, the four kinds in turn."""
    kinds: tuple[Callable[[Workplace, random.Random, int], Case], ...] = (_open, _cut, _due, _raw)
    for number in range(count):
        yield kinds[number % len(kinds)](workplace, random.Random(f"calendars {seed} {number}"), number)


def _calendar(draw: random.Random) -> Calendar:
    weekdays = draw.sample(WEEKDAYS, draw.choice((0, 0, 1, 1, 2, 3, 6)))
    days = {str(_day(draw)) for _ in range(draw.choice((0, 0, 1, 5, 40)))}
    values: dict[str, Any] = {"closed_weekdays": tuple(weekdays), "closed_days": tuple(sorted(days))}
    return Calendar(**values)


def _day(draw: random.Random) -> date:
    return date(2012, 1, 1) + timedelta(days=draw.randrange(1096))


def _is_open(calendar: Calendar, day: date) -> bool:
    numbers = {WEEKDAYS.index(name) + 1 for name in calendar.closed_weekdays}
    return day.isoweekday() not in numbers and day not in {date.fromisoformat(text) for text in calendar.closed_days}


def _range(first: date, last: date) -> list[date]:
    return [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]


def _spec(calendar: Calendar, **values: Any) -> ModelSpec:
    return get_model("flight_delays").model_copy(update={"calendar": calendar, "last_day": None, **values})


def _open(_: Workplace, draw: random.Random, number: int) -> Case:
    calendar, first = _calendar(draw), _day(draw)
    last = first + timedelta(days=draw.randrange(60))

    def run() -> tuple[object, object]:
        opened = [str(day) for day in _range(first, last) if _is_open(calendar, day)]
        try:
            require_open(_spec(calendar), str(first), str(last))
            closed = False
        except ClosedDay as refusal:
            closed = bool(refusal.next_step)
        found = (list(calendar.open_days(str(first), str(last))), closed)
        return found, (opened, not opened)

    return Case(f"calendar {number}: open days {first} to {last}", run, refusable=False)


def _cut(_: Workplace, draw: random.Random, number: int) -> Case:
    calendar, ds, delay = _calendar(draw), _day(draw), draw.choice((0, 1, 2, 7, 30))
    begins = ds - timedelta(days=draw.choice((20, 90, 200, 400)))
    plan = Training(
        window_days=draw.choice((14, 30, 60, 365)),
        warmup_days=draw.choice((0, 7, 28)),
        tuning_days=draw.choice((0, 7, 14)),
        holdout_days=draw.choice((7, 14, 30)),
    )
    spec = _spec(calendar, first_day=str(begins), label_delay_days=delay, training=plan)

    def run() -> tuple[object, object]:
        found = cut(spec, str(ds))
        holdout, tuning, train, fit = (found.days(part) for part in ("holdout", "tuning", "train", "fit"))
        known = ds - timedelta(days=delay)
        opened = [str(day) for day in _range(begins, known) if _is_open(calendar, day)]
        gap = date.fromisoformat(holdout[0]) - date.fromisoformat(found.trained_until)
        facts = (
            list(holdout),
            len(tuning),
            all(_is_open(calendar, date.fromisoformat(day)) for day in (*fit, *holdout)),
            gap > timedelta(days=delay),
            len(train) >= LEAST_TRAINING,
            not tuning or date.fromisoformat(tuning[0]) - date.fromisoformat(train[-1]) > timedelta(days=delay),
            train[0] >= str(begins + timedelta(days=plan.warmup_days)),
            len(fit) <= plan.window_days,
        )
        return facts, (opened[-plan.holdout_days :], plan.tuning_days, True, True, True, True, True, True)

    return Case(f"calendar {number}: cut of {ds}, delay {delay}", run, names=(spec.name, str(ds)))


def _due(_: Workplace, draw: random.Random, number: int) -> Case:
    calendar, delay, back = _calendar(draw), draw.choice((0, 1, 30)), draw.randrange(1, 9)
    now = datetime.combine(_day(draw), datetime.min.time(), tzinfo=UTC) + timedelta(minutes=draw.randrange(1440))
    grace, hour = timedelta(minutes=draw.randrange(300)), draw.randrange(24)
    spec = _spec(
        calendar, timezone="UTC", first_day="2012-02-01", label_delay_days=delay,
        schedules=Schedules(daily=f"0 {hour} * * *"),
    )  # fmt: skip

    def run() -> tuple[object, object]:
        due = due_partitions(spec, now, grace=grace, look_back_days=back)
        expected = set()
        for table, late in (("features", 0), ("outcomes", delay + 1)):
            for days in range(back + 1):
                run_day = now.date() - timedelta(days=days)
                day = run_day - timedelta(days=late)
                fires = datetime.combine(run_day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=hour)
                if day >= date(2012, 2, 1) and _is_open(calendar, day) and fires + grace <= now:
                    expected.add((table, str(day)))
        return {(one.table, one.ds) for one in due}, expected

    return Case(f"calendar {number}: due at {now:%Y-%m-%d %H:%M}", run, refusable=False)


def _raw(workplace: Workplace, draw: random.Random, number: int) -> Case:
    calendar, kind = _calendar(draw), f"kind{number}"
    begins = _day(draw)
    first = begins + timedelta(days=draw.randrange(20))
    last = first + timedelta(days=draw.randrange(6))
    window = (-draw.randrange(15), 0) if draw.random() < 0.8 else (-20, -draw.randrange(1, 5))
    start, end = first + timedelta(days=window[0]), last + timedelta(days=window[1])
    history = begins - timedelta(days=draw.choice((0, 0, 3, 30)))
    present = {
        day for day in _range(min(history, start), end) if day >= history and draw.random() < draw.choice((1, 0.97))
    }
    contract = Contract(model="m", columns=(), raw=(Raw(kind=kind, days=window),))
    storage = Storage(workplace.environment)
    where = {"environment": "dev", "model": "m", "table": "features"}
    oldest = min([begins, *present])
    needed = [day for day in _range(start, end) if day >= oldest and _is_open(calendar, day)]
    lacking = [day for day in needed if day not in present]

    def run() -> tuple[object, object]:
        for day in present:
            storage.write_bytes(f"raw/{kind}/ds={day}/{day:%Y%m%d}T000000Z.parquet", b"x")
        given = raw_files(
            storage, contract, first=str(first), last=str(last), world_begins=str(begins), where=where,
            calendar=calendar,
        )  # fmt: skip
        read = sorted(name.split("/ds=")[1].split("/")[0] for name in given.files[kind])
        by_day = {ds: len(files[kind]) for ds, files in given.by_day.items()}
        expected = [str(day) for day in _range(start, end) if day in present]
        counted = {
            str(day): sum(
                one in present for one in _range(day + timedelta(days=window[0]), day + timedelta(days=window[1]))
            )
            for day in _range(first, last)
        }
        return (read, by_day), (expected, counted)

    names = (kind, str(lacking[0])) if lacking else ()
    return Case(
        f"calendar {number}: raw files of {first} to {last}", run, names, refusable=False, must_refuse=bool(lacking)
    )
