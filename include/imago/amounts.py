"""Amounts as people read them, in any unit: a currency's code, or words."""

from __future__ import annotations

import math

_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def amount(value: float, unit: str = "", *, sign: bool = False) -> str:
    """A number with its unit: whole from 100 on, with the digits that matter below.

    >>> amount(-1234.5, "USD"), amount(1234.5, "GBP", sign=True), amount(0.0042, "EUR"), amount(12.5, "JPY")
    ('-1,234 USD', '+1,234 GBP', '0.0042 EUR', '12.50 JPY')
    """
    size = abs(value)
    if not math.isfinite(value):
        text = "unknown" if math.isnan(value) else "∞"
    elif size >= 1e15:
        text = f"{size:.3g}"
    elif size >= 99.995 or size == round(size):
        text = f"{size:,.0f}"
    elif size >= 0.995:
        text = f"{size:.2f}"
    else:
        text = _small(size)
    return _signed(value, text, sign) + (f" {unit}" if unit else "")


def short(value: float) -> str:
    """A number for an axis or a tile, without its unit: three digits and a letter.

    >>> short(-1234.5), short(45_600), short(999_999), short(2.5e9), short(0.25), short(0)
    ('-1,234', '45.6k', '1M', '2.5B', '0.25', '0')
    """
    size = abs(value)
    if not math.isfinite(value) or size >= 9.995e14 or round(size) < 10_000:
        return amount(value)
    rounded = float(f"{size:.3g}")
    step, letter = next(pair for pair in _STEPS if rounded >= pair[0])
    return _signed(value, f"{rounded / step:.3g}{letter}", sign=False)


def _small(size: float) -> str:
    """Two leading digits of a number below 1.

    >>> _small(0.5), _small(0.00012345), _small(1e-12)
    ('0.50', '0.00012', '1e-12')
    """
    if size < 1e-6:
        return f"{size:.2g}"
    return f"{size:.{1 - math.floor(math.log10(float(f'{size:.2g}')))}f}"


def _signed(value: float, text: str, sign: bool) -> str:
    is_nothing = text.strip("0.,") == ""
    return ("-" if value < 0 and not is_nothing else "+" if sign and value == value and not is_nothing else "") + text


def figure(value: float, digits: int = 4, *, sign: bool = False) -> str:
    """A metric: with `digits` decimals, in a label's own unit also where that is thousands or millionths.

    >>> figure(0.71234), figure(0.012, sign=True), figure(123456.78), figure(0.0000123), figure(0.5, 2)
    ('0.7123', '+0.0120', '123,456.8', '1.2e-05', '0.50')
    """
    size = abs(value)
    if not math.isfinite(value):
        return amount(value)
    if size >= 1e9:
        text = f"{size:.4g}"
    elif size >= 1000:
        text = f"{size:,.1f}"
    elif 0 < size < 0.5 * 10**-digits:
        text = f"{size:.2g}"
    else:
        text = f"{size:.{digits}f}"
    return ("-" if value < 0 else "+" if sign else "") + text
