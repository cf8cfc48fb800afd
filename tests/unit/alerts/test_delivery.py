"""Delivery against a hostile fake: nothing lost, nothing before its time, one thread for one problem."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text, update

from imago.alerts.channels import Patience, Thread
from imago.alerts.delivery import drain
from imago.alerts.outbox import Alert, raise_alert, resolve
from imago.alerts.pictures import Picture
from imago.alerts.slack import Slack
from imago.alerts.telling import Routing
from imago.context import RunContext
from imago.ledger import connect
from imago.ledger.schema import alerts, channels, incidents
from proofs.monitoring.silence_scripted import sandbox
from tests.waiting import wait_until

LIVE = RunContext(run_id="run-1")
AGES = 3600.0  # seconds: longer than any run of a test's delivery
ROUTING = Routing(
    environment="dev",
    address_of=lambda model: f"#{model or 'imago-dev'}",
    owner_of=lambda model, rule: "U024BE7LH",
    runbook_of=lambda rule: f"http://docs.example/{rule}.md",
)


def alert(subject: str = "carrier_delay", ds: str = "2013-10-01", **changes) -> Alert:
    values = {
        "model": "m",
        "rule": "drift",
        "subject": subject,
        "title": f"{subject} has drifted",
        "why": "w",
        "did": "d",
    }
    return Alert(**{**values, "next_step": "n", "ds": ds, "facts": {"value": 0.3}, **changes})


def tell(env, *found: Alert) -> None:
    with connect(env).begin() as connection:
        for each in found:
            raise_alert(connection, each, LIVE)


def deliver(env, fake, *, all_now: bool = True, **patience: float):
    """One run, which ends as soon as nothing falls due within 25 s, however slow the machine is. What a server's
    trouble or `patience` postpones for longer than that is left to the next one."""
    wait = Patience(**{"pace": 0.01, "call": 20.0, "retry": AGES, "unknown": AGES, "backoff": AGES, **patience})

    def channel(address: str) -> Slack:
        return Slack(channel=address, token=SecretStr("xoxb"), base_url=fake.url, patience=wait)

    return drain(connect(env), channel, ROUTING, seconds=25, patience=wait, all_now=all_now)


def rows(env, table):
    with connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def held_for(env, address: str) -> timedelta:
    """How long a channel is still held, by the ledger's own clock."""
    with connect(env).connect() as connection:
        left = select(channels.c.free_at - func.clock_timestamp()).where(channels.c.address == address)
        return connection.execute(left).scalar_one()


def hasten(env) -> None:
    """Lets what channels and messages have to wait be over (tests have no minutes)."""
    with connect(env).begin() as connection:
        connection.execute(update(alerts).values(not_before=alerts.c.created_at))
        connection.execute(update(channels).values(free_at=func.clock_timestamp()))


def test_every_alert_is_shown_once_by_a_channel_that_first_misbehaves_in_every_way(dev, hostile_slack):
    tell(dev, *(alert(f"column_{i}") for i in range(6)))
    with hostile_slack("429", "500", "false", "html", "reset", "ok", "reset") as fake:
        while len(fake.shown) < 6 or fake.script:
            deliver(dev, fake)
            hasten(dev)
        assert [message["text"].split(": ")[1].split()[0] for message in fake.shown] == [
            f"column_{i}" for i in range(6)
        ]
    assert {row.status for row in rows(dev, alerts)} == {"delivered"}


def test_retry_after_holds_the_whole_channel_and_no_other(dev, hostile_slack):
    tell(dev, alert("a"), alert("b"), alert("c", model="other"))
    with hostile_slack("429", retry_after="1200", channel="#m") as fake:
        summary = deliver(dev, fake)
        assert [message["channel"] for message in fake.shown] == ["#other"]
        assert held_for(dev, "#m") > timedelta(minutes=10)
        tell(dev, alert("d"))  # came later, and must not overtake
        deliver(dev, fake)
        assert len(fake.shown) == 1
        hasten(dev)
        deliver(dev, fake)
        assert [message["text"].split(": ")[1].split()[0] for message in fake.shown[1:]] == ["a", "b", "d"]
    assert (summary.messages, summary.failed_calls) == (1, 1)


def test_an_alert_whose_acknowledgement_is_lost_comes_again_with_the_same_id(dev, hostile_slack):
    tell(dev, alert())
    with hostile_slack("lost") as fake:
        deliver(dev, fake)
        hasten(dev)
        deliver(dev, fake)
        ids = {message["metadata"]["event_payload"]["message_id"] for message in fake.shown}
        assert (len(fake.shown), len(ids)) == (2, 1)


