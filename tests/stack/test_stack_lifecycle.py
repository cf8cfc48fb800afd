"""The embedded stack with real processes: started twice, hurt, mended, ended. One stack for all, in file order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from imago.errors import StackError
from imago.stack import Layout, processes
from imago.stack.launch import COMPONENTS
from imago.stack.layout import write_private
from imago.stack.objects import s3_client
from imago.stack.settings import StackSettings
from imago.stack.state import StackState
from imago.stack.supervisor import current_settings, down, status, up
from tests.waiting import HANGS, wait_until

pytestmark = pytest.mark.stack

# A task that outlives its supervisor unless somebody looks for it: its own session, its own child.
_DAG = """
import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime.datetime(2024, 1, 1))
def sleeper():
    @task
    def sleep():
        import subprocess
        subprocess.run(["sleep", "654"], start_new_session=True)
    sleep()

sleeper()
"""
_SETTINGS = "airflow:\n  pools:\n    - {pool_name: lifecycle, pool_slot: 3, pool_description: x}\n"


class Told:
    """Keeps what `up` and `down` reported."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def __call__(self, component: str, event: str, detail: str) -> None:
        self.events.append((component, event))

    def those(self, event: str) -> set[str]:
        return {component for component, happened in self.events if happened == event}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    # A deep place: longer than the path of a unix socket may be.
    project = tmp_path_factory.mktemp("project") / ("deep-" * 20)
    (project / "dags").mkdir(parents=True)
    (project / "dags" / "sleeper.py").write_text(_DAG)
    (project / "airflow_settings.yaml").write_text(_SETTINGS)
    layout = Layout(root=project / ".imago", project=project)
    yield layout
    down(layout)


