"""Slack's message format as HTML and as plain text, for e-mail and the sandbox. Everything that is not markup of ours
is escaped; only web addresses become links."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

EMOJI = {
    "red_circle": "🔴",
    "large_yellow_circle": "🟡",
    "large_blue_circle": "🔵",
    "white_check_mark": "✅",
    "butterfly": "🦋",
}
_CODE = re.compile(r"```(.+?)```|`([^`\n]+)`", re.DOTALL)
_ANGLE = re.compile(r"<([^<>\n]+)>")
_STYLES = (
    (re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])"), r"<b>\1</b>"),
    (re.compile(r"(?<![\w_])_(\S(?:[^_\n]*\S)?)_(?![\w_])"), r"<i>\1</i>"),
    (re.compile(r"(?<![\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])"), r"<s>\1</s>"),
)
_EMOJI_CODE = re.compile(r":([a-z_]+):")


def _drawn(name: str) -> str:
    """An emoji that the style sheet draws: many machines have no font with emoji."""
    return f'<i class="emoji {name}" title=":{name}:"></i>'


def to_html(text: str, *, emoji: Callable[[str], str] = _drawn) -> str:
    """A `mrkdwn` text as HTML.

    >>> to_html("*late* <https://a.example/x|run> &lt;b&gt;")
    '<b>late</b> <a href="https://a.example/x" target="_blank" rel="noopener noreferrer">run</a> &lt;b&gt;'
    """
    kept: list[str] = []

    def keep(markup: str) -> str:
        kept.append(markup)
        return f"\x00{len(kept) - 1}\x00"

    def code(found: re.Match[str]) -> str:
        block, inline = found.groups()
        if block is not None:
            return keep(f"<pre>{plain(block.strip(chr(10)))}</pre>")
        return keep(f"<code>{plain(inline)}</code>")

    text = _CODE.sub(code, text.replace("\x00", ""))
    text = _ANGLE.sub(lambda found: keep(_reference(found.group(1))), text)

    def picture(found: re.Match[str]) -> str:
        return keep(emoji(found.group(1))) if found.group(1) in EMOJI else found.group(0)

    text = _EMOJI_CODE.sub(picture, text) if ":" in text else text
    text = plain(text)
    for pattern, markup in _STYLES:
        text = pattern.sub(markup, text)
    text = "<br>".join(
        f"<blockquote>{line[5:]}</blockquote>" if line.startswith("&gt; ") else line for line in text.split("\n")
    )
    text = text.replace("</blockquote><br>", "</blockquote>")
    for _ in range(2):  # a link's label may hold a kept piece
        text = re.sub("\x00(\\d+)\x00", lambda found: kept[int(found.group(1))], text)
    return text


def plain(text: str) -> str:
    """Text as HTML, once: Slack's own escapes are undone first."""
    return html.escape(html.unescape(text), quote=True)


def _reference(inside: str) -> str:
    """What stands between angle brackets: a link, a person, a channel, a group."""
    target, _, label = inside.partition("|")
    if target.startswith(("http://", "https://", "mailto:")):
        return f'<a href="{plain(target)}" target="_blank" rel="noopener noreferrer">{plain(label or target)}</a>'
    if target.startswith("@"):
        return f'<span class="mention">@{plain(label or target[1:])}</span>'
    if target.startswith("#"):
        return f'<span class="mention">#{plain(label or target[1:])}</span>'
    if target.startswith("!"):
        name = label.removeprefix("@") or target[1:].split("^")[0]
        return f'<span class="mention loud">@{plain(name)}</span>'
    return plain(f"<{inside}>")


def to_text(blocks: list[dict[str, Any]], text: str) -> str:
    """A message's blocks as plain text; its text where there are none.

    >>> to_text([{"type": "section", "text": {"text": ":red_circle: *Late* &amp; <https://a.example/x|run>"}}], "")
    '🔴 Late & run: https://a.example/x\\n'
    """
    parts = [_words(block) for block in blocks] or [_unmarked(text)]
    return "\n\n".join(part for part in parts if part) + "\n"


def blocks_to_html(blocks: list[dict[str, Any]], text: str, *, emoji: Callable[[str], str] = _drawn) -> str:
    """A message's blocks as HTML; its text where there are none. A block of a kind that is not drawn says so."""
    if not blocks:
        return f'<div class="section">{to_html(text, emoji=emoji)}</div>'
    return "".join(_block(block, emoji) for block in blocks)


def _element(element: Any, emoji: Callable[[str], str]) -> str:
    """A Slack text object (`plain_text` or `mrkdwn`) as HTML."""
    if not isinstance(element, dict):
        return ""
    words = str(element.get("text", ""))
    return to_html(words, emoji=emoji) if element.get("type") == "mrkdwn" else plain(words).replace("\n", "<br>")


def _block(block: dict[str, Any], emoji: Callable[[str], str]) -> str:
    kind = block.get("type")
    if kind == "header":
        return f'<div class="header">{_element(block.get("text"), emoji)}</div>'
    if kind == "section":
        words = f"<div>{_element(block['text'], emoji)}</div>" if "text" in block else ""
        fields = "".join(f"<div>{_element(part, emoji)}</div>" for part in block.get("fields", ()))
        return f'<div class="section">{words}{f"<div class=fields>{fields}</div>" if fields else ""}</div>'
    if kind == "context":
        parts = "".join(f"<span>{_element(part, emoji)}</span>" for part in block.get("elements", ()))
        return f'<div class="context">{parts}</div>'
    if kind == "image":
        file_id = str((block.get("slack_file") or {}).get("id", ""))
        source = f"files/{file_id}" if file_id else str(block.get("image_url", ""))
        return f'<div class="picture"><img src="{plain(source)}" alt="{plain(str(block.get("alt_text", "")))}"></div>'
    if kind == "divider":
        return "<hr>"
    return f'<div class="context">[a block of type {plain(str(kind))}]</div>'


def _words(block: dict[str, Any]) -> str:
    elements = [*([block["text"]] if "text" in block else ()), *block.get("fields", ()), *block.get("elements", ())]
    lines = [_unmarked(str(element.get("text", ""))) for element in elements]
    if block.get("fields"):
        lines = [line.replace("\n", ": ", 1) for line in lines]
    return "\n".join(line for line in lines if line)


def _unmarked(text: str) -> str:
    """A `mrkdwn` text without its marks."""

    def reference(found: re.Match[str]) -> str:
        target, _, label = found.group(1).partition("|")
        if target.startswith(("http://", "https://", "mailto:")):
            return f"{label}: {target}" if label else target
        return f"@{label or target.lstrip('@!#').split('^')[0]}"

    text = _EMOJI_CODE.sub(lambda found: EMOJI.get(found.group(1), found.group(0)), text)
    text = _ANGLE.sub(reference, text)
    for pattern, _ in _STYLES:
        text = pattern.sub(r"\1", text)
    return html.unescape(text)
