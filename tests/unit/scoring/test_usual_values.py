"""What explain holds a feature's value against: a value that the feature's own column can hold."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.scoring.explanation import usual_value

WHOLE = (pa.int32(), pa.int64())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(middle=st.floats(-1e9, 1e9), kind=st.sampled_from(WHOLE))
def test_the_usual_of_whole_numbers_is_the_nearest_whole_number(middle, kind):
    found = usual_value(middle, kind)
    assert abs(found - middle) <= 0.5
    assert pa.array([found], kind).to_pylist() == [found]


@pytest.mark.parametrize(
    ("typical", "kind", "expected"),
    [
        (0.25, pa.float64(), 0.25),
        (0.9, pa.bool_(), True),
        (0.1, pa.bool_(), False),
        ("North", pa.string(), "North"),
        ("12", pa.int64(), 12),
        (None, pa.int64(), None),
        (None, pa.string(), None),
    ],
)
def test_the_usual_value_is_of_the_columns_type(typical, kind, expected):
    assert usual_value(typical, kind) == expected
