"""The adapter to Slack: what came of a call, in three kinds that delivery can act on."""

from __future__ import annotations

import email.utils
import http.client
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from imago.alerts.rendering import Message
from imago.errors import DeliveryError

if TYPE_CHECKING:
    from slack_sdk import WebClient

# What Slack says of one message; anything else (auth, channel, server) stops the whole channel for a while.
_OF_THE_MESSAGE = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "metadata_too_large",
     "invalid_metadata_format", "invalid_metadata_schema", "cant_update_message", "edit_window_closed"}
)  # fmt: skip
_OF_THE_THREAD = frozenset({"cannot_reply_to_message", "message_not_found", "thread_not_found", "thread_locked"})
_LONGEST_WAIT = 3600.0


class ChannelWaits(DeliveryError):
    """The channel takes nothing now; `seconds` says how long to wait where Slack said so."""

    def __init__(self, message: str, *, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class MessageRefused(DeliveryError):
    """Slack takes other messages, and not this one."""


class ThreadGone(DeliveryError):
    """The message to update or to reply to is no longer there."""


class Slack:
    """Posts and updates through one bot token.

    The client retries nothing by itself: its own handlers lose alerts under 429 or block the caller, and repeat a post
    whose fate is unknown. `base_url` points it at any server.
    """

    def __init__(self, *, token: SecretStr, base_url: str, timeout: int = 10) -> None:
        self.token = token
        self.base_url = base_url
        self.timeout = timeout

    @cached_property
    def client(self) -> WebClient:
        """The SDK's client, made on first use."""
        from slack_sdk import WebClient

        base = self.base_url if self.base_url.endswith("/") else f"{self.base_url}/"
        client = WebClient(token=self.token.get_secret_value(), base_url=base, timeout=self.timeout, retry_handlers=[])
        if urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1"):
            client.proxy = (
                None  # the SDK takes a proxy from the environment, which cannot reach this machine's loopback
            )
        return client

    def post(
        self,
        channel: str,
        message: Message,
        *,
        thread_ts: str | None = None,
        broadcast: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[str, str]:
        """Posts; the channel's id and the message's `ts`."""
        answer = self._call(
            "chat.postMessage",
            channel=channel,
            text=message.text,
            blocks=message.blocks or None,
            thread_ts=thread_ts,
            reply_broadcast=broadcast or None,
            metadata=metadata,
            unfurl_links=False,
            unfurl_media=False,
        )
        ts = answer.get("ts")
        if not ts:
            raise ChannelWaits("Slack said ok and named no message")
        return str(answer.get("channel") or channel), str(ts)

    def update(self, channel: str, ts: str, message: Message) -> None:
        """Rewrites a message. Doing it twice changes nothing more."""
        self._call("chat.update", channel=channel, ts=ts, text=message.text, blocks=message.blocks)

    def check(self) -> str:
        """The workspace that the token belongs to."""
        return str(self._call("auth.test").get("team", ""))

    def _call(self, method: str, **values: Any) -> dict[str, Any]:
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            answer = self.client.api_call(method, json={name: v for name, v in values.items() if v is not None})
        except SlackApiError as error:
            raise _meaning(method, error.response) from error
        except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
            # A reset or a hang says nothing about whether Slack took the message: it is sent again, with the same id.
            raise ChannelWaits(f"{method}: {type(error).__name__}: {error}") from error
        data = answer.data
        return data if isinstance(data, dict) else {}


def _meaning(method: str, response: Any) -> DeliveryError:
    status = getattr(response, "status_code", 0)
    data = getattr(response, "data", None)
    reason = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or reason in ("ratelimited", "rate_limited"):
        seconds = retry_after(getattr(response, "headers", {}) or {}, now=datetime.now(UTC))
        return ChannelWaits(f"{method}: rate limited", seconds=seconds)
    if status >= 500 or not reason:
        return ChannelWaits(f"{method}: HTTP {status}")
    if reason in _OF_THE_THREAD:
        return ThreadGone(f"{method}: {reason}")
    if reason in _OF_THE_MESSAGE:
        return MessageRefused(f"{method}: {reason}")
    return ChannelWaits(f"{method}: {reason}")


def retry_after(headers: Mapping[str, Any], *, now: datetime) -> float:
    """Seconds that `Retry-After` asks for: a number or an HTTP date. 30 where it says nothing sensible; at most an
    hour.

    >>> retry_after({"retry-after": "2"}, now=datetime(2026, 1, 1, tzinfo=UTC))
    2.0
    """
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    words = str(found[0] if isinstance(found, list | tuple) and found else found or "").strip()
    try:
        seconds = float(words)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(words) - now).total_seconds()
        except (ValueError, TypeError):
            return 30.0
    if not math.isfinite(seconds):
        return 30.0
    return min(max(seconds, 1.0), _LONGEST_WAIT)
