"""Storage roots that strangers have: each works in all that reads or writes there, or the settings refuse it.

What a root has to carry: a table that is published, corrected, read by Delta's files, by DuckDB through the project's
own macros and by a stream, and vacuumed; raw files; a model's folder; MLflow's artifacts; Redshift's manifests on S3.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from imago.context import RunContext
from imago.environments import Environment, load_environment
from proofs import seaweed
from proofs.strangers.case import Case, Workplace

DAYS = ("2024-02-28", "2024-02-29")
KEY = ("customer",)
# What every root may hold, what only a folder may, and what none may. `%` stands before what is no hex digit.
PLAIN = ["data", "Daten", "x", "2024"]
SIGNS = [
    *(
        " ",
        "%",
        "#",
        "+",
        "'",
        '"',
        ",",
        ";",
        "&",
        "=",
        "@",
        "!",
        "~",
        "$",
        "`",
        "{",
        "}",
        "(",
        ")",
        "<",
        ">",
        ":",
        "-",
    ),
    *(
        "ü",
        "u\u0308",
        "ß",
        "é",
        "e\u0301",
        "日本",
        "ю",
        "ع",
        "😀",
        "ı",
        "ﬁ",
        "%%",
        "% ",
        "50%",
        "{{x}}",
        "${HOME}",
        "~user",
    ),
    *("year=2024", "ds=2013-01-01", "ds=x", "customer=7", "spent=1.5", "_imago_file=a", "its 100% ours", "a:b", "--"),
]
FOLDER_ONLY = ["?", "*", "what?", "a*b", "**", "x?y*z"]
S3_REFUSES = ["#", "?", "*", "&", "<", ">"]
REFUSED = ["[", "]", "[ab]", "|", "^", "\\", "%20", "%2F", "%25", "%aF", "\n", "\t", "\x7f", "\x1b[31m", "\u202e",
           "\u200b", "\u2028", "\x85", ".", "..", "x" * 256, "ü" * 128, "\udcff", "a//b"]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """Where a case's environment lies: the shared ledger, and the S3 server of this process."""

    environment: Environment
    s3: Mapping[str, Any]

    def at(self, root: str) -> Environment:
        """The environment as a process reads it from its variables."""
        env = self.environment
        given = {
            "STORAGE_ROOT": root,
            "LEDGER_URL": env.ledger_url.get_secret_value(),
            "LEDGER_SCHEMA": env.ledger_schema,
            "MLFLOW_URI": env.mlflow_uri,
            **{name.upper(): str(value) for name, value in self.s3.items() if root.startswith("s3://")},
        }
        return load_environment("dev", {f"IMAGO_DEV_{name}": value for name, value in given.items()})


def cases(workplace: Workplace, count: int, seed: int) -> Iterator[Case]:
    draw = random.Random(seed)
    with seaweed.object_store() as settings:
        store = dict(seaweed.on_s3(settings))
        bucket = store.pop("storage_root")
        server = Server(workplace.environment, store)
        for number in range(count):
            on_s3 = number % 3 == 2
            base = f"{bucket}/{seed}-{number}" if on_s3 else str(workplace.folder / f"root-{number}")
            yield drawn(server, base, on_s3, number, draw)


def drawn(server: Server, base: str, on_s3: bool, number: int, draw: random.Random) -> Case:
    """One root: of signs that it may hold, of one that it may not, behind a link, with slashes at its end."""
    good = [*SIGNS, *PLAIN] if on_s3 else [*SIGNS, *PLAIN, *FOLDER_ONLY]
    bad = [*REFUSED, *S3_REFUSES] if on_s3 else REFUSED
    names = [
        _name(draw, [one for one in good if not (on_s3 and set(one) & set(S3_REFUSES))])
        for _ in range(draw.choice((1, 1, 2, 3)))
    ]
    kind = draw.random()
    if kind < 0.3:
        odd = draw.choice(bad)
        names.insert(draw.randrange(len(names) + 1), odd if odd in (".", "..") else draw.choice(("", "a")) + odd)
        return Case(
            f"roots: {names!a} on {'S3' if on_s3 else 'a folder'} is refused",
            partial(_refused, server, "/".join([base, *names])),
            names=("IMAGO_DEV_STORAGE_ROOT",),
            must_refuse=True,
        )
    linked = not on_s3 and kind < 0.4
    root = "/".join([base, *names]) + "/" * draw.choice((0, 0, 0, 1, 2))
    return Case(
        f"roots: {names!a} on {'S3' if on_s3 else 'a link' if linked else 'a folder'} works",
        partial(carried, server, root, f"m{number}", linked=linked),
        refusable=False,
    )


