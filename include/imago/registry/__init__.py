"""Models as data: saved as skops and, where the export is proved equal, as ONNX; loaded only after their digest
matched.

saved = save(env, folder, pipeline, ...)       # model.skops, model.onnx where proved, model.json
scorer = load_model(env, champion_row)         # digest first, then our own allow-list; never pickle
scores = scorer.predict(features)              # one float64 per row
"""

from __future__ import annotations

from imago.registry.artifacts import Artifact, save
from imago.registry.loading import Scorer, load_model

__all__ = ["Artifact", "Scorer", "load_model", "save"]
