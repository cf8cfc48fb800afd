"""The unload step against recorded exchanges: what is asked, in which words, and what is made of each answer.

`recorded/*.json` hold requests and responses in the shapes of the services' own API descriptions, which botocore's
stubber checks both against. The S3 below is a real server's protocol (moto); the files on it are written as each
warehouse writes them.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.stub import Stubber
from warehouses import SETTINGS, STAGING, environment, warehouse

from imago.contracts import Column, Contract
from imago.dbt.statements import statements_of
from imago.dbt.unload import WarehouseAttempt, unload, unload_statement
from imago.dbt.warehouse import warehouse_of
from imago.errors import ImagoError, SettingsError
from imago.storage import Storage

RECORDED = Path(__file__).parent / "recorded"
CONTRACT = Contract(
    model="toy_features",
    columns=tuple(
        Column(name=name, data_type=kind)
        for name, kind in (
            ("flight_key", "varchar"),
            ("ds", "varchar"),
            ("event_time", "timestamp"),
            ("seats", "integer"),
            ("flights", "bigint"),
            ("late_rate", "double precision"),
            ("cancelled", "boolean"),
        )
    ),
)
NOON = datetime.datetime(2013, 3, 3, 12)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Exchange:
    """An attempt whose requests must be those of a recording, in its order, and which gets its answers."""

    def __init__(self, recording: str, env=None) -> None:
        self.told = json.loads((RECORDED / f"{recording}.json").read_text())
        target = self.told["target"]
        client = boto3.client(
            self.told["service"], region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
        )
        self.stubber = Stubber(client)
        for step in self.told["exchange"]:
            if "error" in step:
                self.stubber.add_client_error(
                    step["operation"],
                    service_error_code=step["error"]["Code"],
                    service_message=step["error"]["Message"],
                    http_status_code=step["error"]["HTTPStatusCode"],
                    expected_params=step["request"],
                )
            else:
                self.stubber.add_response(step["operation"], step["response"], step["request"])
        self.stubber.activate()
        self.clock = Clock()
        env = env or environment(target)
        house = warehouse(target, **self.told.get("settings", {}))
        self.attempt = WarehouseAttempt(
            env,
            STAGING,
            warehouse=house,
            statements=statements_of(
                env, house, attempt=STAGING, client=client, sleep=self.clock.sleep, clock=self.clock
            ),
        )

    def run(self) -> str:
        return self.attempt.statements.run(unload_statement(self.attempt, CONTRACT), what="the unload of toy_features")

    def over(self) -> None:
        """Every recorded request was made."""
        self.stubber.assert_no_pending_responses()


@pytest.mark.parametrize("recording", ["athena_unload", "redshift_unload", "redshift_serverless_unload"])
def test_an_unload_is_asked_for_in_the_recorded_words_and_waited_for(recording):
    exchange = Exchange(recording)

    query = exchange.run()

    exchange.over()
    assert query == exchange.told["query"]
    # It waits longer and longer, and tries again when it is told that there are too many requests.
    assert exchange.clock.waits == exchange.told["waits"]


@pytest.mark.parametrize("recording", ["athena_failed", "redshift_failed", "redshift_aborted", "athena_refused"])
def test_a_failure_names_the_query_and_the_warehouses_own_reason(recording):
    exchange = Exchange(recording)

    with pytest.raises(ImagoError) as caught:
        exchange.run()

    exchange.over()
    text = str(caught.value)
    for part in exchange.told["says"]:
        assert part in text


@pytest.mark.parametrize("recording", ["athena_never_ends", "redshift_never_ends", "athena_always_busy"])
def test_nothing_is_waited_for_beyond_the_deadline_and_what_was_started_is_cancelled(recording):
    exchange = Exchange(recording)
    object.__setattr__(exchange.attempt.warehouse, "deadline_seconds", 5.0)

    with pytest.raises(ImagoError, match="not done in time") as caught:
        exchange.run()

    exchange.over()
    assert exchange.clock.now <= 5.0
    assert caught.value.facts["allowed"] == "5 s"
    for part in exchange.told["says"]:
        assert part in str(caught.value)


def test_an_attempt_that_is_ended_from_outside_cancels_its_query():
    exchange = Exchange("athena_never_ends")

    def interrupted(seconds: float) -> None:
        if len(exchange.clock.waits) == 3:
            raise KeyboardInterrupt
        exchange.clock.sleep(seconds)

    exchange.attempt.statements._sleep = interrupted
    with pytest.raises(KeyboardInterrupt):
        exchange.run()

    exchange.over()


def test_redshift_learns_the_raw_days_before_it_reads_them():
    exchange = Exchange("redshift_days")

    exchange.attempt.register_days(
        {
            "schedule": [
                "s3://lake/dev/raw/schedule/ds=2013-03-03/2013-03-02T230000Z.parquet",
                "s3://lake/dev/raw/schedule/ds=2013-03-03/2013-03-03T010000Z.parquet",
                "s3://lake/dev/raw/schedule/ds=2013-03-04/2013-03-03T230000Z.parquet",
            ],
            "planes": ["s3://lake/dev/raw/planes/2012-12-31T230000Z.parquet"],
        }
    )

    exchange.over()


@pytest.mark.parametrize("recording", ["athena_end", "redshift_end"])
def test_the_attempts_schema_is_dropped_and_a_failure_of_that_is_no_failure_of_the_run(recording, caplog):
    exchange = Exchange(recording)

    exchange.attempt.end()

    exchange.over()
    assert ("could not be dropped" in caplog.text) == (recording == "redshift_end")


@pytest.fixture(scope="module")
def lake():
    """An S3 server with an empty bucket, in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"s3_access_key": "none", "s3_secret_key": "none", "s3_endpoint": f"http://{host}:{port}"}
    client = boto3.client(
        "s3", endpoint_url=keys["s3_endpoint"], region_name="us-east-1", aws_access_key_id="none",
        aws_secret_access_key="none",
    )  # fmt: skip
    client.create_bucket(Bucket="lake")
    yield keys
    server.stop()