def _name(draw: random.Random, pieces: list[str]) -> str:
    while True:
        name = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 3)))
        follows = [name[at + 1 : at + 3] for at, sign in enumerate(name) if sign == "%"]
        if not any(len(two) == 2 and set(two) <= set("0123456789abcdefABCDEF") for two in follows) and name not in (
            ".",
            "..",
        ):
            return name


def _refused(server: Server, root: str) -> tuple[object, object]:
    return server.at(root).storage_root, None


def carried(server: Server, root: str, model: str, *, linked: bool = False) -> tuple[object, object]:
    """What came back from the root, beside what was put there: the first that differs."""
    if linked:
        real = Path(f"{root.rstrip('/')}-real")
        real.mkdir(parents=True)
        Path(root.rstrip("/")).symlink_to(real)
    env = server.at(root)
    for part in (_table, _files, _duckdb, _model, _mlflow, *((_manifests,) if env.on_s3 else ())):
        actual, expected = part(env, model)
        if actual != expected:
            return (part.__name__, actual), (part.__name__, expected)
    return env.storage_root, root.rstrip("/")


def _rows(day: str, *spent: float) -> pa.Table:
    keys = list(range(1, len(spent) + 1))
    return pa.table({"customer": keys, "ds": [day] * len(keys), "spent": [*map(float, spent)]})


def _table(env: Environment, model: str) -> tuple[object, object]:
    from imago.tables import Table

    table = Table(env, model, "features")
    for day, rows in ((DAYS[0], (1, 2)), (DAYS[1], (3,)), (DAYS[0], (1, 2)), (DAYS[0], (5, 6, 7))):
        table.publish(
            _rows(day, *rows), days=[day], key=KEY, fence=table.draw_fence(), context=RunContext(run_id="roots")
        )
    gone = table.vacuum(older_than=timedelta(0))
    with table.stream(DAYS[1], key=KEY) as stored:
        streamed = [batch.to_pylist() for batch in stored.batches(10)]
    files = table.files()
    actual = (
        table.read().sort_by([("ds", "ascending"), ("customer", "ascending")]).column("spent").to_pylist(),
        streamed,
        [len(files), len(gone), all(file.startswith(f"{table.uri}/ds=") for file in files)],
        [info.rows for info in table.partitions()],
    )
    return actual, ([5.0, 6.0, 7.0, 3.0], [_rows(DAYS[1], 3).to_pylist()], [2, 1, True], [3, 1])


def _files(env: Environment, model: str) -> tuple[object, object]:
    from imago.features.raw import listing
    from imago.storage import Storage

    storage, rel = Storage(env), f"raw/{model}/ds={DAYS[0]}/20240228T000000Z.parquet"
    storage.write_bytes(f"plain/{model}.txt", b"plain")
    storage.write_sealed(f"sealed/{model}.json", b"{}")
    storage.write_parquet(rel, _rows(DAYS[0], 1).drop_columns(["ds"]))
    found = storage.relative(storage.uri(rel))
    actual = (
        storage.read_bytes(f"plain/{model}.txt"),
        storage.read_sealed(f"sealed/{model}.json"),
        list(listing(storage, model)[DAYS[0]]),
        storage.read_parquet(found).num_rows,
        storage.list(f"raw/{model}"),
        storage.sizes([f"plain/{model}.txt"]),
    )
    storage.delete(f"plain/{model}.txt")
    expected = (b"plain", b"{}", [rel.removeprefix("raw/")], 1, [rel], {f"plain/{model}.txt": 5})
    return (actual, storage.exists(f"plain/{model}.txt")), (expected, False)


