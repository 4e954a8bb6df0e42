"""Measures of a log: what a marginal is, the same way for a real log and for a simulated one.

A log has the columns of the event contract that its source can tell, and the item's `brand` and
`category_group`; a measure asks for what it needs and no more.

rate(a, b)      = events of type a / events of type b, with Wilson's interval (JASA 22, 1927)
share of top s  = events of the s most frequent values / all events
gini            = 2 sum(k x count_k) / (n sum(count_k)) - (n + 1) / n, counts ascending, k = 1..n
relative click  = (views at p / impressions at p) / (the same at 1), interval of Katz (1978)

Concentration grows with events per value, so logs are thinned at random to the same `density` of
events per value that was met: a slice of three hours then compares with months of ratings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.draws import Floats, Ints

NORMAL_95 = 1.96
THINNINGS = 8
QUIET_HOURS = 6
LATE_SECONDS = 86_400
DAYS_A_WEEK = 7


class Estimate(NamedTuple):
    """A value and its 95% interval; both ends are the value where none is told."""

    value: float
    low: float
    high: float


Measure = Callable[[pl.DataFrame], Estimate]


def exact(value: float) -> Estimate:
    """Return a value without an interval."""
    return Estimate(value, value, value)


def wilson(hits: int, trials: int) -> Estimate:
    """Return hits / trials with Wilson's interval; hits beyond the trials have none."""
    if not trials:
        return exact(math.nan)
    share, z = hits / trials, NORMAL_95
    if share > 1:
        return exact(share)
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    half = z * spread / (1 + z**2 / trials)
    return Estimate(share, middle - half, middle + half)


def of_type(log: pl.DataFrame, *event_types: str) -> pl.DataFrame:
    """Return the events of these types."""
    return log.filter(pl.col(c.EVENT_TYPE).is_in(event_types))


def rate(event_type: str, base: str, group: str | None = None) -> Measure:
    """Measure events of a type for one of another, of all items or of one category group."""

    def measure(log: pl.DataFrame) -> Estimate:
        told = log if group is None else log.filter(pl.col(c.CATEGORY_GROUP) == group)
        return wilson(of_type(told, event_type).height, of_type(told, base).height)

    return measure


def repeats(column: str) -> Measure:
    """Measure purchases, once a day, of what the user bought on an earlier day of the log."""

    def measure(log: pl.DataFrame) -> Estimate:
        days = pl.col(c.TS).dt.date()
        bought = of_type(log, c.ORDER).select(c.USER_ID, column, days).drop_nulls().unique()
        return wilson(bought.height - bought.n_unique([c.USER_ID, column]), bought.height)

    return measure


def views_per_session(at_least: int) -> Measure:
    """Measure the views of sessions that have this many or more."""

    def measure(log: pl.DataFrame) -> Estimate:
        return exact(_sessions(log, at_least).select(pl.col("len").mean()).item())

    return measure


def _sessions(log: pl.DataFrame, at_least: int) -> pl.DataFrame:
    views = of_type(log, c.VIEW).drop_nulls(c.SESSION_ID)
    counted = views.group_by(c.USER_ID, c.SESSION_ID).agg(pl.len(), pl.col(c.TS).min())
    return counted.filter(pl.col("len") >= at_least)


def sessions_per_week(at_least: int) -> Measure:
    """Measure sessions with this many views, of a user who has one that week."""

    def measure(log: pl.DataFrame) -> Estimate:
        sessions = _sessions(log, at_least).with_columns(_week(log))
        return exact(sessions.height / sessions.n_unique([c.USER_ID, "week"]))

    return measure


def active_days_per_week(log: pl.DataFrame) -> Estimate:
    """Measure the days with a view, of a user who has one that week."""
    day = pl.col(c.TS).dt.date().alias("day")
    seen = of_type(log, c.VIEW).select(c.USER_ID, _week(log), day).unique()
    return exact(seen.height / seen.n_unique([c.USER_ID, "week"]))


