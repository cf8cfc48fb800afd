"""What a person reads: incidents as messages. Pure functions from values to text and Slack blocks.

Everything that comes from data is escaped, so that a cell holding `<!channel>` pages nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from imago.alerts.rules import get_rule

_ICONS = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":large_blue_circle:"}
_RESOLVED = ":white_check_mark:"
_USER = re.compile(r"[UW][A-Z0-9]{6,}")
_GROUP = re.compile(r"S[A-Z0-9]{6,}")
_SECTION, _FIELD, _MOST_FIELDS, _MOST_TITLES = 2900, 400, 10, 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One alert of an incident, as the outbox holds it."""

    title: str
    severity: str
    kind: str
    ds: str | None = None
    why: str = ""
    did: str = ""
    next_step: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    well_ds: str | None = None


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One problem: what the head of its thread says. `owner` is a name, or a Slack user or group id to mention."""

    id: int
    environment: str
    model: str | None
    rule: str
    subject: str
    severity: str
    status: str
    opened_at: datetime
    resolved_at: datetime | None
    count: int
    worst: Mapping[str, Any]
    owner: str
    runbook_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """Text (the fallback of notifications, never empty) and Slack blocks."""

    text: str
    blocks: list[dict[str, Any]]


def head(incident: Incident, finding: Finding) -> Message:
    """The first message of an incident's thread, in its present state: `finding` says what to read and do."""
    is_event = get_rule(incident.rule).kind == "event"
    is_over = incident.status == "resolved" and not is_event
    icon = (
        _RESOLVED if is_over else ":butterfly:" if incident.rule == "champion_promoted" else _ICONS[incident.severity]
    )
    title = escape(finding.title)
    heading = f"{icon} *Resolved:* ~{title}~" if is_over else f"{icon} *{title}*"
    lines = [("Why it matters", finding.why), ("What Imago did", finding.did)]
    blocks = [_section(heading), _section("\n".join(f"*{name}:* {escape(words)}" for name, words in lines if words))]
    if is_over:
        blocks.append(_section(_end_of(incident)))
    elif finding.next_step:
        # Good news notifies nobody by name.
        who = "" if incident.severity == "info" else f"{mention(incident.owner)} "
        blocks.append(_section(f"*Next step:* {who}{escape(finding.next_step)}"))
    if finding.facts:
        blocks.append({"type": "section", "fields": _fields(finding.facts)})
    blocks.append(_context(*_links(incident, finding.links)))
    blocks.append(_context(" · ".join(_standing(incident))))
    where = f"{incident.environment} {incident.model or 'platform'}"
    word = "Resolved" if is_over else incident.severity.capitalize()
    step = f" Next: {finding.next_step}" if finding.next_step and not is_over else ""
    return Message(text=escape(f"{word} in {where}: {finding.title}.{step}"), blocks=[b for b in blocks if b])


def reply(incident: Incident, findings: Sequence[Finding]) -> Message:
    """What is new in an incident's thread: one message for all findings since the last one."""
    news = [finding for finding in findings if finding.kind != "resolved"]
    is_over = any(finding.kind == "resolved" for finding in findings)
    blocks: list[dict[str, Any]] = []
    lines = []
    for finding in news[-_MOST_TITLES:]:
        mark = f"Escalated to {finding.severity}: " if finding.kind == "escalated" else ""
        day = f" ({finding.ds})" if finding.ds and finding.ds not in finding.title else ""
        measured = _measured(finding.facts)
        lines.append(
            f"{_ICONS[finding.severity]} {mark}*{escape(finding.title)}*{day}{f' · {measured}' if measured else ''}"
        )
    if len(news) > _MOST_TITLES:
        lines.insert(0, f"{len(news)} more findings; the last {_MOST_TITLES}:")
    if any(finding.kind == "escalated" for finding in news):
        lines.append(f"{mention(incident.owner)} {escape(news[-1].next_step)}")
    if lines:
        blocks.append(_section("\n".join(lines)))
    if is_over:
        well = next((finding.well_ds for finding in findings if finding.well_ds), None)
        since = f" {escape(well)} is well again." if well else ""
        blocks.append(_section(f"{_RESOLVED} *Resolved.*{since} {_end_of(incident)}"))
    links = news[-1].links if news else {}
    blocks.append(_context(" · ".join(f"<{_address(to)}|{escape(name)}>" for name, to in links.items() if _is_web(to))))
    blocks.append(_context(" · ".join(_standing(incident))))
    title = "Resolved" if is_over else news[-1].title
    text = escape(f"{title} ({incident.environment} {incident.model or 'platform'}, found {_times(incident.count)})")
    return Message(text=text, blocks=[b for b in blocks if b])


