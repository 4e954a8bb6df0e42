"""Marginals of the simulated shop beside those of real folders, where these speak.

The real range goes from the lowest to the highest value, intervals included, over the folders that
speak and, in a folder, over its windows of `window_days`: what one shop does in one month varies
in the next. A simulated value is *inside* it, *near* (within `NEAR` of an end, as a factor), or
*outside*. One place to add a marginal: `MARGINALS`; a folder speaks when it is named there, and the
reason is beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import polars as pl

from tasks import columns as c
from tasks.simulator import measures as m
from tasks.simulator.measures import Estimate, Measure

MONTH, DAY = 28, 1
NEAR = 1.5
PERCENT, RATIO, COUNT = "%", "ratio", "number"
SPARSE, DENSE = 2.5, 10.0
LEARNING_DAYS = 150
ONE_PERCENT, TEN_PERCENT = 0.01, 0.1
INSIDE, NEARBY, OUTSIDE, SILENT = "inside", "near", "outside", "nobody speaks"


@dataclass(frozen=True)
class Marginal:
    """What is compared; `speaks` gives each folder that can tell, and as what.

    `window_days` cuts real logs into whole windows, None leaves them whole; `since_days` leaves out
    the folder's first days, in which nothing can be called new. `is_floor`: the folders tell only
    what a shop exceeds. `in_shuffled`: simulated where every list is shuffled, since the usual 2%
    hold too few clicks.
    """

    name: str
    unit: str
    measure: Measure
    speaks: dict[str, str] = field(default_factory=dict)
    window_days: int | None = MONTH
    since_days: int = 0
    is_floor: bool = False
    in_shuffled: bool = False


RATINGS = {"ml1m": "films by ratings, 20 a user at least", "s3rec": "beauty by ratings, 5 at least"}
VIEWS = {"globo_clicks": "news, ten days", "rees46_slice": "a shop of everything, three hours"}
BRANDS = {"alibaba_brand": "brands of a marketplace", "rees46_slice": VIEWS["rees46_slice"]}
GIFTS = {"online_retail": "gifts, many buyers resell them"}

_TOP_PERCENT = partial(m.top_share, share=ONE_PERCENT)
_TOP_TENTH = partial(m.top_share, share=TEN_PERCENT)


def _concentrations(
    what: str, column: str, density: float, speaks: dict[str, str], event_type: str = c.VIEW
) -> tuple[Marginal, ...]:
    """Return the three marginals of concentration of one column."""
    return tuple(
        Marginal(
            f"{name} over {what}, {density:g} each",
            unit,
            m.concentration(column, statistic, density, event_type),
            speaks,
            window_days=None,
        )
        for name, unit, statistic in (
            (f"Gini of {event_type}s", RATIO, m.gini),
            (f"top 1% of {event_type}s", PERCENT, _TOP_PERCENT),
            (f"top 10% of {event_type}s", PERCENT, _TOP_TENTH),
        )
    )


MARGINALS = (
    Marginal(
        "views per impression",
        PERCENT,
        m.rate(c.VIEW, c.IMPRESSION),
        {"obd_small": "a banner of three that nobody asked for: what the lists of a shop exceed"},
        window_days=None,
        is_floor=True,
    ),
    Marginal(
        "orders per view",
        PERCENT,
        m.rate(c.ORDER, c.VIEW),
        {"alibaba_brand": "users who buy a lot", "rees46_slice": VIEWS["rees46_slice"]},
    ),
    Marginal(
        "carts per view",
        PERCENT,
        m.rate(c.CART, c.VIEW),
        {name: "most orders pass by its carts: what carts exceed" for name in BRANDS},
        is_floor=True,
    ),
    Marginal(
        "favourites per view",
        PERCENT,
        m.rate(c.FAVORITE, c.VIEW),
        {"alibaba_brand": "users who buy a lot"},
    ),
    Marginal(
        "returns per order line, home",
        PERCENT,
        m.rate(c.RETURN, c.ORDER, group="home"),
        {"online_retail": "gifts and things for the home; of clothes no folder tells"},
    ),
    Marginal("orders of an item again, 28 days", PERCENT, m.repeats(c.ITEM_ID), GIFTS),
    Marginal(
        "orders of a brand again, 28 days",
        PERCENT,
        m.repeats(c.BRAND),
        {"alibaba_brand": "users who buy a lot"},
    ),
    Marginal(
        "views of an item again in the session",
        PERCENT,
        m.again_in_session,
        {"rees46_slice": VIEWS["rees46_slice"]},
    ),
    Marginal(
        "views per session",
        COUNT,
        m.views_per_session(1),
        {"rees46_slice": "sessions cut at both ends of three hours"},
    ),
    Marginal("views per session of two or more", COUNT, m.views_per_session(2), VIEWS),
    Marginal(
        "sessions of two views per active user and week",
        COUNT,
        m.sessions_per_week(2),
        {"globo_clicks": "news"},
        window_days=7,
    ),
    Marginal(
        "days with views per active user and week",
        COUNT,
        m.active_days_per_week,
        {"globo_clicks": "news", "alibaba_brand": "users who buy a lot"},
        window_days=7,
    ),
    *_concentrations("items", c.ITEM_ID, SPARSE, VIEWS | RATINGS),
    *_concentrations("items", c.ITEM_ID, DENSE, {"globo_clicks": VIEWS["globo_clicks"]} | RATINGS),
    *_concentrations("items", c.ITEM_ID, SPARSE, GIFTS, c.ORDER),
    *_concentrations("brands", c.BRAND, DENSE, BRANDS),
    *_concentrations("users", c.USER_ID, SPARSE, VIEWS),
    Marginal(
        "new items a day",
        PERCENT,
        m.new_per_day,
        {"online_retail": "gifts; an item's first day is that of its first order"},
        since_days=LEARNING_DAYS,
    ),
    Marginal(
        "events received a day late",
        PERCENT,
        m.late,
        {"globo_clicks": "clicks a day and more after their session began"},
        window_days=DAY,
    ),
    Marginal(
        "views in the six quietest hours",
        PERCENT,
        m.quiet_hours,
        {"globo_clicks": "news, day by day"},
        window_days=DAY,
    ),
    Marginal(
        "views in the six busiest hours",
        PERCENT,
        m.busy_hours,
        {"globo_clicks": "news, day by day"},
        window_days=DAY,
    ),
    Marginal(
        "views on the busiest weekday, over the quietest",
        RATIO,
        m.weekday_ratio,
        {"alibaba_brand": "a marketplace; the gift shop is closed on Saturdays"},
    ),
    *(
        Marginal(
            f"views per impression at position {position}, over the first",
            RATIO,
            m.relative_click(position),
            {"obd_small": "two random policies, three slots in a row"},
            window_days=None,
            in_shuffled=True,
        )
        for position in (2, 3)
    ),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: the real range, and the simulated mean, lowest and highest value."""

    name: str
    unit: str
    folders: tuple[str, ...]
    real: tuple[float, float] | None
    simulated: Estimate

    @property
    def verdict(self) -> str:
        """Return how the simulated value lies to the real range."""
        if self.real is None:
            return SILENT
        low, high = self.real
        if low <= self.simulated.value <= high:
            return INSIDE
        return NEARBY if low / NEAR <= self.simulated.value <= high * NEAR else OUTSIDE


