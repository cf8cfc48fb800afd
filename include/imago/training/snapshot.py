"""The frozen data of one training: read once, joined, ordered, and stored under the digest of its content.

    snapshots/{model}/{ds}/{digest}/rows.parquet      key, ds, event_time, features, label; ordered by day and key
    snapshots/{model}/{ds}/{digest}/manifest.json     pinned versions, cut, contract, rows, label rates, digests

Every contestant and every judge reads this file, so a table that moves on meanwhile changes nothing. The same content
gives the same folder. The versions that it was read from are pinned, so that it can be made from the tables again; the
manifest names those of the last freeze.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imago import keys
from imago.contracts import Contract
from imago.contracts.inputs import check_inputs
from imago.days import spans
from imago.environments import Environment
from imago.errors import ImagoError, MissingPartition, RefusedPartition
from imago.labels import truth_of
from imago.names import WRITERS
from imago.registry.inputs import check
from imago.specs import ModelSpec
from imago.storage import Storage
from imago.tables import Table
from imago.tables.digest import content_digest
from imago.training.cut import Cut, cut, moments, training_moment
from imago.training.pinning import pin_versions

log = logging.getLogger(__name__)
_SHOWN = 5
KNOWN_AT = "known_at"  # of an outcome: when its version was delivered, UTC
KNOWN_EARLY = "imago_known_before_tuning"  # of a row: whether its label was known when tuning began


@dataclass(frozen=True)
class Snapshot:
    """A stored snapshot. `folder` is relative to the storage root and names it in every later step."""

    folder: str
    manifest: Mapping[str, Any]
    rows: pa.Table

    @property
    def cut(self) -> Cut:
        return Cut.from_dict(self.manifest["cut"])

    @property
    def digest(self) -> str:
        return str(self.manifest["digest"])

    def of(self, spec: ModelSpec) -> Snapshot:
        """The snapshot back, when it holds the columns that the spec has by now. Raises ImagoError."""
        lacking = [name for name in (*spec.feature_names, spec.label) if name not in self.rows.column_names]
        if lacking:
            raise ImagoError(
                f"the training snapshot of {self.cut.training_ds} was frozen before {', '.join(lacking)} stood in the "
                "spec",
                model=spec.name,
                partition=self.cut.training_ds,
                column=lacking[0],
                rule="a training is of one set of features",
                allowed=", ".join(self.rows.column_names),
                seen=self.folder,
                next_step="clear the training run from its first task, so that it freezes a snapshot with them",
            )
        return self

    def part(self, name: str) -> pa.Table:
        """The rows of `train` (learned from for tuning), `tuning`, `fit` (learned from in the last fit) or
        `holdout`."""
        return part_of(self.rows, self.cut, name)

    def holdout_digest(self, spec: ModelSpec) -> str:
        return content_digest(self.part("holdout"), ("ds", *spec.entity_keys))


def part_of(rows: pa.Table, where: Cut, name: str) -> pa.Table:
    days = where.days(name)
    if not days:
        return rows.slice(0, 0)
    ds = rows.column("ds")
    found = rows.filter(pc.and_(pc.greater_equal(ds, days[0]), pc.less_equal(ds, days[-1])))
    if name == "train" and where.tuning_first and KNOWN_EARLY in found.column_names:
        return found.filter(found.column(KNOWN_EARLY))
    return found


def labels(rows: pa.Table, spec: ModelSpec) -> np.ndarray:
    """The truth of rows whose outcome is known; see `labels.truth_of`."""
    return truth_of(rows.column(spec.label), spec)


def label_words(part: Mapping[str, Any]) -> str:
    """The label of one part in a few words, from its entry in the snapshot's manifest."""
    if part.get("label_shares"):
        return ", ".join(f"{share:.1%} {name}" for name, share in part["label_shares"].items())
    return "no label" if part["label_mean"] is None else f"mean label {part['label_mean']:.4g}"


