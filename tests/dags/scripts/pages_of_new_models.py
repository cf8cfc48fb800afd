"""Edits the hosted specs while the pages' application lives, and prints what it answers after each edit."""

import json
import os
import sys
from pathlib import Path

from fastapi.testclient import TestClient

folder = Path(os.environ["AIRFLOW_HOME"]) / "specs"
package = folder / "edited_specs"
package.mkdir(parents=True)
sys.path.insert(0, str(folder))
os.environ["IMAGO_MODELS"] = "edited_specs:MODELS"
HEAD = "from imago_models.flight_delays import FLIGHT_DELAYS\n"


def write(*names: str, more: str = "") -> None:
    specs = "".join(f"FLIGHT_DELAYS.model_copy(update={{'name': {name!r}}})," for name in names)
    (package / "__init__.py").write_text(f"{HEAD}{more}MODELS = ({specs}{'BROKEN,' if more else ''})\n")


write("first")
from imago_airflow import pages  # noqa: E402 - as a server that starts with one model

app = pages.build_app()
app.dependency_overrides[pages._LOGGED_IN[0].dependency] = lambda: None
client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)


def answers() -> dict[str, object]:
    """Known models answer 503 here, since no environment has its settings; unknown ones 404."""
    index = client.get("/")
    of = {name: client.get(f"/dev/{name}") for name in ("first", "second", "broken")}
    return {
        "index": [index.status_code, index.text],
        **{name: [answer.status_code, answer.text] for name, answer in of.items()},
    }


told = {"start": answers()}
write("first", "second")
told["new"] = answers()
(package / "broken.py").write_text("BROKEN = nothing_of_that_name\n")
write("second", more="from edited_specs.broken import BROKEN\n")
told["broken"] = answers()
write()
told["none"] = answers()
print(json.dumps(told))
