"""What several commands' options take."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import date


def whole_number(low: int, high: int, what: str) -> Callable[[str], int]:
    """Return what takes a whole number from `low` to `high`, such as 3_000, of `what`."""

    def taken(text: str) -> int:
        plain = text.replace("_", "")
        if not plain.isdecimal() or not low <= int(plain) <= high:
            raise ArgumentTypeError(f"{text!r}: there may be {low} to {high:,} {what}")
        return int(plain)

    return taken


def a_day(text: str) -> date:
    """Return a day written as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write YYYY-MM-DD") from None
