"""Every rule can be looked up, and has a page that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from imago.alerts.rules import RULES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_alert_rule_has_a_runbook_page_with_steps(rule):
    page = DOCS / rule.runbook
    assert page.is_file(), f"write docs/{rule.runbook}: what it means, what to do, how it ends"
    text = page.read_text(encoding="utf-8")
    assert f"Rule `{rule.name}`." in text
    assert "## What to do\n\n1. " in text
    assert "## How it ends" in text


def test_every_runbook_page_belongs_to_a_rule():
    assert {page.stem for page in (DOCS / "runbooks").glob("*.md")} == set(RULES)
