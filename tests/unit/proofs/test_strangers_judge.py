"""The one way in which the cases of the strangers' proof are judged, tried on each way in which a case can end."""

from __future__ import annotations

import importlib

import pytest

from imago.errors import RefusedPartition
from proofs.strangers.__main__ import AREAS
from proofs.strangers.case import Case, Workplace, judge


def _refusing(next_step: str = "run imago doctor"):
    def run():
        raise RefusedPartition("a value is out of range", column="price", next_step=next_step)

    return run


def _broken():
    raise KeyError("price")


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (Case("right", lambda: (1, 1)), "equal"),
        (Case("wrong", lambda: (1, 2)), "silent difference"),
        (Case("raw", _broken), "raw error"),
        (Case("named", _refusing(), names=("price", "out of range")), "refused"),
        (Case("unnamed", _refusing(), names=("cost",)), "poor refusal"),
        (Case("without a next step", _refusing("")), "poor refusal"),
        (Case("good input", _refusing(), refusable=False), "silent difference"),
        (Case("bad input", lambda: (1, 1), must_refuse=True), "silent difference"),
        (Case("bad input refused", _refusing(), refusable=False, must_refuse=True), "refused"),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else value,
)
def test_a_case_is_judged_by_how_it_ends(case, verdict):
    assert judge(case).verdict == verdict


@pytest.mark.parametrize("area", AREAS)
def test_every_area_draws_as_many_cases_as_it_is_asked_for_and_the_same_ones_again(area, postgres_url, tmp_path):
    module = importlib.import_module(f"proofs.strangers.{area}")
    names = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        folder.mkdir()
        names.append([case.name for case in module.cases(Workplace(postgres_url, folder), 5, 7)])
    assert len(names[0]) == 5
    assert names[0] == names[1]
