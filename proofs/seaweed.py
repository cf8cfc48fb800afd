"""A throw-away S3 server from the wheel that the embedded stack uses, started as the stack starts it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imago.stack.layout import Layout
from imago.stack.objects import ObjectStore
from imago.stack.ports import choose
from imago.stack.secrets import Secrets
from imago.stack.settings import StackSettings

PATIENCE = 120.0


@contextmanager
def object_store() -> Iterator[StackSettings]:
    """The settings of a server that ends with the block; one bucket for each environment, on loopback only."""
    with tempfile.TemporaryDirectory(prefix="imago-s3-", ignore_cleanup_errors=True) as folder:
        ports: dict[str, int] = {}
        for name in ObjectStore.ports:
            ports[name] = choose(preferred=None, taken=set(ports.values()))
        settings = StackSettings(
            layout=Layout(root=Path(folder), project=Path(folder)), secrets=Secrets(), given={}, ports=ports
        )
        store = ObjectStore()
        store.prepare(settings)
        with open(f"{folder}/s3.log", "wb") as log:
            server = subprocess.Popen(
                store.command(settings),
                env=settings.process_environment("s3", store.environment(settings)),
                stdout=log,
                stderr=log,
            )
        try:
            _wait(store, settings, server)
            yield settings
        finally:
            server.kill()
            server.wait()


def on_s3(settings: StackSettings, name: str = "dev", prefix: str = "") -> dict[str, Any]:
    """What an environment's settings say when its storage is that server's bucket, or a prefix in it."""
    return {
        "storage_root": f"s3://imago-{name}" + (f"/{prefix}" if prefix else ""),
        "s3_endpoint": settings.url("s3"),
        "s3_access_key": settings.secrets.s3_keys[name],
        "s3_secret_key": settings.secrets.s3_secrets[name],
    }


def _wait(store: ObjectStore, settings: StackSettings, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not store.ready(settings):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((settings.layout.root / "s3.log").read_text()[-2000:])
        time.sleep(0.1)
    store.after(settings)