def rows(keys: list[str], count: int, *, kind: str) -> pa.Table:
    """Rows in the types that each warehouse is known to write."""
    wide = {"athena": pa.timestamp("ns"), "redshift": pa.timestamp("us")}[kind]
    return pa.table(
        {
            "flight_key": pa.array(keys, pa.large_string() if kind == "redshift" else pa.string()),
            "ds": pa.array(["2013-03-03"] * len(keys)),
            "event_time": pa.array([NOON] * len(keys), wide),
            "seats": pa.array([150] * len(keys), pa.int64()),
            "flights": pa.array([decimal.Decimal(7)] * len(keys), pa.decimal128(38, 0)),
            "late_rate": pa.array([0.25] * len(keys), pa.float64()),
            "cancelled": pa.array([None] * len(keys), pa.bool_()),
            "imago_rows_unloaded": pa.array([count] * len(keys), pa.int64()),
        }
    )


def put(env, name: str, table: pa.Table, **how: object) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **how)
    Storage(env).write_bytes(
        f"staging/flight_delays/features-2013-03-03-17/_unloaded/toy_features/{name}", buffer.getvalue()
    )


@pytest.fixture(params=["athena", "redshift"])
def place(request, lake):
    """An attempt on each warehouse whose staging place is on a real S3 protocol, empty before and after."""
    env = environment(request.param, **lake)
    yield Exchange(f"{request.param}_unload", env)
    Storage(env).delete("staging")


