"""MLflow as a record of runs, metrics and versions. It is a projection: nothing is ever read from it to decide or to
load.

Files go straight to the environment's own storage, at the place where MLflow looks for the run's artifacts, so that the
credentials of one environment never stand in the process's variables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imago.environments import Environment
from imago.errors import SettingsError, StackError
from imago.storage import Storage
from imago.texts import storable

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


# MLflow opens in its mode for language models, which shows neither metrics nor artifacts, unless the address says this.
MLFLOW_MODE = "?workflowType=machine_learning"


class Tracker:
    """MLflow of one environment and model. The constructor assigns; the first use connects."""

    def __init__(self, environment: Environment, model: str) -> None:
        self.environment = environment
        self.model = model
        self.storage = Storage(environment)
        self.registered_name = f"{environment.registry_prefix}{model}"
        self.folder = f"mlflow/{model}"

    @cached_property
    def client(self) -> MlflowClient:
        # A server that is down should cost seconds, not the client's default of minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.environment.mlflow_uri, registry_uri=self.environment.mlflow_uri)

    @cached_property
    def experiment_id(self) -> str:
        """The experiment `{env}/{model}`, made on first use, with its artifacts under the environment's storage
        root."""
        from mlflow.exceptions import MlflowException

        name, location = f"{self.environment.name}/{self.model}", self.storage.uri(self.folder)
        try:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self.client.create_experiment(name, artifact_location=location))
                except MlflowException:  # another contestant of this training made it a moment ago
                    found = self.client.get_experiment_by_name(name)
        except MlflowException as error:
            raise self.down(error) from error
        if found is None or found.lifecycle_stage != "active":
            raise SettingsError(
                f"the MLflow experiment {name} was deleted",
                environment=self.environment.name,
                model=self.model,
                next_step="restore it in MLflow, or delete it for good",
            )
        if _plain(found.artifact_location) != location:
            raise SettingsError(
                f"the MLflow experiment {name} keeps its artifacts elsewhere",
                environment=self.environment.name,
                allowed=location,
                seen=found.artifact_location,
                next_step="give each environment an MLflow or a storage root of its own",
            )
        return str(found.experiment_id)

    def finished_run(self, identity: str) -> Any | None:
        """The newest finished run with this `imago.identity`, so that a retry reuses it; None when there is none."""
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`imago.identity` = '{identity}' and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        return found[0] if found else None

    def start(self, name: str, tags: Mapping[str, Any]) -> str:
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.create_run(self.experiment_id, run_name=name, tags=_texts(tags))
        except MlflowException as error:
            raise self.down(error) from error
        return str(run.info.run_id)

    def end_abandoned(self, identity: str) -> None:
        """Ends the runs with this `imago.identity` whose process was killed, before another attempt starts its own."""
        left = f"tags.`imago.identity` = '{identity}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment_id], left):
            self.client.set_terminated(run.info.run_id, status="KILLED")

    def artifact_folder(self, run_id: str) -> str:
        """Where the files of a run lie, relative to the storage root."""
        return f"{self.folder}/{run_id}/artifacts"

    def record(
        self, run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, Any]
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), now, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)[:500]) for name, value in params.items()],
            tags=[RunTag(name, text) for name, text in _texts(tags).items()],
        )

    def nest(self, run_ids: Iterable[str], parent: str) -> None:
        """Shows these runs below `parent` in MLflow's list of runs."""
        for run_id in run_ids:
            self.client.set_tag(run_id, "mlflow.parentRunId", parent)

    def write(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Puts files (relative name to bytes) among the artifacts of a run."""
        for name, data in files.items():
            self.storage.write_bytes(f"{self.artifact_folder(run_id)}/{name}", data)

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        self.client.set_terminated(run_id, status=status)

    def register(self, run_id: str, source: str, tags: Mapping[str, Any]) -> str:
        """A version of the registered model for this run: the one it already has, or a new one."""
        from mlflow.exceptions import MlflowException

        version = self.version_of(run_id)
        if version is not None:
            return version
        try:
            self.client.create_registered_model(self.registered_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise self.down(error) from error
        made = self.client.create_model_version(self.registered_name, source=source, run_id=run_id, tags=_texts(tags))
        return str(made.version)

    def version_of(self, run_id: str) -> str | None:
        found = self.client.search_model_versions(f"name = '{self.registered_name}' and run_id = '{run_id}'")
        return str(found[0].version) if found else None

    def run_link(self, run_id: str) -> str:
        """Where people find the run: its page. Where MLflow is a bare database there is none, and the database's
        address, which may hold a password, is told nobody: then it is the run's name for MLflow's client."""
        server = urlsplit(self.environment.mlflow_uri)
        if server.scheme not in ("http", "https"):
            return f"runs:/{run_id}"
        bare = server._replace(netloc=server.netloc.rpartition("@")[2]).geturl().rstrip("/")
        return f"{bare}/#/experiments/{self.experiment_id}/runs/{run_id}{MLFLOW_MODE}"

    def down(self, error: Exception) -> StackError:
        """The error to raise when MLflow refuses or is silent."""
        return StackError(
            f"MLflow refused or did not answer: {str(error).splitlines()[0]:.300}",
            environment=self.environment.name,
            model=self.model,
            next_step="check that MLflow runs (`imago status`), then clear the failed task: nothing is done twice",
        )


def _texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {name: storable(str(value), 5000) for name, value in tags.items() if value is not None}


def _plain(location: str) -> str:
    return location.removeprefix("file://").rstrip("/")
