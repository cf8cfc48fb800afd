"""The other channel kinds, against servers that misbehave: an incoming webhook and a mail server."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import func, select, update

from imago.alerts.addresses import channel_at
from imago.alerts.channels import ChannelWaits, MessageRefused, Patience, within
from imago.alerts.outbox import Alert, raise_alert, resolve
from imago.alerts.pictures import Picture
from imago.context import RunContext
from imago.environments import Environment, check_apart
from imago.errors import DeliveryError, EnvironmentMismatch
from imago.jobs import alerts as jobs
from imago.ledger import connect
from imago.ledger.schema import alerts, channels

LIVE = RunContext(run_id="dev__m__monitoring/run-1", task_id="monitor")
# Whatever fails is left to the next run, so that a run ends as soon as it has done what it can, however slow it is.
PATIENCE = Patience(pace=0.01, call=20.0, retry=3600.0, unknown=3600.0, backoff=3600.0)
PICTURE = Picture(title="carrier", labels=("UA", "B6"), usual=(0.5, 0.5), now=(0.9, 0.1), now_name="2013-10-05")


class MailServer:
    """Takes letters, as the words of `script` say: `ok`, `busy` (421 at the greeting), `later` (451 after the letter),
    `no` (554), `nobody` (550 for the recipient), `lost` (taken, and the line goes dead). `taken` holds what a person
    would read."""

    def __init__(self, *script: str) -> None:
        self.script, self.taken = list(script), list[EmailMessage]()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                word = server.script.pop(0) if server.script else "ok"
                self.say("421 too busy" if word == "busy" else "220 here")
                for raw in self.rfile:
                    verb = raw[:4].upper()
                    if verb == b"DATA":
                        self.say("354 go on")
                        letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                        if word in ("ok", "lost"):
                            server.taken.append(email.message_from_bytes(letter, policy=email.policy.default))
                        if word == "lost":
                            return
                        self.say({"later": "451 later", "no": "554 looks like spam"}.get(word, "250 taken"))
                    elif verb == b"RCPT" and word == "nobody":
                        self.say("550 no such user")
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> MailServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def settings(self, env: Environment, **changes: object) -> Environment:
        """The environment, with its alerts sent here."""
        values = {
            "alert_channel": "oncall@example.com",
            "smtp_host": "127.0.0.1",
            "smtp_port": self.server.server_address[1],
            "smtp_from": "imago@example.com",
            "smtp_security": "none",
        }
        return Environment.model_validate({**dict(env), **values, **changes})


def tell(env, ds: str = "2013-10-01", **changes) -> None:
    values = {
        "model": "m",
        "rule": "drift",
        "subject": "gust",
        "title": "gust <!channel> has drifted",
        "why": "w",
        "did": "d",
        "next_step": "n",
        "ds": ds,
        "facts": {"value": 0.3},
        **changes,
    }
    with connect(env).begin() as connection:
        raise_alert(connection, Alert(**values), LIVE)


def deliver(env, *, all_now: bool = True) -> dict:
    with connect(env).begin() as connection:
        connection.execute(update(channels).values(free_at=func.clock_timestamp()))
        connection.execute(update(alerts).values(not_before=alerts.c.created_at))
    return jobs.deliver(env, seconds=25, all_now=all_now, patience=PATIENCE)


def test_an_incident_by_mail_is_one_conversation_with_words_a_page_and_a_picture(dev):
    with MailServer() as server:
        env = server.settings(dev)
        tell(env, picture=PICTURE)
        deliver(env)
        tell(env, "2013-10-02")
        with connect(env).begin() as connection:
            resolve(connection, "m", "drift", "gust", LIVE, ds="2013-10-03")
        deliver(env)
        first, second = server.taken
    assert first["Subject"] == "[dev] m: gust <!channel> has drifted"
    assert second["Subject"] == f"Re: {first['Subject']}"
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"
    words = first.get_body(("plain",)).get_content()
    assert "🟡 gust <!channel> has drifted" in words
    assert "Next step for @platform: N." in words
    page = first.get_body(("html",)).get_content()
    assert "&lt;!channel&gt;" in page
    assert "<!channel>" not in page
    pictures = [part for part in first.walk() if part.get_content_type() == "image/png"]
    assert pictures[0]["Content-ID"] == "<picture>"
    assert pictures[0].get_content().startswith(b"\x89PNG")
    assert "Resolved." in second.get_body(("plain",)).get_content()


@pytest.mark.parametrize("word", ["busy", "later", "nobody", "no"])
def test_a_letter_that_is_not_taken_is_sent_again(dev, word):
    with MailServer(word, word) as server:
        env = server.settings(dev)
        tell(env)
        first = deliver(env)
        if word != "no":  # refused for its content, it is sent again in plainer words at once
            assert (first["messages"], first["waiting"], len(first["problems"])) == (0, 1, 1)
        for _ in range(2):
            deliver(env)
        assert len(server.taken) == 1


def test_a_letter_whose_acknowledgement_is_lost_comes_again_with_the_same_id(dev):
    with MailServer("lost") as server:
        env = server.settings(dev)
        tell(env)
        deliver(env)
        deliver(env)
        first, second = server.taken
    assert first["Message-ID"] == second["Message-ID"]


def test_a_title_cannot_forge_a_header(dev):
    with MailServer() as server:
        env = server.settings(dev)
        tell(env, title="late\r\nBcc: everyone@example.com")
        deliver(env)
        (letter,) = server.taken
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[dev] m: late\\r\\nBcc: everyone@example.com"


def test_a_webhook_tells_each_piece_of_news_in_a_message_that_says_what_it_is_about(dev, hostile_slack):
    with hostile_slack() as fake:
        env = Environment.model_validate({**dict(dev), "slack_webhook": fake.url + "services/T/B/x"})
        tell(env, picture=PICTURE)
        deliver(env)
        tell(env, "2013-10-02")
        deliver(env)
        first, second = fake.shown
        assert fake.updates == []
    assert "thread_ts" not in first
    assert "thread_ts" not in second
    assert "News of incident 1, *gust &lt;!channel&gt; has drifted*" in str(second["blocks"])
    with connect(env).connect() as connection:
        ids = connection.execute(select(alerts.c.message_id).order_by(alerts.c.id)).scalars().all()
    assert f"message {str(ids[0])[:8]}" in str(first["blocks"])
    assert f"message {str(ids[1])[:8]}" in second["text"]


def test_a_webhook_that_misbehaves_loses_nothing_and_its_address_stays_secret(dev, hostile_slack):
    with hostile_slack("429", "500", "html", "reset", "no_service", "lost") as fake:
        env = Environment.model_validate({**dict(dev), "slack_webhook": fake.url + "services/T/B/geheim"})
        tell(env)
        said = [str(deliver(env)) for _ in range(7)]
        assert len(fake.shown) == 2  # the answer to the first was lost
        assert len({message["text"] for message in fake.shown}) == 1
    assert "geheim" not in "".join(said)
    assert "geheim" not in repr(env)


def test_an_address_without_its_setting_is_refused_with_the_setting_to_make(dev):
    with pytest.raises(DeliveryError, match="no Slack token for dev") as refused:
        channel_at(dev, "#imago-dev")
    assert "IMAGO_DEV_SLACK_WEBHOOK" in refused.value.next_step
    hooked = Environment.model_validate(
        {**dict(dev), "slack_webhook": "https://hooks.slack.com/x", "alert_routes": "m=#flights"}
    )
    with pytest.raises(DeliveryError, match="cannot reach #flights"):
        channel_at(hooked, "#flights")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"alert_channel": "somewhere"}, "an e-mail address"),
        ({"alert_channel": "a@example.com"}, "SMTP_HOST"),
        ({"alert_routes": "m"}, "no route"),
        ({"alert_routes": "m=#a,n=nowhere"}, "'n=nowhere' is no route"),
        ({"slack_webhook": "http://example.com/x"}, "https address"),
        ({"smtp_from": "imago"}, "an e-mail address"),
        ({"smtp_security": "ssl"}, "starttls"),
    ],
)
def test_settings_that_cannot_reach_anybody_are_refused(dev, changes, wrong):
    with pytest.raises(ValidationError, match=wrong):
        Environment.model_validate({**dict(dev), **changes})


def test_a_route_sends_a_models_alerts_elsewhere_and_the_rest_to_the_environments_channel(dev):
    env = Environment.model_validate({**dict(dev), "alert_routes": "m=#flights, platform=#ops"})
    assert [env.address_of(model) for model in ("m", "other", None)] == ["#flights", "#imago-dev", "#ops"]
    assert env.addresses == ("#imago-dev", "#flights", "#ops")


def test_two_environments_share_no_channel_by_a_route_either(dev, make_environment):
    prod = make_environment("prod")
    routed = Environment.model_validate({**dict(dev), "alert_routes": "m=#imago-prod"})
    with pytest.raises(EnvironmentMismatch, match="share"):
        check_apart((routed, prod))


def test_a_call_that_never_ends_is_given_up(monkeypatch):
    never = threading.Event()
    with pytest.raises(ChannelWaits, match="no answer within"):
        within(0.05, never.wait)
    never.set()


def test_what_a_channel_cannot_change_it_says(dev):
    with MailServer() as server, pytest.raises(MessageRefused):
        channel_at(server.settings(dev), "oncall@example.com").rewrite(None, None)


def test_a_trial_says_for_each_address_whether_it_was_taken(dev, hostile_slack):
    with hostile_slack("channel_not_found") as fake:
        values = {"slack_token": SecretStr("xoxb"), "slack_base_url": fake.url, "alert_routes": "m=#b"}
        env = Environment.model_validate({**dict(dev), **values})
        came = jobs.send_test(env, by="Ada")
    assert came == {"#imago-dev": "chat.postMessage: channel_not_found", "#b": "sent by Slack"}
