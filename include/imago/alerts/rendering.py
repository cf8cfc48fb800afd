"""What a person reads: incidents as messages. Pure functions from values to text and Slack blocks.

Everything that comes from data is escaped, so that a cell holding `<!channel>` pages nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from imago.alerts.pictures import Picture
from imago.alerts.rules import get_rule

_ICONS = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":large_blue_circle:"}
_RESOLVED = ":white_check_mark:"
_USER = re.compile(r"[UW][A-Z0-9]{6,}")
_GROUP = re.compile(r"S[A-Z0-9]{6,}")
ACTS = ("muted", "acknowledged", "lifted")  # what a person did, rather than what was found
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
    picture: Picture | None = None


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Who asked for quiet, until when and why. `action` is mute, acknowledge or lift."""

    action: str
    until: datetime | None
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One problem: what the head of its thread says. `owner` is a name, or a Slack user or group id to mention;
    `stakes` says what the model's decisions are worth, `page` is where people read more, mute and acknowledge."""

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
    stakes: str = ""
    page: str | None = None
    silence: Silence | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """Text (the fallback of notifications, never empty) and Slack blocks. A picture belongs before the block `place`;
    where a channel cannot show it, `picture_url` leads to it. `subject` names the incident, the same in all of its
    messages."""

    text: str
    blocks: list[dict[str, Any]]
    subject: str = ""
    picture: Picture | None = None
    picture_url: str | None = None
    place: int = 0


def head(incident: Incident, finding: Finding) -> Message:
    """The first message of an incident's thread, in its present state: `finding` says what to read and do."""
    is_event = get_rule(incident.rule).kind == "event"
    is_over = incident.status == "resolved" and not is_event
    icon = (
        _RESOLVED if is_over else ":butterfly:" if incident.rule == "champion_promoted" else _ICONS[incident.severity]
    )
    title = escape(finding.title)
    heading = f"{icon} *Resolved:* ~{title}~" if is_over else f"{icon} *{title}*"
    stakes = incident.stakes if incident.severity != "info" else ""
    why = " ".join(filter(None, (sentence(finding.why), stakes)))
    lines = [("Why it matters", why), ("What Imago did", sentence(finding.did))]
    blocks = [_section(heading), _section("\n".join(f"*{name}:* {escape(words)}" for name, words in lines if words))]
    if is_over:
        blocks.append(_section(_end_of(incident)))
    elif finding.next_step:
        # Good news notifies nobody by name.
        whose = "*Next step:*" if incident.severity == "info" else _next_step_for(incident.owner)
        blocks.append(_section(f"{whose} {escape(sentence(finding.next_step))}"))
    if finding.facts:
        blocks.append({"type": "section", "fields": _fields(finding.facts)})
    place = len([block for block in blocks if block])
    if incident.silence is not None and not is_over:
        blocks.append(_context(escape(quiet_words(incident.silence))))
    blocks.append(_context(*_links(incident, finding.links)))
    blocks.append(_context(" · ".join(_standing(incident))))
    where = f"{incident.environment} {incident.model or 'platform'}"
    word = "Resolved" if is_over else incident.severity.capitalize()
    step = f" Next: {finding.next_step}" if finding.next_step and not is_over else ""
    return Message(
        text=escape(f"{word} in {where}: {finding.title}.{step}"),
        blocks=[block for block in blocks if block],
        subject=_subject(incident, finding.title),
        picture=None if is_over else finding.picture,
        picture_url=f"{incident.page}/picture" if incident.page and finding.picture else None,
        place=place,
    )


def reply(incident: Incident, findings: Sequence[Finding], *, opening: Finding, alone: bool = False) -> Message:
    """What is new in an incident's thread: one message for all findings since the last one. Where it stands `alone`,
    in a channel without threads, it says what it is about."""
    news = [finding for finding in findings if finding.kind not in ("resolved", *ACTS)]
    ends = [finding for finding in findings if finding.kind == "resolved"]
    acts = [finding for finding in findings if finding.kind in ACTS]
    is_over = incident.status == "resolved" and bool(ends)
    lines = [_line(finding) for finding in news[-_MOST_TITLES:]]
    if len(news) > _MOST_TITLES:
        lines.insert(0, f"{len(news)} more findings; the last {_MOST_TITLES}:")
    came_back = len(ends) - is_over
    if came_back:
        lines.append(f"In between it was well {_times(came_back)}, and came back.")
    loud = [finding for finding in news if finding.kind in ("escalated", "lasting")]
    if loud and not is_over:
        lines.append(f"{_next_step_for(incident.owner)} {escape(sentence(loud[-1].next_step))}")
    if alone:
        lines.insert(0, f"News of incident {incident.id}, *{escape(opening.title)}*")
    blocks = [_section("\n".join(lines)), _section("\n".join(escape(act.title) for act in acts))]
    if is_over:
        well = ends[-1].well_ds
        since = f" {escape(well)} is well again." if well else ""
        blocks.append(_section(f"{_RESOLVED} *Resolved.*{since} {_end_of(incident)}"))
    blocks.append(_context(*_links(incident, news[-1].links if news else {}, short=True)))
    blocks.append(_context(" · ".join(_standing(incident))))
    title = (ends if is_over else news or acts or ends)[-1].title
    text = escape(f"{title} ({incident.environment} {incident.model or 'platform'}, found {_times(incident.count)})")
    return Message(text=text, blocks=[block for block in blocks if block], subject=_subject(incident, opening.title))


