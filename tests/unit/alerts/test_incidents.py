"""One problem is one thread, told at most twice an hour; what lasts is told louder; people mute and acknowledge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from imago.alerts.channels import Patience
from imago.alerts.delivery import drain
from imago.alerts.lasting import escalate_lasting, is_due
from imago.alerts.outbox import Alert, raise_alert, resolve
from imago.alerts.rules import get_rule
from imago.alerts.schedule import due_at, overdue
from imago.alerts.silences import parse_until
from imago.alerts.slack import Slack
from imago.alerts.telling import Routing
from imago.context import RunContext
from imago.errors import ImagoError
from imago.jobs import incidents as jobs
from imago.ledger import connect
from imago.ledger.schema import alerts, channels, incidents, messages, silences

LIVE = RunContext(run_id="run-1")
NOON = datetime(2013, 10, 5, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROUTING = Routing(
    environment="dev",
    address_of=lambda model: "#imago-dev",
    owner_of=lambda model, rule: "U024BE7LH",
    runbook_of=lambda rule: None,
)


def tell(env, ds: str = "2013-10-01", severity: str = "warning", subject: str = "gust") -> None:
    alert = Alert(
        model="m",
        rule="drift",
        subject=subject,
        title=f"{subject} has drifted",
        why="w",
        did="d",
        next_step="call the weather desk",
        severity=severity,
        ds=ds,
        facts={"value": 0.3},
    )
    with connect(env).begin() as connection:
        raise_alert(connection, alert, LIVE)


def mend(env, subject: str = "gust") -> None:
    with connect(env).begin() as connection:
        assert resolve(connection, "m", "drift", subject, LIVE)


def deliver(env, fake) -> int:
    """One run of the delivery task; how many messages it posted."""
    before = len(fake.shown)
    patience = Patience(pace=0.01, retry=3600.0, unknown=3600.0, backoff=3600.0)

    def channel(address: str) -> Slack:
        return Slack(channel=address, token=SecretStr("xoxb"), base_url=fake.url, patience=patience)

    drain(connect(env), channel, ROUTING, seconds=25, patience=patience)
    return len(fake.shown) - before


def an_hour_passes(env) -> None:
    """Everything that was written becomes an hour older."""
    with connect(env).begin() as connection:
        for table, columns in (
            (messages, ("posted_at",)),
            (alerts, ("created_at", "not_before")),
            (incidents, ("opened_at", "updated_at", "told_at", "resolved_at")),
            (silences, ("created_at", "until")),
            (channels, ("free_at",)),
        ):
            values = {name: table.c[name] - timedelta(minutes=61) for name in columns}
            connection.execute(update(table).values(values))


def rows(env, table):
    with connect(env).connect() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def days(count: int) -> list[str]:
    return [f"2013-10-{day:02d}" for day in range(1, count + 1)]


@pytest.mark.parametrize(
    ("kinds", "told", "minutes"),
    [
        (["opened"], [], 0),
        (["updated"], [], 5),  # news waits for more of it
        (["updated"], [-1], 59),  # and the head says it meanwhile
        (["resolved"], [], 0),
        (["resolved"], [-1], 59),  # the head says so at once, and the second message is for bad news
        (["resolved", "reopened"], [-1], 0),
        (["resolved", "reopened"], [-30, -1], 30),  # twice an hour is enough
        (["escalated"], [-30, -1], 0),  # a rise never waits
        (["updated", "escalated"], [-30, -1], 0),
        (["muted"], [-30, -1], 0),
    ],
)
def test_what_is_told_at_once_and_what_waits_how_long(kinds, told, minutes):
    due = due_at(kinds, NOON, [NOON + MINUTE * at for at in told], Patience(), is_new=kinds == ["opened"])
    assert due == NOON + MINUTE * minutes


def test_an_acknowledged_problem_is_told_when_it_ends_or_rises_and_not_for_more_of_the_same():
    quiet = NOON + 4 * HOUR
    said = {
        kind: due_at([kind], NOON, [], Patience(), quiet_until=quiet) for kind in ("updated", "lasting", "resolved")
    }
    assert said == {"updated": quiet, "lasting": quiet, "resolved": NOON}
    assert due_at(["escalated"], NOON, [], Patience(), quiet_until=quiet) == NOON


def test_a_rule_that_comes_and_goes_is_two_messages_an_hour(dev, hostile_slack):
    with hostile_slack() as fake:
        for _ in range(6):
            tell(dev)
            deliver(dev, fake)
            mend(dev)
            deliver(dev, fake)
            assert "Resolved:" in str(fake.updates[-1]["blocks"])
        assert len(fake.shown) == 2
        assert "It is back" in str(fake.shown[1]["blocks"])
        assert [row.status for row in rows(dev, incidents)] == ["resolved"]
        an_hour_passes(dev)
        assert deliver(dev, fake) == 1
        assert "came back" in str(fake.shown[2]["blocks"])
        assert "Resolved" in str(fake.shown[2]["blocks"])
        assert len({message.get("thread_ts") for message in fake.shown[1:]}) == 1
    assert {row.status for row in rows(dev, alerts)} == {"delivered"}


def test_the_head_says_how_often_and_how_bad_before_a_message_does(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev)
        deliver(dev, fake)
        for ds in days(4)[1:]:
            tell(dev, ds)
        with connect(dev).begin() as connection:  # six minutes pass
            for column in (alerts.c.created_at,):
                connection.execute(update(alerts).values(created_at=column - 6 * MINUTE))
            connection.execute(update(incidents).values(told_at=incidents.c.told_at - 6 * MINUTE))
        assert deliver(dev, fake) == 0
        assert "4 times" in str(fake.updates[-1]["blocks"])
        assert overdue_alerts(dev) == 0
        an_hour_passes(dev)
        assert deliver(dev, fake) == 1
        assert fake.shown[1]["thread_ts"] == fake.shown[0]["ts"]


def overdue_alerts(env) -> int:
    with connect(env).connect() as connection:
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
        return overdue(connection, now)[0]


def test_a_muted_problem_posts_nothing_and_is_told_when_the_mute_ends(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev)
        deliver(dev, fake)
        jobs.quieten(dev, 1, "mute", until="30m", by="Ada", reason="the feed is being repaired")
        assert deliver(dev, fake) == 1
        assert "Muted until" in str(fake.shown[1]["blocks"])
        assert "Muted by Ada until" in str(fake.updates[-1]["blocks"])
        assert "the feed is being repaired" in str(fake.updates[-1]["blocks"])
        for ds in days(5)[1:]:
            tell(dev, ds)
        tell(dev, "2013-10-06", severity="critical")
        assert (deliver(dev, fake), overdue_alerts(dev)) == (0, 0)
        an_hour_passes(dev)
        assert deliver(dev, fake) == 1
        assert "5 more" not in str(fake.shown[2]["blocks"])
        assert "Escalated to critical" in str(fake.shown[2]["blocks"])


def test_what_ends_while_it_is_muted_disturbs_nobody_and_neither_does_its_return(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev)
        deliver(dev, fake)
        jobs.quieten(dev, 1, "mute", until="3h", by="Ada", reason="known")
        deliver(dev, fake)
        mend(dev)
        tell(dev, "2013-10-02")
        mend(dev)
        assert deliver(dev, fake) == 0
        for _ in range(3):
            an_hour_passes(dev)
        assert deliver(dev, fake) == 0
        assert "Resolved" in str(fake.updates[-1]["blocks"])
    assert [row.status for row in rows(dev, alerts)].count("muted") == 3


def test_a_mute_can_be_lifted_before_its_time(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev)
        deliver(dev, fake)
        jobs.quieten(dev, 1, "mute", until="3d", by="Ada", reason="known")
        deliver(dev, fake)
        tell(dev, "2013-10-02", severity="critical")
        jobs.quieten(dev, 1, "lift", until=None, by="Bob", reason="it is not known after all")
        assert deliver(dev, fake) == 1
        said = str(fake.shown[2]["blocks"])
        assert "Heard again by Bob" in said
        assert "Escalated to critical" in said
    assert [(row.action, row.by_name) for row in rows(dev, silences)] == [("mute", "Ada"), ("lift", "Bob")]


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"until": "2012-01-01"}, "no sensible end"),
        ({"until": "200d"}, "no sensible end"),
        ({"until": "soon"}, "is not a time"),
        ({"until": None}, "there is no end"),
        ({"by": " "}, "says who and why"),
        ({"reason": ""}, "says who and why"),
        ({"incident_id": 99}, "there is no incident 99"),
        ({"action": "lift"}, "neither muted nor acknowledged"),
    ],
)
def test_quiet_needs_an_incident_a_name_a_reason_and_an_end(dev, values, wrong):
    tell(dev)
    asked = {"incident_id": 1, "action": "mute", "until": "1d", "by": "Ada", "reason": "known", **values}
    with pytest.raises(ImagoError, match=wrong):
        jobs.quieten(dev, asked["incident_id"], asked["action"], **{k: asked[k] for k in ("until", "by", "reason")})
    assert rows(dev, silences) == []


def test_a_day_as_an_end_includes_the_day():
    assert parse_until("2013-10-06", NOON) == datetime(2013, 10, 7, tzinfo=UTC)
    assert parse_until("2013-10-06T09:00+02:00", NOON) == datetime(2013, 10, 6, 7, tzinfo=UTC)


def test_what_lasts_is_told_louder_once_for_each_step(dev, hostile_slack):
    with hostile_slack() as fake:
        tell(dev)
        deliver(dev, fake)
        with connect(dev).begin() as connection:
            connection.execute(update(incidents).values(opened_at=incidents.c.opened_at - 73 * HOUR, rule="volume"))
            assert escalate_lasting(connection) == [1]
            assert escalate_lasting(connection) == []
        assert deliver(dev, fake) == 1
        said = fake.shown[1]
        assert "Escalated to critical: *Open for 3 d 1 h: gust has drifted*" in str(said["blocks"])
        assert "*Next step for* <@U024BE7LH>*:* Call the weather desk." in str(said["blocks"])
        assert said["reply_broadcast"] is True


def test_what_somebody_acknowledged_does_not_escalate_until_that_ends(dev):
    tell(dev)
    jobs.quieten(dev, 1, "acknowledge", until="4h", by="Ada", reason="I am at it")
    with connect(dev).begin() as connection:
        connection.execute(update(incidents).values(opened_at=incidents.c.opened_at - 100 * HOUR))
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
        assert escalate_lasting(connection, now) == []
        assert escalate_lasting(connection, now + 5 * HOUR) == [1]


@pytest.mark.parametrize(
    ("rule", "hours", "told", "due"),
    [
        ("partition_refused", 3.9, 0, False),
        ("partition_refused", 4.0, 0, True),
        ("partition_refused", 23.0, 1, False),
        ("partition_refused", 24.0, 1, True),
        ("partition_refused", 999.0, 2, False),
        ("drift", 71.0, 0, False),
    ],
)
def test_each_rule_has_its_own_patience(rule, hours, told, due):
    assert is_due(get_rule(rule), timedelta(hours=hours), told) is due


def test_drift_that_lasts_is_told_again_and_no_louder(dev):
    tell(dev)
    with connect(dev).begin() as connection:
        connection.execute(update(incidents).values(opened_at=incidents.c.opened_at - 80 * HOUR))
        escalate_lasting(connection)
    (incident,) = rows(dev, incidents)
    assert (incident.severity, incident.escalations, rows(dev, alerts)[-1].body["kind"]) == ("warning", 1, "lasting")


def test_a_person_sees_what_is_open_the_worst_first_and_everything_about_one(dev):
    tell(dev, subject="gust")
    tell(dev, subject="visibility", severity="critical")
    jobs.quieten(dev, 1, "acknowledge", until="4h", by="Ada", reason="I am at it")
    first, second = jobs.overview(dev)
    assert (first["title"], second["title"]) == ("visibility has drifted", "gust has drifted")
    assert second["silence"]["words"].startswith("Acknowledged by Ada until ")
    told = jobs.detail(dev, 1)
    assert [alert["title"][:12] for alert in told["alerts"]] == ["Acknowledged", "gust has dri"]
    assert [row["by_name"] for row in told["silences"]] == ["Ada"]
    with pytest.raises(ImagoError, match="there is no incident 9"):
        jobs.detail(dev, 9)
