"""The calendar: each day behind `day` with its age, so that SQL needs no date arithmetic.

DuckDB and Spark differ in subtracting dates, not in joining them. With a half-life the calendar
also has decay_ppm = round(1e6 * 0.5 ** (age_days / half_life)): an integer, so that decayed sums
are equal to the last bit on every engine and in every order.
`starts_at` <= ts < `ends_at` says that an event happened on the day.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

YEAR = 365
MILLION = 1_000_000


def calendar(day: date, days: int, half_life: float | None = None) -> pl.DataFrame:
    """Return `days` rows: day, age_days (0 for `day`), starts_at, ends_at, perhaps decay_ppm."""
    starts = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"age_days": range(days)}, schema={"age_days": pl.Int64()}).select(
        (pl.lit(day) - pl.duration(days="age_days")).alias("day"), "age_days"
    )
    frame = frame.with_columns(starts.alias("starts_at")).with_columns(
        (pl.col("starts_at") + timedelta(days=1)).alias("ends_at")
    )
    return frame if half_life is None else frame.with_columns(_decay(days, half_life))


def _decay(days: int, half_life: float) -> pl.Series:
    decay = [round(MILLION * 0.5 ** (age / half_life)) for age in range(days)]
    return pl.Series("decay_ppm", decay, dtype=pl.Int64)
