"""`python -m tasks simulate --report`: pictures of both worlds, as their truth has them.

Nothing lands: two small shops of the same seed, one of each world, live four weeks in memory. The
page shows a customer's tastes and week, a list with its true probabilities, how popularity and
activity are spread, and every marginal beside those of real shops.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.report.figures import ACCENT, INK, SOFT, WARM, canvas, row_height
from tasks.report.page import Page, Section
from tasks.simulator import marginals
from tasks.simulator.marginals import Row, shop_log
from tasks.simulator.parameters import DEFAULT, ROUGH, Parameters, world_named
from tasks.simulator.real_logs import real_logs
from tasks.simulator.shop import Shop
from tasks.simulator.truth import importances, taste_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tasks.settings import Settings

log = logging.getLogger(__name__)

CUSTOMERS, ITEMS, DAYS, WEEK = 800, 800, 28, 7
TASTES, EVENTS = 14, 40
SCALE = {marginals.PERCENT: 100.0, marginals.RATIO: 1.0, marginals.COUNT: 1.0}
P_CART = "p_cart_if_examined"
DOING = (c.VIEW, c.FAVORITE, c.CART, c.ORDER, c.RETURN)


@dataclass(frozen=True)
class Month:
    """A shop after four weeks: its log, and the last day's lists with their truth."""

    shop: Shop
    events: pl.DataFrame
    items: pl.DataFrame
    truth: pl.DataFrame

    @property
    def name(self) -> str:
        """What the world is called."""
        return self.shop.world.parameters.version


def lived(parameters: Parameters, seed: int, last_day: date) -> Month:
    """Return a shop's month that ends on `last_day`."""
    shop = Shop.opened(seed, last_day - timedelta(DAYS - 1), CUSTOMERS, ITEMS, parameters)
    landed, truth = [], pl.DataFrame()
    while shop.next_day <= last_day:
        if shop.next_day == last_day:
            truth = shop.truth(last_day, shop.present_lists(last_day))
        log.info("%s: %s", parameters.version, shop.next_day)
        landed.append(shop.simulate_day(shop.next_day)[0])
    items, customers = landed[-1]["items"], landed[-1]["customers"]
    events = shop_log(pl.concat([frames["events"] for frames in landed]), items, customers)
    return Month(shop, events, items, truth)


def page(seed: int, last_day: date, settings: Settings) -> Page:
    """Return the page of both worlds of a seed."""
    worlds = [lived(parameters, seed, last_day) for parameters in (DEFAULT, world_named(ROUGH))]
    real = real_logs(settings.real_data) if settings.real_data else {}
    rows = {month.name: marginals.table(real, [month.events]) for month in worlds}
    sections = (
        *(section for pair in zip(*map(of_customer, worlds), strict=True) for section in pair),
        spread_section(worlds),
        marginals_section(rows, bool(real)),
    )
    digests = ", ".join(f"{month.name} {month.shop.world.parameters.digest}" for month in worlds)
    headline = (f"Seed {seed}, {CUSTOMERS} customers, {ITEMS} items, {DAYS} days: {digests}.",)
    return Page(last_day, headline, sections, subject="The simulated shop")


def of_customer(month: Month) -> tuple[Section, ...]:
    """Return tastes, week and a list of the world's liveliest customer on its last day."""
    day = month.shop.next_day - timedelta(days=1)
    customer = liveliest(month, day)
    return (
        tastes_section(month, customer),
        week_section(month, customer, day),
        list_section(month, customer),
    )


def liveliest(month: Month, day: date) -> str:
    """Return the customer of whom the day's lists saw most; ties go to the smaller id."""
    today = month.events.filter(
        (pl.col(c.TS).dt.date() == day)
        & pl.col(c.LISTING_ID).is_not_null()
        & pl.col(c.EVENT_TYPE).is_in((c.VIEW, c.CART))
    )
    counted = today.group_by(c.USER_ID).len().sort(["len", c.USER_ID], descending=[True, False])
    return str(counted[c.USER_ID][0])


def tastes_section(month: Month, customer: str) -> Section:
    """Return what the customer truly likes and dislikes most, importance counted in."""
    mean = importances(month.shop.world).group_by(c.ATTRIBUTE).agg(pl.col("importance").mean())
    known = taste_truth(month.shop).filter(pl.col(c.USER_ID) == customer)
    rows = known.join(mean, on=c.ATTRIBUTE).select(
        pl.format("{} {}", c.ATTRIBUTE, c.VALUE).alias(c.VALUE),
        (pl.col("taste") * pl.col("own_factor") * pl.col("importance")).alias("weight"),
    )
    strongest = rows.sort(pl.col("weight").abs(), descending=True).head(TASTES).sort("weight")
    notes = (f"Customer {customer}: taste times mean importance of an attribute, in log-odds.",)
    return Section(
        f"A customer's tastes ({month.name})", figure=tastes_figure(strongest), notes=notes
    )


