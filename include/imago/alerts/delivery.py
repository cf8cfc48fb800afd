"""Draining the outbox: every pending alert reaches its channel, in order, no faster than the channel takes it.

The unit is an incident with its pending alerts: the first time it is posted, later one reply says what is new and the
head is rewritten. One process at a time serves a channel (an advisory lock that dies with it), each channel in a thread
of its own, so that a server that hangs holds up no other channel. No row is locked while a server is asked, so that a
stage that raises an alert never waits for one. A message whose fate is unknown is sent again with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, Engine

from imago.alerts.channels import Channel, ChannelWaits, MessageRefused, Patience
from imago.alerts.line import take
from imago.alerts.schedule import Bundle, Plan, plan
from imago.alerts.telling import Routing, Teller
from imago.errors import ImagoError

log = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0  # seconds between two looks at the ledger, while there is something to do
_MOST_CHANNELS = 32  # served at once


@dataclass(kw_only=True)
class Summary:
    """What one drain did."""

    messages: int = 0
    alerts: int = 0
    failed_calls: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def drain(
    engine: Engine,
    channel_of: Callable[[str], Channel],
    routing: Routing,
    *,
    seconds: float,
    patience: Patience | None = None,
    all_now: bool = False,
) -> Summary:
    """Delivers what is due for at most `seconds`; returns early when nothing more falls due in that time.

    `channel_of` makes the channel of an address. With `all_now` news waits for nothing but the channels. Whatever goes
    wrong with a channel is written down and tried later; it raises only when the ledger does.
    """
    patience = patience or Patience()
    deadline = time.monotonic() + seconds
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as locks:
        work = _Work(engine, channel_of, routing, patience, locks)
        with ThreadPoolExecutor(_MOST_CHANNELS, thread_name_prefix="channel") as pool:
            while True:
                with engine.connect() as connection:
                    work.take(plan(connection, routing.address_of, patience, all_now=all_now))
                soonest = work.do(pool, until=min(deadline, time.monotonic() + _LOOK_AGAIN))
                is_over = time.monotonic() + soonest > deadline
                if (is_over and not work.started) or time.monotonic() > deadline:
                    work.end()
                    return work.summary
                if not work.running and not work.started:
                    time.sleep(min(soonest, _LOOK_AGAIN))


class _Work:
    """The channels that this drain serves, and what each of them is doing."""

    def __init__(
        self,
        engine: Engine,
        channel_of: Callable[[str], Channel],
        routing: Routing,
        patience: Patience,
        locks: Connection,
    ) -> None:
        self.engine = engine
        self.channel_of = channel_of
        self.routing = routing
        self.patience = patience
        self.locks = locks
        self.summary = Summary()
        self.running: dict[str, Future[None]] = {}
        self._tellers: dict[str, Teller | None] = {}
        self._waiting: set[str] = set()
        self._writing = threading.Lock()

    def take(self, found: Plan) -> None:
        """Works by this plan from now on."""
        self._left = found.bundles
        self._found, self._looked = found, time.monotonic()
        self._waiting.clear()
        self.started = 0

    def do(self, pool: ThreadPoolExecutor, *, until: float) -> float:
        """Works until then, or until nothing is under way or due; the seconds until the next bundle falls due."""
        while True:
            soonest = self._start_what_is_due(pool, until)
            patience = until - time.monotonic()
            if patience <= 0 or (not self.running and soonest > patience):
                return soonest
            if self.running:
                wait_for(self.running.values(), timeout=min(soonest, patience), return_when=FIRST_COMPLETED)
                self._reap()
            else:
                time.sleep(soonest)

    def end(self) -> None:
        """Waits for what is under way."""
        wait_for(self.running.values())
        self._reap()

    def _reap(self) -> None:
        for address in [address for address, future in self.running.items() if future.done()]:
            self.running.pop(address).result()  # raises what the ledger raised

    def _start_what_is_due(self, pool: ThreadPoolExecutor, until: float) -> float:
        """Starts the next bundle of each idle channel."""
        now = self._found.now + timedelta(seconds=time.monotonic() - self._looked)
        soonest, left = float("inf"), []
        busy = set(self.running) | self._waiting
        for bundle in self._left:
            teller = self._teller(bundle.address)
            if teller is None:
                continue
            left.append(bundle)
            if bundle.address in busy:
                continue
            moment = min(bundle.due, bundle.rewrite) if teller.may_rewrite(bundle) else bundle.due
            if not bundle.hush:
                moment = max(moment, self._found.free.get(bundle.address, moment))
            wait = (moment - now).total_seconds()
            if wait > 0 or time.monotonic() > until:
                soonest = min(soonest, max(wait, 0.0))
                continue
            left.pop()
            busy.add(bundle.address)
            self.started += 1
            self.running[bundle.address] = pool.submit(self._deliver, teller, bundle, is_due=bundle.due <= now)
        self._left = left
        return soonest

    def _teller(self, address: str) -> Teller | None:
        """The one who tells that address; None where another process does, or where no channel can be made of it."""
        if address not in self._tellers:
            self._tellers[address] = None
            try:
                channel = self.channel_of(address)
            except ImagoError as problem:
                self._note(address, problem)
                return None
            if take(self.locks, address):
                self._tellers[address] = Teller(self.engine, channel, address, self.routing, self.patience)
        return self._tellers[address]

    def _deliver(self, teller: Teller, bundle: Bundle, *, is_due: bool) -> None:
        try:
            told = teller.tell(bundle) if is_due else teller.rewrite(bundle)
        except ChannelWaits as problem:
            self._note(bundle.address, problem)
            self._waiting.add(bundle.address)
            log.warning("%s: %s; tried again later", bundle.address, problem)
        except ImagoError as problem:
            teller.postpone(bundle, problem)
            self._note(f"incident {bundle.incident.id}", problem)
            log.error("incident %s is refused by %s: %s", bundle.incident.id, bundle.address, problem)
        else:
            with self._writing:
                self.summary.messages += told > 0
                self.summary.alerts += told

    def _note(self, where: str, problem: ImagoError) -> None:
        with self._writing:
            self.summary.failed_calls += isinstance(problem, ChannelWaits | MessageRefused)
            self.summary.problems[where] = str(problem)[:300]
