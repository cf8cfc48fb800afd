"""The business metric, built by the platform's own runner over published files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from imago.dbt import build

DS = "2013-10-01"
KEYS = [f"{DS}-UA{n}-EWR-0500" for n in range(4)]


def write(folder, name: str, columns: dict) -> str:
    # The day stands in the path, as in the published table.
    path = folder / name / f"ds={DS}" / "part.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_money_saved_is_counted_from_published_files(dev, tmp_path):
    staging = tmp_path / "staged"
    staging.mkdir()
    done = build(
        dev,
        select=["flight_delays_daily_metrics"],
        first=DS,
        last=DS,
        staging=str(staging),
        variables={
            "predictions_files": [
                write(tmp_path, "predictions", {"flight_key": KEYS, "decision": [True, True, False, False]})
            ],
            "outcomes_files": [
                write(tmp_path, "outcomes", {"flight_key": KEYS, "label": pa.array([1, 0, 1, None], pa.int32())})
            ],
            "price_caught": 20, "price_false_alarm": -5, "price_missed": -30, "price_quiet": 0,
        },
    )  # fmt: skip

    rows = pq.read_table(staging / "flight_delays_daily_metrics.parquet").to_pylist()
    everything = next(row for row in rows if row["slice"] == "all")
    assert everything == {
        "ds": DS, "slice": "all", "rows": 3, "caught": 1, "false_alarms": 1, "missed": 1, "quiet": 0,
        "business_value": 45.0,
    }  # fmt: skip
    assert [row["slice"] for row in rows] == ["all", "carrier=UA", "origin=EWR"]
    assert done.tests_run == done.tests_declared > 0
