"""The watchdog's task: what should have happened and did not, written down as alerts, and ended when it happened
after all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.jobs.airflow_seen import AirflowFacts, Attempt, Seen, ask
from imago.names import STAGES, dag_id

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.alerts.outbox import Alert
    from imago.alerts.watch import Expected
    from imago.specs import BrokenSpec, ModelSpec

PLATFORM_DAGS = ("alert_delivery", "watchdog")
# Of each model. The shadows may be paused or fail without anybody being called: their own callback warns.
WATCHED = (*(stage for stage in STAGES if stage != "shadow_scoring"), "corrections", "backfill")
_FAILURES = ("task_failed", "run_unreported")  # rules that speak of a run's failure, beside those that fail it
_SILENT = timedelta(minutes=2)  # a busy machine may take so long to a heartbeat
_EVIDENCE = timedelta(minutes=3)  # a run that ended so long ago had time to be followed by a delivery


def check(
    env: Environment,
    models: Iterable[ModelSpec],
    now: datetime,
    airflow: AirflowFacts | None,
    *,
    look_back_days: int = 3,
    context: RunContext | None = None,
    broken: Iterable[BrokenSpec] = (),
) -> dict[str, Any]:
    """Compares what should be with what is at `now` (with time zone), and keeps the incidents in step.

    Features and outcomes of a day fall due at their cron time plus the environment's grace, what follows from them when
    they have been there for as long; days outside a spec's first and last day do not. Only the last `look_back_days`
    are looked at. A failed run of which no alert speaks is reported, and so is an attempt that ended without a word (a
    killed task calls no callback). Without `airflow` (it does not answer) the ledger alone is asked. `broken` are the
    specs that do not load, whose models stand still.
    """
    from imago.alerts.outbox import raise_alerts
    from imago.ledger import connect

    context = context or RunContext(run_id=f"watchdog__{now:%Y-%m-%dT%H:%M:%S}")
    models = tuple(models)
    seen = ask(airflow, now - timedelta(days=look_back_days + 1))
    with connect(env).begin() as connection:
        watch = _Watch(connection, env, models, now, seen, context)
        watch.specs(tuple(broken))
        if not broken:
            watch.models_that_left()
        watch.partitions(look_back_days)
        if seen.known:
            watch.pauses()
            watch.parts()
        stalled, waiting = watch.delivery()
        raised = raise_alerts(connection, watch.found, context)
        raised += watch.killed_attempts() + watch.failed_runs()
    return {
        "late": sum(alert.rule in ("partition_late", "run_missing") for alert in watch.found),
        "paused": sum(alert.rule == "dag_paused" for alert in watch.found),
        "broken_specs": sum(alert.rule == "spec_broken" for alert in watch.found),
        "down": [part.name for part in seen.parts if not part.is_well],
        "stalled": stalled,
        "waiting": waiting,
        "new_alerts": len(raised),
        "resolved": watch.ended,
        "awake": [spec.name for spec in watch.awake],
    }


class _Watch:
    """One look. What is wrong collects in `found`; what is well again is resolved at once."""

    def __init__(
        self,
        connection: Connection,
        env: Environment,
        models: tuple[ModelSpec, ...],
        now: datetime,
        seen: Seen,
        context: RunContext,
    ) -> None:
        from imago.alerts.watch import due_partitions

        self.connection, self.env, self.now, self.seen, self.context = connection, env, now, seen, context
        self.models = models
        self.awake = [spec for spec in models if due_partitions(spec, now, grace=timedelta(0), look_back_days=1)]
        self.found: list[Alert] = []
        self.ended = 0

    def specs(self, broken: tuple[BrokenSpec, ...]) -> None:
        """Specs that do not load; an incident of one that loads again, or that nobody lists any more, ends."""
        from sqlalchemy import select

        from imago.alerts.watch import broken_alert
        from imago.ledger.schema import incidents

        self.found += [broken_alert(spec) for spec in broken]
        names = {spec.name for spec in broken}
        query = select(incidents.c.subject).where(incidents.c.rule == "spec_broken", incidents.c.status == "open")
        standing: list[str] = list(self.connection.execute(query).scalars())
        for subject in standing:
            if subject not in names:
                self._well(None, "spec_broken", subject)

    def models_that_left(self) -> None:
        """Ends the open incidents of models that are hosted no longer, as after a rename: nothing else ever would."""
        from sqlalchemy import select

        from imago.ledger.schema import incidents

        hosted = [spec.name for spec in self.models]
        query = select(incidents.c.model, incidents.c.rule, incidents.c.subject).where(
            incidents.c.status == "open", incidents.c.model.is_not(None), incidents.c.model.not_in(hosted)
        )
        for incident in self.connection.execute(query).all():
            self._well(incident.model, incident.rule, incident.subject)

    def partitions(self, look_back_days: int) -> None:
        """What is not published by its deadline."""
        from imago.alerts.watch import due_partitions, late_alert

        grace = timedelta(minutes=self.env.late_after_minutes)
        since = self._watched_since()
        started = {(run.dag_id, run.ds) for run in self.seen.runs}
        for spec in self.awake:
            due = due_partitions(spec, self.now, grace=grace, look_back_days=look_back_days)
            for expected in [*due, *self._followers(spec, due, grace)]:
                dag = dag_id(self.env.name, spec.name, expected.stage)
                if self._published(spec.name, expected.table, expected.ds) is not None:
                    for rule, subject in (("partition_late", expected.table), ("run_missing", dag)):
                        self._well(spec.name, rule, subject, ds=expected.ds)
                elif expected.fires_at >= since[spec.name]:
                    self.found.append(
                        late_alert(
                            spec,
                            expected,
                            dag,
                            was_started=(dag, expected.ds) in started if self.seen.known else None,
                            is_paused=dag in self.seen.paused,
                        )
                    )

    def _watched_since(self) -> dict[str, datetime]:
        """When each model was looked at first; this is such a look for a new one. A model that came to Airflow today
        owes nothing for yesterday."""
        from sqlalchemy import select
        from sqlalchemy.dialects.postgresql import insert

        from imago.ledger.schema import watched

        for spec in self.models:
            self.connection.execute(insert(watched).values(model=spec.name, since=self.now).on_conflict_do_nothing())
        return {row.model: row.since for row in self.connection.execute(select(watched)).all()}

    def _followers(self, spec: ModelSpec, due: Iterable[Expected], grace: timedelta) -> Iterable[Expected]:
        """What a day's features start, once the clock's own run has published them: predictions where a champion
        reigns, then their drift."""
        from imago.alerts.watch import Expected
        from imago.errors import NoChampion
        from imago.ledger import champions

        for first in due:
            if first.table != "features":
                continue
            features = self._published(spec.name, "features", first.ds)
            clock = f"{dag_id(self.env.name, spec.name, 'feature_refresh')}/scheduled__"
            if features is None or not features.run_id.startswith(clock):
                continue
            try:
                champions.at(self.connection, spec.name, first.ds)
            except NoChampion:
                continue
            source = features
            for table, stage in (("predictions", "batch_scoring"), ("drift", "monitoring")):
                deadline = source.published_at + grace
                if deadline > self.now:
                    break
                yield Expected(table=table, stage=stage, ds=first.ds, fires_at=source.published_at, deadline=deadline)
                source = self._published(spec.name, table, first.ds)
                if source is None:
                    break

    def pauses(self) -> None:
        """DAGs that do nothing because someone paused them."""
        from imago.alerts.watch import paused_alert

        expected: list[tuple[str | None, str]] = [
            (spec.name, dag_id(self.env.name, spec.name, stage)) for spec in self.awake for stage in WATCHED
        ]
        expected += [(None, dag_id(self.env.name, None, name)) for name in PLATFORM_DAGS]
        for model, dag in expected:
            if dag in self.seen.paused:
                self.found.append(paused_alert(model, dag))
            else:
                self._well(model, "dag_paused", dag)

    def parts(self) -> None:
        """Processes of Airflow that give no sign of life."""
        from imago.alerts.watch import down_alert

        for part in self.seen.parts:
            silent = self.now - part.seen_at if part.seen_at else None
            if part.is_well:
                self._well(None, "airflow_down", part.name)
            elif silent is None or silent >= _SILENT:
                self.found.append(down_alert(part.name, part.seen_at, self.now))

    def delivery(self) -> tuple[bool, int]:
        """Whether alerts wait longer than they may, or nobody is there to deliver them; and how many wait."""
        from imago.alerts.schedule import overdue
        from imago.alerts.watch import idle_alert, stalled_alert

        stall = timedelta(minutes=self.env.stalled_after_minutes)
        waiting, age = overdue(self.connection, self.now)
        idle = self._idle_since(stall)
        if age is not None and age > stall:
            self.found.append(stalled_alert(waiting, age))
        elif idle is not None:
            self.found.append(idle_alert(idle))
        else:
            self._well(None, "delivery_stalled", "outbox")
            return False, waiting
        return True, waiting

    def _idle_since(self, stall: timedelta) -> timedelta | None:
        """For how long no delivery ended well, while other runs did: a machine that slept is not at fault."""
        delivery = dag_id(self.env.name, None, "alert_delivery")
        ended = [run for run in self.seen.runs if run.ended_at is not None]
        told = [run for run in ended if run.dag_id == delivery]
        others = [run for run in ended if run.dag_id != delivery]
        good = [run.ended_at for run in told if run.state == "success" and run.ended_at is not None]
        was_awake = any(self.now - stall <= run.ended_at <= self.now - _EVIDENCE for run in others if run.ended_at)
        if delivery in self.seen.paused or not told or not was_awake:
            return None
        since = max(good) if good else min(run.ended_at for run in told if run.ended_at)
        return self.now - since if self.now - since > stall else None

    def killed_attempts(self) -> list[int]:
        """Attempts that failed without a word, each run's told once; a run that ended well all the same ends it."""
        from imago.alerts.outbox import is_reported, raise_alert, resolve
        from imago.alerts.watch import killed_alert

        run_of = {run.run_id: run for run in self.seen.runs}
        written = []
        for attempt in self.seen.attempts:
            run = run_of.get(attempt.run_id)
            if (
                run is None
                or self._is_explained(attempt)
                or is_reported(self.connection, attempt.run_id, *self._loud())
            ):
                continue
            model = self._model_of(run.dag_id)
            about = RunContext(run_id=run.run_id, mode=run.mode, task_id=attempt.task_id)
            alert = killed_alert(
                model, run.dag_id, run.run_id, attempt.task_id, run.ds, number=attempt.number, of=attempt.of
            )
            alert_id = raise_alert(self.connection, alert, about)
            if alert_id is not None:
                written.append(alert_id)
                if run.state == "success":
                    resolve(self.connection, model, "task_killed", run.dag_id, about, ds=run.ds)
        return written

    def failed_runs(self) -> list[int]:
        """Failed runs of which nobody spoke, as after a kill."""
        from imago.alerts.outbox import is_reported, raise_alert
        from imago.alerts.watch import unreported_alert

        written = []
        for run in sorted(self.seen.runs, key=lambda run: (run.dag_id, run.ds or "", run.run_id)):
            if run.state != "failed" or not self._is_ours(run.dag_id):
                continue
            if is_reported(self.connection, run.run_id, *self._loud()):
                continue
            alert = unreported_alert(self._model_of(run.dag_id), run.dag_id, run.run_id, run.ds)
            alert_id = raise_alert(self.connection, alert, RunContext(run_id=run.run_id, mode=run.mode))
            if alert_id is not None:
                written.append(alert_id)
        return written

    @staticmethod
    def _loud() -> list[str]:
        """The rules whose alerts speak of a run's failure."""
        from imago.alerts.rules import RULES

        return [*_FAILURES, *(name for name, rule in RULES.items() if rule.fails_run)]

    def _is_ours(self, dag: str) -> bool:
        return self._model_of(dag) is not None or dag in {dag_id(self.env.name, None, name) for name in PLATFORM_DAGS}

    def _model_of(self, dag: str) -> str | None:
        return next(
            (spec.name for spec in self.models for stage in WATCHED if dag_id(self.env.name, spec.name, stage) == dag),
            None,
        )

    def _is_explained(self, attempt: Attempt) -> bool:
        """Whether the attempt could say why it failed, before it was tried again."""
        from sqlalchemy import select

        from imago.ledger.schema import failed_attempts as said

        query = select(said.c.run_id).where(
            said.c.run_id == attempt.run_id,
            said.c.task_id == attempt.task_id,
            said.c.map_index == attempt.map_index,
            said.c.try_number == attempt.number,
        )
        return self.connection.execute(query).first() is not None

    def _published(self, model: str, table: str, ds: str) -> Any:
        """The newest publication of a partition."""
        from sqlalchemy import select

        from imago.ledger.publications import standing
        from imago.ledger.schema import publications

        query = select(publications).where(
            publications.c.model == model, publications.c.table_name == table, publications.c.ds == ds, standing()
        )
        return self.connection.execute(query.order_by(publications.c.id.desc()).limit(1)).one_or_none()

    def _well(self, model: str | None, rule: str, subject: str, *, ds: str | None = None) -> None:
        from imago.alerts.outbox import resolve

        self.ended += resolve(self.connection, model, rule, subject, self.context, ds=ds)
