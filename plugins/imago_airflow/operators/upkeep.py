"""Tasks that serve all models of an environment."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from imago_airflow.connections import environment_for
from imago_airflow.operators.base import ImagoOperator, Summary, as_text
from imago_airflow.run import run_name


class DeliverAlertsOperator(ImagoOperator):
    """Closes the digests of finished backfills and hands the pending alerts to their channel."""

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import alerts

        env = environment_for(self.environment)
        summary = {**alerts.close_digests(env), **alerts.deliver(env)}
        self.log.info("alerts\n%s", as_text(summary))
        self.done(context)
        return summary


class WatchdogOperator(ImagoOperator):
    """Reports what should have happened and did not."""

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.context import RunContext, code_commit
        from imago.jobs import watchdog
        from imago_airflow.facts import RestFacts
        from imago_models import MODELS

        env = environment_for(self.environment)
        ti = context["ti"]
        with RestFacts.of(env) as facts:
            summary = watchdog.check(
                env,
                MODELS,
                datetime.datetime.now(tz=datetime.UTC),
                facts,
                context=RunContext(run_id=run_name(ti.dag_id, ti.run_id), code_commit=code_commit()),
            )
        self.log.info("watchdog\n%s", as_text(summary))
        self.done(context)
        return summary
