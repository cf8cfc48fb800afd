"""Versions in a real MLflow store, with real model files, and their champions in the ledger."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
from champion_world import SPEC as TOY
from test_champions import FIRST

from imago.context import RunContext
from imago.ledger import champions, connect, decisions
from imago.registry.tracking import Tracker

FEATURES = [("risk", "numeric")]
ROWS = pa.table({"risk": [-2.0, -1.0, 1.0, 2.0]})
SPEC = TOY
LIVE = RunContext(run_id="test", actor="ada", code_commit="abc")


class World:
    """One environment, in which versions are registered, judged and crowned without a training."""

    def __init__(self, environment):
        self.env = environment
        self.tracker = Tracker(environment, "toy")
        self.client = self.tracker.client

    def version(self, slope: int):
        """A registered version whose files lie where a training would have put them; its entry for a champion's row."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline

        from imago.registry import save
        from imago.registry.inputs import columns_of, frame_of
        from imago.registry.outputs import scores_of

        columns = columns_of(ROWS, FEATURES)
        line = Pipeline([("model", LogisticRegression(C=float(slope)))]).fit(frame_of(columns), np.array([0, 0, 1, 1]))
        run_id = self.tracker.start(f"slope {slope}", {"imago.stage": "larva"})
        artifact = save(
            self.env, f"{self.tracker.artifact_folder(run_id)}/model", line, features=FEATURES, problem="binary",
            columns=columns, scores=scores_of(line, frame_of(columns), "binary"), facts={"slope": slope},
        )  # fmt: skip
        version = self.tracker.register(run_id, artifact.artifact_uri, {"imago.stage": "larva"})
        return {"version": version, "run_id": run_id, **artifact.as_dict(), "trained_until": "2013-08-30",
                "effective_ds": "2013-10-02"}  # fmt: skip

    def decide(self, entry, outcome="promoted"):
        """A decision that names this challenger; its number."""
        with connect(self.env).begin() as connection:
            now = champions.reigning(connection, "toy")
            verdict = {"entry": entry, "reason": "it won", "facts": {"link": "http://mlflow/run"}, "challenger": "line",
                       "incumbent": None, "best_baseline": "prior", "rulings": [], "markdown": "m"}  # fmt: skip
            return decisions.record(
                connection, model="toy", training_ds="2013-10-01", run_id="r", outcome=outcome,
                incumbent_id=now.id if now else None, challenger_version=entry["version"], holdout_digest="d",
                verdict=verdict,
            )  # fmt: skip

    def crown(self, entry, *, decision=None, action="promote"):
        with connect(self.env).begin() as connection:
            now = champions.reigning(connection, "toy")
            row = dataclasses.replace(FIRST, **entry, action=action, decision_id=decision)
            return champions.crown(connection, row, expected=now.id if now else None)

    def promote(self, slope: int):
        entry = self.version(slope)
        return self.crown(entry, decision=self.decide(entry))

    def aliases(self):
        found = self.client.get_registered_model(self.tracker.registered_name).aliases
        return {alias: str(version) for alias, version in found.items()}

    def stages(self):
        found = self.client.search_model_versions(f"name = '{self.tracker.registered_name}'")
        return {str(one.version): one.tags["imago.stage"] for one in found}

    def stages_of_runs(self):
        found = self.client.search_model_versions(f"name = '{self.tracker.registered_name}'")
        runs = {str(one.version): self.client.get_run(one.run_id) for one in found}
        return {version: run.data.tags["imago.stage"] for version, run in runs.items()}

    def say(self, version, stage):
        """What a person does in MLflow's own pages."""
        self.client.set_model_version_tag(self.tracker.registered_name, version, "imago.stage", stage)

    def point(self, alias, version):
        """What a person does in MLflow's own pages."""
        self.client.set_registered_model_alias(self.tracker.registered_name, alias, version)

    def delete(self, version):
        self.client.delete_model_version(self.tracker.registered_name, version)
