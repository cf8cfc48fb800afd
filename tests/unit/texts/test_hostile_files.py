"""Files, rules and errors that cannot be read or computed are named by column, rule and type, never a raw error."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.contracts import Column, Raw
from imago.dbt.sources import SourceContract
from imago.environments import Environment
from imago.errors import RefusedPartition
from imago.features.deliveries import _Check
from imago.jobs.failures import _words
from imago.storage import Storage
from imago.texts import LONGEST_JSON, line, storable, to_json

REL = "raw/k/ds=2024-01-01/20240101T000000Z.parquet"
SETTINGS = {
    "name": "dev", "ledger_url": "postgresql://u:p@h/d", "ledger_schema": "x", "mlflow_uri": "http://m",
    "registry_prefix": "dev.", "dbt_target": "dev", "alert_channel": "#a",
}  # fmt: skip


def refusal(
    tmp_path: Path, values: pa.Array, kind: str, *, rules=(), spoil=(b"", b""), key="number"
) -> RefusedPartition:
    moments = pa.array([datetime(2024, 1, 1)] * len(values), pa.timestamp("us"))
    sink = io.BytesIO()
    table = pa.table({"number": pa.array(range(len(values)), pa.int64()), "c": values, "known_at": moments})
    pq.write_table(table, sink, compression=None)
    storage = Storage(Environment.model_validate({**SETTINGS, "storage_root": str(tmp_path)}))
    storage.write_bytes(REL, sink.getvalue().replace(*spoil) if spoil[0] else sink.getvalue())
    columns = (
        Column(name="number", data_type="bigint", nullable=False),
        Column(name="c", data_type=kind, nullable=True),
        Column(name="known_at", data_type="timestamp", nullable=False),
    )
    source = SourceContract(
        kind="k", key=(key,), columns=columns, day=None, rows=(1, 10**9), checksum=False, rules=tuple(rules)
    )
    check = _Check(
        storage=storage, source=source, raw=Raw(kind="k", days=(0, 0)), name=REL, timezone="UTC", is_first=True,
        facts={"environment": "dev", "model": "m", "table": "features", "partition": "2024-01-01", "file": REL},
    )  # fmt: skip
    with pytest.raises(RefusedPartition) as error:
        check.run()
    return error.value


@pytest.mark.parametrize("codes", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_categories_with_other_bytes_are_refused_by_column(tmp_path, codes):
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], codes), pa.array(["N~rth", "south"]))
    error = refusal(tmp_path, values, "varchar", spoil=(b"N~rth", b"N\xf6rth"))
    assert (error.facts["column"], error.facts["rule"], error.facts["file"]) == ("c", "text in UTF-8", REL)
    assert "c: text in UTF-8 does not hold" in error.message


def test_a_column_name_of_other_bytes_is_refused_by_its_name(tmp_path):
    error = refusal(tmp_path, pa.array([1]), "bigint", spoil=(b"known_at", b"known\xffat"))
    assert (error.facts["column"], error.facts["rule"]) == ("known\\xffat", "text in UTF-8")


@pytest.mark.parametrize(
    ("values", "kind", "sql", "seen"),
    [
        (pa.array(["1", "x"]), "varchar", "cast(c as int) > 1", "ConversionException"),
        (pa.array(["no day"]), "varchar", "cast(c as date) > date '2000-01-01'", "ConversionException"),
        (pa.array([Decimal("9" * 38)], pa.decimal128(38, 0)), "decimal(38,0)",
         "c * 10 > 0", "OutOfRangeException"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_computed_is_refused_by_column_and_rule(tmp_path, values, kind, sql, seen):
    rules = [("number", "counted", "number >= 0"), ("c", "large", sql)]
    error = refusal(tmp_path, values, kind, rules=rules)
    assert (error.facts["column"], error.facts["rule"], error.facts["allowed"]) == ("c", "large", sql)
    assert f"DuckDB cannot compute it: {seen}: " in error.facts["seen"]
    assert "correct the rule large of c" in error.next_step
    # A key's value, which DuckDB quotes, is not shown.
    hidden = refusal(tmp_path, values, kind, rules=rules, key="c").facts["seen"]
    assert str(values[len(values) - 1]) not in hidden


@pytest.mark.parametrize("raised", [OSError, ValueError, RecursionError, UnicodeError])
def test_an_error_that_cannot_say_its_text_is_named_by_its_type(raised):
    class Odd(Exception):
        def __str__(self) -> str:
            raise raised("no text")

    assert _words(Odd()) == line(Odd()) == "Odd"
    assert _words(ValueError("boom")) == "ValueError: boom"


@settings(deadline=None, max_examples=100)
@given(st.recursive(st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)))
def test_numbers_that_json_does_not_have_are_texts(value):
    json.loads(to_json(value), parse_constant=lambda name: pytest.fail(name))


def test_nan_and_infinity_are_written_out():
    assert storable([math.nan, math.inf, -math.inf, 1.5]) == ["nan", "inf", "-inf", 1.5]


@pytest.mark.parametrize("value", [["x" * 20_000] * 300, {str(n): "x" * 20_000 for n in range(300)}, [[0] * 10**6]])
def test_a_json_value_is_bounded_as_a_whole_and_says_what_is_left_out(value):
    made = to_json(value)
    assert len(made) < LONGEST_JSON + 50_000
    assert " more left out" in json.dumps(json.loads(made), ensure_ascii=False)
    count = len(storable(["x" * 20_000] * 300)) - 1
    assert storable(["x" * 20_000] * 300)[-1] == f"… {300 - count} more left out"


@pytest.mark.parametrize("name", ["alert_channel", "alert_routes"])
@pytest.mark.parametrize("sign", ["a", "ü", "😀"])
def test_an_alert_channel_that_no_index_takes_is_refused_by_its_setting(name, sign):
    address = "#" + sign * 3000
    value = address if name == "alert_channel" else f"m={address}"
    with pytest.raises(ValueError, match=f"(?s){name}.*") as error:
        Environment.model_validate({**SETTINGS, "storage_root": "/tmp/x", name: value})
    assert "up to 300 characters" in str(error.value) or "allowed: " in str(error.value)
