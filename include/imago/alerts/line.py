"""The way to one address: one process at a time, one call at a time, and no call before its time.

What is known of it stands in the ledger, so that it holds across processes, and after one of them was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from imago.alerts.channels import ChannelWaits, Patience
from imago.errors import DeliveryError
from imago.ledger.schema import channels

T = TypeVar("T")


class Line:
    """Calls through it keep the channel's pace, and wait as long as its server asked, whoever called before."""

    def __init__(self, engine: Engine, address: str, patience: Patience) -> None:
        self.engine = engine
        self.address = address
        self.patience = patience

    def call(self, call: Callable[[], T]) -> T:
        """What `call` gives. Its refusals are passed on, after what they mean for the channel has been written down."""
        self._reserve()
        try:
            result = call()
        except ChannelWaits as problem:
            self._hold(problem)
            raise
        except DeliveryError:
            self._free()
            raise
        self._free()
        return result

    def _reserve(self) -> None:
        """Waits until the channel is free, and takes it for as long as a call may last."""
        while True:
            with self.engine.begin() as connection:
                connection.execute(
                    insert(channels)
                    .values(address=self.address, free_at=func.clock_timestamp())
                    .on_conflict_do_nothing()
                )
                taken = connection.execute(
                    channels.update()
                    .where(channels.c.address == self.address, channels.c.free_at <= func.clock_timestamp())
                    .values(free_at=func.clock_timestamp() + timedelta(seconds=self.patience.lease))
                )
                if taken.rowcount:
                    return
                wait = connection.execute(
                    select(func.extract("epoch", channels.c.free_at - func.clock_timestamp())).where(
                        channels.c.address == self.address
                    )
                ).scalar_one()
            if float(wait) > self.patience.lease:
                raise ChannelWaits(f"{self.address} is not free for {float(wait):.0f} s")
            time.sleep(max(0.005, float(wait)))

    def _free(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                channels.update()
                .where(channels.c.address == self.address)
                .values(
                    free_at=func.clock_timestamp() + timedelta(seconds=self.patience.pace), failures=0, last_error=None
                )
            )

    def _hold(self, problem: ChannelWaits) -> None:
        patience = self.patience
        with self.engine.begin() as connection:
            known = select(channels.c.failures).where(channels.c.address == self.address).with_for_update()
            failures = connection.execute(known).scalar_one() + 1
            backoff = min(patience.retry * 2.0 ** min(failures - 1, 30), patience.backoff)
            wait = max(problem.seconds if problem.seconds is not None else backoff, patience.pace)
            connection.execute(
                channels.update()
                .where(channels.c.address == self.address)
                .values(
                    free_at=func.clock_timestamp() + timedelta(seconds=wait),
                    failures=failures,
                    last_error=str(problem)[:500],
                )
            )


def take(connection: Connection, address: str) -> bool:
    """Whether this process may serve the address, for as long as `connection` lives."""
    query = text("select pg_try_advisory_lock(hashtextextended(current_schema() || ' delivers to ' || :address, 0))")
    return bool(connection.execute(query, {"address": address}).scalar_one())
