"""The table of results on a page of the docs, as a proof writes it."""

from __future__ import annotations

import pytest

from proofs.report import BEGIN, END, Report, summary_line, write_docs


def report(name, *figures, cases=1, failures=()):
    return Report(name, cases, list(failures), list(figures))


@pytest.fixture
def docs(tmp_path):
    page = tmp_path / "fight.md"
    page.write_text(f"# The proof\n\n{BEGIN}\n{END}\nThe end.\n")
    return page


def rows(docs):
    return docs.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]


def test_reports_of_one_part_are_one_row(docs):
    write_docs(docs, [report("luck", "1 of 200", cases=1200), report("luck", "0 of 200", cases=300, failures=["x"])])
    assert rows(docs) == ["| luck | 1,500 | 1 | 1 of 200<br>0 of 200 |"]
    assert docs.read_text().startswith("# The proof\n")
    assert docs.read_text().endswith("The end.\n")


def test_a_part_that_ran_alone_rewrites_its_own_row(docs):
    write_docs(docs, [report("luck", "before"), report("a race", "16 processes")])
    write_docs(docs, [report("luck", "after | now")])
    assert rows(docs) == ["| a race | 1 | 0 | 16 processes |", "| luck | 1 | 0 | after \\| now |"]


def test_the_last_line_says_whether_every_promise_holds():
    assert summary_line("proof-fight", [report("a"), report("b", cases=2)], "small", 61.4) == (
        "proof-fight (small): 3 cases in 61 s, every promise holds"
    )
    assert summary_line("proof-fight", [report("a", failures=["x"])], "full", 1).endswith("1 of them FELL SHORT")
    assert summary_line("proof-fight", [], "full", 1).endswith("0 of them FELL SHORT")