@pytest.fixture(scope="module")
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not the stack's and must outlive everything done here."""
    process = subprocess.Popen(["sleep", "900"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def settings(layout: Layout, bystander: subprocess.Popen[bytes]) -> Iterator[StackSettings]:
    """The running stack; its first start found a taken port and a pid file of a process that is long gone."""
    layout.root.mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        stale = {
            "name": "slack",
            "pid": bystander.pid,
            "mark": "before-the-reboot",
            "fingerprint": "x",
            "started_at": "",
        }
        ports = {"mlflow": other.getsockname()[1]}
        write_private(layout.state_file, json.dumps({"ports": ports, "components": {"slack": stale}}))
        yield up(layout)


def pids(layout: Layout) -> dict[str, int]:
    return {name: entry.pid for name, entry in StackState(layout).components.items()}


def test_it_starts_beside_a_taken_port_and_a_stale_pid_file(
    settings: StackSettings, layout: Layout, bystander: subprocess.Popen[bytes]
) -> None:
    assert {row["name"]: row["state"] for row in status(layout)} == dict.fromkeys(pids(layout), "running")
    assert len(pids(layout)) == len(COMPONENTS)
    assert bystander.poll() is None
    assert pids(layout)["slack"] != bystander.pid


def test_everything_listens_on_loopback_only(settings: StackSettings, layout: Layout) -> None:
    heard = set()
    for entry in StackState(layout).components.values():
        for process in processes.family(entry.pid, entry.mark):
            for connection in process.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    heard.add(connection.laddr.ip)
    assert heard == {"127.0.0.1"}


def test_what_holds_secrets_is_private_and_airflow_asks_for_the_password(
    settings: StackSettings, layout: Layout
) -> None:
    for name in ("imago.env", "airflow.env", "secrets.json", "stack.json", "airflow/passwords.json"):
        assert stat.S_IMODE((layout.root / name).stat().st_mode) == 0o600, name
    url = settings.url("airflow-api")
    assert httpx.get(f"{url}/api/v2/dags", trust_env=False).status_code == 401
    wrong = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{url}/auth/token", json=wrong, trust_env=False).status_code == 401


def test_the_settings_file_was_applied(settings: StackSettings) -> None:
    pool = airflow(settings, "GET", "/api/v2/pools/lifecycle")
    assert pool["slots"] == 3


def test_a_second_start_changes_nothing(settings: StackSettings, layout: Layout) -> None:
    before, told = pids(layout), Told()
    up(layout, report=told)
    assert pids(layout) == before
    assert told.those("running") == set(before)
    assert told.those("starting") == set()


def test_the_keys_of_dev_are_refused_on_the_bucket_of_prod(settings: StackSettings) -> None:
    from botocore.exceptions import ClientError

    s3_client(settings, "prod").put_object(Bucket="imago-prod", Key="mlflow/a", Body=b"1")
    dev = s3_client(settings, "dev")
    for attempt in (
        lambda: dev.get_object(Bucket="imago-prod", Key="mlflow/a"),
        lambda: dev.put_object(Bucket="imago-prod", Key="b", Body=b""),
        lambda: dev.list_objects_v2(Bucket="imago-prod"),
        lambda: dev.delete_object(Bucket="imago-prod", Key="mlflow/a"),
        lambda: dev.copy_object(Bucket="imago-dev", Key="c", CopySource="imago-prod/mlflow/a"),
        lambda: dev.create_bucket(Bucket="imago-elsewhere"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    # MLflow reads artifacts, and nothing else of a bucket.
    mlflow = s3_client(settings, "mlflow")
    assert mlflow.get_object(Bucket="imago-prod", Key="mlflow/a")["Body"].read() == b"1"
    s3_client(settings, "prod").put_object(Bucket="imago-prod", Key="tables/a", Body=b"1")
    with pytest.raises(ClientError, match="AccessDenied"):
        mlflow.get_object(Bucket="imago-prod", Key="tables/a")


def test_an_object_that_exists_is_not_written_over_when_asked_not_to(settings: StackSettings) -> None:
    from botocore.exceptions import ClientError

    dev = s3_client(settings, "dev")
    dev.put_object(Bucket="imago-dev", Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        dev.put_object(Bucket="imago-dev", Key="once", Body=b"2", IfNoneMatch="*")


def test_the_role_of_dev_reaches_its_own_schema_only(settings: StackSettings) -> None:
    import psycopg2

    dev = settings.role_url("imago_dev", "imago").replace("+psycopg2", "")
    with psycopg2.connect(dev) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from environment")
        assert cursor.fetchone() == (1,)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("select * from imago_prod.environment")
    connection.close()
    for database in ("airflow", "mlflow"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(settings.role_url("imago_dev", database).replace("+psycopg2", ""))


@pytest.mark.parametrize("name", ["slack", "s3", "airflow-api"])
def test_a_killed_component_is_named_and_started_alone(name: str, settings: StackSettings, layout: Layout) -> None:
    before, told = pids(layout), Told()
    os.kill(before[name], signal.SIGKILL)
    wait_until(
        lambda: {row["name"] for row in status(layout) if row["state"] == "ended"} == {name}, "the component has ended"
    )
    up(layout, report=told)
    after = pids(layout)
    assert told.those("starting") == {name}
    assert {other for other in before if after[other] != before[other]} == {name}
    assert all(row["state"] == "running" for row in status(layout))


def test_a_killed_database_comes_back_with_its_data(settings: StackSettings, layout: Layout) -> None:
    before = pids(layout)
    os.kill(before["postgres"], signal.SIGKILL)
    up(layout)
    assert pids(layout)["postgres"] != before["postgres"]
    assert airflow(settings, "GET", "/api/v2/pools/lifecycle")["slots"] == 3


def test_down_leaves_nothing_not_even_a_running_task(
    settings: StackSettings, layout: Layout, bystander: subprocess.Popen[bytes]
) -> None:
    wait_until(
        lambda: airflow(settings, "GET", "/api/v2/dags?dag_id_pattern=sleeper")["total_entries"] == 1,
        "Airflow knows the DAG",
    )
    airflow(settings, "POST", "/api/v2/dags/sleeper/dagRuns", {"logical_date": None})
    stack_id = settings.secrets.stack_id
    wait_until(lambda: ["sleep", "654"] in words_of(processes.marked(stack_id)), "the task runs")
    ours = {p.pid for p in processes.marked(stack_id)}
    for entry in StackState(layout).components.values():
        ours |= {p.pid for p in processes.family(entry.pid, entry.mark)}
    assert len(ours) > 15

    down(layout)
    assert [pid for pid in ours if processes.start_mark(pid) is not None] == []
    assert processes.marked(stack_id) == []
    assert {row["state"] for row in status(layout)} == {"stopped"}
    assert down(layout) == []
    assert bystander.poll() is None


def test_a_place_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root writes into any folder of a disk; the kernel's own file system refuses root as well.
        place = Path("/proc/imago") if not Path("/sys/kernel").exists() else Path("/sys/kernel/imago")
    else:
        tmp_path.chmod(0o500)
        place = tmp_path / ".imago"
    with pytest.raises(StackError) as caught:
        up(Layout(root=place, project=tmp_path))
    assert "cannot be written" in caught.value.message
    assert "IMAGO_HOME" in caught.value.next_step


def airflow(settings: StackSettings, method: str, path: str, body: dict | None = None) -> dict:
    """One call of Airflow's REST API as the person that logs in."""
    url = settings.url("airflow-api")
    login = {"username": "admin", "password": settings.secrets.airflow_password}
    token = httpx.post(f"{url}/auth/token", json=login, trust_env=False, timeout=HANGS).json()["access_token"]
    answer = httpx.request(
        method, f"{url}{path}", json=body, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=HANGS
    )
    answer.raise_for_status()
    return answer.json()


def words_of(running: Iterable[psutil.Process]) -> list[list[str]]:
    """The command lines of those that have not ended meanwhile."""
    found = []
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.cmdline())
    return found


def test_the_settings_of_a_stopped_stack_can_still_be_read(settings: StackSettings, layout: Layout) -> None:
    assert current_settings(layout, StackState(layout)).secrets == settings.secrets
