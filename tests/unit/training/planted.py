"""Toy worlds with one fault each, planted in the holdout of the training of 2013-02-27 (2013-02-13 to 2013-02-26)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from toy_world import ROWS, rows

DS, HOLDOUT_FIRST = "2013-02-27", "2013-02-13"
EVE = "2013-02-12"


def world():
    """(features, outcomes, which rows lie in the holdout or later)"""
    features, outcomes = rows()
    return features, outcomes, features["ds"].to_numpy() >= HOLDOUT_FIRST


def replaced(table, **columns):
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type, from_pandas=True))
    return table


def label_shift():
    features, outcomes, late = world()
    random = np.random.default_rng(3)
    label = outcomes["label"].to_numpy().copy()
    label[late] = random.random(late.sum()) < 0.93
    return features, replaced(outcomes, label=label)


def constant_feature():
    features, outcomes, late = world()
    return replaced(features, risk=np.where(late, 0.25, features["risk"].to_numpy())), outcomes


def empty_feature():
    features, outcomes, late = world()
    return replaced(features, risk=np.where(late, np.nan, features["risk"].to_numpy())), outcomes


def stale_partition():
    features, outcomes, late = world()
    source = features.filter(pa.array(features["ds"].to_numpy() == EVE))
    days = int(late.sum()) // ROWS
    stale = {name: np.concatenate([features[name].to_numpy()[~late], *[source[name].to_numpy()] * days])
             for name in ("gate", "risk", "noise")}  # fmt: skip
    return replaced(features, **stale), outcomes


def lost_join():
    features, outcomes, late = world()
    gone = late & (np.random.default_rng(3).random(len(late)) < 0.95)
    gate = features["gate"].to_numpy().copy()
    gate[gone] = None
    return replaced(features, risk=np.where(gone, np.nan, features["risk"].to_numpy()), gate=gate), outcomes


def few_positives():
    features, outcomes, _ = world()
    random = np.random.default_rng(8)
    risk = np.nan_to_num(features["risk"].to_numpy())
    label = (random.random(len(risk)) < 1 / (1 + np.exp(5.3 - 1.0 * risk))).astype(float)
    return features, replaced(outcomes, label=label)


def no_signal():
    return rows(shuffled=True)


def broken_relation():
    features, outcomes, late = world()
    label = outcomes["label"].to_numpy().copy()
    label[late] = np.random.default_rng(3).permutation(label[late])
    return features, replaced(outcomes, label=label)


WORLDS = {
    "label_shift": label_shift,
    "dead_feature": constant_feature,
    "dead_feature (empty)": empty_feature,
    "stale_partition": stale_partition,
    "lost_join": lost_join,
    "few_positives": few_positives,
    "no_signal": no_signal,
    "broken_relation": broken_relation,
}
