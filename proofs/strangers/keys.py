"""Keys of strangers: columns of any types and any text, through publishing, streaming, auditing a range, joining and
the endpoint; and moments as other writers keep them. What is expected is worked out in plain Python.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import functools
import io
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from imago import keys, ledger
from imago.context import RunContext
from imago.contracts import Column, Contract, Volume
from imago.contracts.types import as_promised, may_become
from imago.errors import ImagoError
from imago.features.audit import audit
from imago.features.daily import History
from imago.metrics.daily import matured
from imago.specs import ModelSpec, get_model
from imago.tables import Table
from proofs.strangers.case import Case, Workplace

CONTEXT = RunContext(run_id="strangers", code_commit="strangers")
DAYS = ("2024-02-28", "2024-02-29", "2024-03-01")
HOSTILE = (
    "", "a/b", "//", "..", ".", "?", "#", "a b", "%2F", "%", "+", "\\", ",", "\\,", "a,b", "'", '"', "`", "; drop x",
    "\u00e9", "e\u0301", "\u00df", "SS", "\u0131", "\U0001f600", "\U0001f469\u200d\U0001f467", "\u202e", "\ufeff",
    "\u00a0", "\t", "\n", "\r\n", " a", "a ", "1", "01", "1.0", "+1", "-0", "NULL", "null", "None", "nan", "true",
    "\u2028", "\uffff", "\U0010ffff", "x" * 3000, "\u00e9" * 10_000, "{}", "$1",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, -(2**63))
EPOCH = dt.datetime(1970, 1, 1)


@dataclass(frozen=True)
class Kind:
    """A type that a part of a key may have: how a contract declares it, how Arrow holds it, and a draw of a value."""

    declared: str
    arrow: pa.DataType
    draw: Callable[[random.Random], Any]


def _text(chance: random.Random) -> str:
    if chance.random() < 0.6:
        return chance.choice(HOSTILE)
    letters = [chr(chance.choice((chance.randrange(1, 128), chance.randrange(128, 0xD800), 0x1F600))) for _ in range(4)]
    return "".join(letters)


def _number(bits: int) -> Callable[[random.Random], int]:
    def draw(chance: random.Random) -> int:
        if chance.random() < 0.5:
            return chance.choice([one for one in NUMBERS if -(2 ** (bits - 1)) <= one < 2 ** (bits - 1)])
        return chance.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))

    return draw


def _moment(chance: random.Random) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=chance.randrange(-(2**55), 2**55))


def _price(chance: random.Random) -> decimal.Decimal:
    return decimal.Decimal(chance.randrange(-(10**17), 10**17)).scaleb(-4)


KINDS = (
    Kind("varchar", pa.string(), _text),
    Kind("varchar", pa.string(), _text),  # most keys are texts
    Kind("bigint", pa.int64(), _number(64)),
    Kind("integer", pa.int32(), _number(32)),
    Kind("smallint", pa.int16(), _number(16)),
    Kind("uuid", pa.string(), lambda chance: str(uuid.UUID(int=chance.getrandbits(128)))),
    Kind("boolean", pa.bool_(), lambda chance: chance.random() < 0.5),
    Kind("date", pa.date32(), lambda chance: dt.date.fromordinal(chance.randrange(1, 3_652_059))),
    Kind("timestamp", pa.timestamp("us"), _moment),
    Kind("decimal(18,4)", pa.decimal128(18, 4), _price),
)


@dataclass(frozen=True)
class Drawn:
    """Drawn entities: the names and kinds of their columns, and the entities of each day, some of whom come back."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    days: dict[str, list[tuple[Any, ...]]]

    @classmethod
    def of(cls, chance: random.Random) -> Drawn:
        kinds = tuple(chance.choice(KINDS) for _ in range(chance.choice((1, 1, 2, 3))))
        everybody = list({tuple(kind.draw(chance) for kind in kinds): None for _ in range(chance.randrange(1, 25))})
        days = {ds: chance.sample(everybody, chance.randrange(1, len(everybody) + 1)) for ds in DAYS}
        return cls(tuple(f"key_{place}" for place in range(len(kinds))), kinds, days)

    def table(self, rows: Sequence[tuple[str, tuple[Any, ...]]]) -> pa.Table:
        """Rows of (day, entity), with a value that tells the row."""
        columns = {
            name: pa.array([entity[place] for _, entity in rows], kind.arrow)
            for place, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True))
        }
        at = [EPOCH + dt.timedelta(hours=place) for place in range(len(rows))]
        return pa.table({**columns, "ds": pa.array([ds for ds, _ in rows], pa.string()),
                         "at": pa.array(at, pa.timestamp("us"))})  # fmt: skip

    @property
    def rows(self) -> list[tuple[str, tuple[Any, ...]]]:
        """All rows in the order of day and key."""
        return [(ds, entity) for ds in DAYS for entity in sorted(self.days[ds], key=_rank)]


