"""Knowing a process again, ending what it left behind, and finding a free port."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from imago.stack import processes
from imago.stack.ports import answers, choose, is_free
from imago.stack.processes import STACK_VARIABLE, end, family, is_alive, marked, spawn, start_mark
from tests.waiting import wait_until

# A leader that forks a child which survives it.
_LEADER = "import subprocess, time; print(subprocess.Popen(['sleep', '3600']).pid, flush=True); time.sleep(3600)"


def start(tmp_path: Path, code: str, **variables: str) -> processes.Started:
    environment = {**os.environ, **variables}
    return spawn([sys.executable, "-c", code], environment=environment, log=tmp_path / "log", folder=tmp_path)


def child_pid(tmp_path: Path) -> int:
    wait_until((tmp_path / "log").read_text, "the process says its number")
    return int((tmp_path / "log").read_text())


def test_a_pid_that_was_given_to_another_process_is_not_ours() -> None:
    mine = os.getpid()
    assert is_alive(mine, start_mark(mine))
    assert not is_alive(mine, "another-mark")
    assert not is_alive(None, None)


def test_a_process_that_ended_is_not_alive_even_while_nobody_reaped_it() -> None:
    process = subprocess.Popen(["true"])
    mark = start_mark(process.pid)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "the process has ended")
    assert not is_alive(process.pid, mark)
    process.wait()


def test_what_a_killed_leader_left_behind_is_found_and_ended(tmp_path: Path) -> None:
    leader = start(tmp_path, _LEADER)
    child = child_pid(tmp_path)
    os.kill(leader.pid, signal.SIGKILL)
    leader.popen.wait()
    assert child in {process.pid for process in family(leader.pid, leader.mark)}
    end(family(leader.pid, leader.mark), gently=signal.SIGTERM, patience=2)
    assert start_mark(child) is None


def test_a_child_in_a_session_of_its_own_is_found_by_the_stack_id(tmp_path: Path) -> None:
    code = _LEADER.replace("['sleep', '3600']", "['sleep', '3600'], start_new_session=True")
    leader = start(tmp_path, code, **{STACK_VARIABLE: "test-stack/one"})
    child = child_pid(tmp_path)
    os.kill(leader.pid, signal.SIGKILL)
    leader.popen.wait()
    assert {process.pid for process in marked("test-stack")} == {child}
    assert marked("test-stack", component="two") == []
    end(marked("test-stack", component="one"), gently=None, patience=0)
    assert start_mark(child) is None


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = start(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(3600)"
    )
    child_pid(tmp_path)
    end(family(stubborn.pid, stubborn.mark), gently=signal.SIGTERM, patience=0.2)
    assert start_mark(stubborn.pid) is None


def test_a_taken_port_is_left_to_its_owner() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        assert not is_free(taken)
        assert choose(preferred=taken, taken=set()) != taken
    assert choose(preferred=taken, taken=set()) == taken
    assert choose(preferred=taken, taken={taken}) != taken


def test_a_port_where_nobody_listens_gives_no_answer() -> None:
    assert answers(choose(preferred=None, taken=set())) is None
