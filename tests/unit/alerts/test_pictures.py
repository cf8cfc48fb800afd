"""The picture of a distribution: shares that can be worked out by hand, and a file that a browser can show."""

from __future__ import annotations

import pytest

from imago.alerts.pictures import MOST_BARS, Picture, of_counts, png


def test_the_shares_of_few_categories_are_those_of_their_counts_and_the_rare_ones_are_others():
    picture = of_counts(title="carrier", usual=[6, 3, 1], now=[1, 5, 4], categories=["UA", "B6", "EV"])
    assert picture.labels == ("B6", "UA", "EV")
    assert (picture.usual, picture.now) == ((0.3, 0.6, 0.1), (0.5, 0.1, 0.4))
    many = of_counts(title="t", usual=[10] * 30, now=[10] * 30, categories=[f"c{n:02d}" for n in range(30)])
    assert (len(many.labels), many.labels[-1], round(many.usual[-1], 4)) == (12, "others", round(19 / 30, 4))


def test_fine_bins_become_few_wide_ones_that_add_up_to_one():
    edges = [float(edge) for edge in range(11)]  # ten bins between, an open one at each end
    picture = of_counts(title="gust", usual=[0, *[10] * 10, 0], now=[0, *[0] * 9, 100, 0], edges=edges)
    assert (len(picture.usual), len(picture.edges)) == (MOST_BARS, MOST_BARS + 1)
    assert sum(picture.usual) == pytest.approx(1.0, abs=1e-3)
    assert sum(picture.now[:21]) == 0.0  # all of it lies in the last of ten bins


@pytest.mark.parametrize(("usual", "now"), [([0, 0], [1, 2]), ([1, 2], [0, 0])])
def test_nothing_is_drawn_of_nothing(usual, now):
    assert of_counts(title="t", usual=usual, now=now, categories=["a", "b"]) is None


def test_a_picture_survives_the_ledger_and_says_in_words_what_it_shows():
    picture = of_counts(title="carrier", usual=[6, 4], now=[1, 9], categories=["UA", "B6"], now_name="2013-10-05")
    assert Picture.from_json(picture.to_json()) == picture
    assert picture.words == "carrier: 2013-10-05 against training; the largest change is at B6, 40.0% to 90.0%"
    assert Picture.from_json(None) is None


@pytest.mark.parametrize("labels", [("UA", "$x$^{", "a name that is longer than its place"), ()])
def test_any_name_can_be_drawn(labels):
    shape = {"labels": labels} if labels else {"edges": (0.0, 1.0, 2.0, 3.0)}
    picture = Picture(title="$x$ < 5%", usual=(0.2, 0.3, 0.5), now=(0.5, 0.3, 0.2), **shape)
    assert png(picture).startswith(b"\x89PNG")
