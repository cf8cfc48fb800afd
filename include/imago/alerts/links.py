"""Where a person looks: addresses of Airflow's pages, where the environment knows Airflow's own."""

from __future__ import annotations

from urllib.parse import quote

from imago.environments import Environment


def run_links(env: Environment, *, dag_id: str, run_id: str, task_id: str | None) -> dict[str, str]:
    """The run, and the log of one of its tasks; empty without `airflow_url`."""
    if not env.airflow_url:
        return {}
    run = f"{env.airflow_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
    return {"run": run, **({"log": f"{run}/tasks/{quote(task_id)}"} if task_id else {})}


def dossier_address(env: Environment, model: str, ds: str, *, path: str) -> str:
    """Where a person finds a training's dossier: in Airflow where its address is known, else in the storage, at
    `path`."""
    if not env.airflow_url:
        return f"{env.storage_root}/{path}"
    return f"{env.airflow_url.rstrip('/')}/imago/dossiers/{env.name}/{quote(model)}/{quote(ds)}"


def incident_address(env: Environment, incident: int) -> str | None:
    """Where a person reads all of an incident, mutes and acknowledges it; None without `airflow_url`."""
    return f"{env.airflow_url.rstrip('/')}/imago/alerts/{env.name}/{incident}" if env.airflow_url else None


def dashboard_links(env: Environment, model: str) -> dict[str, str]:
    """The model's dashboard, by the name that a message gives it; empty without `airflow_url`."""
    return {"dashboard": f"{env.airflow_url.rstrip('/')}/imago/{env.name}/{quote(model)}"} if env.airflow_url else {}


def drift_links(env: Environment, model: str, ds: str) -> dict[str, str]:
    """The page of a day's drift, by the name that a message gives it; empty without `airflow_url`."""
    base = f"{env.airflow_url.rstrip('/')}/imago/drift/{env.name}/" if env.airflow_url else ""
    return {"drift of the day": f"{base}{quote(model)}/{quote(ds)}"} if base else {}
