"""The golden batch: rows of the holdout with the fit's own answers, kept beside the model, so that whoever loads it can
tell whether it still answers as it did."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE = "golden.parquet"
ROWS = 256
_ANSWER = "answer "  # and the place of the score's column; no input has a space in its name


def written(columns: Mapping[str, np.ndarray], scores: np.ndarray) -> bytes:
    """The file: at most `ROWS` rows, spread evenly, with the model's inputs and its answers."""
    chosen = np.unique(np.linspace(0, len(scores) - 1, min(ROWS, len(scores))).astype(int))
    answers = scores.reshape(len(scores), -1)[chosen]
    table = pa.table({
        **{name: pa.array(values[chosen]) for name, values in columns.items()},
        **{f"{_ANSWER}{place}": answers[:, place] for place in range(answers.shape[1])},
    })  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read(data: bytes) -> tuple[pa.Table, np.ndarray]:
    """(the inputs, the answers in the shape of the model's scores)."""
    table = pq.read_table(io.BytesIO(data))
    names = sorted(
        (name for name in table.column_names if name.startswith(_ANSWER)),
        key=lambda name: int(name.removeprefix(_ANSWER)),
    )
    answers = np.column_stack([table.column(name).to_numpy() for name in names])
    return table.drop_columns(names), answers[:, 0] if len(names) == 1 else answers