def escape(value: Any) -> str:
    """A value as Slack shows it literally: `&`, `<` and `>` mean nothing any more.

    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mention(owner: str) -> str:
    """The owner as Slack notifies them where the spec names a Slack user or group id, else by name.

    >>> mention("U024BE7LH"), mention("S0614TZR7"), mention("flight-ops")
    ('<@U024BE7LH>', '<!subteam^S0614TZR7>', '*@flight-ops*')
    """
    name = owner.removeprefix("@")
    if _USER.fullmatch(name):
        return f"<@{name}>"
    if _GROUP.fullmatch(name):
        return f"<!subteam^{name}>"
    return f"*@{escape(name)}*"


def number(value: Any) -> str:
    """A fact as people read it.

    >>> number(336776), number(0.41287), number("UA")
    ('336,776', '0.4129', 'UA')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(number(part) for part in value)
    return str(value)


def lasted(span: timedelta) -> str:
    """A duration in two units.

    >>> lasted(timedelta(hours=3, minutes=20)), lasted(timedelta(seconds=5))
    ('3 h 20 min', '5 s')
    """
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    parts = [
        f"{days} d" if days else "",
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes and not days else "",
    ]
    return " ".join(part for part in parts if part)


def plain(message: Message) -> Message:
    """The message without blocks, for a channel that refuses them."""
    return Message(text=message.text, blocks=[])


def _standing(incident: Incident) -> list[str]:
    opened = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
    parts = [incident.environment, escape(incident.model or "platform"), incident.rule.replace("_", " ")]
    if get_rule(incident.rule).kind == "event":
        return [*parts, f"incident {incident.id}"]
    parts += [
        f"incident {incident.id}",
        f"found {_times(incident.count)} since {opened}" if incident.count > 1 else opened,
    ]
    if incident.count > 1 and incident.worst.get("value") is not None:
        day = f" on {escape(incident.worst['ds'])}" if incident.worst.get("ds") else ""
        parts.append(f"worst {escape(number(incident.worst['value']))}{day}")
    return parts


def _end_of(incident: Incident) -> str:
    if incident.resolved_at is None:
        return f"It was found {_times(incident.count)}."
    return f"It lasted {lasted(incident.resolved_at - incident.opened_at)} and was found {_times(incident.count)}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _measured(facts: Mapping[str, Any]) -> str:
    if "value" not in facts:
        return ""
    bound = f" (threshold {escape(number(facts['threshold']))})" if facts.get("threshold") is not None else ""
    return f"{escape(number(facts['value']))}{bound}"


def _fields(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = [(name, value) for name, value in facts.items() if value is not None][:_MOST_FIELDS]
    return [
        _text(f"*{escape(name.replace('_', ' ').capitalize())}*\n{escape(_cut(number(value), _FIELD))}", 2000)
        for name, value in shown
    ]


def _links(incident: Incident, links: Mapping[str, str]) -> list[str]:
    drawn = [f"<{_address(address)}|{escape(name)}>" for name, address in links.items() if _is_web(address)]
    if incident.runbook_url:
        drawn.append(f"<{_address(incident.runbook_url)}|Runbook>")
    else:
        drawn.append(f"Runbook: docs/{get_rule(incident.rule).runbook}")
    return [" · ".join(drawn)]


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _address(address: str) -> str:
    return escape(address).replace("|", "%7C").replace("\n", "")


def _section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(words, _SECTION)} if words.strip() else {}


def _context(*parts: str) -> dict[str, Any]:
    elements = [_text(part, _SECTION) for part in parts if part][:10]
    return {"type": "context", "elements": elements} if elements else {}


def _text(words: str, longest: int) -> dict[str, Any]:
    # `verbatim`: Slack must not turn words of the data into links or channel names by itself.
    return {"type": "mrkdwn", "text": _cut(words, longest), "verbatim": True}


def _cut(words: str, longest: int) -> str:
    if len(words) <= longest:
        return words
    return re.sub(r"(&\w*|<[^<>]*)$", "", words[: longest - 1]) + "…"
