"""Starting, recognising and ending processes, so that none is ended that is not ours and none of ours is left.

A process is ours when its pid AND its start mark are those that we wrote down: pids are used again. Each component is
started in a session of its own. What it forks stays in that session, or at least carries the stack's id in its
environment, so both are looked for when it is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from imago.errors import StackError
from imago.stack.layout import writing

STACK_VARIABLE = "IMAGO_STACK_ID"


def start_mark(pid: int) -> str | None:
    """What tells this process from an earlier or later one with its pid: boot and start tick; None when it is gone.

    Wall-clock start times move when the clock is set, ticks since boot do not.
    """
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:8]}-{stat.rpartition(')')[2].split()[19]}"
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except OSError:  # no /proc: macOS
        try:
            return f"{psutil.Process(pid).create_time():.2f}"
        except psutil.NoSuchProcess:
            return None


def is_alive(pid: int | None, mark: str | None) -> bool:
    """Whether the very process that was written down still runs."""
    return pid is not None and mark is not None and start_mark(pid) == mark


@dataclass(frozen=True)
class Started:
    """A process that was started: enough to know it again."""

    pid: int
    mark: str
    popen: subprocess.Popen[bytes]

    def died(self) -> bool:
        return self.popen.poll() is not None


def spawn(command: Sequence[str], *, environment: Mapping[str, str], log: Path, folder: Path) -> Started:
    """Starts a component in a session of its own, its output appended to `log`."""
    with writing(log.parent), log.open("ab") as output:
        try:
            popen = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise StackError(
                f"{command[0]} could not be started: {error.strerror}",
                next_step="install the locked dependencies again (`make install`)",
            ) from error
    return Started(pid=popen.pid, mark=start_mark(popen.pid) or "ended", popen=popen)


def family(pid: int, mark: str | None, stack_id: str = "") -> list[psutil.Process]:
    """The process, if it is the one written down, and whatever it left or forked: same session, child, or stack id.

    A pid cannot be given away while its session has members, so the session of a dead leader is still its own.
    """
    found: dict[int, psutil.Process] = {}
    leader_is_other = start_mark(pid) not in (None, mark)
    for process in psutil.process_iter():
        try:
            if not leader_is_other and os.getsid(process.pid) == pid:
                found[process.pid] = process
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    for process in list(found.values()):
        try:
            for child in process.children(recursive=True):
                found[child.pid] = child
        except psutil.Error:
            continue
    found.pop(os.getpid(), None)
    return list(found.values())


def marked(stack_id: str, *, component: str | None = None) -> list[psutil.Process]:
    """Processes that carry the stack's id in their environment, wherever they were re-parented to."""
    wanted = stack_id if component is None else f"{stack_id}/{component}"
    found = []
    for process in psutil.process_iter():
        try:
            carried = process.environ().get(STACK_VARIABLE, "")
        except (psutil.Error, OSError):
            continue
        if (
            carried == wanted or (component is None and carried.startswith(f"{stack_id}/"))
        ) and process.pid != os.getpid():
            found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, gently: signal.Signals | None, patience: float) -> None:
    """Asks with `gently`, waits up to `patience` seconds, then kills what is left. Returns when all are gone."""
    left = list(processes)
    if gently is not None:
        _signal(left, gently)
        left = _wait_until_gone(left, patience)
    _signal(left, signal.SIGKILL)
    _wait_until_gone(left, 5)


def _wait_until_gone(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """Those that still run after `patience` seconds. A zombie is gone: a container may never reap it."""
    deadline = time.monotonic() + patience
    left = processes
    while left := [process for process in left if start_mark(process.pid) is not None and process.is_running()]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied as error:
            raise StackError(
                f"process {process.pid} belongs to another user", next_step="run as the user that started the stack"
            ) from error


def memory_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory that would come back if these processes ended: proportional set size where the system tells it."""
    total = 0
    for process in processes:
        try:
            full = process.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except psutil.AccessDenied:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def wait_for(check, *, alive, patience: float, pause: float = 0.05) -> bool:
    """Polls `check` until it holds, `alive` no longer does (False), or `patience` seconds went by (False)."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if check():
            return True
        if not alive():
            return False
        time.sleep(pause)
    return False