def freeze(environment: Environment, spec: ModelSpec, ds: str, *, contract: Contract, run_id: str) -> Snapshot:
    """Pins the newest versions of features and outcomes for the run, and stores their join for the training of `ds`.

    A label that was not known when the next part began (see `cut.moments`) takes no part. `contract` is that of
    the features; it is frozen with the rows, which have to keep it. Raises MissingPartition when a day of the cut is
    not published, RefusedPartition for rows outside of the contract, ImagoError when a part has no rows or one class
    only.
    """
    where, moment = cut(spec, ds), training_moment(spec, ds)
    wanted = where.days("all")
    log.info("the training of %s: %s", ds, where.in_words())
    tables = {name: Table(environment, spec.name, name) for name in ("features", "outcomes")}
    versions = {name: table.version() for name, table in tables.items()}
    inputs = {name: _published(environment, spec, table, wanted, versions[name]) for name, table in tables.items()}
    # Before anything is read: a vacuum that begins now leaves these versions alone.
    pin_versions(environment, spec.name, ds, versions, run_id=run_id)
    rows, later = rows_of(environment, spec, ds, versions)
    if later:
        log.warning(
            "%s outcomes are left out: they became known after %s UTC, when the holdout began, or, of the holdout's "
            "own, after %s UTC, the training moment", later, moments(spec, where)["fit"], moment,
        )  # fmt: skip
    _check_parts(rows, where, spec)
    joined = absent_days(tables["features"], versions["features"], rows, spec.feature_names)
    _check_contract(environment, spec, contract, rows, joined)
    inputs_of = [(feature.name, feature.kind) for feature in spec.features]
    check(rows, inputs_of, environment=environment.name, model=spec.name, table="features", partition=ds)
    digest = content_digest(rows, ("ds", *spec.entity_keys))
    storage, folder = Storage(environment), f"snapshots/{spec.name}/{ds}/{digest[:32]}"
    manifest = {
        "model": spec.name,
        "ds": ds,
        "digest": digest,
        "file_sha256": storage.write_parquet(f"{folder}/rows.parquet", rows),
        "cut": where.as_dict(),
        "days": [list(span) for span in where.purposes()],
        "known_by": moment.isoformat(),
        "outcomes_known_later": later,
        "versions": versions,
        "inputs": inputs,
        "parts": {name: _describe(part_of(rows, where, name), spec) for name in ("train", "tuning", "fit", "holdout")},
        "rows": rows.num_rows,
        "features": [[feature.name, feature.kind] for feature in spec.features],
        "joined": {name: _since(days, where) for name, days in joined.items()},
        "contract": contract.as_dict(),
    }
    # The manifest comes last: a snapshot without one does not exist.
    storage.write_bytes(f"{folder}/manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())
    return load(environment, folder)


def rows_of(
    environment: Environment, spec: ModelSpec, ds: str, versions: Mapping[str, int | None]
) -> tuple[pa.Table, int]:
    """The rows of the training of `ds` from these versions of features and outcomes, and how many outcomes were left
    out since they became known later. Pinned versions give a stored snapshot's very rows again."""
    where = cut(spec, ds)
    wanted = where.days("all")
    features, outcomes = (
        Table(environment, spec.name, name).read(wanted, version=versions[name]) for name in ("features", "outcomes")
    )
    for name, rows, columns in (
        ("features", features, (*spec.entity_keys, spec.event_time, *spec.feature_names)),
        ("outcomes", outcomes, (*spec.entity_keys, spec.label)),
    ):
        _check_columns(environment, spec, name, rows, columns)
    told = known_in_time(outcomes, where, spec)
    return join(features, told, spec), outcomes.num_rows - told.num_rows


def absent_days(
    table: Table, version: int | None, rows: pa.Table, features: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The days of `rows` that were published without a feature, which is null there: it joined later, or had left.
    Only the files of days on which all of it is null are asked."""
    days = pc.unique(rows.column("ds")).to_pylist()
    counted = rows.group_by("ds", use_threads=False).aggregate([(name, "count") for name in features])
    void = {name: counted["ds"].filter(pc.equal(counted[f"{name}_count"], 0)).to_pylist() for name in features}
    asked = sorted({ds for held in void.values() for ds in held})
    handle = table.open(version)
    if not asked or handle is None or not days:
        return {}
    stored = table.columns_of(handle, asked, version)
    absent = {
        name: tuple(ds for ds in sorted(held) if name not in stored.get(ds, (name,))) for name, held in void.items()
    }
    return {name: held for name, held in absent.items() if held}


def _since(absent: tuple[str, ...], where: Cut) -> str | None:
    """The first open day of the cut that has a feature which was absent on these days before it."""
    return next((ds for ds in where.days("all") if ds not in absent), None)


def _check_columns(
    environment: Environment, spec: ModelSpec, table: str, rows: pa.Table, columns: Iterable[str]
) -> None:
    """Refuses a table without a column that the spec names: no published day has it."""
    lacking = [name for name in columns if name not in rows.column_names]
    if not lacking:
        return
    stage, model = WRITERS[table], spec.feature_model if table == "features" else spec.outcome_model
    raise RefusedPartition(
        f"the spec names {', '.join(lacking)}, which no published day of {table} has",
        environment=environment.name,
        model=spec.name,
        table=table,
        column=lacking[0],
        rule="the spec's columns are the table's",
        allowed=", ".join(rows.column_names),
        seen="in the spec, not in the table",
        next_step=f"give {model} the column and run `imago run {stage} {spec.name} --ds DAY --to DAY --env "
        f"{environment.name}`, or take it out of the spec",
    )


def load(environment: Environment, folder: str) -> Snapshot:
    """The snapshot in `folder`, its file checked against the manifest's digest."""
    storage = Storage(environment)
    try:
        manifest = json.loads(storage.read_bytes(f"{folder}/manifest.json"))
        data = storage.read_bytes(f"{folder}/rows.parquet")
    except FileNotFoundError as error:
        raise MissingPartition(
            f"the training snapshot {folder} is not there",
            environment=environment.name,
            next_step="clear the training run from its first task, so that it freezes a snapshot",
        ) from error
    if hashlib.sha256(data).hexdigest() != manifest["file_sha256"]:
        raise ImagoError(
            "the training snapshot was changed after it was written",
            environment=environment.name,
            model=manifest["model"],
            rule="digest",
            seen=folder,
            next_step="delete the folder and clear the training run from its first task",
        )
    return Snapshot(folder, manifest, pq.read_table(io.BytesIO(data)))


def slice_values(spec: ModelSpec, rows: pa.Table) -> dict[str, np.ndarray]:
    """The spec's slices: column to each row's value as text, "" for a missing one."""
    return {
        name: np.asarray(rows.column(name).cast(pa.string()).fill_null("").to_numpy(), dtype=object)
        for name in spec.slices
    }


def join(features: pa.Table, outcomes: pa.Table, spec: ModelSpec) -> pa.Table:
    """The rows whose outcome is known, ordered by day and key, which makes a fit independent of how files were
    written."""
    marks = [KNOWN_EARLY] if KNOWN_EARLY in outcomes.column_names else []
    columns_known = ["ds", *spec.entity_keys, spec.label, *marks]
    known = outcomes.select(columns_known).filter(pc.is_valid(outcomes.column(spec.label)))
    # A part of the key may be the moment of its event, or a feature too.
    columns = dict.fromkeys(("ds", *spec.entity_keys, spec.event_time, *spec.feature_names, spec.label, *marks))
    return keys.join(features, known, spec.entity_keys).select(list(columns))


def known_in_time(outcomes: pa.Table, where: Cut, spec: ModelSpec) -> pa.Table:
    """The outcomes whose version was known when it had to be (see `cut.moments`), that very moment included, with the
    column `KNOWN_EARLY`."""
    if KNOWN_AT not in outcomes.column_names:
        raise ImagoError(
            "the outcomes do not say when they became known, so nobody can tell which labels a training may see",
            model=spec.name,
            table="outcomes",
            column=KNOWN_AT,
            rule="labels known at the training moment",
            next_step=f"give {spec.outcome_model} a column {KNOWN_AT}: when the row's version was delivered, UTC",
        )
    known = {
        part: pc.fill_null(pc.less_equal(outcomes.column(KNOWN_AT), pa.scalar(moment, pa.timestamp("us"))), False)
        for part, moment in moments(spec, where).items()
    }
    judges = pc.greater_equal(outcomes.column("ds"), where.holdout_first)
    marked = outcomes.append_column(KNOWN_EARLY, known["train"])
    return marked.filter(pc.if_else(judges, known["holdout"], known["fit"]))


def _published(
    environment: Environment, spec: ModelSpec, table: Table, wanted: tuple[str, ...], version: int | None
) -> dict[str, str]:
    """What stands behind the days of one table, in one digest. Raises MissingPartition for days that are not
    published."""
    found = {info.ds: info.digest for info in table.partitions()}
    missing = [day for day in wanted if day not in found]
    if missing:
        ranges = [first if first == last else f"{first} to {last}" for first, last in spans(missing)]
        shown = ", ".join(ranges[:_SHOWN]) + (f" and {len(ranges) - _SHOWN} more" if len(ranges) > _SHOWN else "")
        stage = WRITERS[table.name]
        raise MissingPartition(
            f"{len(missing)} of the {len(wanted)} open days that this training needs are not published: {shown}",
            environment=environment.name,
            model=spec.name,
            table=table.name,
            partition=missing[0],
            next_step=f"`imago run {stage} {spec.name} --ds {missing[0]} --to {missing[-1]} --env {environment.name}`, "
            "then train again; days on which the world is closed belong into `calendar` of the spec",
        )
    days = "\n".join(f"{day} {found[day]}" for day in wanted)
    return {"days": str(len(wanted)), "digest": hashlib.sha256(days.encode()).hexdigest(), "version": str(version)}


def _check_contract(
    environment: Environment,
    spec: ModelSpec,
    contract: Contract,
    rows: pa.Table,
    absent: Mapping[str, tuple[str, ...]],
) -> None:
    """Refuses rows outside of the contract. A feature is judged on the days that have it."""
    _check_kept(environment, spec, contract, rows, [name for name in spec.feature_names if name not in absent])
    for name, days in absent.items():
        having = rows.filter(pc.invert(pc.is_in(rows.column("ds"), pa.array(days))))
        if having.num_rows:
            _check_kept(environment, spec, contract, having, [name])


def _check_kept(
    environment: Environment, spec: ModelSpec, contract: Contract, rows: pa.Table, features: list[str]
) -> None:
    where = {"environment": environment.name, "model": spec.name, "table": "features"}
    found = check_inputs(contract, rows, features, where)
    if not found.broken:
        return
    days = pc.unique(rows.column("ds").filter(found.mask)).to_pylist()
    where["partition"] = f"{days[0]}..{days[-1]}"
    raise replace(found, where=where).refusal(
        "the published features do not keep the contract as it stands now",
        f"refresh the features of {days[0]} to {days[-1]}, or correct {contract.model}.yml",
    )


def _check_parts(rows: pa.Table, where: Cut, spec: ModelSpec) -> None:
    for name in ("train", "tuning", "fit", "holdout") if where.tuning_first else ("train", "holdout"):
        part = part_of(rows, where, name)
        days = where.days(name)
        facts = {
            "model": spec.name,
            "column": spec.label,
            "partition": f"{days[0]} to {days[-1]}",
            "rows": part.num_rows,
        }
        if not part.num_rows:
            raise ImagoError(
                f"the {name} part has no row with a known outcome", rule="rows > 0",
                next_step="check that the outcomes of these days have landed, were known in time, and join with the "
                f"features on ds and {', '.join(spec.entity_keys)}", **facts,
            )  # fmt: skip
        lacking = _lacking(name, np.unique(labels(part, spec)), spec)
        if lacking:
            needs, rule, allowed, seen = lacking
            raise ImagoError(
                f"the {name} part needs {needs}", rule=rule, allowed=allowed, seen=seen,
                next_step="check the label in the outcome model, or choose a longer part in the spec", **facts,
            )  # fmt: skip


def _lacking(part: str, seen: np.ndarray, spec: ModelSpec) -> tuple[str, str, str, str] | None:
    """(what is needed, rule, allowed, seen) where a part's label has too few values to learn from or to judge by."""
    if spec.problem == "binary" and len(seen) < 2:
        return "both outcomes", "both classes", "0 and 1", str(seen.astype(int).tolist())
    if spec.problem == "regression" and len(seen) < 2:
        return "a label that varies", "a label that varies", "two values or more", str(seen.tolist())
    if spec.problem == "multiclass":
        found = [spec.classes[int(place)] for place in seen]
        # Scores have a column for each class, so each has to be learned; a shorter part may lack a rare one.
        if len(found) < (len(spec.classes) if part in ("train", "fit") else 2):
            needs = "rows of every class" if part in ("train", "fit") else "rows of two classes"
            return needs, "classes", ", ".join(spec.classes), ", ".join(found)
    return None


def _describe(rows: pa.Table, spec: ModelSpec) -> dict[str, Any]:
    truth = labels(rows, spec)
    if spec.problem == "multiclass":
        counts = np.bincount(truth.astype(int), minlength=len(spec.classes))
        shares = {name: int(count) / max(len(truth), 1) for name, count in zip(spec.classes, counts, strict=True)}
        return {"rows": rows.num_rows, "label_mean": None, "label_shares": shares}
    return {"rows": rows.num_rows, "label_mean": float(truth.mean()) if len(truth) else None}
