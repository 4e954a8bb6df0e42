"""The calendar: each day behind `day` with its age, so that SQL needs no date arithmetic.

DuckDB and Spark differ in subtracting dates, not in joining them. With a half-life the calendar
also has decay_ppm = round(1e6 * 0.5 ** (age_days / half_life)): an integer, so that decayed sums
are equal to the last bit on every engine and in every order.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

YEAR = 365
MILLION = 1_000_000


def calendar(day: date, days: int, half_life: float | None = None) -> pl.DataFrame:
    """Return `days` rows: day, age_days (0 for `day`), and decay_ppm if there is a half-life."""
    ages = range(days)
    rows = {"day": [day - timedelta(days=age) for age in ages], "age_days": list(ages)}
    frame = pl.DataFrame(rows, schema={"day": pl.Date(), "age_days": pl.Int64()})
    if half_life is None:
        return frame
    decay = [round(MILLION * 0.5 ** (age / half_life)) for age in ages]
    return frame.with_columns(pl.Series("decay_ppm", decay, dtype=pl.Int64))
