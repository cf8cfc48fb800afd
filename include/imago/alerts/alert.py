"""An alert as its author writes it, and as the ledger keeps it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imago.alerts.pictures import Picture
from imago.alerts.rules import SEVERITIES, get_rule
from imago.errors import ImagoError
from imago.texts import LONGEST, LONGEST_NAME, line

# Credentials of an address, tokens of Slack, webhooks, keys of AWS, and what is called a password.
_SECRETS = re.compile(
    r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)|\bxox[a-z]-[\w-]+|(?<=hooks\.slack\.com/services/)[\w/]+|\bA[KS]IA[0-9A-Z]{16}\b"
    r"|(?i:(?<=password=)|(?<=secret=)|(?<=token=)|(?<=bearer ))[^\s&;,'\"]+"
)


_MOST = 50  # facts, links, or values of one fact


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What is wrong, in words that a person can act on.

    `title` is one line; `why` it matters; what the system `did` by itself; the `next_step`. `subject` is what the
    incident is about (a gate, a column, a DAG), without the day: 60 days that fail one gate are one incident. `facts`
    are a few named numbers or words, never rows of data; `value` and `threshold` among them are compared to find the
    worst. `links` are name to address. `occurrence` tells two findings of one incident apart where `ds` does not; it
    defaults to `ds`. `picture` shows a distribution, where that says more than its numbers.
    """

    model: str | None
    rule: str
    subject: str
    title: str
    why: str
    did: str
    next_step: str
    severity: str | None = None
    ds: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    occurrence: str | None = None
    picture: Picture | None = None

    def __post_init__(self) -> None:
        rule = get_rule(self.rule)
        for name in ("model", "subject", "ds", "occurrence"):  # by which alerts are told apart
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, plain(value, LONGEST_NAME))
        if self.severity is None:
            object.__setattr__(self, "severity", rule.severity)
        if self.severity not in SEVERITIES:
            raise ImagoError(
                f"{self.severity!r} is not a severity",
                rule=self.rule,
                allowed=", ".join(SEVERITIES),
                seen=self.severity,
                next_step="name one of them",
            )


def body_of(alert: Alert, kind: str, occurrence: str, *, task: str | None = None) -> dict[str, Any]:
    """What a message is made of, as the ledger keeps it."""
    return {
        "kind": kind,
        "occurrence": occurrence,
        **({"task": task} if task else {}),
        **({"picture": as_json(alert.picture.to_json())} if alert.picture else {}),
        "why": plain(alert.why),
        "did": plain(alert.did),
        "next_step": plain(alert.next_step),
        # Pairs, because JSONB would sort the names of an object.
        "facts": [[plain(name), as_json(value)] for name, value in [*alert.facts.items()][:_MOST]],
        "links": [[plain(name), plain(address)] for name, address in [*alert.links.items()][:_MOST] if address],
    }


def measured(alert: Alert) -> dict[str, Any]:
    """By what two findings of one incident are compared."""
    facts = {name: as_json(alert.facts[name]) for name in ("value", "threshold") if alert.facts.get(name) is not None}
    return {**facts, "ds": alert.ds, "title": plain(alert.title)}


def as_json(value: Any) -> Any:
    """A fact as JSONB accepts it: NaN, infinities and foreign types become words, and never end the caller's
    transaction."""
    if getattr(value, "shape", None) == ():  # a numpy scalar
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {plain(name): as_json(part) for name, part in [*value.items()][:_MOST]}
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value[:_MOST]]
    return plain(value)


def plain(value: Any, longest: int = LONGEST) -> str:
    """Text as one line that Postgres stores and a message can hold, without a secret.

    >>> plain("no route to postgresql://u:geheim@h/x, token xoxb-12-ab, password=geheim")
    'no route to postgresql://•••@h/x, token •••, password=•••'
    """
    return line(_SECRETS.sub("•••", str(value)[: 2 * longest]), longest)
