"""Money is shown with its unit and the digits that matter, and no axis cuts it off."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago.amounts import amount, figure, short
from imago.dashboard import charts
from imago.pages import round_ticks

MANY = settings(max_examples=300, deadline=None, derandomize=True)
VALUES = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).filter(
    lambda value: value == 0 or 1e-30 < abs(value) < 1e30
)
UNITS = st.sampled_from(["USD", "GBP", "JPY", "KWD", "bottles of wine saved", "€", "Fr."])
_LETTERS = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def read(text: str) -> float:
    """The number that a person reads."""
    number = text.replace(",", "")
    letter = number[-1] if number[-1] in _LETTERS else ""
    return float(number.removesuffix(letter)) * _LETTERS.get(letter, 1.0)


@MANY
@given(VALUES, UNITS, st.booleans())
def test_an_amount_reads_back_as_itself_with_its_unit_and_sign(value, unit, sign):
    text = amount(value, unit, sign=sign)
    assert text.endswith(f" {unit}")
    number = text.removesuffix(f" {unit}")
    least = 0.5 if abs(value) >= 99 else 0.005 if abs(value) >= 0.99 else 0.06 * abs(value)
    assert math.isclose(read(number), value, rel_tol=0.006, abs_tol=least)
    assert (read(number) == 0) == (value == 0), "what is there is never shown as nothing"
    assert number.startswith("-") == (value < 0)
    assert number.startswith("+") == (sign and value > 0)


@MANY
@given(VALUES)
def test_a_short_amount_is_short_and_right(value):
    text = short(value)
    assert math.isclose(read(text), value, rel_tol=0.06, abs_tol=1e-40)
    assert len(text) <= 10


@MANY
@given(VALUES, st.integers(2, 4))
def test_a_metric_in_any_unit_is_never_rounded_to_nothing(value, digits):
    text = figure(value, digits)
    assert (read(text) == 0) == (value == 0)
    assert math.isclose(
        read(text), value, rel_tol=0.06, abs_tol=0.51 * 10**-digits if abs(value) >= 0.5 * 10**-digits else 0
    )


def test_values_at_the_borders():
    assert [short(value) for value in (9_999, 9_999.9, 10_000, 999_500, 999_499, 1e6, 2_345_678, 5e12)] == [
        "9,999", "10k", "10k", "1M", "999k", "1M", "2.35M", "5T",
    ]  # fmt: skip
    assert [amount(value, "GBP") for value in (0, -0.0, 99.994, 99.996, 0.996, -45.5, 0.5)] == [
        "0 GBP", "0 GBP", "99.99 GBP", "100 GBP", "1.00 GBP", "-45.50 GBP", "0.50 GBP",
    ]  # fmt: skip


@MANY
@given(st.lists(VALUES, min_size=1, max_size=6), UNITS)
def test_no_tick_of_the_axis_is_cut_off_and_every_bar_lies_in_the_picture(values, unit):
    days = [f"2024-01-{place + 1:02d}" for place in range(len(values))]
    picture = charts.bars(days, values, label="money", shown=lambda value: amount(value, unit), tick=short)
    ticks = re.findall(r'<text x="([-\d.]+)" y="[-\d.]+" text-anchor="end">([^<]*)</text>', picture)
    assert len(ticks) >= 2
    for x, text in ticks:
        assert float(x) - charts.CHARACTER * len(text) >= 0, f"{text} begins left of the picture"
    for x, y, width, height in re.findall(
        r'<rect class="\w+" x="([-\d.]+)" y="([-\d.]+)" rx="2" width="([-\d.]+)" height="([-\d.]+)"', picture
    ):
        assert float(x) >= 0
        assert float(x) + float(width) <= charts.WIDE
        assert float(y) >= 0
        assert float(y) + float(height) <= charts.HEIGHT
    assert all(f": {amount(value, unit)}" in picture for value in values)


@MANY
@given(VALUES, VALUES)
def test_ticks_enclose_any_two_values_and_differ(low, high):
    low, high = sorted((low, high))
    ticks = round_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert all(a < b for a, b in pairwise(ticks))
    assert len(ticks) <= 12


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_said_to_be_none(value):
    assert amount(value, "GBP").endswith(" GBP")
    assert short(value)
    assert figure(value)
