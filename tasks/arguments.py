"""What several commands' options take."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import date


def a_day(text: str) -> date:
    """Return a day written as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write YYYY-MM-DD") from None
