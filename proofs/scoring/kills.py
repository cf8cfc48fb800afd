"""A SIGKILL before and after every storage request of a scoring task, on a folder and on a real S3 server.

Again and again the day's features are corrected, so that its predictions have other content; a scoring task is started
in a process of its own and killed at its n-th request, while readers read the day. Then it is tried again, and what is
left is judged, for the predictions and for the profile that is published beside them:

- readers saw the whole old day or the whole new one, and nothing else;
- the retry left exactly the rows of the new content, in exactly one version;
- the ledger says what the table holds.

Nothing lists the requests: n rises until a task ends without an n-th request. On a folder the requests are counted in
the task (`requests`), on S3 by a wire between the task and the server (`wire`).
"""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imago.context import RunContext
from imago.environments import Environment
from imago.tables.digest import content_digest
from proofs.aftermath import Case, reading, standing
from proofs.postgres import new_environment
from proofs.report import Report
from proofs.scoring import naive
from proofs.scoring.requests import Kill, When, count
from proofs.scoring.wire import Wire, wire
from proofs.scoring.world import FIRST, KEY, SPEC, World, corrected, publish, table
from proofs.seaweed import object_store, on_s3

# What a scoring task imports: once, in the process that the dying ones are forked from, as Airflow's workers are.
PRELOAD = ("imago.jobs.scoring", "imago.jobs.monitoring", "imago.jobs.serving", "imago.registry.loading",
           "imago.tables.publish", "onnxruntime", "sklearn.linear_model", "sklearn.pipeline", "skops.io")  # fmt: skip
TABLES = {"predictions": KEY, "profiles": ("column",)}
# Every so many kills the day was never published before: the first publish of a table.
FRESH = 8
PATIENCE = 120


def run(url: str, world: World, place: str, when: When, *, kills: int | None = None) -> Report:
    """Kills at every request, or at about that many of them. `place` is `folder` or `S3`."""
    report = Report(f"kills {when} a request, on {'a folder' if place == 'folder' else place}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imago-kills-")))
        settings = on_s3(stack.enter_context(object_store())) if place == "S3" else {}
        between = stack.enter_context(wire(settings["s3_endpoint"])) if settings else None
        lane = _Lane(url, world, folder, settings, between)
        number, step = 1, max(1, lane.requests // kills) if kills else 1
        while lane.killed(Kill(number, when)):
            number += step
    for case in lane.cases:
        report.check(case.what, not case.torn and not case.wrong, "; ".join([*case.torn, *case.wrong]))
    killed = sum(case.killed for case in lane.cases)
    # A task that begins with an empty table asks less than the one that was counted.
    least = (kills or lane.requests) * 3 // 4
    report.check("the task was killed at its requests", killed >= least > 0, f"{killed} kills")
    report.say(
        f"{killed} kills over the {lane.requests} storage requests of a task: "
        f"{sum(bool(case.torn) for case in lane.cases)} broken reads of {sum(case.reads for case in lane.cases):,}, "
        f"{sum(not case.wrong for case in lane.cases)} of {len(lane.cases)} converged"
    )
    return report


@dataclass
class _Lane:
    """One place in which scoring tasks die, one after the other."""

    url: str
    world: World
    folder: Path
    settings: dict[str, Any]
    between: Wire | None
    requests: int = 0
    cases: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes: Any = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload([*PRELOAD, __name__])
        rows = self.world.features([FIRST])
        self.contents = [corrected(rows, by) for by in (0.0, 1.0)]
        self.counted = self.processes.SimpleQueue()
        self._new_environment()
        # What each content gives when nobody dies.
        self.wanted = []
        for content in self.contents:
            publish(self.env, content)
            assert self._scored(None) == 0, "the task ends well when nobody kills it"
            self.requests = self.counted.get() if self.between is None else self.between.seen
            self.wanted.append(self._digests())
        self.now: int | None = 1

    def _new_environment(self) -> None:
        """A new ledger schema and storage root, furnished with the day and its champion."""
        name = uuid.uuid4().hex[:8]
        settings = {**self.settings}
        if settings:
            settings["storage_root"] = f"{settings['storage_root']}/{name}"
        self.env = new_environment(self.url, self.folder / name, **settings)
        self.world.furnish(self.env, [FIRST], reigns=1)
        self.now = None

    def _digests(self) -> dict[str, str]:
        return {name: content_digest(table(self.env, name).require(FIRST), key) for name, key in TABLES.items()}

    def killed(self, kill: Kill) -> bool:
        """One kill and its retry; False when the task ended before it came to it."""
        if len(self.cases) % FRESH == FRESH - 1:
            self._new_environment()
        content = 0 if self.now is None else 1 - self.now
        publish(self.env, self.contents[content])
        case = Case(str(kill))
        before = {name: table(self.env, name).version() for name in TABLES}
        with self._readers(case, content):
            code = self._scored(kill)
            case.killed = code == -9
            if not case.killed and code != 0:
                case.wrong.append(f"the task was not killed, but ended with {code}")
            if case.killed and (code := self._scored(None)) != 0:
                case.wrong.append(f"the retry ended with {code}")
        if case.killed or case.wrong:
            for name, key in TABLES.items():
                wrong = standing(table(self.env, name), FIRST, key, self.wanted[content][name], before[name])
                case.wrong += [f"{name}: {what}" for what in wrong]
            self.cases.append(case)
        self.now = content
        return case.killed

    @contextmanager
    def _readers(self, case: Case, content: int) -> Iterator[None]:
        def whole(name: str) -> set[str | None]:
            return {self.wanted[content][name], None if self.now is None else self.wanted[self.now][name]}

        with (
            reading(case, table(self.env, "predictions"), FIRST, KEY, whole("predictions"), pause=0.05),
            reading(case, table(self.env, "profiles"), FIRST, TABLES["profiles"], whole("profiles"), pause=0.05),
        ):
            yield

    def _scored(self, kill: Kill | None) -> int:
        """Runs a scoring task in a process of its own; how it ended."""
        env = self.env
        if self.between is not None:
            self.between.arm(kill)
            env = env.model_copy(update={"s3_endpoint": self.between.url})
        aimed = self.processes.Event()
        run_id = f"run-{uuid.uuid4().hex[:8]}"
        process = self.processes.Process(
            target=_score, args=(env, run_id, kill, aimed, self.counted if self.between is None else None), daemon=True
        )
        process.start()
        if self.between is not None:
            self.between.aim(process.pid)
        aimed.set()
        process.join(PATIENCE)
        process.kill()
        process.join()
        return int(process.exitcode)


def _score(env: Environment, run_id: str, kill: Kill | None, aimed: Any, counted: Any) -> None:
    """The scoring of the day, in a process of its own; dies as `kill` says. `counted` gets how often it asked its
    storage; None where a wire counts."""
    from imago.jobs import scoring

    logging.disable(logging.ERROR)
    aimed.wait(PATIENCE)
    naive.plant()
    counter = count(env.storage_root, kill) if counted is not None else None
    scoring.score(env, SPEC, FIRST, RunContext(run_id=run_id, code_commit="proof"))
    if counter is not None and kill is None and counted.empty():
        counted.put(len(counter.names))
