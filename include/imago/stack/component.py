"""What the supervisor knows of a component."""

from __future__ import annotations

import signal

from imago.stack.settings import StackSettings


class Component:
    """One process of the stack. `up` prepares it, starts `command`, polls `ready`, then calls `after`.

    `needs` names the components that must be ready before `prepare`. `ports` are the names under which its ports are
    remembered; the first is the one it is known by, for which `usual_port` is tried first.
    """

    name: str = ""
    title: str = ""
    needs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    usual_port: int | None = None
    patience: float = 120.0
    stop_signal: signal.Signals | None = signal.SIGTERM
    stop_patience: float = 5.0

    def wanted(self, settings: StackSettings) -> bool:
        """Whether this stack runs it (an external server takes the place of some)."""
        return True

    def prepare(self, settings: StackSettings) -> None:
        """Work before the start: folders, schemas. Runs only when the component is about to be started."""

    def command(self, settings: StackSettings) -> list[str]:
        raise NotImplementedError

    def environment(self, settings: StackSettings) -> dict[str, str]:
        """Variables for this component beside the common ones."""
        return {}

    def ready(self, settings: StackSettings) -> bool:
        """Whether it serves. Polled; must return quickly."""
        raise NotImplementedError

    def after(self, settings: StackSettings) -> None:
        """Work that needs the component, done on every `up`; must be safe to repeat."""

    def url(self, settings: StackSettings) -> str | None:
        """Where a person's browser finds it, if it has a page."""
        return None
