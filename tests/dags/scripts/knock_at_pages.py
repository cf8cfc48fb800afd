"""Asks each of Imago's pages as somebody who is not logged in, and prints what came back."""

import json
import re

from fastapi.testclient import TestClient

from imago_airflow.pages import build_app

app = build_app()
names = {
    "environment": "dev",
    "model": "flight_delays",
    "ds": "2013-10-01",
    "table": "features",
    "which": "2013-10-01",
    "incident": "1",
}
client = TestClient(app, raise_server_exceptions=False)
paths = [route.path for route in app.routes]
print(
    json.dumps(
        {path: client.get(re.sub(r"{(\w+)}", lambda found: names[found[1]], path)).status_code for path in paths}
    )
)
