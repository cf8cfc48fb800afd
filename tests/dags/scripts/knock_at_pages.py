"""Asks each of Imago's pages as somebody who is not logged in, then addresses without a page as somebody who is."""

import json
import re

from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.testclient import TestClient

from imago_airflow import incident_pages, pages

names = {
    "environment": "dev",
    "model": "flight_delays",
    "ds": "2013-10-01",
    "table": "features",
    "which": "2013-10-01",
    "incident": "1",
}
MISSING = (
    "/no/such/page/at/all",
    "/dev/no_such_model",
    "/nowhere/flight_delays",
    "/alerts/nowhere",
    "/alerts/dev/a-word",
    "/audits/dev/no_such_model",
    "/dossiers/dev/no_such_model/2013-10-01",
    "/shadow/dev/%3Cscript%3E",
    "/dev/%00",
)
app = pages.build_app()
airflow = FastAPI()
airflow.mount("/imago", app)  # as Airflow mounts it
client = TestClient(airflow, raise_server_exceptions=False, follow_redirects=False)
paths = [route.path for route in app.routes]
strangers = {
    path: client.get("/imago" + re.sub(r"{(\w+)}", lambda found: names[found[1]], path)).status_code for path in paths
}
for dependency in (*pages._LOGGED_IN, *incident_pages._LOGGED_IN):
    app.dependency_overrides[dependency.dependency] = lambda: None
app.dependency_overrides[get_user] = lambda: None
missing = {}
for path in MISSING:
    answer = client.get(f"/imago{path}")
    missing[path] = {"status": answer.status_code, "type": answer.headers["content-type"], "text": answer.text}
print(json.dumps({"strangers": strangers, "missing": missing}))