def _duckdb(env: Environment, model: str) -> tuple[object, object]:
    """The table's files and the raw ones as dbt's models read them, and a model staged as dbt stages it."""
    from imago.storage import Storage
    from imago.tables import Table

    storage, columns = Storage(env), ["customer", "spent"]
    raw = {model: [storage.uri(one) for one in storage.list(f"raw/{model}")]}
    given = {"features_files": Table(env, model, "features").files(), "storage_root": env.storage_root}
    published = _macro("published_rows", given)("features", [*columns, "ds"])
    listed = _macro("raw_rows", {**given, "raw_files": raw})(model, columns, *DAYS)
    by_hand = _macro("raw_rows", given)(model, columns, *DAYS)
    staged = storage.uri(f"staging/{model}.parquet")
    with _connection(env) as duckdb:
        order = " order by ds, customer"
        answers = [duckdb.sql(sql + order).fetchall() for sql in (published, listed, by_hand)]
        quoted = staged.replace("'", "''")
        if not env.on_s3:
            storage.write_bytes(f"staging/{model}.txt", b"")  # dbt's caller makes the folder
        duckdb.execute(f"copy (select 7 as seven) to '{quoted}' (format parquet)")
    actual = (*answers, storage.read_parquet(f"staging/{model}.parquet").to_pylist())
    days = [(1, 5.0, DAYS[0]), (2, 6.0, DAYS[0]), (3, 7.0, DAYS[0]), (1, 3.0, DAYS[1])]
    one = [(1, 1.0, DAYS[0])]
    return actual, (days, one, one, [{"seven": 7}])


def _macro(name: str, given: Mapping[str, Any]) -> Any:
    """A macro of the dbt project as dbt runs it, with these vars."""
    import jinja2

    from imago.dbt.project import project_folder

    source = "".join((project_folder() / f"macros/{file}.sql").read_text() for file in ("published_rows", "raw_rows"))
    template = jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(
        source,
        globals={"var": lambda name, default=None: given.get(name, default), "execute": True, "graph": {"sources": {}}},
    )
    return getattr(template.module, f"duckdb__{name}")


def _connection(env: Environment) -> Any:
    import duckdb

    from imago.dbt.duckdb_s3 import connect_s3

    connection = duckdb.connect()
    if env.on_s3:
        assert env.s3_endpoint
        assert env.s3_access_key
        assert env.s3_secret_key
        connect_s3(
            connection, endpoint=env.s3_endpoint, region=env.s3_region, access_key=env.s3_access_key,
            secret_key=env.s3_secret_key.get_secret_value(),
        )  # fmt: skip
    return connection


def _model(env: Environment, model: str) -> tuple[object, object]:
    from imago.registry import folders
    from imago.storage import Storage

    storage, folder = Storage(env), f"models/{model}/one"
    digest = storage.write_bytes(f"{folder}/model.json", b"{}")
    folders.check(env, storage.uri(folder), {"model.json": digest})
    return folders.read(env, storage.uri(folder), "model.json", digest), b"{}"


def _mlflow(env: Environment, model: str) -> tuple[object, object]:
    """MLflow's own client finds what Imago wrote among a run's artifacts."""
    from imago.registry.tracking import Tracker

    tracker = Tracker(env, model)
    run = tracker.start("roots", {})
    tracker.write(run, {"note.txt": b"here"})
    uri = tracker.client.get_run(run).info.artifact_uri
    if env.on_s3:  # MLflow's S3 client has keys of its own; where it looks is what counts
        return uri, tracker.storage.uri(tracker.artifact_folder(run))
    return [one.path for one in tracker.client.list_artifacts(run)], ["note.txt"]


def _manifests(env: Environment, model: str) -> tuple[object, object]:
    from imago.tables import Table, manifests

    table = Table(env, model, "features")
    manifests.refresh(table)
    (file,) = table.files([DAYS[1]])
    key = file.removeprefix("s3://").partition("/")[2]
    held = table.storage.read_bytes(f"{table.relative}/_symlink_format_manifest/ds={DAYS[1]}/manifest")
    return held.decode(), f"s3://{file.removeprefix('s3://').partition('/')[0]}/{key}\n"
