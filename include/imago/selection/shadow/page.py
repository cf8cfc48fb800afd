"""The page of a model's shadows: one file, without scripts, and without anything from another host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imago import pages
from imago.selection.shadow.pictures import drawn

HERE = Path(__file__).parents[1]


def html(shown: Mapping[str, Any], version: str | None = None) -> str:
    """`shown` is all of a model's shadows with what they tell; the page opens `version`, else the first of them."""
    chosen = next((one for one in shown["shadows"] if version in (None, one["version"])), None)
    told = drawn(chosen["told"]) if chosen is not None and chosen["told"] is not None else None
    page: str = pages.template(HERE, "shadow/page.html").render(shown=shown, chosen=chosen, told=told)
    return page
