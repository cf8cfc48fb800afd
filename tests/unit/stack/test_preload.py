"""What Airflow loads once for all tasks has to leave the process alive that forks them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from imago.stack.settings import PRELOAD
from tests.waiting import HANGS

FORKING = textwrap.dedent("""
    import multiprocessing, os, sys

    def told(answers):
        answers.put([name for name in sys.argv[1:] if name not in sys.modules])

    if __name__ == "__main__":
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(sys.argv[1:])
        answers = processes.SimpleQueue()
        task = processes.Process(target=told, args=(answers,))
        task.start()  # EOFError where the server has ended
        print("not loaded:", answers.get())
""")


def test_tasks_are_forked_with_everything_preloaded(tmp_path):
    script = tmp_path / "forking.py"
    script.write_text(FORKING)
    done = subprocess.run([sys.executable, str(script), *PRELOAD], capture_output=True, text=True, timeout=HANGS)
    assert "not loaded: []" in done.stdout, done.stderr
