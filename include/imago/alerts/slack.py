"""Slack, in both of its forms: a bot's token (threads, updates, pictures) and an incoming webhook (plain messages)."""

from __future__ import annotations

import http.client
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from imago.alerts.channels import About, ChannelWaits, MessageRefused, Patience, Thread, ThreadGone, retry_after, within
from imago.alerts.rendering import Message, signed, with_picture
from imago.errors import DeliveryError

if TYPE_CHECKING:
    from slack_sdk import WebClient, WebhookClient

# What Slack says of one message; anything else (auth, channel, server) stops the whole channel for a while.
_OF_THE_MESSAGE = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "metadata_too_large",
     "invalid_metadata_format", "invalid_metadata_schema", "cant_update_message", "edit_window_closed",
     "invalid_payload", "too_many_attachments", "invalid_slack_file", "slack_file_not_found"}
)  # fmt: skip
_OF_THE_THREAD = frozenset({"cannot_reply_to_message", "message_not_found", "thread_not_found", "thread_locked"})


class Slack:
    """One channel, through a bot's token.

    The SDK's client retries nothing by itself: its own handlers lose alerts under 429 or block the caller, and repeat a
    post whose fate is unknown. `base_url` points it at any server.
    """

    rewrites = True
    threads = True

    def __init__(self, *, channel: str, token: SecretStr, base_url: str, patience: Patience | None = None) -> None:
        self.channel = channel
        self.token = token
        self.base_url = base_url if base_url.endswith("/") else f"{base_url}/"
        self.patience = patience or Patience()
        self._files: dict[str, str] = {}

    @cached_property
    def client(self) -> WebClient:
        """The SDK's client, made on first use."""
        from slack_sdk import WebClient

        client = WebClient(
            token=self.token.get_secret_value(),
            base_url=self.base_url,
            timeout=max(1, round(self.patience.call)),
            retry_handlers=[],
        )
        if _on_loopback(self.base_url):
            client.proxy = None  # the SDK takes a proxy from the environment, which cannot reach this machine
        return client

    def post(self, message: Message, about: About, *, thread: Thread | None, broadcast: bool) -> Thread:
        file_id = self._file(message, about)
        answer = self._call(
            "chat.postMessage",
            channel=thread.channel if thread else self.channel,
            text=message.text,
            blocks=with_picture(message, _image(message, file_id)) or None,
            thread_ts=thread.ts if thread else None,
            reply_broadcast=broadcast or None,
            metadata={
                "event_type": "imago_alert",
                "event_payload": {
                    "message_id": about.message_id,
                    "incident": about.incident,
                    "dedup_key": about.dedup_key,
                },
            },
            unfurl_links=False,
            unfurl_media=False,
        )
        ts = answer.get("ts")
        if not ts:
            raise ChannelWaits("Slack said ok and named no message")
        return thread or Thread(str(answer.get("channel") or self.channel), str(ts), file_id)

    def rewrite(self, thread: Thread, message: Message) -> None:
        blocks = with_picture(message, _image(message, thread.picture))
        self._call("chat.update", channel=thread.channel, ts=thread.ts, text=message.text, blocks=blocks)

    def _file(self, message: Message, about: About) -> str | None:
        """The uploaded picture; None where there is none or Slack does not take it: a message without its picture is
        better than none."""
        if message.picture is None or not message.blocks:
            return None
        try:
            file_id = self._files.get(about.message_id) or self._upload(message)
        except DeliveryError:
            return None
        self._files[about.message_id] = file_id
        return file_id

    def _upload(self, message: Message) -> str:
        """Slack's way in three steps; without a channel, so that the file is shown by the message alone."""
        import httpx

        from imago.alerts.pictures import png

        assert message.picture is not None
        content = png(message.picture)
        place = self._call("files.getUploadURLExternal", form=True, filename="distribution.png", length=len(content))
        url, file_id = str(place.get("upload_url", "")), str(place.get("file_id", ""))
        try:
            sent = httpx.post(
                url, content=content, timeout=self.patience.call, trust_env=not _on_loopback(url),
                headers={"Content-Type": "image/png"},
            )  # fmt: skip
            sent.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ChannelWaits(f"the upload of a picture: {type(error).__name__}") from error
        self._call("files.completeUploadExternal", files=[{"id": file_id, "title": message.picture.title[:150]}])
        return file_id

    def _call(self, method: str, *, form: bool = False, **values: Any) -> dict[str, Any]:
        from slack_sdk.errors import SlackApiError, SlackClientError

        given = {name: value for name, value in values.items() if value is not None}
        body: dict[str, Any] = {"params": given} if form else {"json": given}  # not every method takes JSON
        try:
            answer = within(self.patience.call, lambda: self.client.api_call(method, **body))
        except SlackApiError as error:
            raise _meaning(method, error.response, self.patience) from error
        except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
            # A reset or a hang says nothing about whether Slack took the message: it is sent again, with the same id.
            raise ChannelWaits(f"{method}: {type(error).__name__}: {error}") from error
        return answer.data if isinstance(answer.data, dict) else {}


