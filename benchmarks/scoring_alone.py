"""One day scored in a process that holds nothing else: `benchmarks.scoring` asks it how much memory that takes.

Reads the environment, the model's name and the day as JSON from its input.
"""

from __future__ import annotations

import json
import sys
import time

from imago.context import RunContext
from imago.environments import Environment
from imago.jobs.scoring import score
from imago.memory import peak_mb
from imago.specs import get_model


def main() -> None:
    """Scores, and prints the seconds and the most memory that the process had."""
    given = json.load(sys.stdin)
    context = RunContext(run_id="benchmark", mode="backfill", code_commit="benchmark")
    started = time.perf_counter()
    told = score(Environment(**given["environment"]), get_model(given["model"]), given["ds"], context)
    seconds = time.perf_counter() - started
    print(json.dumps({"rows": told["rows"], "seconds": seconds, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
