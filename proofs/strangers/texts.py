"""Texts that strangers type and files hold, through every boundary: each is refused by file and column, or arrives as
one bounded line, and its alert is there."""

from __future__ import annotations

import io
import json
import logging
import random
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, func, select

from imago import ledger
from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError
from proofs.strangers.case import Case, Workplace

ODD = [
    *("\x00", "\n", "\r", "\r\n", "\t", "\x1b[31m", "\x1b]0;title\x07", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029"),
    *(
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udcff",
        "\udfff",
        "\ue000",
        "\ufdd0",
        "\U0010ffff",
        "e\u0301",
    ),
    *(
        "ü",
        "日本語",
        "😀",
        "👨\u200d👩\u200d👧",
        "<!channel>",
        "<script>alert(1)</script>",
        "{{ x }}",
        "{0}",
        "%s",
        "%(a)s",
    ),
    *("[/]", "[red]", "[link=x]", "*bold*", "`code`", "'", '"', ";", "--", "\\", "\\x00", "$HOME", "' or 1=1 --", "|"),
    *("../../etc/passwd", "\nCRITICAL forged line", "\r[2026-01-01] INFO forged", "&amp;", "<@U024BE7LH>"),
]
LONG = [300, 2_000, 2_700, 50_000, 1_000_000]


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    draw = random.Random(seed)
    world = World(workplace.environment)
    kinds: list[Callable[[World, random.Random, str], Case]] = [
        _refusal, _alert, _alert, _silence, _champion, _pin, _log, _raw_text, _raw_text, _raw_moment, _raw_name,
        _task_log, _sandbox, _endpoint, _day, _message,
    ]  # fmt: skip
    for number in range(count):
        yield kinds[number % len(kinds)](world, draw, f"{seed}-{number}")


def drawn(draw: random.Random, *, longest: int = 1_000_000) -> str:
    """A text of odd and plain pieces, sometimes very long."""
    pieces = [
        draw.choice(ODD) if draw.random() < 0.6 else draw.choice(string.ascii_letters + "   ")
        for _ in range(draw.randint(1, 9))
    ]
    text = "".join(pieces)
    if draw.random() < 0.15:
        length = draw.choice([size for size in LONG if size <= longest])
        text = (text * (length // len(text) + 1))[:length]
    return text


def is_line(text: str, longest: int) -> bool:
    """One line that can be shown, of at most so many signs."""
    return text.isprintable() and len(text) <= longest


@dataclass(frozen=True)
class World:
    """The environment of the cases, and what they share."""

    environment: Environment

    @property
    def engine(self) -> Any:
        return ledger.connect(self.environment)

    @cached_property
    def sandbox(self) -> Any:
        from pathlib import Path

        from fastapi.testclient import TestClient

        from imago.sandbox.limits import RateLimit
        from imago.sandbox.server import create_app

        folder = Path(self.environment.storage_root).parent / "sandbox"
        folder.mkdir()
        free = RateLimit(per_second=10_000.0, burst=10_000)
        app = create_app(folder=folder, token="xoxb-proof", posts=free, updates=free)
        return TestClient(app, raise_server_exceptions=False)

    @cached_property
    def endpoint(self) -> Any:
        from fastapi.testclient import TestClient

        from imago.serving.app import create
        from imago.specs import get_model

        app = create(self.environment, lambda: (get_model("flight_delays"),))
        return TestClient(app, raise_server_exceptions=False)


def _short(text: str) -> str:
    return f"{text[:40]!a} ({len(text)})"


def _refusal(world: World, draw: random.Random, name: str) -> Case:
    """A refusal of a text is one line, through pickling and JSON too."""
    text = drawn(draw)

    def run() -> tuple[object, object]:
        error = ImagoError(
            f"the value {text} is refused",
            column=text,
            seen=text,
            allowed=[text],
            file=text,
            next_step=f"look at {text}",
        )
        error.complete(partition=text)
        kind, given = error.__reduce__()
        again = kind(*given)
        json.dumps(error.summary(), ensure_ascii=False, default=str).encode()
        return (
            is_line(str(error), 8_000),
            str(again) == str(error),
            all(is_line(str(one), 400) for one in error.facts.values()),
        ), (True,) * 3

    return Case(f"texts: a refusal of {_short(text)}", run, refusable=False)


def _alert(world: World, draw: random.Random, name: str) -> Case:
    """An alert of any text arrives: once, with its incident, ended by its own name, and a person can be shown it."""
    from imago.alerts.outbox import Alert, is_reported, raise_alert, resolve

    texts = [drawn(draw) for _ in range(8)]
    subject, title, why, step, occurrence, run_id, fact, link = (f"{name}{text}" for text in texts)

    def run() -> tuple[object, object]:
        context = RunContext(run_id=run_id)
        alert = Alert(
            model=None, rule="task_failed", subject=subject, title=title, why=why, did=why, next_step=step,
            occurrence=occurrence,
            facts={"seen": fact, fact[:50]: [fact], "value": float("nan")}, links={"log": link},
        )  # fmt: skip
        with world.engine.begin() as connection:
            first = raise_alert(connection, alert, context)
            again = raise_alert(connection, alert, context)
            reported = is_reported(connection, context.run_id, "task_failed")
            row = _stored(connection, first)
            shown = _rendered(row)
            ended = resolve(connection, None, "task_failed", subject, context)
        bounded = [
            is_line(row["subject"], 300),
            is_line(row["title"], 2000),
            is_line(row["run_id"], 300),
            is_line(row["dedup_key"], 1000),
        ]
        body = all(is_line(row["body"][part], 2000) for part in ("why", "did", "next_step", "occurrence"))
        return (first is not None, again, reported, bounded, body, shown, ended), (
            True,
            None,
            True,
            [True] * 4,
            True,
            True,
            True,
        )

    return Case(f"texts: an alert of {_short(texts[0])}", run, refusable=False)


def _stored(connection: Connection, number: int | None) -> dict[str, Any]:
    from imago.ledger.schema import alerts

    return dict(connection.execute(select(alerts).where(alerts.c.id == number)).mappings().one())


def _rendered(row: Mapping[str, Any]) -> bool:
    """Whether Slack, a letter and a terminal can be given it."""
    from email.message import EmailMessage

    from rich.console import Console
    from rich.markup import escape

    from imago.alerts.mrkdwn import blocks_to_html
    from imago.alerts.rendering import Finding, Incident, head, reply

    body = row["body"]
    finding = Finding(
        title=row["title"], severity=row["severity"], kind=body["kind"], why=body["why"], did=body["did"],
        next_step=body["next_step"], facts=dict(body["facts"]), links=dict(body["links"]),
    )  # fmt: skip
    incident = Incident(
        id=1, environment="dev", model=None, rule=row["rule"], subject=row["subject"], severity=row["severity"],
        status="open",
        opened_at=datetime(2026, 1, 1, tzinfo=UTC), resolved_at=None, count=1, worst={}, owner="somebody",
    )  # fmt: skip
    letter = EmailMessage()
    for message in (head(incident, finding), reply(incident, [finding], opening=finding)):
        json.dumps(message.blocks, ensure_ascii=False).encode()
        blocks_to_html(message.blocks, message.text).encode()
        texts = [
            part["text"] for block in message.blocks for part in [block.get("text"), *block.get("fields", ())] if part
        ]
        if any(len(part) > 3000 for part in texts) or "<!channel>" in message.text or "<script>" in message.text:
            return False
        del letter["Subject"]
        letter["Subject"] = message.subject
    letter.set_content(str(body["why"]))
    letter.as_bytes()
    Console(file=io.StringIO(), force_terminal=True).print(escape(row["title"]))
    return True


def _silence(world: World, draw: random.Random, name: str) -> Case:
    """What a person types to mute an incident is bounded, and no end that it types breaks anything."""
    from imago.alerts.outbox import Alert, raise_alert
    from imago.alerts.silences import parse_until, silence

    by, reason = drawn(draw), drawn(draw)
    until = draw.choice(
        [
            "4h",
            "9999d",
            "0d",
            "9999-12-31",
            "0001-01-01",
            "9999-12-31T23:59:59+00:00",
            "2026-02-30",
            "٤h",
            drawn(draw, longest=300),
        ]
    )

    def run() -> tuple[object, object]:
        from imago.ledger.schema import silences

        with world.engine.begin() as connection:
            alert = Alert(
                model=None, rule="task_failed", subject=f"quiet {name}", title="a", why="b", did="c", next_step="d"
            )
            number = raise_alert(connection, alert, RunContext(run_id="texts"))
            incident = _stored(connection, number)["incident_id"]
            now = connection.execute(select(func.clock_timestamp())).scalar_one()
            try:
                end = parse_until(until, now)
                silence(connection, incident, "mute", until=end, by=by, reason=reason, now=now)
            except ImagoError as refused:
                if not is_line(str(refused), 4000) or not refused.next_step:
                    return str(refused), "a refusal in one line, with a next step"
            done = silence(
                connection,
                incident,
                "mute",
                until=now + timedelta(hours=1),
                by=f"A {by}",
                reason=f"B {reason}",
                now=now,
            )
            rows = connection.execute(select(silences).where(silences.c.incident_id == incident)).mappings().all()
        newest = rows[-1]
        bounded = (is_line(newest["by_name"], 100), is_line(newest["reason"], 500), is_line(done["by"], 100))
        return bounded, (True, True, True)

    return Case(f"texts: a silence until {_short(until)} for {_short(reason)}", run, refusable=False)


def _champion(world: World, draw: random.Random, name: str) -> Case:
    """A reason and a name of any text leave the chain of champions whole."""
    from imago.ledger import champions

    reason, by = drawn(draw), drawn(draw)
    model = f"m{name.replace('-', '_')}"

    def run() -> tuple[object, object]:
        entry = champions.Champion(
            model=model, action="promote", version="1", run_id=f"run {reason}", artifact_uri="/models/one",
            artifact_sha256="0" * 64, artifact_format="skops", artifacts={"model.skops": "0" * 64},
            training_ds="2024-01-01", trained_until="2023-12-01", effective_ds="2024-01-02",
            decided_at=datetime(2024, 1, 1, tzinfo=UTC), decided_by=by, decision_id=None, reason=reason,
        )  # fmt: skip
        with world.engine.begin() as connection:
            champions.crown(connection, entry, expected=None)
        with world.engine.connect() as connection:
            found = champions.reigning(connection, model)
            problems = champions.verify(connection, model)
        assert found is not None
        return (problems, is_line(found.reason, 2000), is_line(found.decided_by, 300)), ([], True, True)

    return Case(f"texts: a champion because of {_short(reason)}", run, refusable=False)


def _pin(world: World, draw: random.Random, name: str) -> Case:
    """Rows of the ledger that hold whatever stands in a run's name, a reason and the facts of its inputs."""
    from imago.ledger import publications
    from imago.ledger.schema import pins

    text = drawn(draw)

    def run() -> tuple[object, object]:
        row = {
            "model": f"p{name}", "table_name": "features", "ds": "2024-01-01", "version": 0, "fence": 1,
            "changed": True, "rows": 1, "digest": "0",
            "run_id": text, "mode": "live", "code_commit": text, "inputs": {text[:3000]: [text, {"seen": text}]},
        }  # fmt: skip
        with world.engine.begin() as connection:
            publications.record(connection, [row])
            values = {"model": f"p{name}", "table_name": "features", "version": 0, "run_id": text, "reason": text}
            connection.execute(pins.insert().values(**values))
            stored = publications.latest(connection, f"p{name}", "features")["2024-01-01"]
            pinned = connection.execute(
                select(pins.c.reason).where(pins.c.model == f"p{name}", pins.c.reason == text)
            ).scalar_one()
        inputs = json.dumps(stored["inputs"], ensure_ascii=False)
        return (is_line(stored["run_id"], 4000), is_line(pinned, 4000), len(inputs) < 100_000, "\\u0000" in inputs), (
            True,
            True,
            True,
            False,
        )

    return Case(f"texts: rows of the ledger with {_short(text)}", run, refusable=False)


def _log(world: World, draw: random.Random, name: str) -> Case:
    """What a failure says is one line of the log and one of the ledger, whatever the exception held."""
    from imago.jobs import failures

    text = drawn(draw)

    def run() -> tuple[object, object]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        logging.getLogger("imago").addHandler(handler)
        try:
            note = failures._words(ValueError(text))
            logging.getLogger("imago.proof").error("it failed: %s", note)
        finally:
            logging.getLogger("imago").removeHandler(handler)
        return (is_line(note, 300), len(stream.getvalue().splitlines())), (True, 1)

    return Case(f"texts: an exception of {_short(text)}", run, refusable=False)


def _raw_text(world: World, draw: random.Random, name: str) -> Case:
    """A raw column of text: bytes that are not UTF-8, NUL or a very long value are refused by file and column."""
    good = [b"plain", "für".encode(), "日本".encode(), b"", b"\n", "\u202e".encode(), b"a,b"]
    bad = [
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"a\x00b",
        b"x" * 1_000_000,
        b"\xf8\x88",
        b"caf\xe9",
        b"\x80",
        "ü".encode() * 70_000,
    ]
    values = [draw.choice(good) for _ in range(draw.randint(0, 5))]
    is_bad = draw.random() < 0.7
    if is_bad:
        values.insert(draw.randint(0, len(values)), draw.choice(bad))
    values = values or [b"plain"]
    codes = [f"dictionary of {codes}" for codes in ("int8", "int16", "int32", "int64")]
    form = draw.choice(["string", "large_string", *codes, "nulls"])
    return _raw(
        world,
        name,
        _texts(values, form),
        bad=is_bad,
        column="note",
        about=f"{[value[:9] for value in values]} as {form}",
    )


def _texts(values: list[bytes], form: str) -> pa.Array:
    kept: list[bytes | None] = [*values]
    if form == "nulls":
        kept.insert(0, None)
    array = pa.array(kept, pa.binary())
    if form.startswith("dictionary of "):
        coded = array.dictionary_encode()
        codes = coded.indices.cast(form.removeprefix("dictionary of "))
        words = pa.StringArray.from_buffers(len(coded.dictionary), *coded.dictionary.buffers()[1:])
        return pa.DictionaryArray.from_arrays(codes, words)
    if form == "large_string":
        array = array.cast(pa.large_binary())
        return pa.LargeStringArray.from_buffers(len(array), array.buffers()[1], array.buffers()[2])
    return pa.StringArray.from_buffers(len(array), array.buffers()[1], array.buffers()[2], array.buffers()[0])


def _raw_moment(world: World, draw: random.Random, name: str) -> Case:
    """A raw column of moments: years that Python's calendar does not have are refused by file and column."""
    first, last = -62_135_596_800_000_000, 253_402_300_799_999_999
    good = [0, first, last, 1_356_998_400_000_000, -1]
    bad = [first - 1, last + 1, 2**62, -(2**62), 10**18, -(10**17)]
    values = [draw.choice(good) for _ in range(3)]
    is_bad = draw.random() < 0.6
    if is_bad:
        values[draw.randrange(3)] = draw.choice(bad)
    array = pa.array([*values, None], pa.int64()).cast(pa.timestamp("us"))
    return _raw(world, name, array, bad=is_bad, column="moment", about=str(values))


def _raw(world: World, name: str, values: pa.Array, *, bad: bool, column: str, about: str) -> Case:
    """A delivered file with these values, checked as `feature_refresh` does, and its alert."""
    from imago.features.deliveries import _Check
    from imago.features.refusals import tell_refused
    from imago.ledger.schema import alerts
    from imago.specs import get_model
    from imago.storage import Storage

    rel = f"raw/k{name}/ds=2024-01-01/20240101T000000Z.parquet"
    shown = world.environment.name

    def run() -> tuple[object, object]:
        storage = Storage(world.environment)
        sink = io.BytesIO()
        known = pa.array([datetime(2024, 1, 1)] * len(values), pa.timestamp("us"))
        pq.write_table(
            pa.table({"number": pa.array(range(len(values)), pa.int64()), column: values, "known_at": known}), sink
        )
        storage.write_bytes(rel, sink.getvalue())
        check = _Check(
            storage=storage, source=_source(column), raw=_kind(), name=rel, timezone="UTC", is_first=True,
            facts={"environment": shown, "model": "flight_delays", "table": "features", "partition": "2024-01-01",
                   "file": rel},
        )  # fmt: skip
        try:
            check.run()
        except ImagoError as refused:
            context = RunContext(run_id=f"raw {name}")
            tell_refused(world.environment, get_model("flight_delays"), "features", ("2024-01-01",), refused, context)
            with world.engine.connect() as connection:
                body = connection.execute(select(alerts.c.body).where(alerts.c.run_id == context.run_id)).scalar()
                told = dict(body["facts"]) if body is not None else {}
                again = connection.execute(
                    select(alerts.c.id).where(alerts.c.body["runs"].contains([context.run_id]))
                ).first()
            if not (told.get("column") == column and told.get("file") == rel) and again is None:
                return ("the alert", told), ("the alert", {"column": column, "file": rel})
            raise
        return "accepted", "accepted"

    return Case(f"texts: a raw file of {about}", run, names=(column, rel), refusable=bad, must_refuse=bad)


def _source(column: str) -> Any:
    from imago.contracts import Column
    from imago.dbt.sources import SourceContract

    kind = {"note": "varchar", "moment": "timestamp"}[column]
    columns = tuple(
        Column(name=name, data_type=of, nullable=name == column)
        for name, of in (("number", "bigint"), (column, kind), ("known_at", "timestamp"))
    )
    return SourceContract(
        kind="k", key=("number",), columns=columns, day=None, rows=(1, 10**9), checksum=False, rules=()
    )


def _kind() -> Any:
    from imago.contracts import Raw

    return Raw(kind="k", days=(0, 0), delivered=None)


def _raw_name(world: World, draw: random.Random, name: str) -> Case:
    """A raw file whose name is not UTF-8, or says no moment."""
    import os

    from imago.features.deliveries import delivered_at
    from imago.features.raw import listing
    from imago.storage import Storage

    odd = draw.choice([b"\xff", b"caf\xe9", b"\x80\x81", b"\xed\xa0\x80", b"a\xffb.parquet", b"\xc3("])
    nested = draw.random() < 0.5

    def run() -> tuple[object, object]:
        storage = Storage(world.environment)
        kind = f"n{name}"
        storage.write_bytes(f"raw/{kind}/ds=2024-01-01/20240101T000000Z.parquet", b"")
        folder = os.fsencode(storage.path(f"raw/{kind}/ds=2024-01-01"))
        if nested:
            os.mkdir(folder + b"/" + odd)
        with open(folder + b"/" + odd + (b"/x.parquet" if nested else b""), "wb"):
            pass
        assert (
            delivered_at(
                draw.choice(["99999999T999999Z.parquet", "2024-01-01.parquet", "００００0101T000000Z.parquet"])
            )
            is None
        )
        return list(listing(storage, kind)), "a refusal"

    return Case(f"texts: a file called {odd!r}", run, names=(f"raw/n{name}", "UTF-8"), must_refuse=True)


def _task_log(world: World, draw: random.Random, name: str) -> Case:
    """A summary in a task's log cannot look like a line of the log's own."""
    text = drawn(draw, longest=50_000)

    def run() -> tuple[object, object]:
        from imago.texts import as_lines

        told = as_lines({"seen": text, text[:60]: [text], "rows": 3})
        return all(part.isprintable() and part.startswith("  ") for part in told.split("\n")), True

    return Case(f"texts: a summary of {_short(text)}", run, refusable=False)


def _sandbox(world: World, draw: random.Random, name: str) -> Case:
    """The Slack sandbox answers whatever is sent to it, and shows it as text."""
    text, channel = drawn(draw, longest=50_000), draw.choice(["#imago-dev", f"#{drawn(draw, longest=300)}"])
    body = draw.choice(["json", "form", "deep", "digit", "reply"])

    def run() -> tuple[object, object]:
        key = {"Authorization": "Bearer xoxb-proof"}
        if body == "json":
            data = json.dumps(
                {
                    "channel": channel,
                    "text": text,
                    "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text[:2900]}}],
                }
            )
            answers = [world.sandbox.post("/api/chat.postMessage", content=data, headers=key)]
        elif body == "form":
            form = {"channel": channel.encode(errors="replace"), "text": text.encode(errors="surrogatepass")}
            answers = [world.sandbox.post("/api/chat.postMessage", data=form, headers=key)]
        elif body == "deep":
            answers = [world.sandbox.post("/api/chat.postMessage", content=b'{"blocks":' + b"[" * 100_000, headers=key)]
        elif body == "digit":
            answers = [
                world.sandbox.post(
                    "/api/files.getUploadURLExternal", json={"length": "²", "filename": "x"}, headers=key
                )
            ]
        else:
            answers = [
                world.sandbox.post(
                    "/api/chat.postMessage",
                    content=json.dumps({"channel": "#imago-dev", "text": "x", "thread_ts": text[:500]}),
                    headers=key,
                )
            ]
        answers.append(world.sandbox.get("/api-sandbox/messages", params={"channel": channel.encode(errors="replace")}))
        return [answer.status_code < 500 for answer in answers], [True] * len(answers)

    return Case(f"texts: the sandbox is sent {_short(text)} as {body}", run, refusable=False)


def _endpoint(world: World, draw: random.Random, name: str) -> Case:
    """The endpoint answers any key, as a path and as it is asked for, and never with a 500."""
    from urllib.parse import quote

    text = drawn(draw, longest=2_700)

    def run() -> tuple[object, object]:
        asked = quote(text.encode(errors="surrogatepass"), safe="")
        answers = [
            world.endpoint.get(f"/v1/flight_delays/{asked}"),
            world.endpoint.get(f"/v1/{asked}/key"),
            world.endpoint.get(
                f"/health?{asked}",
                headers={"X-Request-Id": text.encode(errors="replace").replace(b"\n", b"").replace(b"\r", b"")[:200]},
            ),
        ]
        return [answer.status_code in (200, 404, 503) for answer in answers], [True] * 3

    return Case(f"texts: the endpoint is asked for {_short(text)}", run, refusable=False)


def _day(world: World, draw: random.Random, name: str) -> Case:
    """A day is one of the calendar in plain digits, or refused; and no step leads out of the calendar unseen."""
    from imago.days import parse_day, shift

    year, month, day = draw.randint(1, 9999), draw.randint(0, 13), draw.randint(0, 32)
    text = draw.choice(
        [
            f"{year:04}-{month:02}-{day:02}",
            "9999-12-31",
            "0001-01-01",
            "99999-01-01",
            "２０１３-01-01",
            "2013-01-01\n",
            drawn(draw),
        ]
    )
    step = draw.choice([0, 1, -1, 366, -800_000, 4_000_000])

    def run() -> tuple[object, object]:
        from datetime import date

        found = parse_day(text)
        return shift(text, step), date.fromordinal(found.toordinal() + step).isoformat()

    return Case(f"texts: {step:+} days from {_short(text)}", run, names=("day",))


def _message(world: World, draw: random.Random, name: str) -> Case:
    """`line` and `storable` by themselves: bounded, shown, and lossless for what can be shown."""
    from imago.texts import line, storable

    text, longest = drawn(draw), draw.choice([1, 7, 300, 2000])

    def run() -> tuple[object, object]:
        made, kept = line(text, longest), storable({text[:20]: [text, 3, None]})
        json.dumps(kept, ensure_ascii=False).encode()
        plain = text.isprintable() and len(text) <= longest
        return (is_line(made, longest), line(made, longest) == made, made == text or not plain), (True, True, True)

    return Case(f"texts: {longest} signs of {_short(text)}", run, refusable=False)
