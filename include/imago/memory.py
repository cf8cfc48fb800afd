"""How much memory this process took."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_mb() -> float:
    """The most memory that this process has had resident, MiB.

    Linux keeps it with the process's own memory; the number in `getrusage` holds its parent's at the start too.
    """
    if sys.platform == "linux":
        told = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(told.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
