"""What all pages share: the house style and the loader of templates. Light or dark by what the reader's system asks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from imago.amounts import amount, figure

TICKS = 4


def template(folder: Path, name: str) -> Any:
    """The Jinja template `name` of `folder`, which may include `house.css`. Whatever it shows is escaped."""
    from jinja2 import Environment as Jinja
    from jinja2 import FileSystemLoader

    loader = FileSystemLoader([folder, Path(__file__).parent])
    jinja = Jinja(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    jinja.globals |= {"money": amount, "figure": figure}
    return jinja.get_template(name)


def round_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers, evenly apart, that enclose both.

    >>> round_ticks(-15.0, 77.0)
    (-25.0, 0.0, 25.0, 50.0, 75.0, 100.0)
    """
    size = max(abs(low), abs(high))
    span = max(high - low, 1e-9 * size) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= span / TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{place * step:.12g}") for place in range(first, max(last, first + 1) + 1))