def test_one_problem_is_one_thread_opened_updated_and_resolved(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev, alert())
        deliver(dev, fake)
        tell(dev, alert(ds="2013-10-02", facts={"value": 0.9}), alert(ds="2013-10-03"))
        deliver(dev, fake)
        with connect(dev).begin() as connection:
            resolve(connection, "m", "drift", "carrier_delay", LIVE, ds="2013-10-04")
        deliver(dev, fake)
        head, update_, end = fake.shown
        assert "thread_ts" not in head
        assert update_["thread_ts"] == end["thread_ts"] == head["ts"]
        assert "Resolved" in end["text"]
        assert "2013-10-04" in str(end["blocks"])
        assert [u["ts"] == head["ts"] for u in fake.updates] or fake.updates
        assert "3 times" in str(fake.updates[0]["blocks"])
        assert "worst 0.9 on 2013-10-02" in str(fake.updates[0]["blocks"])
        assert ":white_check_mark:" in str(fake.updates[1]["blocks"])


def test_sixty_days_that_fail_one_gate_are_one_message(dev, hostile_slack):
    tell(dev, *(alert(rule="partition_refused", ds=f"2013-{m:02d}-{d:02d}") for m in (9, 10) for d in range(1, 31)))
    with hostile_slack() as fake:
        summary = deliver(dev, fake)
        assert len(fake.shown) == 1
        assert "60 times" in str(fake.shown[0]["blocks"])
    assert (summary.messages, summary.alerts) == (1, 60)


def test_news_of_a_known_incident_waits_for_more_but_an_escalation_does_not(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev, alert())
        deliver(dev, fake)
        tell(dev, alert(ds="2013-10-02"))
        deliver(dev, fake, all_now=False)
        assert len(fake.shown) == 1
        tell(dev, alert(ds="2013-10-03", severity="critical"))
        deliver(dev, fake, all_now=False)
        assert len(fake.shown) == 2
        assert fake.shown[1]["reply_broadcast"] is True


def test_blocks_that_are_refused_are_sent_as_text(dev, hostile_slack):
    tell(dev, alert())
    with hostile_slack("refuse", "refuse") as fake:
        deliver(dev, fake)
        assert len(fake.shown) == 1
        assert not fake.shown[0].get("blocks")


def test_a_message_that_is_refused_for_good_lets_the_others_pass_and_is_kept(dev, hostile_slack):
    tell(dev, alert("a"), alert("b"))
    with hostile_slack("msg_too_long", "msg_too_long") as fake:
        summary = deliver(dev, fake)
        assert [message["text"].split(": ")[1].split()[0] for message in fake.shown] == ["b"]
    assert [row.status for row in rows(dev, alerts)] == ["pending", "delivered"]
    assert "msg_too_long" in str(summary.problems)


def test_a_deleted_thread_is_opened_anew(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev, alert())
        deliver(dev, fake)
        tell(dev, alert(ds="2013-10-02"))
        fake.script = ["message_not_found"]
        deliver(dev, fake)
        assert "thread_ts" not in fake.shown[1]
        assert rows(dev, incidents)[0].thread_ts == fake.shown[1]["ts"]


def test_deliveries_at_once_show_each_alert_once_and_keep_the_pace(dev):
    """Calls are timed by the ledger's clock, by which the pace is kept, whatever the machine is busy with."""
    tell(dev, *(alert(f"column_{i}") for i in range(6)))
    calls = []

    def clock():
        with connect(dev).connect() as connection:
            return connection.execute(select(func.clock_timestamp())).scalar_one()

    class Channel:
        rewrites = threads = True

        def post(self, message, *_, **__):
            began = clock()
            calls.append((message.text, began, clock()))
            return Thread("C1", str(len(calls)))

        def rewrite(self, *_): ...

    wait = Patience(pace=0.2, call=20.0)

    def run():
        drain(connect(dev), lambda address: Channel(), ROUTING, seconds=25, patience=wait, all_now=True)

    deliveries = [threading.Thread(target=run) for _ in range(3)]
    for delivery in deliveries:
        delivery.start()
    for delivery in deliveries:
        delivery.join()
    assert len({text for text, _, _ in calls}) == len(calls) == 6
    for (_, _, ended), (_, began, _) in itertools.pairwise(calls):
        assert began - ended >= timedelta(seconds=0.2)