def _week(log: pl.DataFrame) -> pl.Expr:
    return ((pl.col(c.TS) - log[c.TS].min()).dt.total_days() // DAYS_A_WEEK).alias("week")


def again_in_session(log: pl.DataFrame) -> Estimate:
    """Measure views of an item that was viewed earlier in the same session."""
    views = of_type(log, c.VIEW).select(c.USER_ID, c.SESSION_ID, c.ITEM_ID).drop_nulls()
    return wilson(views.height - views.n_unique(), views.height)


def thinned(codes: Ints, density: float, seed: int) -> Ints | None:
    """Return events drawn at random until they are `density` a value; None if they never are.

    Args:
        codes: the value of each event, 0 to the number of values - 1, all of them met.
        density: events per value that the drawn events have met.
        seed: of the draw.
    """
    enough = min(math.ceil(density * (codes.max(initial=0) + 1)), len(codes))
    drawn = np.random.default_rng(seed).choice(codes, enough, replace=False)
    first = np.zeros(len(drawn), dtype=np.bool_)
    first[np.unique(drawn, return_index=True)[1]] = True
    met = np.arange(1, len(drawn) + 1) / np.cumsum(first)
    # The last time, since a popular value drawn a few times at once reaches it early.
    end = int(np.flatnonzero(met < density).max(initial=-1)) + 1
    return drawn[: end + 1] if end < len(drawn) else None


def gini(counts: Ints) -> float:
    """Return how unequal counts are, 0 to 1."""
    ascending, n = np.sort(counts), len(counts)
    return float(2 * (np.arange(1, n + 1) * ascending).sum() / (n * counts.sum()) - (n + 1) / n)


def top_share(counts: Ints, share: float) -> float:
    """Return what the most frequent `share` of values, one at least, has of all events."""
    first = max(1, round(share * len(counts)))
    return float(np.sort(counts)[::-1][:first].sum() / counts.sum())


def concentration(
    column: str, statistic: Callable[[Ints], float], density: float, event_type: str = c.VIEW
) -> Measure:
    """Measure a statistic of events per value; NaN for a log with fewer events per value."""

    def measure(log: pl.DataFrame) -> Estimate:
        values = of_type(log, event_type)[column].drop_nulls().rank("dense").to_numpy() - 1
        drawn = [thinned(values, density, seed) for seed in range(THINNINGS)]
        found = [statistic(np.unique(d, return_counts=True)[1]) for d in drawn if d is not None]
        return exact(float(np.mean(found)) if found else math.nan)

    return measure


def new_per_day(log: pl.DataFrame) -> Estimate:
    """Measure items first seen within the log, a day, as a share of the items met in it."""
    items = log.group_by(c.ITEM_ID).agg(pl.col(c.FIRST_SEEN).first())
    day = pl.col(c.TS).dt.date()
    first, last = log.select(first=day.min(), last=day.max()).row(0)
    days = (last - first).days + 1
    found = wilson(int((items[c.FIRST_SEEN] >= first).sum()), items.height)
    return Estimate(*(value / days for value in found))


def late(log: pl.DataFrame) -> Estimate:
    """Measure events received a day or more after they happened."""
    seconds = (log[c.RECEIVED_AT] - log[c.TS]).dt.total_seconds()
    return wilson(int((seconds >= LATE_SECONDS).sum()), log.height)


def quiet_hours(log: pl.DataFrame) -> Estimate:
    """Measure the views in the quietest six hours in a row, whatever the time zone."""
    return exact(float(_six_hours(log).min()))


def busy_hours(log: pl.DataFrame) -> Estimate:
    """Measure the views in the busiest six hours in a row, whatever the time zone."""
    return exact(float(_six_hours(log).max()))


def _six_hours(log: pl.DataFrame) -> Floats:
    hours = of_type(log, c.VIEW)[c.TS].dt.hour().to_numpy()
    counts = np.bincount(hours, minlength=24) / len(hours)
    return np.array([np.roll(counts, -start)[:QUIET_HOURS].sum() for start in range(24)])


def weekday_ratio(log: pl.DataFrame) -> Estimate:
    """Measure the busiest weekday's views over the quietest's, each by its middle day."""
    day = pl.col(c.TS).dt.date().alias("day")
    days = of_type(log, c.VIEW).group_by(day).len()
    middle = days.group_by(pl.col("day").dt.weekday()).agg(pl.col("len").median())
    return exact(middle.select(pl.col("len").max() / pl.col("len").min()).item())


def relative_click(position: int) -> Measure:
    """Measure views per impression at a position over those at the first, in shuffled lists."""

    def measure(log: pl.DataFrame) -> Estimate:
        shuffled = log.filter(pl.col(c.LISTING_KIND) == "shuffled")
        here, first = _clicks(shuffled, position), _clicks(shuffled, 1)
        if not (here[0] and first[0]):
            return exact(math.nan)
        ratio = here[0] / here[1] / (first[0] / first[1])
        error = math.sqrt(1 / here[0] - 1 / here[1] + 1 / first[0] - 1 / first[1])
        spread = math.exp(NORMAL_95 * error)
        return Estimate(ratio, ratio / spread, ratio * spread)

    return measure


def _clicks(log: pl.DataFrame, position: int) -> tuple[int, int]:
    there = log.filter(pl.col(c.POSITION) == position)
    return of_type(there, c.VIEW).height, of_type(there, c.IMPRESSION).height
