"""Starting a run of another DAG with a partition key, over REST.

`TriggerDagRunOperator` of Airflow 3.3 cannot: neither it nor the task's supervisor passes a partition key on, and a run
without one starts nothing behind it.
"""

from __future__ import annotations

from imago.airflow_api import AirflowApi


class Trainings:
    """The runs of trainings, in an Airflow that was logged in to (`logins.py`)."""

    def __init__(self, airflow: AirflowApi) -> None:
        self._airflow = airflow

    def start(self, dag: str, *, partition_key: str, run_id: str, note: str) -> str:
        """Starts the run, or finds it; its address."""
        run = self._airflow.trigger(dag, partition_key=partition_key, run_id=run_id, note=note)
        return self._airflow.run_url(run)
