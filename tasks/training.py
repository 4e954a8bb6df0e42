"""Which days train models: the last complete landing days, or a day that is forced."""

from __future__ import annotations

from datetime import date

from tasks.lake.lake import Lake

EPOCH = date(1970, 1, 1)
WEEK = 7


def superseded_by(lake: Lake, day: date) -> date | None:
    """Return the day that trains instead of `day`, None if `day` itself trains."""
    training = lake.settings.training
    newer = [landed for landed in lake.complete_days(date.max) if landed > day]
    return newer[-1] if len(newer) >= training.last_days and not training.force else None


def is_weekly(day: date) -> bool:
    """Return whether rebuilt history trains candidates on `day`: one day in seven."""
    return (day - EPOCH).days % WEEK == 0
