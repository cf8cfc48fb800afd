"""What delivery asks of a channel kind, and what may come of a call: three refusals that delivery can act on."""

from __future__ import annotations

import email.utils
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTime
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from imago.alerts.rendering import Message
from imago.errors import DeliveryError

T = TypeVar("T")


class ChannelWaits(DeliveryError):
    """The channel takes nothing now; `seconds` says how long to wait where its server said so."""

    def __init__(self, message: str, *, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class MessageRefused(DeliveryError):
    """The channel takes other messages, and not this one."""


class ThreadGone(DeliveryError):
    """The message to rewrite or to reply to is no longer there."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long delivery waits for what, in seconds."""

    pace: float = 1.0  # between two calls to one channel
    call: float = 10.0  # a call that takes longer counts as lost
    fold: float = 300.0  # news of a known incident waits so long for more
    hour: float = 3600.0  # in which a problem is told at most twice
    unknown: float = 30.0  # where a server asks for time and does not say how much
    longest: float = 3600.0  # no server can ask for more
    retry: float = 2.0  # before a channel that failed is tried again, twice as long each time it fails again
    backoff: float = 300.0  # no such wait is longer

    @property
    def lease(self) -> float:
        """Longer than a call may take: after a crash nobody repeats a call that may still be under way."""
        return self.call + self.pace


@dataclass(frozen=True)
class Thread:
    """Where an incident is told: the channel as its server names it, the first message, and the picture in it."""

    channel: str
    ts: str
    picture: str | None = None


@dataclass(frozen=True, kw_only=True)
class About:
    """What identifies a message. The same id comes again only where nobody knows whether the first try arrived."""

    message_id: str
    incident: int
    dedup_key: str


class Channel(Protocol):
    """One address of one kind. `rewrites`: its first messages can be changed, so that news need not be a message.
    `threads`: an answer stands by its first message, so that it need not repeat what it is about."""

    rewrites: bool
    threads: bool

    def post(self, message: Message, about: About, *, thread: Thread | None, broadcast: bool) -> Thread:
        """Sends a first message, or an answer in `thread`, which `broadcast` shows outside of it as well."""

    def rewrite(self, thread: Thread, message: Message) -> None:
        """Changes the first message. Doing it twice changes nothing more."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` gives, or ChannelWaits after that time.

    A socket's own time-out begins anew with each byte, so a server that sends one from time to time holds a caller for
    ever. The call is left to end by itself; nobody can say what came of it.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="channel call").start()
    try:
        return future.result(timeout=seconds)
    except OutOfTime:
        if future.done():
            raise
        raise ChannelWaits(f"no answer within {seconds:g} s") from None


def retry_after(headers: Mapping[str, Any], *, now: datetime, patience: Patience | None = None) -> float:
    """Seconds that `Retry-After` asks for: a number or an HTTP date. 30 where it says nothing sensible, at least one
    pace, at most an hour.

    >>> retry_after({"retry-after": "2"}, now=datetime(2026, 1, 1, tzinfo=UTC))
    2.0
    """
    patience = patience or Patience()
    words = _header(headers, "retry-after")
    try:
        seconds = float(words)
    except ValueError:
        asked = _date(words)
        if asked is None:
            return patience.unknown
        # By the server's own clock where it tells: ours may be wrong.
        seconds = (asked - (_date(_header(headers, "date")) or now)).total_seconds()
    if math.isnan(seconds):
        return patience.unknown
    return min(max(seconds, patience.pace), patience.longest)


def _header(headers: Mapping[str, Any], wanted: str) -> str:
    found = next((value for name, value in headers.items() if name.lower() == wanted), None)
    return str(found[0] if isinstance(found, list | tuple) and found else found or "").strip()


def _date(words: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(words)
    except (ValueError, TypeError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)
