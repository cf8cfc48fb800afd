"""Kill -9 at every step of a real refresh: `python -m proofs.kills --kills 100`.

Two lanes, each an environment of its own (real Postgres, storage in a folder, real dbt). Again and again a raw file is
delivered anew, so that the day's features have other content; a refresh is started in a process of its own and killed;
a reader reads the day all the while. Then the refresh is tried again, and what is left is judged:

- readers saw the whole old day or the whole new one, and nothing else;
- the retry left exactly the rows of the new content, in exactly one version;
- the ledger says what the table holds;
- what the dead left lies in staging, or is a file that no version of the table knows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from imago.context import RunContext
from imago.jobs.landing import land
from imago.landing.deliver import write_delivery
from imago.storage import Storage
from imago.tables import Table
from imago.tables.digest import content_digest
from proofs import killing
from proofs.aftermath import Case, reading, standing
from proofs.killing import Kill
from proofs.postgres import new_environment, postgres

FIRST, DAY = "2013-03-01", "2013-03-03"
LANES = 2
# Every so many kills the day was never published before: the first publish of a table.
FRESH = 5
_MIGRATING = threading.Lock()  # alembic keeps its state in globals
KEY = ("flight_key",)


@dataclass(frozen=True)
class Kills:
    """What came of it: how many processes died, in how many cases a reader saw a torn day, how many retries converged,
    how often the day was read meanwhile, and what is wrong, one sentence each."""

    kills: int
    torn: int
    converged: int
    reads: int
    seconds: float
    broken: tuple[str, ...]


def run(kills: int, url: str | None = None) -> Kills:
    """Kills that many refreshes, and retries each. `url`: a Postgres to use, else one of its own."""
    started = time.monotonic()
    os.environ |= {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*killing.PRELOAD, "proofs.killing"])
    plan = killing.plan(kills)
    with (
        nullcontext(url) if url else postgres() as server,
        tempfile.TemporaryDirectory(prefix="imago-kills-") as folder,
        ThreadPoolExecutor(LANES) as pool,
    ):
        os.environ.setdefault("IMAGO_HOME", f"{folder}/home")
        lanes = [Lane(server, Path(folder) / f"lane{number}", context) for number in range(LANES)]
        for done in [pool.submit(lane.run, plan[number::LANES]) for number, lane in enumerate(lanes)]:
            done.result()
    cases = [case for lane in lanes for case in lane.cases]
    return Kills(
        kills=sum(case.killed for case in cases),
        torn=sum(bool(case.torn) for case in cases),
        converged=sum(case.killed and not case.wrong for case in cases),
        reads=sum(case.reads for case in cases),
        seconds=round(time.monotonic() - started, 1),
        broken=tuple(f"{case.what}: {what}" for case in cases for what in (*case.torn, *case.wrong)),
    )


class Lane:
    """One environment in which refreshes die, one after the other."""

    def __init__(self, url: str, folder: Path, context: Any) -> None:
        self.url, self.folder, self.context = url, folder, context
        self.cases: list[Case] = []
        self.usual = 0.0

    def run(self, kills: list[Kill]) -> None:
        """All kills of this lane."""
        self._new_environment()
        land(self.env, FIRST, DAY, RunContext(run_id="land"))
        self._prepare()
        for number, kill in enumerate(kills):
            if number % FRESH == FRESH - 1:
                self._new_environment()
            self.cases.append(self._killed(kill, number % 2))

    def _killed(self, kill: Kill, number: int) -> Case:
        """One kill. A moment that came after the refresh had ended is tried again, earlier."""
        case = self._one(kill, number)
        while kill.step is None and not case.killed and not case.torn and kill.at > 0.01:
            kill = replace(kill, at=kill.at * 0.8)
            case = self._one(kill, number)
        return case

    def _new_environment(self) -> None:
        """A new ledger schema and no table; the raw files stay where they are."""
        for name in ("tables", "staging", "audits"):
            shutil.rmtree(self.folder / "storage-dev" / name, ignore_errors=True)
        with _MIGRATING:
            self.env = new_environment(self.url, self.folder)
        self.table = Table(self.env, "flight_delays", "features")
        self.published: str | None = None

    def _prepare(self) -> None:
        """The two contents of the day, and the digest that each has when nobody dies."""
        storage = Storage(self.env)
        self.raw = next(name for name in storage.list(f"raw/weather/ds={DAY}") if name.endswith(".parquet"))
        first = storage.read_parquet(self.raw)
        place = first.column_names.index("temp")
        self.contents = [first, first.set_column(place, "temp", pc.add(first["temp"], 1.0))]
        self.digests: list[str] = []
        for number in (0, 1):
            self._deliver(number)
            started = time.monotonic()
            process, _ = self._start(None)
            process.join()
            self.usual = time.monotonic() - started
            self.published = content_digest(self.table.require(DAY), KEY)
            self.digests.append(self.published)

    def _deliver(self, number: int) -> None:
        write_delivery(Storage(self.env), self.raw, self.contents[number])

    def _one(self, kill: Kill, number: int) -> Case:
        case = Case(str(kill))
        content = number if self.published != self.digests[number] else 1 - number
        wanted, before = self.digests[content], self.table.version()
        self._deliver(content)
        with reading(case, self.table, DAY, KEY, {self.published, wanted}):
            process, _ = self._start(kill)
            if kill.step is None:
                process.join(self.usual * kill.at)
                process.kill()
            process.join(120)
            case.killed = process.exitcode == -9
            if not case.killed:
                case.wrong.append(f"the refresh was not killed, but ended with {process.exitcode}")
            process.kill()
            process, report = self._start(None)
            process.join(120)
        if process.exitcode != 0 or report.empty():
            case.wrong.append(f"the retry ended with {process.exitcode}")
            return case
        self._judge(case, wanted, before)
        self.published = wanted
        shutil.rmtree(self.folder / "storage-dev/staging", ignore_errors=True)
        return case

    def _start(self, kill: Kill | None) -> tuple[Any, Any]:
        begun, report = self.context.Event(), self.context.SimpleQueue()
        run_id = f"run-{uuid.uuid4().hex[:8]}"
        process = self.context.Process(
            target=killing.refresh, args=(self.env, FIRST, DAY, run_id, kill, begun, report), daemon=True
        )
        process.start()
        begun.wait(60)
        return process, report

    def _judge(self, case: Case, wanted: str, before: int | None) -> None:
        case.wrong += standing(self.table, DAY, KEY, wanted, before)
        case.wrong += self._leftovers()

    def _leftovers(self) -> list[str]:
        """What the dead left outside of staging, after a vacuum and apart from Delta's own log."""
        root = Path(self.env.storage_root)
        staged = {path.parts[len(root.parts) + 2] for path in root.glob("staging/*/*/*")}
        wrong = [] if len(staged) <= 1 else [f"staging holds {len(staged)} attempts: {sorted(staged)}"]
        handle = self.table.open()
        assert handle is not None
        live = {Path(uri) for uri in handle.file_uris()}
        known = {
            root / self.table.relative / path
            for commit in handle.history()
            for day in killing.days_of(commit)
            for path in day["files"]
        }
        for path in (root / self.table.relative).glob("ds=*/*"):
            if path not in live | known:
                path.unlink()  # as a vacuum does, once it is old
        if not all(path.exists() for path in live):
            wrong.append("a live file is gone")
        return wrong


def main(given: list[str] | None = None) -> int:
    """Prints what came of it; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m proofs.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    found = run(parser.parse_args(given).kills)
    for what in found.broken:
        print(f"  {what}")
    print(
        f"{found.kills} kills: {found.torn} torn, {found.converged} converged; "
        f"the day was read {found.reads} times meanwhile; {found.seconds:.0f} s"
    )
    return int(bool(found.broken))


if __name__ == "__main__":
    sys.exit(main())