def _rank(entity: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.encode() if isinstance(one, str) else one for one in entity)


def _spec(drawn: Drawn) -> ModelSpec:
    return get_model("flight_delays").model_copy(
        update={"name": "strangers", "entity_key": drawn.names, "label": "label", "slices": (), "features": ()}
    )


def _pairs(rows: pa.Table, names: Sequence[str]) -> list[tuple[str, tuple[Any, ...]]]:
    columns = [rows.column(name).to_pylist() for name in names]
    return list(zip(rows.column("ds").to_pylist(), zip(*columns, strict=True), strict=True))


def _published(workplace: Workplace, drawn: Drawn, number: int, chance: random.Random) -> tuple[object, object]:
    """Rows in any order are stored in the order of their keys, and the same rows in another order change nothing."""
    table = Table(workplace.environment, f"strangers_{number}", "features")
    rows = drawn.table(drawn.rows)
    seen = []
    for _ in range(2):
        shuffled = rows.take(chance.sample(range(rows.num_rows), rows.num_rows))
        done = table.publish(shuffled, days=DAYS, key=drawn.names, fence=table.draw_fence(), context=CONTEXT)
        seen.append(done.changed)
    with table.stream(DAYS[1], key=drawn.names) as day:
        streamed = pa.Table.from_batches(day.batches(chance.randrange(1, 9)))
    actual = (seen, _pairs(table.read(DAYS), drawn.names), _pairs(streamed, drawn.names))
    return actual, ([DAYS, ()], drawn.rows, [one for one in drawn.rows if one[0] == DAYS[1]])


def _spoilt(drawn: Drawn, how: str, chance: random.Random) -> pa.Table:
    """The rows with an entity twice on a day, or with a null or the character NUL in a key."""
    rows = list(drawn.rows)
    at = chance.randrange(len(rows))
    ds, entity = rows[at]
    if how == "twice":
        rows.insert(chance.randrange(len(rows) + 1), rows[at])
    else:
        place = next(place for place, kind in enumerate(drawn.kinds) if how == "null" or kind.declared == "varchar")
        bad = None if how == "null" else f"a\x00{entity[place]}"
        rows[at] = (ds, (*entity[:place], bad, *entity[place + 1 :]))
    return drawn.table(rows)


def _publish_spoilt(workplace: Workplace, rows: pa.Table, drawn: Drawn, number: int) -> tuple[object, object]:
    table = Table(workplace.environment, f"spoilt_{number}", "features")
    table.publish(rows, days=DAYS, key=drawn.names, fence=table.draw_fence(), context=CONTEXT)
    return "published", "refused"


def _contract(drawn: Drawn) -> Contract:
    bounds = {"bigint": 63, "integer": 31, "smallint": 15}
    columns = [
        Column(
            name=name, data_type=kind.declared, nullable=False,
            **({"at_least": -(2 ** bounds[kind.declared]), "at_most": 2 ** bounds[kind.declared] - 1}
               if kind.declared in bounds else {}),
        )
        for name, kind in zip(drawn.names, drawn.kinds, strict=True)
    ]  # fmt: skip
    fixed = [
        Column(name="ds", data_type="varchar", nullable=False),
        Column(name="at", data_type="timestamp", nullable=False),
    ]
    volume = Volume(at_least=1, at_most=1000, of_weekday=(0.01, 100), warn_of_weekday=(0.01, 100))
    return Contract(model="strangers", columns=(*columns, *fixed), volume=volume)


