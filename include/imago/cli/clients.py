"""`imago client-env`: what other people's clients need to read an environment."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from imago.cli.output import EnvironmentOption, JsonOption, environment, print_json

if TYPE_CHECKING:
    from imago.environments import Environment


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command(name="client-env")(client_env)


def client_env(env: EnvironmentOption = "dev", json: JsonOption = False) -> None:
    """Print the variables by which MLflow's own client, boto3, DuckDB or pandas read this environment.

    They hold its secrets: eval "$(imago client-env)" puts them into one shell and into no file.
    """
    variables = client_variables(environment(env))
    if json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def client_variables(env: Environment) -> dict[str, str]:
    """The variables of an environment under the names that MLflow and the AWS clients know."""
    variables = {"MLFLOW_TRACKING_URI": env.mlflow_uri, "MLFLOW_REGISTRY_URI": env.mlflow_uri}
    if not env.on_s3:
        return variables
    variables["AWS_DEFAULT_REGION"] = env.s3_region
    if env.s3_endpoint:
        variables |= {"MLFLOW_S3_ENDPOINT_URL": env.s3_endpoint, "AWS_ENDPOINT_URL_S3": env.s3_endpoint}
    if env.s3_access_key and env.s3_secret_key:
        variables |= {
            "AWS_ACCESS_KEY_ID": env.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": env.s3_secret_key.get_secret_value(),
        }
    return variables
