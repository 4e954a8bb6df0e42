"""Deterministic sampling by the first four hex digits of an md5, the same on every engine."""

from __future__ import annotations

HEX_DIGITS = 4
ABOVE_ALL = "g"


def kept_below(share: float) -> str:
    """Return the text that `share` of all four-digit hex texts sort before."""
    places = 16**HEX_DIGITS
    bound = round(share * places)
    return ABOVE_ALL if bound >= places else f"{bound:0{HEX_DIGITS}x}"
