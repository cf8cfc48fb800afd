"""The fits of one training as a script would make them: two worker processes, a frame, scikit-learn, a print.

    python -m benchmarks.bare_training MODEL ROWS.parquet CUT.json

No Airflow, no MLflow, no plots, no saved models. The pipelines, the settings that a search tries, the rows and the
parts are those of the real training. Prints each contestant's metric on the holdout as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Two processes share two cores; with more threads they would wait for each other.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"


def fits(model: str, file: str, cut: dict[str, str], name: str) -> tuple[str, float]:
    """All fits of one contestant: each setting on the train days, the best on all days before the holdout."""
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    from imago.specs import get_model
    from imago.training.search import draw

    spec = get_model(model)
    rows = pd.read_parquet(file)
    for feature in spec.features:
        column = rows[feature.name]
        rows[feature.name] = column.astype("float64") if feature.kind == "numeric" else column.fillna("").astype(object)
    one = next(one for one in (*spec.candidates, *spec.baselines) if one.name == name)
    columns, seed = list(spec.feature_names), spec.training.seed

    def between(first: str, last: str) -> tuple[Any, Any]:
        part = rows[(rows["ds"] >= first) & (rows["ds"] <= last)]
        return part[columns], part[spec.label].astype(int)

    def area(pipeline: Any, part: tuple[Any, Any]) -> float:
        return float(roc_auc_score(part[1], pipeline.predict_proba(part[0])[:, 1]))

    train = between(cut["train_first"], cut["train_last"])
    tuning = between(cut["tuning_first"], cut["trained_until"])
    search = getattr(one, "search", None)
    tried: list[dict[str, Any]] = [{}, *(draw(search, seed) if search else [])]
    found = [area(one.build(spec, seed).set_params(**settings).fit(*train), tuning) for settings in tried]
    best = tried[found.index(max(found))]
    last = one.build(spec, seed).set_params(**best).fit(*between(cut["fit_first"], cut["trained_until"]))
    return name, area(last, between(cut["holdout_first"], cut["holdout_last"]))


def main() -> None:
    """Fits all contestants, two at a time."""
    from imago.specs import get_model

    model, file, cut = sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
    spec = get_model(model)
    names = [one.name for one in (*spec.candidates, *spec.baselines)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(fits, model, file, cut, name) for name in names]
        print(json.dumps(dict(future.result() for future in made)))


if __name__ == "__main__":
    main()
