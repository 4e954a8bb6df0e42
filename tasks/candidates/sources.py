"""Which day's lists readers have of each generator, and what makes a day degraded."""

from __future__ import annotations

from datetime import date, timedelta

from tasks.lake.lake import Lake
from tasks.lake.tables import CANDIDATES


def newest_lists(lake: Lake, day: date) -> dict[str, date | None]:
    """Return for each nightly generator the newest day of lists, None if none is young enough."""
    options = lake.settings.candidates
    oldest = day - timedelta(days=options.max_age_days)
    found: dict[str, date | None] = dict.fromkeys(options.generators)
    for written, name in sorted(lake.ledger.written(CANDIDATES)):
        if name in found and oldest <= written <= day:
            found[name] = written
    return found


def degraded(lake: Lake, day: date) -> tuple[str, ...]:
    """Return a line for each generator that wrote nothing on a day on which others did."""
    newest = newest_lists(lake, day)
    if day not in newest.values():
        return ()
    return tuple(_told(name, made, day) for name, made in newest.items() if made != day)


def _told(name: str, made: date | None, day: date) -> str:
    told = f"Degraded: {name} wrote nothing for {day};"
    if made is None:
        return f"{told} no lists of it are young enough to be read."
    age = (day - made).days
    return f"{told} readers take its lists of {made}, {age} day{'s' if age > 1 else ''} older."
