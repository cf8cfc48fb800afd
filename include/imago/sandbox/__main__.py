"""`python -m imago.sandbox --port 8085 --data DIR --token T`: the Slack sandbox, on loopback only."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import uvicorn

import imago
from imago.sandbox.server import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m imago.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1")
    parser.add_argument("--data", type=Path, required=True, help="the folder that keeps the messages")
    parser.add_argument(
        "--token",
        default=os.environ.get("IMAGO_SANDBOX_TOKEN"),
        help="the bearer token that API calls must carry (default: the variable IMAGO_SANDBOX_TOKEN)",
    )
    parser.add_argument(
        "--docs", type=Path, default=None, help="the folder with runbooks/ (default: this checkout's docs)"
    )
    given = parser.parse_args()
    # A token for each channel, as JSON: what an environment holds cannot write to another's channel.
    tokens = json.loads(os.environ.get("IMAGO_SANDBOX_TOKENS", "{}")) or given.token
    if not tokens:
        parser.error("give --token, or set IMAGO_SANDBOX_TOKEN or IMAGO_SANDBOX_TOKENS")
    docs = given.docs or Path(imago.__file__).parents[2] / "docs"
    app = create_app(folder=given.data, token=tokens, docs=docs)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
