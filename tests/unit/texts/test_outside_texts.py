"""Texts from outside end as one bounded line, or in a refusal that names file and column; their alert arrives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imago import ledger
from imago.context import RunContext, mode_of
from imago.days import parse_day, shift
from imago.errors import ImagoError
from imago.jobs import incidents
from imago.ledger import decisions
from imago.texts import LONGEST_FACT, line, storable
from proofs.strangers import texts
from proofs.strangers.case import Workplace, judge

ANY = st.text(st.characters(), max_size=60) | st.sampled_from(texts.ODD)


@settings(deadline=None, max_examples=200)
@given(ANY, st.integers(1, 80))
def test_a_line_is_bounded_shown_and_lossless_where_it_may_be(text: str, longest: int) -> None:
    made = line(text, longest)
    assert made.isprintable()
    assert len(made) <= longest
    assert line(made, longest) == made
    if text.isprintable() and len(text) <= longest:
        assert made == text


@settings(deadline=None, max_examples=200)
@given(st.recursive(ANY | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))
def test_what_is_stored_as_json_keeps_its_shape_and_all_that_postgres_takes(value: object) -> None:
    made = storable(value)
    told = json.dumps(made, ensure_ascii=False)
    assert "\\u0000" not in told
    assert told.encode()
    if "\x00" not in repr(value) and "\\x00" not in repr(value) and repr(value).find("\\ud") < 0:
        assert made == value


def test_a_million_signs_are_cut() -> None:
    assert len(line("ü" * 1_000_000)) == 2000
    assert len(storable("x" * 1_000_000)) == LONGEST_FACT


@pytest.fixture(scope="module")
def workplace(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(postgres_url, tmp_path_factory.mktemp("texts"))


def test_drawn_texts_pass_every_boundary(workplace: Workplace) -> None:
    outcomes = [judge(case) for case in texts.cases(workplace, 128, 11)]
    assert [one for one in outcomes if not one.good] == []
    assert {one.verdict for one in outcomes} == {"equal", "refused"}


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
def test_a_number_that_no_row_can_have_is_refused(workplace: Workplace, number: int) -> None:
    env = workplace.environment
    for ask in (incidents.detail, incidents.picture):
        with pytest.raises(ImagoError, match=f"there is no incident {number}"):
            ask(env, number)
    with pytest.raises(ImagoError, match=f"there is no incident {number}"):
        incidents.quieten(env, number, "mute", until="4h", by="me", reason="why")
    with ledger.connect(env).connect() as connection, pytest.raises(ImagoError, match="there is no decision"):
        decisions.get(connection, number)


def test_an_odd_mode_in_a_runs_conf_is_not_taken() -> None:
    for asked in ("live\n", "shadow", {"a": 1}, ["live"], 3):
        assert mode_of(run_type="manual", triggering_extras=[], asked=asked) == "live"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["２０１３-01-01", "2013-01-01\n", "99999-01-01", "0000-01-01", "2013-02-30", "\ud800"]
)
def test_what_is_no_day_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ImagoError) as refused:
        parse_day(text)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("ds", "days"), [("9999-12-31", 1), ("0001-01-01", -1), ("2013-01-01", 10**10)])
def test_a_step_out_of_the_calendar_is_refused(ds: str, days: int) -> None:
    with pytest.raises(ImagoError, match="out of the calendar"):
        shift(ds, days)


def test_the_name_of_a_run_is_one_line_wherever_it_goes() -> None:
    context = RunContext(run_id="manual__\n" + "x" * 1000, actor="a\x00b")
    assert (len(context.run_id), context.run_id[:10], context.actor) == (300, "manual__\\n", "a\\x00b")


def test_the_command_line_writes_out_what_it_cannot_show(tmp_path: Path) -> None:
    import subprocess
    import sys

    told = subprocess.run(
        [sys.executable, "-m", "imago.cli", "partitions", "features", b"\xff\n\x1b[31m", "--env", b"\xfe"],
        capture_output=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert told.returncode == 1
    assert b"Traceback" not in told.stderr
    assert b"\xff" not in told.stderr
    assert b"\x1b[31m" not in told.stderr
