"""A refresh whose process is killed while the validator works: `python -m proofs.gates.sabotage.killed DAY`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from imago.environments import Environment
from imago.features import suite
from proofs.gates.world import World


def main(ds: str) -> None:
    """Runs the refresh of the environment in IMAGO_PROOF_ENV; does not return."""

    def die(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    suite.validate = die
    World(Environment.model_validate_json(os.environ["IMAGO_PROOF_ENV"])).refresh("features", ds)


if __name__ == "__main__":
    main(sys.argv[1])
