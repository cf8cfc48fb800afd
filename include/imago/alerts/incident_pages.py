"""The pages of incidents: what is open, and one incident with its history and the form that mutes or acknowledges it.

Pure functions from values to HTML. Everything shown is escaped, and only web addresses become links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imago import pages
from imago.alerts.rendering import number

HERE = Path(__file__).parent
SPANS = (("4h", "4 hours"), ("1d", "1 day"), ("3d", "3 days"), ("7d", "7 days"), ("30d", "30 days"))


def list_page(environment: str, *, open_now: Sequence[Mapping[str, Any]], over: Sequence[Mapping[str, Any]]) -> str:
    """The page of all incidents."""
    return str(pages.template(HERE, "incident_list.html").render(environment=environment, open=open_now, over=over))


def incident_page(
    environment: str,
    incident: Mapping[str, Any],
    *,
    user: str,
    token: str | None,
    said: str = "",
    refused: bool = False,
) -> str:
    """The page of one incident. `token` proves that a form came from this page; without one there is no form. `said` is
    what came of the last one."""
    told = [
        {**alert, "links": {name: to for name, to in alert["links"].items() if to.startswith(("http://", "https://"))}}
        for alert in incident["alerts"]
    ]
    return str(
        pages.template(HERE, "incident_page.html").render(
            environment=environment,
            one={**incident, "alerts": told, "channel_words": incident["address"] or "its channel"},
            number=number,
            has_picture=any("picture" in alert["body"] for alert in told),
            spans=SPANS,
            user=user,
            token=token,
            said=said,
            refused=refused,
        )
    )
