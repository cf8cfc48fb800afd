"""Clients of AWS services, with the credentials of an environment."""

from __future__ import annotations

from typing import Any

from imago.environments import Environment


def client(env: Environment, service: str) -> Any:
    """A boto3 client in the environment's region: with its keys where it has some, else with the machine's own role.

    That of S3 talks to the environment's own S3 server, where there is one.
    """
    import boto3

    keys: dict[str, Any] = {}
    if env.s3_access_key and env.s3_secret_key:
        keys = {
            "aws_access_key_id": env.s3_access_key,
            "aws_secret_access_key": env.s3_secret_key.get_secret_value(),
        }
    session: Any = boto3.session.Session(region_name=env.s3_region, **keys)
    return session.client(service, endpoint_url=env.s3_endpoint if service == "s3" else None)


def code_of(error: Exception) -> str:
    """What the service calls an error (`AlreadyExistsException`); empty for an error of another kind."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