def trial(environment: str, address: str, by: str) -> Message:
    """The message of `imago alerts test`."""
    words = f"{by} asked whether alerts of {environment} arrive at {address}. They do: you read this."
    return Message(
        text=escape(words),
        blocks=[_section(f":white_check_mark: *A trial, no alert.* {escape(words)}")],
        subject=f"[{environment}] A trial, no alert",
    )


def ledger_down(environment: str, reason: str, since: datetime, now: datetime) -> Message:
    """What is said past the outbox when there is none."""
    words = f"The ledger of {environment} does not answer"
    for_how_long = f" since {lasted(now - since)}" if now - since > timedelta(minutes=1) else ""
    return Message(
        text=escape(f"Critical in {environment} platform: {words}."),
        blocks=[
            _section(f":red_circle: *{escape(words)}{for_how_long}*"),
            _section(
                "*Why it matters:* Nothing can be published, no champion looked up, no alert written down.\n"
                "*What Imago did:* `imago watch` told you itself, and says it again once an hour."
            ),
            _section("*Next step:* check that Postgres runs, has room on its disk and can be reached."),
            _context(escape(reason)),
            _context(f"Runbook: docs/{get_rule('ledger_down').runbook}"),
        ],
        subject=f"[{environment}] platform: {words}",
    )


def ledger_back(environment: str, since: datetime, now: datetime) -> Message:
    """The end of that."""
    words = f"The ledger of {environment} answers again, after {lasted(now - since)}."
    return Message(
        text=escape(words),
        blocks=[_section(f"{_RESOLVED} *{escape(words)}*")],
        subject=f"[{environment}] platform: The ledger of {environment} does not answer",
    )


def escape(value: Any) -> str:
    """A value as Slack shows it literally: `&`, `<` and `>` mean nothing any more.

    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _next_step_for(owner: str) -> str:
    """Whose the next step is, in bold; Slack draws no mark that stands within another one."""
    who = mention(owner)
    return f"*Next step for* {who}*:*" if who.startswith("<") else f"*Next step for {who.strip('*')}:*"


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


def sentence(words: str) -> str:
    """Words as a sentence, however their author began and ended them.

    >>> sentence("kept every alert"), sentence("`imago up` starts it."), sentence("")
    ('Kept every alert.', '`imago up` starts it.', '')
    """
    words = words.strip()
    first = words.split(" ", 1)[0].rstrip(",;:")
    if first.isalpha() and first.islower():
        words = words[0].upper() + words[1:]
    return words if not words or words[-1] in ".!?" else f"{words}."


def plain(message: Message) -> Message:
    """The message without blocks, for a channel that refuses them."""
    return replace(message, blocks=[], picture=None)


def with_picture(message: Message, image: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The blocks with the picture among them: as an image where the channel can show it, else as a link."""
    if not message.blocks:
        return []
    shown = image or (_context(f"<{_address(message.picture_url)}|Picture>") if message.picture_url else None)
    return [*message.blocks[: message.place], *([shown] if shown else []), *message.blocks[message.place :]]


def signed(message: Message, message_id: str) -> Message:
    """The message with its id in sight, for a channel that carries nothing beside the words."""
    mark = f"message {message_id[:8]}"
    return replace(
        message, text=f"{message.text} ({mark})", blocks=[*message.blocks, _context(mark)] if message.blocks else []
    )


def _line(finding: Finding) -> str:
    """One finding in a reply."""
    mark = {
        "escalated": f"Escalated to {finding.severity}: ",
        "reopened": "It is back: ",
        "lasting": "It lasts: ",
    }.get(finding.kind, "")
    day = f" ({finding.ds})" if finding.ds and finding.ds not in finding.title else ""
    measured = _measured(finding.facts)
    return f"{_ICONS[finding.severity]} {mark}*{escape(finding.title)}*{day}{f' · {measured}' if measured else ''}"


def quiet_words(silence: Silence) -> str:
    """Who asked for quiet, until when and why."""
    word = "Muted" if silence.action == "mute" else "Acknowledged"
    until = f" until {silence.until:%Y-%m-%d %H:%M} UTC" if silence.until else ""
    return f"{word} by {silence.by}{until}: {silence.reason}"


def _subject(incident: Incident, title: str) -> str:
    return f"[{incident.environment}] {incident.model or 'platform'}: {title}"


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


def _links(incident: Incident, links: Mapping[str, str], *, short: bool = False) -> list[str]:
    drawn = [f"<{_address(to)}|{escape(_label(name))}>" for name, to in links.items() if _is_web(to)]
    if short:
        return [" · ".join(drawn)]
    if incident.page:
        drawn.append(f"<{_address(incident.page)}|Incident {incident.id}>")
    if incident.runbook_url:
        drawn.append(f"<{_address(incident.runbook_url)}|Runbook>")
    else:
        drawn.append(f"Runbook: docs/{get_rule(incident.rule).runbook}")
    return [" · ".join(drawn)]


def _label(name: str) -> str:
    return name[:1].upper() + name[1:]


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
