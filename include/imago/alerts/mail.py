"""E-mail by SMTP: an incident is a conversation, whose letters answer its first one."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from pydantic import SecretStr

from imago.alerts.channels import About, ChannelWaits, MessageRefused, Patience, Thread, within
from imago.alerts.mrkdwn import EMOJI, blocks_to_html, to_text
from imago.alerts.rendering import Message, with_picture

Security = Literal["starttls", "tls", "none"]
_STYLE = (
    "body{margin:0;font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:#1b2330}"
    ".letter{max-width:640px;padding:16px}.section{margin:0 0 12px}.fields{display:table;width:100%}"
    ".fields>div{display:inline-block;width:48%;vertical-align:top;margin:4px 0}"
    ".context{color:#677185;font-size:12px;margin:0 0 6px}.context span{margin-right:8px}img{max-width:100%}"
    "code{background:#f1f3f7;padding:1px 4px;border-radius:3px}a{color:#2f6fed}"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A mail server that takes letters for others. `security` is how the connection is encrypted."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: SecretStr | None = None
    security: Security = "starttls"

    def connect(self, timeout: float) -> smtplib.SMTP:
        """A connection that is encrypted and logged in, as the settings ask."""
        context = ssl.create_default_context()
        connection: smtplib.SMTP
        if self.security == "tls":
            connection = smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=context)
        else:
            connection = smtplib.SMTP(self.host, self.port, timeout=timeout)
        try:
            if self.security == "starttls":
                connection.starttls(context=context)
            if self.user and self.password:
                connection.login(self.user, self.password.get_secret_value())
        except BaseException:
            connection.close()
            raise
        return connection


class Mail:
    """One recipient's address."""

    rewrites = False
    threads = True

    def __init__(self, *, to: str, server: Server, patience: Patience | None = None) -> None:
        self.to = to
        self.server = server
        self.patience = patience or Patience()

    def post(self, message: Message, about: About, *, thread: Thread | None, broadcast: bool) -> Thread:
        letter = self.letter(message, about, thread=thread)
        try:
            within(self.patience.call, lambda: self._send(letter))
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()), (0, b""))
            raise ChannelWaits(f"mail: the recipient is refused: {_words(code, said)}") from error
        except smtplib.SMTPDataError as error:
            kind = MessageRefused if error.smtp_code >= 500 else ChannelWaits
            raise kind(f"mail: {_words(error.smtp_code, error.smtp_error)}") from error
        except smtplib.SMTPResponseException as error:
            raise ChannelWaits(f"mail: {_words(error.smtp_code, error.smtp_error)}") from error
        except (OSError, ValueError) as error:  # smtplib's other errors are OSErrors as well
            raise ChannelWaits(f"mail: {type(error).__name__}: {error}") from error
        return thread or Thread(self.to, letter["Message-ID"])

    def rewrite(self, thread: Thread, message: Message) -> None:
        raise MessageRefused("a letter that was sent cannot be changed")

    def letter(self, message: Message, about: About, *, thread: Thread | None) -> EmailMessage:
        """The message as a letter. A repetition has the same Message-ID, by which mail servers know it."""
        letter = EmailMessage()
        subject = " ".join(message.subject.split()) or "Imago"
        letter["Subject"] = ("Re: " if thread else "") + (subject if len(subject) <= 180 else f"{subject[:179]}…")
        letter["From"] = self.server.sender
        letter["To"] = self.to
        letter["Date"] = formatdate(localtime=False)
        domain = self.server.sender.rpartition("@")[2].strip("> ") or "imago.invalid"
        letter["Message-ID"] = f"<{about.message_id}@{domain}>"
        if thread:
            letter["In-Reply-To"] = thread.ts
            letter["References"] = thread.ts
        letter["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
        letter["X-Imago-Incident"] = str(about.incident)
        letter["X-Imago-Message"] = about.message_id
        shown = with_picture(message, None)
        letter.set_content(to_text(shown, message.text))
        image = None
        if message.picture is not None:
            image = {"type": "image", "image_url": "cid:picture", "alt_text": message.picture.words}
        body = blocks_to_html(with_picture(message, image), message.text, emoji=EMOJI.__getitem__)
        letter.add_alternative(
            f'<!doctype html><html><head><meta charset="utf-8"><style>{_STYLE}</style></head>'
            f'<body><div class="letter">{body}</div></body></html>',
            subtype="html",
        )
        if message.picture is not None:
            from imago.alerts.pictures import png

            page = letter.get_payload()[1]  # type: ignore[index]
            page.add_related(png(message.picture), "image", "png", cid="<picture>", disposition="inline")  # type: ignore[union-attr]
        return letter

    def _send(self, letter: EmailMessage) -> None:
        connection = self.server.connect(self.patience.call)
        try:
            connection.send_message(letter)
        except BaseException:
            connection.close()
            raise
        try:
            connection.quit()
        except (smtplib.SMTPException, OSError):
            connection.close()  # the letter was taken, whatever became of the goodbye


def _words(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())}"[:300]
