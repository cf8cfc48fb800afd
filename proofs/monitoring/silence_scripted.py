"""The six silences, the dead API server and the dead ledger, against an Airflow that answers by script: what `imago
watch` makes of each, down to the message in the sandbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from imago.environments import Environment
from imago.specs import ModelSpec, get_model
from proofs.monitoring.fake_airflow import FakeAirflow
from proofs.report import Report

NIGHT = datetime(2013, 10, 5, 4, tzinfo=UTC)  # midnight in New York, when the day's runs fall due
MINUTE = timedelta(minutes=1)
FEATURES, OUTCOMES = "dev__flight_delays__feature_refresh", "dev__flight_delays__outcome_refresh"
DELIVERY = "dev__alert_delivery"


def run(url: str, home: Path) -> Report:
    """All cases, one after the other in one world."""
    from proofs.postgres import new_environment

    report = Report("silence (scripted)")
    with sandbox(home) as slack, FakeAirflow() as airflow:
        env = new_environment(url, home, slack_token="xoxb-proof", slack_base_url=f"{slack}/api/", late_after_minutes=5)
        # As if the delays were known the same day: today's outcomes fall due with today's features.
        spec = get_model("flight_delays").model_copy(update={"first_day": "2013-10-02", "last_day": None})
        world = _World(env, spec, airflow, slack, home / "watch.json")
        world.look(NIGHT - 60 * MINUTE)
        report.check("all is well, and nothing is said", world.said() == "", world.said())

        airflow.add_run(FEATURES, "run-1", state="running", ds="2013-10-05")
        airflow.paused.add("dev__flight_delays__training")
        world.look(NIGHT + 1 * MINUTE)
        world.told(report, "a paused DAG", "dev__flight_delays__training is paused")
        report.check("what is not due yet is not late", "were not" not in world.said() and "No run" not in world.said())
        world.look(NIGHT + 6 * MINUTE)
        world.told(report, "a run that never starts", f"No run of {OUTCOMES} was started for 2013-10-03")
        world.told(report, "a partition that is late", "The features of 2013-10-05 are not published")

        airflow.add_attempts(FEATURES, "run-1", "refresh", states=("up_for_retry",))
        world.look(NIGHT + 7 * MINUTE)
        world.told(report, "SIGKILL of a task", "Attempt 1 of task refresh was killed for 2013-10-05")
        airflow.add_run(OUTCOMES, "run-2", state="failed", ds="2013-10-03", ended=NIGHT + 7 * MINUTE)
        world.look(NIGHT + 8 * MINUTE)
        world.told(report, "SIGKILL of a supervisor, each time", f"A run of {OUTCOMES} failed for 2013-10-03")
        airflow.add_run(DELIVERY, "run-3", state="running")
        airflow.add_attempts(DELIVERY, "run-3", "deliver", states=("up_for_retry", "running"))
        world.look(NIGHT + 9 * MINUTE)
        world.told(report, "SIGKILL of the delivery", "Attempt 1 of task deliver was killed")
        airflow.add_run(DELIVERY, "run-4", state="success", ended=NIGHT + 9 * MINUTE)
        airflow.add_run("dev__watchdog", "run-5", state="success", ended=NIGHT + 20 * MINUTE)
        world.look(NIGHT + 30 * MINUTE)
        world.told(report, "a delivery that does not run any more", "No alert delivery has ended well for 21 min")
        airflow.unhealthy["scheduler"] = NIGHT + 30 * MINUTE
        world.look(NIGHT + 32 * MINUTE)
        world.told(report, "SIGKILL of the scheduler", "Airflow's scheduler does not run, silent for 2 min")

        before = len(world.messages())
        code = world.look(NIGHT + 33 * MINUTE)
        report.check("the same is said once", len(world.messages()) == before, world.said())
        report.check("the exit code says that something is wrong", code == 1, code)
        airflow.close()
        world.look(NIGHT + 34 * MINUTE)
        world.told(report, "an API server that does not answer", "Airflow's API server does not answer")
        gone = Environment.model_validate(
            {**dict(env), "ledger_url": SecretStr("postgresql+psycopg2://nobody@127.0.0.1:9/none?connect_timeout=2")}
        )
        for minute in (35, 36, 96, 97):
            world.look(NIGHT + minute * MINUTE, gone)
        world.told(report, "a ledger that does not answer", "The ledger of dev does not answer", times=2)
        world.look(NIGHT + 98 * MINUTE)
        world.told(report, "a ledger that answers again", "answers again, after 1 h 3 min")
    return report


class _World:
    """What the watch looks at, and where it tells."""

    def __init__(self, env: Environment, spec: ModelSpec, airflow: FakeAirflow, slack: str, memory: Path) -> None:
        self.env, self.spec, self.airflow, self.slack, self.memory = env, spec, airflow, slack, memory

    def look(self, now: datetime, env: Environment | None = None) -> int:
        """One `imago watch`; its exit code."""
        from imago.alerts.channels import Patience
        from imago.jobs.watch import watch

        return watch(
            env or self.env, [self.spec], now, variables=self.airflow.variables, memory=self.memory, seconds=20.0,
            patience=Patience(pace=0.4),
        ).code  # fmt: skip

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.slack}/api-sandbox/messages", trust_env=False).json()[
            "messages"
        ]
        return found

    def said(self) -> str:
        return "\n".join(str(message["text"]) for message in self.messages())

    def told(self, report: Report, case: str, words: str, *, times: int = 1) -> None:
        """Checks that these words stand in so many messages."""
        seen = self.said().count(words)
        report.check(f"{case} is reported", seen == times, f"{seen} times in {self.said()}")


@contextmanager
def sandbox(home: Path, *, token: str = "xoxb-proof") -> Iterator[str]:
    """The Slack sandbox, in a thread; its address."""
    import uvicorn

    from imago.sandbox.limits import RateLimit
    from imago.sandbox.server import create_app

    app = create_app(folder=home / "slack", token=token, posts=RateLimit(per_second=5.0, burst=5))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
