"""Tasks that serve all models of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from imago_airflow.connections import environment_for
from imago_airflow.operators.base import Summary, as_text


class DeliverAlertsOperator(BaseOperator):
    """Closes the digests of finished backfills and hands the pending alerts to their channel."""

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import alerts

        env = environment_for(self.environment)
        summary = {"digests": alerts.close_digests(env), "delivery": alerts.deliver(env)}
        self.log.info("alerts\n%s", as_text(summary))
        return summary


class WatchdogOperator(BaseOperator):
    """Reports what should have happened and did not."""

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment

    def execute(self, context: Mapping[str, Any]) -> Summary:
        from imago.jobs import watchdog

        summary = watchdog.check(environment_for(self.environment))
        self.log.info("watchdog\n%s", as_text(summary))
        return summary