class Webhook:
    """One channel, through an incoming webhook: it takes messages, and knows neither threads nor changes.

    A webhook's address is its secret, and belongs to one channel of Slack.
    """

    rewrites = False
    threads = False

    def __init__(self, *, url: SecretStr, patience: Patience | None = None) -> None:
        self.url = url
        self.patience = patience or Patience()

    @cached_property
    def client(self) -> WebhookClient:
        """The SDK's client, made on first use."""
        from slack_sdk import WebhookClient

        url = self.url.get_secret_value()
        client = WebhookClient(url, timeout=max(1, round(self.patience.call)), retry_handlers=[])
        if _on_loopback(url):
            client.proxy = None
        return client

    def post(self, message: Message, about: About, *, thread: Thread | None, broadcast: bool) -> Thread:
        # Nothing else in a plain message tells a repetition from a second alert.
        shown = signed(message, about.message_id)
        body = {"text": shown.text, "blocks": with_picture(shown, None) or None}
        try:
            answer = within(
                self.patience.call, lambda: self.client.send_dict({k: v for k, v in body.items() if v is not None})
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ChannelWaits(f"webhook: {type(error).__name__}: {error}".replace(_path(self.url), "/•••")) from error
        if answer.status_code != 200 or answer.body.strip() != "ok":  # a proxy's page is no acceptance
            raise _meaning("webhook", answer, self.patience)
        return thread or Thread("webhook", about.message_id)

    def rewrite(self, thread: Thread, message: Message) -> None:
        raise MessageRefused("a webhook cannot change what it posted")


def _image(message: Message, file_id: str | None) -> dict[str, Any] | None:
    if message.picture is None or file_id is None:
        return None
    return {"type": "image", "slack_file": {"id": file_id}, "alt_text": message.picture.words[:1900]}


def _meaning(method: str, response: Any, patience: Patience) -> DeliveryError:
    """What an answer other than "ok" says: an API's JSON, a webhook's single word, or a server's page."""
    status = getattr(response, "status_code", 0)
    data = getattr(response, "data", None)
    body = getattr(response, "body", None)
    reason = str(data.get("error", "")) if isinstance(data, dict) else ""
    if not reason and isinstance(body, str) and body.replace("_", "").isalpha():
        reason = body
    if status == 429 or reason in ("ratelimited", "rate_limited"):
        seconds = retry_after(getattr(response, "headers", {}) or {}, now=datetime.now(UTC), patience=patience)
        return ChannelWaits(f"{method}: rate limited", seconds=seconds)
    if status >= 500 or not reason:
        return ChannelWaits(f"{method}: HTTP {status}")
    if reason in _OF_THE_THREAD:
        return ThreadGone(f"{method}: {reason}")
    if reason in _OF_THE_MESSAGE:
        return MessageRefused(f"{method}: {reason}")
    return ChannelWaits(f"{method}: {reason}")


def _on_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _path(url: SecretStr) -> str:
    return urlsplit(url.get_secret_value()).path or "/"