def tastes_figure(rows: pl.DataFrame) -> Figure:
    """Draw likes to the right and dislikes to the left."""
    figure, (axis,) = canvas(row_height(rows.height))
    colours = [ACCENT if weight > 0 else WARM for weight in rows["weight"]]
    axis.barh(rows[c.VALUE].to_list(), rows["weight"].to_numpy(), color=colours)
    axis.set_xlabel("what it adds to the log-odds of a view")
    return figure


def week_section(month: Month, customer: str, day: date) -> Section:
    """Return what the customer did in the last week, newest first."""
    since = pl.col(c.TS).dt.date() > day - timedelta(WEEK)
    own = month.events.filter(
        since & (pl.col(c.USER_ID) == customer) & pl.col(c.EVENT_TYPE).is_in(DOING)
    )
    facts = month.items.select(c.ITEM_ID, c.CATEGORY, c.COLOUR)
    table = own.join(facts, on=c.ITEM_ID, how="left").sort(c.TS, descending=True)
    shown = [c.TS, c.EVENT_TYPE, c.CATEGORY, c.BRAND, c.COLOUR, c.PRICE, c.QUERY, c.POSITION]
    told = f"{own.height} views, favourites, carts, orders and returns of {customer} in a week."
    return Section(f"Their week ({month.name})", table.head(EVENTS).select(shown), notes=(told,))


def list_section(month: Month, customer: str) -> Section:
    """Return a list of the last day in which the customer did most, slot by slot with its truth."""
    own = month.truth.filter(pl.col(c.USER_ID) == customer)
    done = month.events.filter(pl.col(c.LISTING_ID).is_in(own[c.LISTING_ID].implode()))
    busy = done.filter(pl.col(c.EVENT_TYPE).is_in((c.VIEW, c.CART)))
    chosen = busy.group_by(c.LISTING_ID).len().sort("len", c.LISTING_ID, descending=[True, False])
    rows = own.filter(pl.col(c.LISTING_ID) == chosen[c.LISTING_ID][0]).sort(c.POSITION)
    happened = {
        kind: done.filter(
            (pl.col(c.EVENT_TYPE) == kind) & (pl.col(c.LISTING_ID) == chosen[c.LISTING_ID][0])
        )[c.POSITION].to_list()
        for kind in (c.VIEW, c.CART)
    }
    notes = (
        "Bars: P(cart | examined); line: P(examined); marked: what was viewed and put in the cart.",
    )
    return Section(
        f"A list and its truth ({month.name})", figure=list_figure(rows, happened), notes=notes
    )


def list_figure(rows: pl.DataFrame, happened: dict[str, list[int]]) -> Figure:
    """Draw both true probabilities by position."""
    figure, (axis,) = canvas(3.2)
    place = rows[c.POSITION].to_numpy()
    axis.bar(place, rows[P_CART].to_numpy(), color=SOFT, label="P(cart | examined)")
    for kind, colour in ((c.VIEW, ACCENT), (c.CART, WARM)):
        spots = np.isin(place, happened[kind])
        axis.scatter(
            place[spots], rows[P_CART].to_numpy()[spots], color=colour, label=kind, zorder=3
        )
    other = axis.twinx()
    other.plot(place, rows[c.P_EXAMINED].to_numpy(), color=INK, label="P(examined)")
    other.set_ylim(0, 1.05)
    other.set_ylabel("P(examined)")
    axis.set_xlabel("position")
    axis.set_ylabel("P(cart | examined)")
    axis.legend(fontsize=8)
    return figure


def spread_section(worlds: list[Month]) -> Section:
    """Return how unequally views fall on items and on customers, by world."""
    figure, axes = canvas(3.2, columns=2)
    for axis, (column, label) in zip(
        axes, ((c.ITEM_ID, "items"), (c.USER_ID, "customers")), strict=True
    ):
        for month, colour in zip(worlds, (ACCENT, WARM), strict=True):
            views = month.events.filter(pl.col(c.EVENT_TYPE) == c.VIEW)[column].value_counts(
                sort=True
            )
            counts = views["count"].to_numpy()
            axis.loglog(np.arange(1, len(counts) + 1), counts, color=colour, label=month.name)
        axis.set_xlabel(f"rank of {label}")
        axis.set_ylabel("views in four weeks")
        axis.legend(fontsize=8)
    return Section("Popularity and activity", figure=figure)


def marginals_section(rows: dict[str, list[Row]], is_known: bool) -> Section:
    """Return every marginal by world beside the real range."""
    first = next(iter(rows.values()))
    table = pl.DataFrame(
        {
            "marginal": [row.name for row in first],
            "unit": [row.unit for row in first],
            "real from": [row.real[0] * SCALE[row.unit] if row.real else None for row in first],
            "real to": [row.real[1] * SCALE[row.unit] if row.real else None for row in first],
            **{
                name: [row.simulated.value * SCALE[row.unit] for row in found]
                for name, found in rows.items()
            },
            **{f"{name} is": [row.verdict for row in found] for name, found in rows.items()},
        }
    )
    absent = "No folder of real data is named (VITRINA_REAL_DATA), so there is nothing beside it."
    return Section("Marginals beside real shops", table, notes=() if is_known else (absent,))
