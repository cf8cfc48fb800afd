"""# Alert delivery

**What.** Hands the alerts that wait in the ledger to their channel, and closes the digests of finished backfills.

**Why.** Whoever finds something writes a row beside the result and goes on. Slack being down neither fails nor delays a
pipeline, and loses nothing: what could not be sent is sent by a later run.

**When.** Every two minutes.

**Safe to run again?** Yes. An alert that was acknowledged is not sent again.

**When it fails.** Nothing is lost; the next run tries again. `imago alerts list` shows what waits and why, `imago
doctor` checks the channel's settings.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago_airflow.defaults import POOLS, upkeep_dag
from imago_airflow.operators import DeliverAlertsOperator


def build(environment: str) -> DAG:
    """The DAG of one environment."""
    with upkeep_dag(environment, "alert_delivery", doc_md=__doc__, schedule="*/2 * * * *") as dag:
        DeliverAlertsOperator(task_id="deliver", environment=environment, pool=POOLS["deliver"])
    return dag


for environment in hosted_environments():
    build(environment)