def windows(log: pl.DataFrame, days: int | None, since_days: int = 0) -> list[pl.DataFrame]:
    """Return the whole windows of a log from its first event on; a shorter log is one window."""
    if days is None:
        return [log]
    begins, ends = log.select(begins=pl.col(c.TS).min(), ends=pl.col(c.TS).max()).row(0)
    first = begins + timedelta(since_days)
    whole = max(((ends - first).days + 1) // days, 1)
    number = ((pl.col(c.TS) - first).dt.total_days() // days).alias("window")
    numbered = log.filter(pl.col(c.TS) >= first).with_columns(number)
    known = numbered.filter(pl.col("window") < whole).sort("window", maintain_order=True)
    return known.partition_by("window", maintain_order=True, include_key=False)


def real_range(marginal: Marginal, logs: dict[str, pl.DataFrame]) -> tuple[float, float] | None:
    """Return the lowest and highest real value, None where no folder that speaks is there."""
    found = [
        marginal.measure(window)
        for name in marginal.speaks
        if name in logs
        for window in windows(logs[name], marginal.window_days, marginal.since_days)
    ]
    found = [estimate for estimate in found if not math.isnan(estimate.value)]
    if not found:
        return None
    low, high = min(each.low for each in found), max(each.high for each in found)
    return low, (math.inf if marginal.is_floor else high)


def simulated_value(marginal: Marginal, logs: list[pl.DataFrame]) -> Estimate:
    """Return the mean over simulated logs, and the lowest and the highest of them."""
    values = [marginal.measure(log).value for log in logs]
    return Estimate(sum(values) / len(values), min(values), max(values))


def table(
    real: dict[str, pl.DataFrame],
    simulated: list[pl.DataFrame],
    shuffled: list[pl.DataFrame] | None = None,
) -> list[Row]:
    """Return every marginal's row.

    Args:
        real: logs by folder, as `real_logs` reads them; folders may be absent.
        simulated: logs of shops of different seeds, as `shop_log` makes them.
        shuffled: the same of shops in which every list is shuffled; without them clicks by
            position come from the few shuffled lists of `simulated`.
    """
    return [
        Row(
            marginal.name,
            marginal.unit,
            tuple(name for name in marginal.speaks if name in real),
            real_range(marginal, real),
            simulated_value(
                marginal, (shuffled or simulated) if marginal.in_shuffled else simulated
            ),
        )
        for marginal in MARGINALS
    ]


def shop_log(events: pl.DataFrame, items: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """Return a simulated shop's log: customers only, each event once, with its item's facts.

    Args:
        events: what landed, over any days.
        items: the newest snapshot.
        customers: the newest snapshot; bots and staff are not in it.
    """
    facts = items.select(c.ITEM_ID, c.BRAND, c.CATEGORY_GROUP, c.FIRST_SEEN)
    once = events.sort(c.RECEIVED_AT, c.EVENT_ID).unique(c.EVENT_ID, keep="first")
    of_people = once.join(customers.select(c.USER_ID), on=c.USER_ID, how="semi")
    return of_people.join(facts, on=c.ITEM_ID, how="left").sort(c.TS, c.EVENT_ID)
