"""What a person sees: Airflow's DAG list and a grid, the dashboard behind its login, and the Slack sandbox."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.stack


def test_the_dag_list_shows_the_dags_of_the_environment(world, page, tmp_path: Path) -> None:
    page.goto(f"{world.variables['IMAGO_AIRFLOW_URL']}/dags")
    page.get_by_text("15 Dags").wait_for()
    page.get_by_text(world.dag("batch_scoring")).first.wait_for()
    assert len(page.screenshot(path=tmp_path / "dags.png")) > 20_000


def test_the_grid_of_the_training_shows_each_fit_as_a_task(world, page, tmp_path: Path) -> None:
    page.goto(f"{world.variables['IMAGO_AIRFLOW_URL']}/dags/{world.dag('training')}")
    for task in ("freeze", "fit", "report"):
        page.get_by_text(task).first.wait_for()
    assert len(page.screenshot(path=tmp_path / "grid.png")) > 20_000


def test_the_sandbox_shows_the_promotion_as_a_message(world, page, tmp_path: Path) -> None:
    world.succeeded(world.airflow.trigger("dev__alert_delivery"))
    page.goto(world.variables["IMAGO_SANDBOX_URL"])
    page.get_by_text("imago-dev").first.wait_for()
    page.get_by_text("is the new champion").first.wait_for()
    assert len(page.screenshot(path=tmp_path / "slack.png")) > 20_000


def test_the_dashboard_shows_the_champion_to_whoever_is_logged_in(world, page, tmp_path: Path) -> None:
    page.goto(f"{world.variables['IMAGO_AIRFLOW_URL']}/imago/dev/{world.spec.name}")
    page.get_by_text("Champion").first.wait_for()
    assert len(page.screenshot(path=tmp_path / "dashboard.png")) > 20_000


def test_the_audits_of_the_data_are_listed_and_each_has_its_page(world, page, tmp_path: Path) -> None:
    page.goto(f"{world.variables['IMAGO_AIRFLOW_URL']}/imago/audits/dev/{world.spec.name}")
    page.get_by_text("135 of 135").first.wait_for()
    page.screenshot(path=tmp_path / "audits.png")
    page.locator("table a").first.click()
    page.get_by_text("declared checks were run").wait_for()
    assert len(page.screenshot(path=tmp_path / "audit.png")) > 20_000


def test_the_dashboard_asks_for_airflows_login(world) -> None:
    answer = httpx.get(f"{world.variables['IMAGO_AIRFLOW_URL']}/imago/dev/{world.spec.name}", trust_env=False)
    assert answer.status_code in (401, 403)
