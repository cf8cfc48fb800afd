"""What Great Expectations says of a validation, as plain words and as JSON, without any value of the rows.

Great Expectations renders its own results into content blocks. Only their words are taken: its HTML loads styles and
scripts from other hosts, and shows values of the data unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

from imago.errors import shown

# What quotes rows of the data, and what tells paths of the machine.
_QUOTES = re.compile(r"partial_unexpected|unexpected_list|unexpected_index|unexpected_rows|exception_")
_STANDING = {"✅": "met", "❌": "not met"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One expectation: its column (empty for the table), its words, what was observed, and how it stands."""

    column: str
    words: str
    observed: str
    standing: str  # met, not met, could not be checked


def without_rows(validation: Any) -> dict[str, Any]:
    """A validation as JSON, without any value that was sampled from the rows."""
    full = validation.to_json_dict()
    results = [
        {
            "expectation": one["expectation_config"]["type"],
            "severity": one["expectation_config"].get("severity"),
            "kwargs": {
                name: value for name, value in one["expectation_config"]["kwargs"].items() if name != "batch_id"
            },
            "success": one["success"],
            "raised": any(raised(one.get("exception_info") or {})),
            "result": {name: value for name, value in (one.get("result") or {}).items() if not _QUOTES.search(name)},
        }
        for one in full["results"]
    ]
    return {"suite": full["suite_name"], "statistics": full["statistics"], "results": results}


def raised(info: Mapping[str, Any]) -> Iterator[bool]:
    # One flat object, or one for each metric that was asked for.
    for name, value in info.items():
        if name == "raised_exception":
            yield bool(value)
        elif isinstance(value, Mapping):
            yield from raised(value)


def spoken(validation: Any) -> dict[str, Any]:
    """What Great Expectations says of one suite; what is not met comes first."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    document = ValidationResultsPageRenderer().render(validation).to_json_dict()
    lines = []
    for section in document["sections"][1:]:  # the first one counts; the page counts itself
        column = "" if section["section_name"] == "Table-Level Expectations" else section["section_name"]
        for block in section["content_blocks"]:
            for icon, words, observed in block.get("table", ()):
                standing = _STANDING.get(
                    icon["string_template"]["params"]["markdown_status_icon"], "could not be checked"
                )
                lines.append(Line(column=column, words=_words(words), observed=_words(observed), standing=standing))
    lines.sort(key=lambda line: line.standing == "met")
    return {
        "name": validation.suite_name,
        "met": sum(line.standing == "met" for line in lines),
        "lines": lines,
        "version": validation.meta.get("great_expectations_version", ""),
    }


def _words(block: Any) -> str:
    """The text of a content block. Tables inside of a cell hold sampled values, and collapsed parts stack traces."""
    if isinstance(block, list):
        return "\n".join(filter(None, (_words(part) for part in block)))
    if not isinstance(block, Mapping):
        return shown(str(block))
    template = block.get("string_template")
    if template is None:
        return ""
    if "exception_message" in template.get("params", {}):
        return "raised an error"
    text = Template(template["template"]).safe_substitute(
        {name: shown(str(value)) for name, value in template.get("params", {}).items()}
    )
    return "\n".join(line.strip() for line in text.split("<br>") if line.strip())
