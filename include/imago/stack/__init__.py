"""The embedded stack, without Docker, under `.imago/`: PostgreSQL, S3, MLflow, a Slack sandbox, an endpoint, Airflow.

    up(layout)      starts what does not run; safe to repeat
    down(layout)    ends exactly what was started
    status(layout)  a row for each component

`use_settings()` lets a process that was not started by the stack (the command line, a test, a notebook) work on it.
"""

from __future__ import annotations

import os
from pathlib import Path

from imago.stack.layout import Layout, home_folder
from imago.stack.settings import airflow_variables, environment_variables

__all__ = ["Layout", "airflow_variables", "environment_variables", "home_folder", "use_settings"]


def use_settings(home: Path | None = None) -> dict[str, str]:
    """Puts the embedded stack's `IMAGO_*` variables into this process, where the person's own do not stand already.

    Returns what it put; nothing when the stack was never started here.
    """
    put = {name: value for name, value in environment_variables(home).items() if name not in os.environ}
    os.environ.update(put)
    return put