def test_delivery_holds_no_row_while_slack_hangs(dev):
    """A stage that raises the same alert at that moment does not wait."""
    tell(dev, alert())

    class Hanging:
        rewrites = threads = True

        def post(self, *_, **__):
            with connect(dev).begin() as connection:
                # Ends the wait for a row that is held until this method is through, which would last for ever.
                connection.execute(text("set local lock_timeout = '20s'"))
                for each in (alert(), alert(ds="2013-10-02")):
                    raise_alert(connection, each, LIVE)
            return Thread("C1", "1.0")

        def rewrite(self, *_): ...

    assert drain(connect(dev), lambda address: Hanging(), ROUTING, seconds=25).messages == 1


def test_an_unreachable_server_loses_nothing(dev, hostile_slack):
    tell(dev, alert())
    with hostile_slack() as fake:
        pass
    summary = deliver(dev, fake)
    assert (summary.messages, summary.failed_calls) == (0, 1)
    assert rows(dev, alerts)[0].status == "pending"


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "channel_not_found"])
def test_a_revoked_token_or_a_missing_channel_keeps_the_alerts(dev, hostile_slack, error):
    tell(dev, alert())
    with hostile_slack(error) as fake:
        assert deliver(dev, fake).messages == 0
        hasten(dev)
        assert deliver(dev, fake).messages == 1


def test_a_call_that_may_still_be_under_way_is_not_overtaken(dev, hostile_slack):
    """As after a kill in the middle of a call: the row says until when it may last."""
    tell(dev, alert())
    with connect(dev).begin() as connection:
        until = func.clock_timestamp() + timedelta(seconds=AGES)
        connection.execute(channels.insert().values(address="#m", free_at=until))
    with hostile_slack() as fake:
        assert deliver(dev, fake).messages == 0
        hasten(dev)
        assert deliver(dev, fake).messages == 1


def test_one_channel_that_hangs_holds_up_no_other(dev, hostile_slack):
    tell(dev, alert("a"), alert("b", model="other"), alert("c", model="other"))
    with hostile_slack("hang", channel="#m") as fake:
        delivery = threading.Thread(target=deliver, args=(dev, fake), kwargs={"call": AGES})
        delivery.start()
        wait_until(lambda: len(fake.shown) == 2, "the channel beside the one that hangs is served")
        assert [message["channel"] for message in fake.shown] == ["#other", "#other"]
        fake.released.set()
        delivery.join()


def test_an_alert_that_cannot_be_drawn_is_told_by_its_title(dev, hostile_slack):
    tell(dev, alert())
    with connect(dev).begin() as connection:
        connection.execute(update(alerts).values(body={"kind": "opened", "facts": [["value", {"a": 1}]], "links": 7}))
    with hostile_slack() as fake:
        deliver(dev, fake)
        assert [message["text"] for message in fake.shown] == ["carrier_delay has drifted"]


def test_the_picture_is_in_the_message_and_stays_there_when_the_head_is_rewritten(dev, tmp_path):
    with sandbox(tmp_path, token="xoxb") as url:
        picture = Picture(title="carrier", labels=("UA", "B6"), usual=(0.5, 0.5), now=(0.9, 0.1))
        tell(dev, alert(picture=picture))
        deliver(dev, SimpleNamespace(url=f"{url}/api/"), pace=0.3)
        tell(dev, alert(ds="2013-10-02"))
        deliver(dev, SimpleNamespace(url=f"{url}/api/"), pace=0.3)
        head, _ = httpx.get(f"{url}/api-sandbox/messages", trust_env=False).json()["messages"]
        (image,) = [block for block in head["blocks"] if block["type"] == "image"]
        assert head["edited_ts"] is not None
        shown = httpx.get(f"{url}/files/{image['slack_file']['id']}", trust_env=False)
        assert shown.content.startswith(b"\x89PNG")


def test_a_message_whose_picture_is_not_taken_is_told_without_it(dev, hostile_slack):
    picture = Picture(title="carrier", labels=("UA", "B6"), usual=(0.5, 0.5), now=(0.9, 0.1))
    tell(dev, alert(picture=picture))
    with hostile_slack("missing_scope") as fake:
        assert deliver(dev, fake).messages == 1
        assert "image" not in [block["type"] for block in fake.shown[0]["blocks"]]
