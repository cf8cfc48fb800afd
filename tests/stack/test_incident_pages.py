"""Incidents in Airflow's UI: whoever may log in reads them, whoever may run mutes and acknowledges, and only by a form
of the page itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from imago.alerts.outbox import Alert, raise_alert
from imago.alerts.pictures import Picture
from imago.context import RunContext
from imago.environments import Environment, load_environment
from imago.ledger import connect
from imago.ledger.schema import alerts, silences
from imago.stack import environment_variables
from tests.waiting import HANGS

pytestmark = pytest.mark.stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURE = Picture(title="carrier", labels=("UA", "B6"), usual=(0.5, 0.5), now=(0.9, 0.1), now_name="2013-10-05")


@pytest.fixture(scope="module")
def variables(stack_home: Path) -> dict[str, str]:
    return environment_variables(stack_home)


@pytest.fixture(scope="module")
def env(variables: dict[str, str]) -> Environment:
    return load_environment("dev", variables)


def incident(env: Environment, subject: str) -> int:
    alert = Alert(
        model="flight_delays",
        rule="drift",
        subject=subject,
        title=f"<b>{subject}</b> has drifted",
        why="w",
        did="d",
        next_step="n",
        picture=PICTURE,
    )
    with connect(env).begin() as connection:
        raised = raise_alert(connection, alert, RunContext(run_id="test"))
        return connection.execute(select(alerts.c.incident_id).where(alerts.c.id == raised)).scalar_one()


def client(variables: dict[str, str], user: str, password: str) -> httpx.Client:
    """Logged in as a browser is: by Airflow's cookie."""
    url = variables["IMAGO_AIRFLOW_URL"]
    answer = httpx.post(
        f"{url}/auth/token", json={"username": user, "password": password}, trust_env=False, timeout=HANGS
    )
    cookies = {"_token": answer.json()["access_token"]}
    return httpx.Client(base_url=f"{url}/imago/alerts/dev", cookies=cookies, trust_env=False, timeout=HANGS)


@pytest.fixture(scope="module")
def admin(variables):
    with client(variables, "admin", variables["IMAGO_AIRFLOW_PASSWORD"]) as made:
        yield made


@pytest.fixture(scope="module")
def viewer(variables):
    with client(variables, "watchdog", variables["IMAGO_WATCHDOG_PASSWORD"]) as made:
        yield made


def form_token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


def rows(env: Environment) -> list:
    with connect(env).connect() as connection:
        return list(connection.execute(select(silences).order_by(silences.c.id)).all())


def test_a_form_counts_only_with_the_token_of_its_page_and_its_incident(env, admin) -> None:
    number, other = incident(env, "gust"), incident(env, "visibility")
    before = len(rows(env))
    page = admin.get(f"/{number}")
    assert "<b>gust" not in page.text
    assert "&lt;b&gt;gust&lt;/b&gt; has drifted" in page.text
    assert admin.get(f"/{number}/picture").content.startswith(b"\x89PNG")
    good = {"token": form_token(page.text), "action": "mute", "until": "1d", "reason": "known"}
    assert admin.post(f"/{number}", data={**good, "token": ""}).status_code == 403
    assert admin.post(f"/{other}", data=good).status_code == 403
    assert admin.post(f"/{number}", data=good, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert admin.post(f"/{number}", data=good, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert admin.post(f"/{number}", data={**good, "reason": " "}).status_code == 422
    assert len(rows(env)) == before
    done = admin.post(f"/{number}", data=good, follow_redirects=True)
    assert "Muted: nothing of it is told until then." in done.text
    assert [(row.action, row.by_name, row.reason) for row in rows(env)[before:]] == [("mute", "admin", "known")]


def test_a_login_that_may_only_read_finds_no_form_and_is_refused(env, admin, viewer) -> None:
    number = incident(env, "pressure")
    page = viewer.get(f"/{number}")
    assert (page.status_code, "<form" in page.text) == (200, False)
    stolen = form_token(admin.get(f"/{number}").text)
    data = {"token": stolen, "action": "mute", "until": "1d", "reason": "known"}
    assert viewer.post(f"/{number}", data=data).status_code == 403


def test_without_a_login_nothing_is_shown(env, variables) -> None:
    number = incident(env, "wind")
    for path in ("", f"/{number}", f"/{number}/picture"):
        answer = httpx.get(f"{variables['IMAGO_AIRFLOW_URL']}/imago/alerts/dev{path}", trust_env=False)
        assert answer.status_code in (401, 403)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_person_acknowledges_an_incident_in_airflows_ui(env, variables) -> None:
    from playwright.sync_api import sync_playwright

    url, before = variables["IMAGO_AIRFLOW_URL"], len(rows(env))
    incident(env, "humidity")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(HANGS * 1000)
        page.goto(f"{url}/dags")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", variables["IMAGO_AIRFLOW_PASSWORD"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/dags")
        page.goto(f"{url}/imago/alerts/dev")
        page.get_by_text("<b>humidity</b> has drifted").click()
        page.fill("input[name=reason]", "I am at it")
        page.get_by_role("button", name="Acknowledge").click()
        page.get_by_text("Acknowledged by admin until").first.wait_for()
        browser.close()
    assert [(row.action, row.by_name, row.reason) for row in rows(env)[before:]] == [
        ("acknowledge", "admin", "I am at it")
    ]
