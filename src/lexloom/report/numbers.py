"""Numbers for people."""

import math
from typing import Any


def count(value: Any) -> str:
    """A whole number with separators: `12,345`; empty if it isn't a finite number."""
    return f"{value:,.0f}" if _finite(value) else ""


def figures(value: Any, digits: int = 4) -> str:
    """A number to so many significant figures, without an exponent where it reads well: `0.0003`, `1.834`, `12,345`."""
    if not _finite(value):
        return ""
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def interval(low: Any, high: Any, decimals: int = 3) -> str:
    """An interval with an en dash: `1.801–1.864`."""
    return f"{low:,.{decimals}f}–{high:,.{decimals}f}" if _finite(low) and _finite(high) else ""


def ratio(measured: Any, planned: Any) -> str:
    """Measured over planned: `1.04×`."""
    return f"{measured / planned:.2f}×" if _finite(measured) and _finite(planned) and planned else ""


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
