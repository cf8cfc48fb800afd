"""Write, audit, publish, for the features and the outcomes of a range of days: one dbt run, one commit."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imago.context import RunContext
from imago.contracts import Contract
from imago.contracts.contract import check_complete
from imago.contracts.rules import checks_of
from imago.days import midnight
from imago.dbt import DbtResult, build, contract_of, declared
from imago.dbt.project import project_digest, project_folder
from imago.environments import Environment
from imago.errors import MissingPartition, RefusedPartition, SpecError, shown
from imago.features import audit_docs, refusals
from imago.features.audit import AuditResult, audit
from imago.features.daily import history
from imago.features.deliveries import check_deliveries
from imago.features.raw import RawFiles, raw_files
from imago.specs import ModelSpec
from imago.specs.calendar import open_days, require_open
from imago.storage import Storage
from imago.tables import Table

log = logging.getLogger(__name__)


def refresh_table(
    env: Environment,
    spec: ModelSpec,
    name: Literal["features", "outcomes"],
    first: str,
    last: str,
    context: RunContext,
) -> dict[str, Any]:
    """Builds, audits and publishes the open days from `first` to `last` of one table; returns the run's summary.

    A refusal (RefusedPartition, MissingPartition, or SpecError for a contract with a hole) publishes nothing, leaves
    the staged rows where they are, and raises one alert; the last good partition stands. What only warns is published,
    and told. Success removes the staged rows. Equal content makes no new version. Closed days are passed over; a range
    of closed days alone raises ClosedDay.
    """
    require_open(spec, first, last, environment=env.name)
    days = open_days(spec, first, last)
    attempt = _Attempt(env=env, spec=spec, name=name, days=days, context=context)
    try:
        return attempt.run()
    except (RefusedPartition, MissingPartition, SpecError) as refused:
        staged = attempt.kept()
        if staged:
            log.warning("refused; the staged rows stay at %s", staged)
        refusals.tell_refused(env, spec, name, days, refused, context, docs=attempt.docs, staged=staged)
        raise


@dataclass(kw_only=True)
class _Attempt:
    """One attempt at a range of days. `docs` is the path of its audit's page, once there is one."""

    env: Environment
    spec: ModelSpec
    name: Literal["features", "outcomes"]
    days: tuple[str, ...]
    context: RunContext
    docs: str | None = None
    fence: int = field(init=False)

    def __post_init__(self) -> None:
        self.storage, self.table = Storage(self.env), Table(self.env, self.spec.name, self.name)
        self.where = {"environment": self.env.name, "model": self.spec.name, "table": self.name}
        self.keys = (*self.spec.entity_keys, "ds", self.spec.event_time)
        self.first, self.last = self.days[0], self.days[-1]
        # Drawn first: whoever starts later knows more, and wins.
        self.fence = self.table.draw_fence()

    def run(self) -> dict[str, Any]:
        started = time.monotonic()
        contract = self._contract()
        raw = self._raw(contract)
        built = self._build(contract, raw)
        result, rows = self._audit(contract, built)
        published = self.table.publish(
            rows,
            days=self.days,
            key=self.spec.entity_keys,
            fence=self.fence,
            context=self.context,
            allow_empty=contract.allows_empty,
            inputs={
                "raw": raw.provenance,
                "range": [self.first, self.last],
                "dbt_project": project_digest(project_folder(), self.env.dbt_target),
                "contract": contract.digest,
                "audit": {"docs": self.docs, "checks": result.run, "warnings": len(result.warnings)},
            },
            day_inputs={ds: {"raw": made_of} for ds, made_of in raw.by_day.items()},
        )
        env, spec, days = self.env, self.spec, self.days
        refusals.tell_published(env, spec, self.name, days, self.context)
        refusals.tell_warnings(env, spec, self.name, days, result.warnings, self.context, docs=self.docs)
        self.storage.delete(self._staging)
        return {
            "first": self.first,
            "last": self.last,
            "days": len(days),
            "rows": published.rows,
            "changed": len(published.changed),
            "unchanged": len(published.unchanged),
            "version": published.version,
            "tests": built.tests_run,
            "checks": result.run,
            "warnings": [f"{one.partition} {one.column or 'rows'}: {one.rule} ({one.seen})" for one in result.warnings],
            # In the warm-up the shares of missing and unseen values are not judged: there is no history yet.
            "warmup_days": result.waived,
            "audit": self.docs and audit_docs.address(env, self.docs),
            "dbt_seconds": built.seconds,
            "seconds": round(time.monotonic() - started, 2),
        }

    def kept(self) -> str | None:
        """Where the staged rows of this attempt are, if there are any."""
        return self.storage.uri(self._staging) if self.storage.list(self._staging) else None

    @property
    def _span(self) -> str:
        return self.first if self.first == self.last else f"{self.first}..{self.last}"

    @property
    def _closed(self) -> tuple[str, ...]:
        """The closed days between the days of this attempt."""
        return self.spec.calendar.closed_between(self.first, self.last)

    @property
    def _staging(self) -> str:
        return f"staging/{self.spec.name}/{self.name}-{self.first}-{self.fence}"

    @property
    def _model(self) -> str:
        return self.spec.feature_model if self.name == "features" else self.spec.outcome_model

    def _contract(self) -> Contract:
        """The table's contract; one with a hole, or that is not the spec's keys and features, is refused."""
        contract = contract_of(self._model, self.env.dbt_target)
        check_complete(contract, key=self.keys)
        if self.name == "outcomes":
            declared.check_outcomes(self.env, self.spec, contract)
        else:
            outcomes = contract_of(self.spec.outcome_model, self.env.dbt_target)
            declared.check_apart(self.env, self.spec, contract, outcomes)
            # A column of the outcome that is no declared feature is named by the audit, which looks at the rows.
            if not self._forbidden().intersection((*contract.names, *self.spec.feature_names)):
                declared.check_features(self.env, self.spec, contract)
        declared.check_metrics(self.env, self.spec)
        return contract

    def _forbidden(self) -> frozenset[str]:
        """The columns of the outcome, which no feature table may hold."""
        if self.name != "features":
            return frozenset()
        return frozenset(contract_of(self.spec.outcome_model, self.env.dbt_target).names) - set(self.keys)

    def _raw(self, contract: Contract) -> RawFiles:
        raw = raw_files(
            self.storage, contract,
            first=self.first, last=self.last, world_begins=self.spec.first_day, where=self.where,
            calendar=self.spec.calendar,
        )  # fmt: skip
        check_deliveries(
            self.storage, contract, raw,
            first=self.first, last=self.last, timezone=self.spec.timezone, where=self.where,
        )  # fmt: skip
        return raw

    def _build(self, contract: Contract, raw: RawFiles) -> DbtResult:
        if not self.env.on_s3:
            self.storage.filesystem.create_dir(self.storage.path(self._staging))
        try:
            return build(
                self.env,
                select=[self._model],
                first=self.first,
                last=self.last,
                staging=self.storage.uri(self._staging),
                variables={
                    "raw_files": raw.files,
                    "closed_days": list(self._closed),
                    "timezone": self.spec.timezone,
                    "day_starts": {ds: str(midnight(ds, self.spec.timezone)) for ds in self.days},
                },
            )
        except RefusedPartition as refused:
            # dbt's tests stop at a name and a number of rows. Where it wrote rows, the audit says day and values too.
            refused.facts |= self.where
            if self.storage.exists(self._staged_file):
                self._audit(contract, refused=refused)
            raise

    @property
    def _staged_file(self) -> str:
        return f"{self._staging}/{self._model}.parquet"

    def _staged(self, built: DbtResult | None) -> pa.Table:
        """The rows that were staged; those that dbt tested, where its build came to its end."""
        wanted, facts = built.staged.get(self._model) if built else None, {**self.where, "partition": self._span}
        try:
            data = self.storage.read_bytes(self._staged_file)
        except FileNotFoundError:
            data = b""
        seen = hashlib.sha256(data).hexdigest()
        if not data or (built and seen != wanted):
            raise RefusedPartition(
                "the staged file is not the one that dbt wrote and tested" if data else "dbt staged no file",
                **facts,  # type: ignore[arg-type]
                file=self._staged_file,
                rule="the staged file is what dbt wrote",
                allowed=f"sha256 {wanted}",
                seen=f"sha256 {seen}" if data else "no such file",
                next_step="find who else writes into the staging place, then run this again",
            )
        return pq.read_table(io.BytesIO(data))

    def _audit(
        self, contract: Contract, built: DbtResult | None = None, *, refused: RefusedPartition | None = None
    ) -> tuple[AuditResult, pa.Table]:
        """The audit of what was staged, with its page, and the rows. Raises RefusedPartition for the worst failure."""
        result = audit(
            contract,
            self._staged(built),
            key=self.spec.entity_keys,
            days=self.days,
            before=history(self.table, contract, self.days, world_begins=self.spec.first_day),
            forbidden=self._forbidden(),
        )
        for one in (*result.failures, *result.warnings):
            log.log(
                logging.ERROR if one.critical else logging.WARNING,
                "%s %s: %s; allowed %s; seen %s; rows %s",
                one.partition or self.first, one.column or "the table", one.rule, one.allowed, shown(one.seen),
                one.rows,
            )  # fmt: skip
        self.docs = audit_docs.write(
            self.storage, self.env, self.spec, self.name, self.days, self.fence, result, refused=refused
        )
        asked = checks_of(contract, key=self.spec.entity_keys, days=self.days)
        if result.failures or not result.run == result.declared == asked or result.rows is None:
            self._refuse_closed(result.rows)
            raise result.refusal(self.where, days=self.days)
        return result, result.rows

    def _refuse_closed(self, rows: pa.Table | None) -> None:
        """Raises RefusedPartition where there are rows of a day that the calendar closes."""
        if rows is None:
            return
        for ds in self._closed:
            count = pc.sum(pc.equal(rows.column("ds"), ds)).as_py() or 0
            if count:
                raise RefusedPartition(
                    f"there are rows on a closed day: {self.spec.calendar.why_closed(ds)}",
                    **{**self.where, "partition": ds},
                    column="ds",
                    rule="no rows on a closed day",
                    allowed="none",
                    seen=f"{count} rows",
                    rows=count,
                    next_step=f"open the day in `calendar` of the spec, or leave its rows out in {self._model}.sql",
                )
