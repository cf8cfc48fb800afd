"""`airflow_settings.yaml`, from the Astro CLI's schema to Airflow's own import files."""

import json
from pathlib import Path

import pytest

from imago.errors import StackError
from imago.stack.airflow_settings import fingerprint, import_commands, load

ROOT = Path(__file__).parents[3]
FILE = """
airflow:
  connections:
    - conn_id: warehouse
      conn_type: postgres
      conn_host: db.example
      conn_schema: sales
      conn_login: reader
      conn_password: "p:w/d"
      conn_port: 5432
      conn_extra: {sslmode: require}
    - conn_id:
      conn_type:
  pools:
    - pool_name: small
      pool_slot: 1
      pool_description: one at a time
  variables:
    - variable_name: region
      variable_value: eu-west-1
"""


def test_connections_pools_and_variables_become_airflows_import_files(tmp_path: Path) -> None:
    (tmp_path / "airflow_settings.yaml").write_text(FILE)
    settings = load(tmp_path / "airflow_settings.yaml")
    commands = import_commands(settings, tmp_path)
    assert [command[:2] for command in commands] == [
        ["pools", "import"],
        ["connections", "import"],
        ["variables", "import"],
    ]
    assert json.loads((tmp_path / "connections.json").read_text()) == {
        "warehouse": {
            "conn_type": "postgres",
            "host": "db.example",
            "schema": "sales",
            "login": "reader",
            "password": "p:w/d",
            "port": 5432,
            "extra": '{"sslmode": "require"}',
        }
    }
    assert json.loads((tmp_path / "pools.json").read_text())["small"]["slots"] == 1
    assert json.loads((tmp_path / "variables.json").read_text()) == {"region": "eu-west-1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pools: []", "has no section `airflow`"),
        ("airflow: {pools: [{pool_name: p, pool_slot: 0}]}", "pool p has pool_slot 0"),
        ("airflow: {connections: [{conn_id: c}]}", "connection c has no conn_type"),
        ("airflow: [", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_entry_that_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(StackError, match=said):
        load(tmp_path / "f.yaml")


def test_the_shipped_file_holds_the_pools_that_the_dags_name() -> None:
    pools = load(ROOT / "airflow_settings.yaml")["pools"]
    assert {name: pool["slots"] for name, pool in pools.items()} == {
        "imago_dbt": 2,
        "imago_train": 2,
        "imago_score": 4,
        "imago_shadow": 1,
        "imago_deliver": 1,
    }


def test_a_changed_file_is_applied_again(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    assert fingerprint(file) == "none"
    file.write_text("airflow: {}")
    first = fingerprint(file)
    file.write_text("airflow: {pools: []}")
    assert fingerprint(file) != first
