"""The components that are Python servers of their own: MLflow, the Slack sandbox and the online endpoint."""

from __future__ import annotations

import json
import sys

from imago.environments import ENVIRONMENT_NAMES
from imago.stack.component import Component
from imago.stack.ports import LOOPBACK, answers
from imago.stack.settings import StackSettings


class SlackSandbox(Component):
    name = "slack"
    title = "Slack sandbox"
    ports = ("slack",)
    usual_port = 8065

    def prepare(self, settings: StackSettings) -> None:
        settings.layout.folder("slack")

    def command(self, settings: StackSettings) -> list[str]:
        folder, port = settings.layout.root / "slack", settings.ports["slack"]
        return [sys.executable, "-m", "imago.sandbox", "--port", str(port), "--data", str(folder)]

    def environment(self, settings: StackSettings) -> dict[str, str]:
        # By environment, not by argument: `ps` shows arguments to everyone.
        tokens = {settings.slack_token(name): settings.alert_channel(name) for name in ENVIRONMENT_NAMES}
        return {"IMAGO_SANDBOX_TOKENS": json.dumps(tokens)}

    def ready(self, settings: StackSettings) -> bool:
        return answers(settings.ports["slack"], "/health") == 200

    def url(self, settings: StackSettings) -> str:
        return settings.url("slack")


class MLflow(Component):
    name = "mlflow"
    title = "MLflow"
    needs = ("postgres",)
    ports = ("mlflow",)
    usual_port = 5050
    stop_patience = 2.0

    def command(self, settings: StackSettings) -> list[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", LOOPBACK, "--port", str(settings.ports["mlflow"]), "--workers", "1"),
            # Clients write artifacts straight to the bucket of their environment, under the experiment's own location.
            *("--no-serve-artifacts", "--default-artifact-root", f"{settings.storage_root('dev')}/mlflow"),
        ]

    def environment(self, settings: StackSettings) -> dict[str, str]:
        url = settings.role_url("mlflow", "mlflow")
        variables = {
            "MLFLOW_BACKEND_STORE_URI": url,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Or the server spawns nine processes and takes 2.5 GB.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        if settings.embedded_s3:
            variables |= {
                "MLFLOW_S3_ENDPOINT_URL": settings.url("s3"),
                "AWS_ACCESS_KEY_ID": settings.secrets.s3_keys["mlflow"],
                "AWS_SECRET_ACCESS_KEY": settings.secrets.s3_secrets["mlflow"],
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        return variables

    def ready(self, settings: StackSettings) -> bool:
        return answers(settings.ports["mlflow"], "/health") == 200

    def url(self, settings: StackSettings) -> str:
        return settings.url("mlflow")


class Endpoint(Component):
    """The online endpoint of all hosted models, in the first hosted environment. Until a champion is deployed it says
    so (503)."""

    name = "endpoint"
    title = "Online endpoint"
    needs = ("ledger",)
    ports = ("endpoint",)
    usual_port = 8001

    def command(self, settings: StackSettings) -> list[str]:
        port, name = str(settings.ports["endpoint"]), settings.hosted[0]
        return [sys.executable, "-m", "imago.cli", "serve", "--port", port, "--env", name]

    def environment(self, settings: StackSettings) -> dict[str, str]:
        return settings.hosted_variables()

    def ready(self, settings: StackSettings) -> bool:
        return answers(settings.ports["endpoint"], "/health") in (200, 503)

    def url(self, settings: StackSettings) -> str:
        return settings.url("endpoint")
