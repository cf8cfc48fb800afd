"""The proof of scoring finds what was got wrong on purpose; its instruments are tried on what is counted by hand."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from imago.context import RunContext
from imago.tables import Table, commits, files
from imago.tables.digest import content_digest
from imago.tables.publish import Attempt
from proofs.aftermath import Case, reading, standing
from proofs.report import Report
from proofs.scoring import damage, naive, pausing
from proofs.scoring.champions import replay
from proofs.scoring.requests import Kill, count
from proofs.scoring.wire import wire
from tests.waiting import HANGS

DAY, KEY = "2013-01-01", ("flight_key",)
RUN = RunContext(run_id="run-1")


def rows(value: float) -> pa.Table:
    return pa.table({"flight_key": ["a", "b"], "ds": [DAY, DAY], "rate": [value, value]})


@pytest.fixture
def table(dev) -> Table:
    return Table(dev, "flight_delays", "features")


def publish(table: Table, value: float):
    return table.publish(rows(value), days=[DAY], key=KEY, fence=table.draw_fence(), context=RUN)


def digest(value: float) -> str:
    return content_digest(rows(value), KEY)


# --- readers and what stands ---


def published_beside_readers(table: Table) -> Case:
    publish(table, 0.0)
    case = Case("publishes beside readers")
    with reading(case, table, DAY, KEY, {digest(0.0), digest(1.0)}, pause=0):
        for number in range(1, 9):
            publish(table, float(number % 2))
    return case


def test_readers_beside_a_publish_see_whole_days_only(table):
    case = published_beside_readers(table)
    assert case.reads > 0
    assert case.torn == []


def test_readers_beside_a_delete_and_a_write_see_a_torn_day(table, monkeypatch):
    monkeypatch.setattr(commits, "exchange", commits.exchange)  # put back at the end
    naive.plant("delete-then-write")
    # A reader has to come in between, which takes a few tries on a busy machine.
    assert any(published_beside_readers(table).torn for _ in range(20))


def test_a_publish_of_what_stands_already_is_counted_as_a_second_version(table, monkeypatch):
    publish(table, 1.0)
    before = table.version()
    publish(table, 2.0)
    publish(table, 2.0)
    assert standing(table, DAY, KEY, digest(2.0), before) == []
    monkeypatch.setattr(Attempt, "_holds", Attempt._holds)
    naive.plant("always-anew")
    publish(table, 2.0)
    assert standing(table, DAY, KEY, digest(2.0), before) == ["2 versions instead of one"]
    assert "the retry did not converge to the day's content" in standing(table, DAY, KEY, digest(3.0), before)


def test_without_a_fence_an_overtaken_attempt_puts_its_old_rows_back(table, monkeypatch):
    monkeypatch.setattr(Attempt, "_check_fences", Attempt._check_fences)
    naive.plant("no-fence")
    sleeper = table.draw_fence()
    publish(table, 2.0)
    before = table.version()
    table.publish(rows(1.0), days=[DAY], key=KEY, fence=sleeper, context=RUN)
    assert standing(table, DAY, KEY, digest(2.0), before)


# --- damage ---


def damaged(table: Table) -> Report:
    (uri,) = table.files([DAY])
    report, target = Report("damage"), damage.Target("features", Path(uri), lambda: table.require(DAY).to_pylist())
    for number in range(40):
        damage._tried(report, target, number)
    return report


def test_damage_is_caught_and_found_where_nobody_proves_the_bytes(table, monkeypatch):
    publish(table, 1.0)
    assert (damaged(table).cases, damaged(table).failures) == (40, [])
    monkeypatch.setattr(files, "_compare", files._compare)
    naive.plant("unproved")
    assert damaged(table).failures


# --- requests ---


def ask(folder: str, kill: Kill | None) -> None:
    """Four requests: a file is opened, written into, closed, and moved."""
    count(folder, kill)
    real = fs.LocalFileSystem()
    with real.open_output_stream(f"{folder}/draft") as file:
        file.write(b"whole")
    real.move(f"{folder}/draft", f"{folder}/done")


@pytest.mark.parametrize(
    ("kill", "left", "code"),
    [
        (Kill(1, "before"), {}, -9),
        (Kill(1, "after"), {"draft": b""}, -9),
        (Kill(3, "after"), {"draft": b"whole"}, -9),
        (Kill(4, "before"), {"draft": b"whole"}, -9),
        (Kill(4, "after"), {"done": b"whole"}, -9),
        (Kill(5, "before"), {"done": b"whole"}, 0),
    ],
)
def test_a_task_dies_before_or_after_its_nth_request(tmp_path, kill, left, code):
    process = multiprocessing.get_context("fork").Process(target=ask, args=(str(tmp_path), kill))
    process.start()
    process.join(HANGS)
    assert process.exitcode == code
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


class Server(BaseHTTPRequestHandler):
    """Answers every request with its number, and remembers the bodies."""

    protocol_version = "HTTP/1.1"
    came: list[bytes]

    def do_PUT(self) -> None:
        self.came.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(str(len(self.came)).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Server,), {"came": []}))
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize(("when", "came"), [("before", [b"one"]), ("after", [b"one", b"two"])])
def test_a_wire_kills_before_the_server_is_asked_or_after_it_answered(server, when, came):
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])
    with wire(f"http://127.0.0.1:{server.server_port}") as between:
        between.arm(Kill(2, when))
        between.aim(victim.pid)
        client = http.client.HTTPConnection(between.url.removeprefix("http://"), timeout=HANGS)
        client.request("PUT", "/bucket/key", body=b"one")
        assert client.getresponse().read() == b"1"
        client.request("PUT", "/bucket/key", body=b"two")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            client.getresponse()
        client.close()
    assert victim.wait(HANGS) == -signal.SIGKILL
    assert server.RequestHandlerClass.came == came
    assert between.names == ["PUT /bucket/key"] * 2


# --- attempts ---


def test_an_attempt_with_an_order_stands_still_just_before_its_commit_and_says_how_it_ended(tmp_path):
    (tmp_path / f"{DAY}.order").write_text("stop")
    process = multiprocessing.get_context("fork").Process(target=stopped_attempt, args=(tmp_path,))
    process.start()
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{DAY}.stopped", f"{DAY}.taken"]
    os.kill(process.pid, signal.SIGCONT)
    os.waitpid(process.pid, 0)
    assert (tmp_path / f"{DAY}.outcome").read_text() == '{"changed": true, "version": 7}'
    assert (tmp_path / "committed").exists()


def stopped_attempt(folder: Path) -> None:
    commit = type(sys)("commit")
    commit.exchange = lambda table, name, days: (folder / "committed").touch()
    pausing._wrap_commit(folder, commit)
    job = type(sys)("job")

    def score(env, spec, ds):
        assert not (folder / "committed").exists()
        commit.exchange(None, "predictions", [ds])
        return {"changed": True, "version": 7}

    job.score = score
    pausing._wrap_job(folder, job)
    job.score(None, None, DAY)


# --- champions ---


def test_a_replay_lays_reigns_over_one_another_in_the_order_of_the_decisions():
    ledger = [
        {"id": 3, "decided_at": 30, "effective_ds": "2013-01-05"},
        {"id": 1, "decided_at": 10, "effective_ds": "2013-01-03"},
        {"id": 2, "decided_at": 20, "effective_ds": "2013-01-09"},
    ]
    days = ("2013-01-02", "2013-01-03", "2013-01-04", "2013-01-05", "2013-01-09")
    assert [replay(ledger, ds) for ds in days] == [None, 1, 1, 3, 3]
    assert [replay(ledger[1:], ds) for ds in days] == [None, 1, 1, 1, 2]
