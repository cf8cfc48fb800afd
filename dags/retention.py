"""# Retention

**What.** Removes what is kept no longer: files that only old versions of a table need, the staged rows of attempts that
were refused or killed, and the pages of old audits.

**Why.** Each correction leaves the version before it readable, and each refusal leaves its rows for a look. Without an
end to it, storage only grows.

**When.** Every night. How long things stay is a setting of the environment (`KEEP_VERSIONS_DAYS`, `KEEP_INPUTS_DAYS`,
`KEEP_STAGING_DAYS`, `KEEP_AUDITS_DAYS`). A version that a training pins stays as long as it is pinned, and that of a
champion for good. A version that a stored prediction was made from stays, so that `imago explain` can rebuild it.
`imago retention --dry-run` tells what would go.

**Safe to run again?** Yes. It removes only what is old enough at that moment. Where Redshift reads the tables, it first
brings the manifests up to date, so that none names a file that goes.

**When it fails.** Nothing is lost, and the next night tries again. The error says what could not be read or removed.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago_airflow.defaults import upkeep_dag
from imago_airflow.operators import RetentionOperator


def build(environment: str) -> DAG:
    """The DAG of one environment."""
    with upkeep_dag(environment, "retention", doc_md=__doc__, schedule="40 3 * * *") as dag:
        RetentionOperator(task_id="clean", environment=environment)
    return dag


for environment in hosted_environments():
    build(environment)
