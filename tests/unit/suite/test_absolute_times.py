"""A test that holds a time passes on one machine and fails on the next: machines differ by a factor of two and more."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[2]
CLOCKS = {
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "monotonic",
    "monotonic_ns",
    "thread_time",
}


def clocks_of(source: str) -> set[str]:
    """The stop-watches that a module reads."""
    nodes = list(ast.walk(ast.parse(source)))
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return named & CLOCKS


def test_no_test_reads_a_stop_watch():
    readers = {
        str(path.relative_to(TESTS)): sorted(clocks)
        for path in TESTS.rglob("*.py")
        if path.name != "waiting.py" and (clocks := clocks_of(path.read_text()))
    }
    assert readers == {}, (
        "count what is done (imports, calls, rows), order two events by what causes them, or wait with "
        "tests.waiting.wait_until; a speed belongs into benchmarks/, as a ratio"
    )


def test_a_stop_watch_is_noticed_in_each_form():
    assert clocks_of("import time\nbegan = time.monotonic()") == {"monotonic"}
    assert clocks_of("from time import perf_counter as now") == {"perf_counter"}
    assert clocks_of("import time\ntime.sleep(1)") == set()
