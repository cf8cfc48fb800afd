"""What a person reads, from values that can be checked by eye."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from imago.alerts.channels import retry_after
from imago.alerts.rendering import Finding, Incident, head, mention, reply

NOON = datetime(2013, 10, 5, 12, tzinfo=UTC)


def incident(**changes) -> Incident:
    values = {"id": 7, "environment": "dev", "model": "m", "rule": "drift", "subject": "gust", "severity": "warning"}
    values |= {"status": "open", "opened_at": NOON, "resolved_at": None, "count": 1, "worst": {}, "owner": "U024BE7LH"}
    return Incident(**{**values, **changes})


def finding(**changes) -> Finding:
    values = {"title": "gust has drifted", "severity": "warning", "kind": "opened", "ds": "2013-10-05"}
    return Finding(**{**values, "why": "w", "did": "d", "next_step": "call the weather desk", **changes})


def test_a_value_from_data_pages_nobody_wherever_it_stands():
    evil = "<!channel> <http://evil|x> & co"
    message = head(
        incident(subject=evil, owner=evil),
        finding(title=evil, why=evil, did=evil, next_step=evil, facts={evil: evil}, links={evil: "http://a/|b>"}),
    )
    said = json.dumps([message.text, message.blocks])
    assert "<!channel" not in said
    assert "<http://evil" not in said
    assert "&lt;!channel&gt;" in message.text
    assert "<http://a/%7Cb&gt;|&lt;!channel&gt; &lt;http://evil|x&gt; &amp; co>" in said


def test_the_head_says_what_why_done_next_who_and_where_to_look():
    message = head(
        incident(runbook_url="http://docs/drift.md"), finding(facts={"value": 0.41287}, links={"Run": "http://a/r"})
    )
    said = json.dumps(message.blocks, ensure_ascii=False)
    for words in (
        "*gust has drifted*",
        "*Why it matters:* W.",
        "*What Imago did:* D.",
        "*Next step for* <@U024BE7LH>*:* Call the weather desk.",
    ):
        assert words in said
    assert "0.4129" in said
    assert "<http://a/r|Run> · <http://docs/drift.md|Runbook>" in said
    assert message.text == "Warning in dev m: gust has drifted. Next: call the weather desk"


def test_good_news_mentions_nobody():
    said = json.dumps(head(incident(rule="champion_promoted", severity="info"), finding(severity="info")).blocks)
    assert "<@U024BE7LH>" not in said


def test_the_head_of_a_resolved_incident_says_so_and_asks_for_nothing():
    over = incident(status="resolved", resolved_at=NOON + timedelta(hours=3, minutes=20), count=4)
    said = json.dumps(head(over, finding()).blocks)
    assert "Resolved:" in said
    assert "3 h 20 min" in said
    assert "4 times" in said
    assert "weather desk" not in said


def test_many_findings_are_one_reply_that_shows_the_last_five():
    message = reply(incident(count=9), [finding(title=f"day {i}", kind="updated") for i in range(8)], opening=finding())
    said = json.dumps(message.blocks, ensure_ascii=False)
    assert "8 more findings" in said
    assert "day 7" in said
    assert "day 2*" not in said


def test_a_very_long_value_is_cut_before_slack_refuses_it_and_not_inside_an_escape():
    message = head(incident(), finding(why="&" * 5000, facts={f"f{i}": "<" * 900 for i in range(14)}))
    for block in message.blocks:
        texts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        for words in (text["text"] for text in texts if text):
            assert len(words) <= 3000
            assert not words.rstrip("…").endswith(("&", "&a", "&am", "&amp"))
    assert max(len(block.get("fields", ())) for block in message.blocks) == 10


def test_an_owner_without_a_slack_id_is_named_and_cannot_page():
    assert mention("@<!here>") == "*@&lt;!here&gt;*"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2", 2),
        ("0", 1),
        ("-5", 1),
        ("1.5", 1.5),
        ("soon", 30),
        ("", 30),
        ("nan", 30),
        ("999999", 3600),
        ("Sat, 05 Oct 2013 12:00:20 GMT", 20),
        ("Sat, 05 Oct 2013 11:00:00 GMT", 1),
    ],
)
def test_retry_after_is_understood_in_every_form(given, seconds):
    assert retry_after({"Retry-After": given}, now=NOON) == seconds
