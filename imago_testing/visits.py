"""A dbt project, raw files and a spec around an entity of any columns: who visited on a day, and what each visit was
worth. Written for one drawn key at a time; the same visitors may come on every day."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import pyarrow as pa

from imago.days import parse_day
from imago.environments import Environment
from imago.specs import Baseline, Candidate, Feature, Guardrails, ModelSpec, Training
from imago_testing.worlds.pipelines import linear, rule
from imago_testing.worlds.project import SHIPPED

SHARED = ("dbt_project.yml", "profiles.yml", "macros", "tests")
RANGES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True)
class Visits:
    """`entity` maps each column of the key to its SQL type."""

    entity: Mapping[str, str]

    @property
    def spec(self) -> ModelSpec:
        """A model of these visitors."""
        names = tuple(self.entity)
        return ModelSpec(
            name="visits",
            owner="tests",
            description="Will the visitor buy?",
            entity_key=names[0] if len(names) == 1 else names,
            problem="binary",
            label="bought",
            label_delay_days=1,
            first_day="2024-01-01",
            timezone="UTC",
            feature_model="visits_features",
            outcome_model="visits_outcomes",
            features=(Feature(name="worth", kind="numeric"), Feature(name="visits", kind="numeric")),
            candidates=(Candidate(name="line", build=linear, why="a line"),),
            baselines=(Baseline(name="prior", build=rule("PriorRate"), why="the share that buys"),),
            primary_metric="roc_auc",
            smallest_effect=0.01,
            guardrails=Guardrails(floor=0.5, ceiling=0.999),
            training=Training(window_days=60, warmup_days=0, tuning_days=0, holdout_days=7),
        )

    def write_project(self, folder: Path) -> Path:
        """Writes the dbt project into `folder`, made anew, and returns it."""
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        for name in SHARED:
            source = SHIPPED / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        keys = ", ".join(self.entity)
        columns = ", ".join(repr(name) for name in (*self.entity, *_RAW))
        raw = f"{{{{ raw_rows('visits', [{columns}], run_day('first_day'), run_day('last_day')) }}}}"
        models = {
            "staging/stg_visits": f"with source as ({raw})\nselect * from source\n",
            "features/visits_features": (
                f"select {keys}, ds, min(event_time) as event_time, sum(value) as worth,\n"
                f"    cast(count(*) as double precision) as visits\n"
                f"from {{{{ ref('stg_visits') }}}} group by {keys}, ds\n"
            ),
            "outcomes/visits_outcomes": (
                f"select {keys}, ds, min(event_time) as event_time, cast(max(bought) as integer) as bought,\n"
                f"    max(known_at) as known_at\nfrom {{{{ ref('stg_visits') }}}} group by {keys}, ds\n"
            ),
        }
        for name, sql in models.items():
            path = folder / "models" / f"{name}.sql"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sql, encoding="utf-8")
        (folder / "models/staging/sources.yml").write_text(self._sources(), encoding="utf-8")
        number = {"worth": "double precision", "visits": "double precision"}
        truth = {"bought": "integer", "known_at": "timestamp"}
        for name, promised in (("features", number), ("outcomes", truth)):
            (folder / f"models/{name}/visits_{name}.yml").write_text(self._contract(name, promised), encoding="utf-8")
        return folder

    def deliver(self, env: Environment, ds: str, rows: Mapping[str, pa.Array | list[object]], **columns: object) -> str:
        """Writes the raw file of a day; `rows` are the columns of the entity, and `value` and `bought` where given."""
        from imago.landing.deliver import write_delivery
        from imago.storage import Storage

        count = len(next(iter(rows.values())))
        moment = datetime.combine(parse_day(ds), time()) - timedelta(hours=1)
        told = {
            "value": [1.0] * count,
            "bought": pa.array([place % 2 for place in range(count)], pa.int32()),
            **rows,
            "event_time": pa.array([moment + timedelta(hours=10)] * count, pa.timestamp("us")),
            "day": [ds] * count,
            "known_at": pa.array([moment] * count, pa.timestamp("us")),
            **columns,
        }
        path = f"raw/visits/ds={ds}/{moment:%Y%m%dT%H%M%SZ}.parquet"
        order = [*self.entity, "value", "bought", "event_time", "day", "known_at"]
        write_delivery(Storage(env), path, pa.table({name: told[name] for name in order}))
        return path

    def _sources(self) -> str:
        kinds = {
            **self.entity,
            "value": "double precision",
            "bought": "integer",
            "event_time": "timestamp",
            "day": "varchar",
            "known_at": "timestamp",
        }
        key = ", ".join([*self.entity, "value", "day"])
        return (
            "version: 2\nsources:\n  - name: raw\n    schema: raw\n    tables:\n      - name: visits\n"
            f"        config: {{meta: {{key: [{key}], day: day, checksum: none}}}}\n        columns:\n"
            + "".join(_column(name, kind, raw=True) for name, kind in kinds.items())
        )

    def _contract(self, name: str, columns: Mapping[str, str]) -> str:
        lines: Iterable[str] = (_column(one, kind) for one, kind in {**self.entity, "ds": "varchar",
                                "event_time": "timestamp", **columns}.items())  # fmt: skip
        unique = ", ".join([*self.entity, "ds"])
        return (
            f"version: 2\nmodels:\n  - name: visits_{name}\n    config:\n      contract: {{enforced: true}}\n"
            "      meta:\n        raw: {visits: {days: [0, 0], delivered: [-30, 0]}}\n"
            "        volume: {at_least: 1, at_most: 100000000, of_weekday: [0.01, 100], warn_of_weekday: [0.5, 2]}\n"
            "    data_tests:\n      - not_empty\n      - within_contract\n"
            f"      - unique_together: {{arguments: {{columns: [{unique}]}}}}\n    columns:\n" + "".join(lines)
        )


_RAW = ("value", "bought", "event_time", "known_at")


def _column(name: str, kind: str, *, raw: bool = False) -> str:
    meta = ["nullable: false"]
    if kind in RANGES:
        meta += [f"at_least: {-RANGES[kind]}", f"at_most: {RANGES[kind] - 1}"]
    elif kind == "double precision":
        meta += ["at_least: -1.0e+300", "at_most: 1.0e+300"]
    elif name == "ds":
        meta.append(f'pattern: "{DAY}"')
    rules = ", ".join(meta)
    return f"{'    ' if raw else ''}      - {{name: {name}, data_type: '{kind}', config: {{meta: {{{rules}}}}}}}\n"
