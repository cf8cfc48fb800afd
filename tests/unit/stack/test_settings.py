"""What the stack tells its processes."""

from pathlib import Path

import pytest

from imago.environments import check_apart, load_environment
from imago.errors import ImagoError, StackError
from imago.stack.airflow_services import airflow_environment
from imago.stack.layout import Layout, write_env
from imago.stack.objects import identities
from imago.stack.secrets import Secrets, load_or_make
from imago.stack.settings import StackSettings, given_settings

PORTS = {"postgres": 1, "s3": 2, "mlflow": 3, "slack": 4, "airflow-api": 5}


def settings(folder: Path, **given: str) -> StackSettings:
    layout = Layout(root=folder, project=folder)
    return StackSettings(layout=layout, secrets=Secrets(), given=given, ports=PORTS)


def test_the_three_environments_are_complete_and_share_nothing(tmp_path: Path) -> None:
    variables = settings(tmp_path).imago_variables()
    environments = tuple(load_environment(name, variables) for name in ("dev", "staging", "prod"))
    check_apart(environments)
    assert [e.storage_root for e in environments] == ["s3://imago-dev", "s3://imago-staging", "s3://imago-prod"]
    assert len({e.ledger_url.get_secret_value() for e in environments}) == 3
    assert len({e.s3_secret_key.get_secret_value() for e in environments if e.s3_secret_key}) == 3


def test_folder_storage_needs_no_s3_server(tmp_path: Path) -> None:
    chosen = settings(tmp_path, IMAGO_STORAGE="folder")
    dev = load_environment("dev", chosen.imago_variables())
    assert dev.storage_root == str(tmp_path / "storage" / "dev")
    assert dev.s3_endpoint is None
    assert not chosen.embedded_s3


def test_airflow_is_told_nothing_of_an_environment_that_it_does_not_host(tmp_path: Path) -> None:
    chosen = settings(tmp_path, IMAGO_ENVIRONMENTS="staging")
    told = airflow_environment(chosen)
    assert "IMAGO_STAGING_S3_SECRET_KEY" in told
    assert not [name for name in told if name.startswith(("IMAGO_DEV_", "IMAGO_PROD_"))]
    assert chosen.secrets.s3_secrets["prod"] not in "".join(told.values())
    assert chosen.secrets.airflow_password not in "".join(told.values())


def test_airflow_listens_on_loopback_with_a_login(tmp_path: Path) -> None:
    variables = settings(tmp_path).airflow_variables()
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS" not in variables


def test_the_two_drivers_get_the_same_server(tmp_path: Path) -> None:
    given = settings(tmp_path, IMAGO_POSTGRES_URL="postgresql://me:pw@db.example:5432/postgres?sslmode=require")
    role = given.secrets.roles["airflow"]
    assert given.role_url("airflow", "airflow") == (
        f"postgresql+psycopg2://airflow:{role}@db.example:5432/airflow?sslmode=require"
    )
    assert given.role_url("airflow", "airflow", driver="asyncpg") == (
        f"postgresql+asyncpg://airflow:{role}@db.example:5432/airflow?ssl=require"
    )


def test_what_a_person_sets_is_remembered_and_what_the_stack_wrote_is_not_mistaken_for_it(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path, project=tmp_path)
    write_env(layout.imago_env, {"IMAGO_DEV_ALERT_CHANNEL": "#imago-dev", "IMAGO_ENVIRONMENTS": "dev"}, heading="")
    shell = {"IMAGO_DEV_ALERT_CHANNEL": "#imago-dev", "IMAGO_ENVIRONMENTS": "dev,prod"}
    given = given_settings(layout, shell)
    assert given == {"IMAGO_ENVIRONMENTS": "dev,prod"}
    write_env(layout.given_file, given, heading="")
    assert given_settings(layout, {}) == {"IMAGO_ENVIRONMENTS": "dev,prod"}
    assert given_settings(layout, {"IMAGO_ENVIRONMENTS": ""}) == {}


@pytest.mark.parametrize("wrong", [{"IMAGO_STORAGE": "tape"}, {"IMAGO_ENVIRONMENTS": "dev,qa"}])
def test_a_wrong_setting_is_refused_before_anything_starts(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ImagoError) as caught:
        given_settings(Layout(root=tmp_path, project=tmp_path), wrong)
    assert caught.value.next_step


def test_each_s3_identity_reaches_its_own_bucket_only(tmp_path: Path) -> None:
    actions = {entry["name"]: entry["actions"] for entry in identities(settings(tmp_path))["identities"]}
    assert all(action.endswith(":imago-dev") for action in actions["dev"])
    assert set(actions["mlflow"]) >= {"Read:imago-prod/mlflow/*", "List:imago-dev/mlflow/*"}
    assert not [action for action in actions["mlflow"] if action.startswith("Write")]


def test_secrets_are_made_once(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path, project=tmp_path)
    assert load_or_make(layout) == load_or_make(layout)


def test_lost_secrets_with_data_still_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18")
    with pytest.raises(StackError, match=r"secrets\.json is gone"):
        load_or_make(Layout(root=tmp_path, project=tmp_path))