def test_what_was_unloaded_becomes_the_one_file_that_the_audit_reads(place):
    env, kind = place.attempt.env, place.attempt.warehouse.kind
    # Athena writes the old 96-bit timestamps of Hive, and its files have no ending.
    how = {"use_deprecated_int96_timestamps": True} if kind == "athena" else {}
    put(env, "20130303_060000_00000_abcde_0000", rows(["a", "b"], 3, kind=kind), **how)
    put(env, "20130303_060000_00000_abcde_0001", rows(["c"], 3, kind=kind), **how)

    unload(place.attempt, CONTRACT)

    staged = Storage(env).read_parquet("staging/flight_delays/features-2013-03-03-17/toy_features.parquet")
    assert staged.schema == pa.schema(
        [
            ("flight_key", pa.string()),
            ("ds", pa.string()),
            ("event_time", pa.timestamp("us")),
            ("seats", pa.int32()),
            ("flights", pa.int64()),
            ("late_rate", pa.float64()),
            ("cancelled", pa.bool_()),
        ]
    )
    assert sorted(staged.column("flight_key").to_pylist()) == ["a", "b", "c"]
    assert staged.column("event_time").to_pylist() == [NOON] * 3


@pytest.mark.parametrize("lost", [True, False], ids=["a file lost", "a file too many"])
def test_other_rows_than_were_unloaded_are_refused(place, lost):
    kind = place.attempt.warehouse.kind
    put(place.attempt.env, "0000", rows(["a", "b"], 3 if lost else 2, kind=kind))
    if not lost:
        put(place.attempt.env, "0001", rows(["a"], 2, kind=kind))

    with pytest.raises(ImagoError, match="other rows arrived than were unloaded"):
        unload(place.attempt, CONTRACT)

    assert not Storage(place.attempt.env).exists("staging/flight_delays/features-2013-03-03-17/toy_features.parquet")


def test_an_unload_without_rows_is_an_empty_table_of_the_contracts_types_for_the_audit_to_refuse(place):
    unload(place.attempt, CONTRACT)

    staged = Storage(place.attempt.env).read_parquet(
        "staging/flight_delays/features-2013-03-03-17/toy_features.parquet"
    )
    assert staged.num_rows == 0
    assert staged.column_names == list(CONTRACT.names)


def test_a_value_that_does_not_fit_stays_as_it_is_so_that_the_audit_names_the_column(place):
    table = rows(["a"], 1, kind=place.attempt.warehouse.kind)
    table = table.set_column(3, "seats", pa.array([2**40], pa.int64()))
    put(place.attempt.env, "0000", table)

    unload(place.attempt, CONTRACT)

    staged = Storage(place.attempt.env).read_parquet(
        "staging/flight_delays/features-2013-03-03-17/toy_features.parquet"
    )
    assert staged.schema.field("seats").type == pa.int64()


@pytest.mark.parametrize(
    ("target", "changes", "named"),
    [
        ("athena", {"IMAGO_DEV_WAREHOUSE_RAW_SCHEMA": ""}, "IMAGO_DEV_WAREHOUSE_RAW_SCHEMA"),
        ("athena", {"IMAGO_DEV_WAREHOUSE_RAW_SCHEMA": 'raw"; drop'}, "IMAGO_DEV_WAREHOUSE_RAW_SCHEMA"),
        ("athena", {"IMAGO_DEV_WAREHOUSE_DEADLINE_SECONDS": "soon"}, "IMAGO_DEV_WAREHOUSE_DEADLINE_SECONDS"),
        ("redshift", {"IMAGO_DEV_REDSHIFT_IAM_ROLE": ""}, "IMAGO_DEV_REDSHIFT_IAM_ROLE"),
        ("redshift", {"IMAGO_DEV_REDSHIFT_CLUSTER": ""}, "IMAGO_DEV_REDSHIFT_CLUSTER"),
        ("redshift", {"IMAGO_DEV_REDSHIFT_WORKGROUP": "too"}, "IMAGO_DEV_REDSHIFT_CLUSTER"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(target, changes, named):
    with pytest.raises(SettingsError, match=named):
        warehouse_of(environment(target), {**SETTINGS, **changes})


def test_a_warehouse_needs_a_storage_root_on_s3_and_its_password_does_not_print():
    with pytest.raises(SettingsError, match="IMAGO_DEV_STORAGE_ROOT"):
        warehouse_of(environment("athena", storage_root="/tmp/lake"), SETTINGS)
    assert "not-a-secret" not in repr(warehouse("redshift"))