def _audited(rows: pa.Table, drawn: Drawn) -> tuple[object, object]:
    """A range in which the same entities come back passes with every check run, and its rows are those given."""
    result = audit(_contract(drawn), rows, key=drawn.names, days=DAYS, before=History())
    if result.failures or result.rows is None:
        raise result.refusal({"environment": "dev", "model": "strangers", "table": "features"}, days=DAYS)
    return (result.run, result.rows.to_pylist()), (result.declared, rows.select(result.rows.column_names).to_pylist())


def _joined(drawn: Drawn, chance: random.Random) -> tuple[object, object]:
    """Predictions meet the outcome of their own day and entity, and no other."""
    rows = drawn.rows
    labels = {row: chance.choice((0, 1, None)) for row in chance.sample(rows, chance.randrange(len(rows) + 1))}
    order = chance.sample(list(labels), len(labels))
    predictions = drawn.table(chance.sample(rows, len(rows))).append_column(
        "score", pa.array([0.5] * len(rows), pa.float64())
    )
    outcomes = drawn.table(order).append_column("label", pa.array([labels[row] for row in order], pa.int32()))
    told = matured(_spec(drawn), predictions, outcomes)
    actual = dict(zip(_pairs(told, drawn.names), told.column("label").to_pylist(), strict=True))
    return actual, {row: label for row, label in labels.items() if label is not None}


def _plain(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f}" if value.year > 999 else f"{value.year:04d}{value:-%m-%d %H:%M:%S.%f}"
    return str(value)


def _texts(drawn: Drawn) -> tuple[object, object]:
    """No two entities share a text, and each text leads back to its columns."""
    entities = drawn.days[DAYS[0]]
    told = keys.texts(drawn.table([(DAYS[0], entity) for entity in entities]), drawn.names).to_pylist()
    actual = ([keys.parts(text, drawn.names) for text in told], len(set(told)))
    return actual, ([tuple(map(_plain, entity)) for entity in entities], len(entities))


def _asked(workplace: Workplace, drawn: Drawn) -> tuple[object, object]:
    """The endpoint answers for every entity of its day with the entity's own score, in a path and as a parameter."""
    from imago.jobs.serving import online_rows
    from imago.ledger import online

    spec, ds = _spec(drawn), DAYS[2]
    entities = drawn.days[ds]
    scores = [place / 64 for place in range(len(entities))]
    features = drawn.table([(ds, entity) for entity in entities])
    scored = (
        features.rename_columns({"at": "event_time"})
        .append_column("score", pa.array(scores, pa.float64()))
        .append_column("decision", pa.array([True] * len(scores)))
        .append_column("model_version", pa.array(["1"] * len(scores)))
    )
    with ledger.connect(workplace.environment).begin() as connection:
        online.swap(connection, spec.name, champion_id=1, ds=ds, rows=online_rows(spec, scored, features))
    texts = keys.texts(features, drawn.names).to_pylist()
    answers = asyncio.run(_answers(workplace, spec, texts))
    actual = [[answer["score"], {name: answer[name] for name in drawn.names}] for answer in answers]
    expected = [
        [score, {name: keys.as_json(one) for name, one in zip(drawn.names, entity, strict=True)}]
        for score, entity in zip(scores, entities, strict=True)
    ]
    return actual, [one for pair in zip(expected, expected, strict=True) for one in pair]


async def _answers(workplace: Workplace, spec: ModelSpec, texts: Sequence[str]) -> list[Any]:
    import httpx

    from imago.serving.app import create

    def reader() -> Any:
        return ledger.connect(workplace.environment).connect()

    application = create(workplace.environment, lambda: (spec,), reader=reader)
    answers = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://endpoint") as client:
        for text in texts:
            sent = quote(text, safe="")
            path = f"/v1/{spec.name}?key={sent}" if text in (".", "..") else f"/v1/{spec.name}/{sent}"
            for address in (path, f"/v1/{spec.name}?key={sent}"):
                response = await client.get(address)
                if response.status_code != 200:
                    raise AssertionError(f"{address[:80]}: {response.status_code} {response.text[:200]}")
                answers.append(response.json())
    return answers


UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
ZONES = (None, "UTC", "Etc/UTC", "+05:30", "America/New_York", "Australia/Lord_Howe")


def _moments(chance: random.Random) -> tuple[Callable[[], tuple[object, object]], bool]:
    """A file of moments as another writer keeps it, and whether microseconds lose something of it: read here and by
    DuckDB, it has to say the same."""
    unit, zone, old = chance.choice(tuple(UNITS)), chance.choice(ZONES), chance.random() < 0.25
    reach = 2**62 // 1000 if unit != "s" else 2**33
    told = [chance.randrange(-reach, reach) // UNITS[unit] * (1 if unit != "ns" else 1000) for _ in range(5)]
    if unit == "ns":
        told = [one // 1000 * 1000 for one in told]
    lossy = unit == "ns" and chance.random() < 0.5
    if lossy:
        told[2] += chance.randrange(1, 1000)
    stored: list[int | None] = [*told, None]

    def run() -> tuple[object, object]:
        import duckdb

        from imago.features.deliveries import _finer_than_microseconds, _opened

        values = pa.array(stored, pa.int64()).view(pa.timestamp(unit, None if old else zone))
        sink = io.BytesIO()
        pq.write_table(pa.table({"moment": values}), sink, version="2.6", use_deprecated_int96_timestamps=old)
        data = pa.py_buffer(sink.getvalue())
        rows = _opened(data).read()
        kind = rows.schema.field("moment").type
        if not may_become(kind, pa.timestamp("us")) or _finer_than_microseconds(data, rows):
            raise ImagoError("finer than microseconds", rule="type", next_step="cast it")
        try:
            taken = as_promised(rows["moment"], pa.timestamp("us")).cast(pa.int64()).to_pylist()
        except Exception as other:
            raise ImagoError(str(other), rule="type", next_step="cast it") from other
        path = _stored(sink.getvalue())
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute("set TimeZone='UTC'")
            sql = f"select epoch_us(cast(moment as timestamp)) from read_parquet('{path}')"
            read = [one for (one,) in connection.execute(sql).fetchall()]
        expected = [None if one is None else one * UNITS[unit] // 1000 for one in stored]
        return (taken, read), (expected, expected)

    return run, lossy


def _stored(data: bytes) -> str:
    """A file of its own with these bytes."""
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
        file.write(data)
    return file.name


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    """Draws of every kind in turn; an audit costs as much as twenty others, so there are fewer of them."""
    for number in range(count):
        chance = random.Random(f"keys {seed} {number}")
        drawn, what = Drawn.of(chance), number % 20
        kinds = "+".join(kind.declared for kind in drawn.kinds)
        yield _case(workplace, drawn, what, seed + number, f"{seed}.{number} {kinds}", chance)


def _case(workplace: Workplace, drawn: Drawn, what: int, number: int, name: str, chance: random.Random) -> Case:
    spoilt = ["null", "twice", *(["NUL"] if any(kind.declared == "varchar" for kind in drawn.kinds) else [])]
    if what < 5:
        return Case(f"publish {name}", lambda: _published(workplace, drawn, number, chance), refusable=False)
    if what < 8:
        how = chance.choice(spoilt[:2])
        rows = _spoilt(drawn, how, chance)
        run = functools.partial(_publish_spoilt, workplace, rows, drawn, number)
        return Case(f"publish {how} {name}", run, names=("key_0",), must_refuse=True)
    if what == 8:
        return Case(f"audit a range {name}", lambda: _audited(drawn.table(drawn.rows), drawn), refusable=False)
    if what == 9:
        how = chance.choice(spoilt)
        rows = _spoilt(drawn, how, chance)
        return Case(f"audit {how} {name}", lambda: _audited(rows, drawn), names=("key_",), must_refuse=True)
    if what < 13:
        return Case(f"join {name}", lambda: _joined(drawn, chance), refusable=False)
    if what < 16:
        return Case(f"text {name}", lambda: _texts(drawn), refusable=False)
    if what < 18:
        return Case(f"endpoint {name}", lambda: _asked(workplace, drawn), refusable=False)
    reading, lossy = _moments(chance)
    return Case(f"moments {name}", reading, refusable=lossy, must_refuse=lossy)
