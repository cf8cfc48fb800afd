"""The page of an audit: what was checked, what was found, and what Great Expectations said, for people.

    audits/{model}/{table}/{first}..{last}-{fence}/index.html     the page; result.json beside it says the same

Great Expectations renders its own results into content blocks. Only their words are taken: its HTML loads styles and
scripts from other hosts, and shows values of the data unescaped. Values of rows that it sampled are left out.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from imago import ledger, pages
from imago.environments import Environment
from imago.errors import ImagoError, shown
from imago.ledger.schema import publications
from imago.specs import ModelSpec
from imago.storage import Storage
from imago.validator.words import spoken, without_rows

if TYPE_CHECKING:
    from imago.features.audit import AuditResult

HERE = Path(__file__).parent
PAGE, RESULT = "index.html", "result.json"
TABLES = ("features", "outcomes")
LISTED = 40
_ATTEMPT = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})-(\d+)")


@dataclass(frozen=True, kw_only=True, order=True)
class Attempt:
    """One audit that has a page. The higher fence is the later audit; `name` is its folder."""

    fence: int
    first: str
    last: str
    name: str


def write(
    storage: Storage,
    env: Environment,
    spec: ModelSpec,
    table: str,
    days: tuple[str, ...],
    fence: int,
    result: AuditResult,
    *,
    refused: ImagoError | None = None,
) -> str:
    """Writes the page and the JSON of one audit; returns the page's path below the storage root.

    `refused` is what had turned the rows down before the audit (a test of dbt): it is among the findings.
    The page needs no other file and no other host. It says what the audit decided; that a day was then published
    stands in the ledger.
    """
    rel = f"{_folder(spec.name, table)}/{days[0]}..{days[-1]}-{fence}"
    said = _said(env, spec, table, days, fence, result, refused)
    storage.write_bytes(f"{rel}/{RESULT}", json.dumps(said, indent=1, default=str).encode())
    suites = [spoken(validation) for validation in result.validations]
    storage.write_bytes(
        f"{rel}/{PAGE}", pages.template(HERE, "audit_page.html").render(said=said, suites=suites, shown=shown).encode()
    )
    return f"{rel}/{PAGE}"


def address(env: Environment, docs: str) -> str:
    """Where a person finds the page at the path `docs`: in Airflow where its address is known, else in the storage."""
    if not env.airflow_url:
        return f"{env.storage_root}/{docs}"
    _, model, table, name, _ = docs.split("/")
    return f"{env.airflow_url.rstrip('/')}/imago/audits/{env.name}/{model}/{table}/{name}"


def attempts(storage: Storage, model: str, table: str) -> list[Attempt]:
    """The audits of a table that have a page, newest first."""
    from pyarrow import fs

    selector = fs.FileSelector(storage.path(_folder(model, table)), allow_not_found=True)
    found = (_ATTEMPT.fullmatch(info.base_name) for info in storage.filesystem.get_file_info(selector))
    made = (Attempt(fence=int(one[3]), first=one[1], last=one[2], name=one[0]) for one in found if one)
    return sorted(made, reverse=True)


def page(env: Environment, spec: ModelSpec, table: str, which: str) -> str | None:
    """A stored page, None where there is none. `which` is a day, for its newest audit, or the name of an attempt."""
    if table not in TABLES:
        return None
    storage = Storage(env)
    for attempt in attempts(storage, spec.name, table):
        # As long as a day: an attempt's name would sort between two days as well.
        is_its_day = len(which) == len(attempt.first) and attempt.first <= which <= attempt.last
        if which == attempt.name or is_its_day:
            return storage.read_bytes(f"{_folder(spec.name, table)}/{attempt.name}/{PAGE}").decode()
    return None


def overview(env: Environment, spec: ModelSpec) -> str:
    """The page that lists the newest audits of a model, what each decided, and which of them were published."""
    storage = Storage(env)
    tables = {table: attempts(storage, spec.name, table)[:LISTED] for table in TABLES}
    # Fences rise through all tables of an environment, so a fence names one attempt.
    fences = [one.fence for found in tables.values() for one in found]
    query = select(publications.c.fence, func.max(publications.c.version)).where(publications.c.fence.in_(fences))
    with ledger.connect(env).connect() as connection:
        published = {row[0]: row[1] for row in connection.execute(query.group_by(publications.c.fence))}
    listed = {
        table: [
            {
                **json.loads(storage.read_bytes(f"{_folder(spec.name, table)}/{one.name}/{RESULT}")),
                "name": one.name,
                "published": f"version {published[one.fence]}" if one.fence in published else "no",
            }
            for one in found
        ]
        for table, found in tables.items()
    }
    return pages.template(HERE, "audit_list.html").render(environment=env.name, spec=spec, tables=listed)


def _folder(model: str, table: str) -> str:
    return f"audits/{model}/{table}"


def _said(
    env: Environment,
    spec: ModelSpec,
    table: str,
    days: tuple[str, ...],
    fence: int,
    result: AuditResult,
    before: ImagoError | None,
) -> dict[str, Any]:
    refused = before is not None or bool(result.failures) or result.run != result.declared or not result.run
    findings = [asdict(finding) for finding in (*result.failures, *result.warnings)]
    if before is not None:
        # The fields of a Finding; whatever refuses the rows stops.
        facts = {name: before.facts.get(name) for name in ("column", "rule", "partition", "allowed", "seen", "rows")}
        findings.insert(0, {**facts, "critical": True, "days": 1})
    return {
        "environment": env.name,
        "model": spec.name,
        "table": table,
        "first": days[0],
        "last": days[-1],
        "days": len(days),
        "fence": fence,
        "audited_at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
        "verdict": "refused" if refused else "passed with warnings" if result.warnings else "passed",
        "waived": result.waived,
        "checks": {"declared": result.declared, "run": result.run},
        "findings": findings,
        "validations": [without_rows(validation) for validation in result.validations],
    }
