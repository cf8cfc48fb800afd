"""A throw-away S3 server from the wheel that the embedded stack uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imago.stack import Layout, processes
from imago.stack.objects import ObjectStore
from imago.stack.ports import choose
from imago.stack.secrets import load_or_make
from imago.stack.settings import StackSettings


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, Any]]:
    """The settings of an environment `dev` on a server that ends with the block; it listens on loopback only."""
    layout = Layout(root=folder, project=Path.cwd())
    layout.prepare()
    component = ObjectStore()
    ports: dict[str, int] = {}
    for name in component.ports:
        ports[name] = choose(preferred=None, taken=set(ports.values()))
    settings = StackSettings(layout=layout, secrets=load_or_make(layout), given={}, ports=ports)
    component.prepare(settings)
    server = processes.spawn(
        component.command(settings),
        environment=settings.process_environment(component.name, component.environment(settings)),
        log=layout.log(component.name),
        folder=folder,
    )
    try:
        alive = processes.wait_for(
            lambda: component.ready(settings), alive=lambda: not server.died(), patience=component.patience
        )
        assert alive, f"the S3 server did not start: {layout.log(component.name).read_text()[-500:]}"
        yield {
            "storage_root": settings.storage_root("dev"),
            "s3_endpoint": settings.url("s3"),
            "s3_access_key": settings.secrets.s3_keys["dev"],
            "s3_secret_key": settings.secrets.s3_secrets["dev"],
        }
    finally:
        processes.end(processes.family(server.pid, server.mark), gently=None, patience=0)
