"""Pins: held until released, once for each reason, and never erased."""

from __future__ import annotations

from sqlalchemy import func, select

from imago import ledger
from imago.ledger import pins
from imago.ledger.schema import pins as rows


def pin(connection, version: int, reason: str, table: str = "features") -> int:
    return pins.pin(connection, model="m", table=table, version=version, run_id="run", reason=reason)


def test_a_version_is_pinned_until_every_reason_lets_go(dev):
    with ledger.connect(dev).begin() as connection:
        pin(connection, 7, "training 2013-01-01")
        pin(connection, 7, "training 2013-01-08")
        pin(connection, 3, "training 2013-01-01")
        pin(connection, 9, "training 2013-01-01", table="outcomes")

        assert pins.pinned_versions(connection, "m", "features") == [3, 7]
        assert pins.release(connection, model="m", reason="training 2013-01-01") == 3
        assert pins.pinned_versions(connection, "m", "features") == [7]
        assert pins.pinned_versions(connection, "m", "outcomes") == []
        assert pins.pinned_versions(connection, "other", "features") == []


def test_the_same_pin_again_is_the_same_pin_and_a_released_one_is_pinned_anew(dev):
    with ledger.connect(dev).begin() as connection:
        first = pin(connection, 7, "training 2013-01-01")
        assert pin(connection, 7, "training 2013-01-01") == first
        pins.release(connection, model="m", reason="training 2013-01-01")
        assert pin(connection, 7, "training 2013-01-01") != first
        assert connection.execute(select(func.count()).select_from(rows)).scalar_one() == 2
        assert [row["reason"] for row in pins.held(connection, "m")] == ["training 2013-01-01"]
