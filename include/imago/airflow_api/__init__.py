"""A small client for Airflow's REST API: what the command line, the demo and the stack tests need of Airflow."""

from imago.airflow_api.client import AirflowApi, Backfill, DagRun

__all__ = ["AirflowApi", "Backfill", "DagRun"]
