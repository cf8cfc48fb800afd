"""The text form of a key: one for each key, and each back to its columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago import keys
from imago.errors import ImagoError

TEXTS = st.text(max_size=8) | st.text(st.sampled_from(",\\/ '\"%#\u00e9e\u0301\U0001f600\n"), max_size=8)


@given(rows=st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[TEXTS] * width), min_size=1, unique=True)))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_text_of_a_key_leads_back_to_its_columns_and_no_two_keys_share_it(rows):
    names = [f"part_{place}" for place in range(len(rows[0]))]
    told = keys.texts(
        pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=names), names
    )

    assert [keys.parts(text, names) for text in told.to_pylist()] == rows
    assert len(set(told.to_pylist())) == len(rows)


def test_a_key_of_one_column_is_its_text_as_it_is():
    assert keys.texts(pa.table({"name": ["a,b\\c/", "", "007"]}), ("name",)).to_pylist() == ["a,b\\c/", "", "007"]
    assert keys.texts(pa.table({"number": [-1, 2**63 - 1]}), ("number",)).to_pylist() == ["-1", "9223372036854775807"]
    both = pa.table({"shop": [7, -1], "area": ["north, upper", ""]})
    assert keys.texts(both, ("shop", "area")).to_pylist() == ["7,north\\, upper", "-1,"]


@pytest.mark.parametrize("text", ["7", "7,a,b", "7\\,a", "7,a\\b", ""])
def test_a_text_of_other_columns_is_refused_with_the_columns_that_it_lacks(text):
    with pytest.raises(ImagoError, match="not one of 2 columns") as refused:
        keys.parts(text, ("shop", "area"))
    assert refused.value.facts["allowed"].startswith("shop,area")


def test_rows_join_by_day_and_key_whatever_the_width_of_their_numbers():
    left = pa.table({"ds": ["d2", "d1", "d1"], "shop": pa.array([1, 2, 1], pa.int64()), "till": ["b", "a", "a"]})
    right = pa.table({"ds": ["d1", "d1", "d2"], "shop": pa.array([1, 2, 9], pa.int32()), "till": ["a", "a", "b"],
                      "label": [10, 20, 30]})  # fmt: skip

    assert keys.join(left, right, ("shop", "till")).to_pylist() == [
        {"ds": "d1", "shop": 1, "till": "a", "label": 10},
        {"ds": "d1", "shop": 2, "till": "a", "label": 20},
    ]
    assert keys.join(left, right, ("shop", "till"), "left outer").column("label").to_pylist() == [10, 20, None]
    assert keys.places(left.slice(1), right, ("shop", "till")).to_pylist() == [1, 0]


def test_keys_of_two_types_are_refused_by_column_and_types():
    left, right = pa.table({"ds": ["d"], "shop": [1]}), pa.table({"ds": ["d"], "shop": ["1"], "label": [1]})
    with pytest.raises(ImagoError, match="the key shop has two types") as refused:
        keys.join(left, right, ("shop",))
    assert (refused.value.facts["allowed"], refused.value.facts["seen"]) == ("int64", "string")
