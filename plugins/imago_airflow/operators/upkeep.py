"""Tasks that no day asks for: alerts, the watchdog, retention, and what late and corrected raw files touch."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping
from typing import Any, Literal

from imago.environments import Environment
from imago.texts import as_lines
from imago_airflow.connections import environment_for
from imago_airflow.operators.base import ImagoOperator, StageOperator, Summary
from imago_airflow.run import Run


class DeliverAlertsOperator(ImagoOperator):
    """Closes the digests of finished backfills and hands the pending alerts to their channel."""

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import alerts

        env = environment_for(self.environment)
        summary = {**alerts.close_digests(env, busy=lambda models: self._busy(env, models)), **alerts.deliver(env)}
        self.log.info("alerts\n%s", as_lines(summary))
        self.done(context)
        return summary

    def _busy(self, env: Environment, models: Collection[str]) -> Collection[str]:
        """The models of which backfill runs wait or work. Where Airflow cannot be asked, none: a digest that comes in
        pieces is better than none, and alerts have to be delivered whatever happens."""
        from imago.errors import ImagoError
        from imago_airflow.facts import rest_facts

        try:
            with rest_facts(env) as facts:
                return facts.models_in_backfill(models)
        except ImagoError as error:
            self.log.warning("it is not known which backfills still run: %s", error)
            return ()


class WatchdogOperator(ImagoOperator):
    """Reports what should have happened and did not, and lets MLflow follow the ledger where it does not."""

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.context import RunContext, code_commit
        from imago.jobs import projection, watchdog
        from imago.names import run_name
        from imago.specs import broken_specs, hosted_models
        from imago_airflow.facts import rest_facts

        env = environment_for(self.environment)
        ti = context["ti"]
        about = RunContext(run_id=run_name(ti.dag_id, ti.run_id), code_commit=code_commit())
        with rest_facts(env) as facts:
            summary = watchdog.check(
                env,
                hosted_models(),
                datetime.datetime.now(tz=datetime.UTC),
                facts,
                context=about,
                broken=broken_specs(),
            )
        # Last, since it fails while MLflow is down, and what is above has been written down by then.
        summary["champions"] = {spec.name: projection.follow(env, spec, about) for spec in hosted_models()}
        self.log.info("watchdog\n%s", as_lines(summary))
        self.done(context)
        return summary


class RetentionOperator(ImagoOperator):
    """Removes what the environment keeps no longer."""

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import retention
        from imago.specs import hosted_models

        summary = retention.clean(
            environment_for(self.environment), hosted_models(), datetime.datetime.now(tz=datetime.UTC)
        )
        self.log.info("retention\n%s", as_lines(summary))
        self.done(context)
        return summary


class CorrectionsOperator(StageOperator):
    """Builds the days of `table` again that late or corrected raw files touch, and announces those that changed."""

    def __init__(self, *, table: Literal["features", "outcomes"], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        from imago.jobs.corrections import correct

        summary = correct(run.environment, run.spec, self.table, run.context)
        if summary["changed_days"]:
            # History, whoever started the run: what follows from it pages nobody.
            told = dataclasses.replace(run, context=dataclasses.replace(run.context, mode="backfill"))
            self.announce(told, context, summary["changed_days"])
        else:
            self.keep_quiet(context)
        return summary
