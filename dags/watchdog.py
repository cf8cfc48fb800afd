"""# Watchdog

**What.** Looks for what should have happened and did not: a day that was not published by its deadline, alerts that
nobody delivers, runs that never ended. Then it compares MLflow with the ledger: an alias that was moved by hand is put
back, a deleted version of a champion is reported.

**Why.** Silence is a signal. No callback fires for a task that was killed, nor for a run that never started.

**When.** Every ten minutes.

**Safe to run again?** Yes. What it finds again is the same incident.

**When it fails.** The error says what could not be read. While it fails nobody watches: mend it first.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago_airflow.defaults import POOLS, upkeep_dag
from imago_airflow.operators import WatchdogOperator


def build(environment: str) -> DAG:
    """The DAG of one environment."""
    with upkeep_dag(environment, "watchdog", doc_md=__doc__, schedule="*/10 * * * *") as dag:
        WatchdogOperator(task_id="check", environment=environment, pool=POOLS["deliver"])
    return dag


for environment in hosted_environments():
    build(environment)
