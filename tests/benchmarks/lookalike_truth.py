"""How probable a seed act of each customer truly is: what only a simulated shop can tell.

From the evening of an anchor the shop lives `futures` horizons on: the same customers, the same
state, other luck. What a customer meets there is drawn; what becomes of it is not:

chance of an order  = P(examined) P(viewed) P(best liked of its rivals) P(cart) P(order)
propensity          = mean over futures of 1 - product over what is met of (1 - chance)

so that a few futures tell as much as thousands of drawn ones. Where the items of a category compete
in a list, the rivals count as much as they are expected to be viewed. An order counts on the day of
its cart; what was carted by the anchor and is paid for later is luck.

The ceiling is the task's own trainer on the same rows and columns, fitted to these probabilities in
place of what people did: what more people could teach it, and no other column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.features.counters import SNAPSHOT_DAYS
from tasks.lake.lake import Lake
from tasks.lake.tables import CUSTOMERS, EVENTS, ITEM_ATTRIBUTES, ITEMS
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.model import Model
from tasks.lookalikes.registry import Segment, segments
from tasks.lookalikes.training import ANCHOR, LABEL, Lessons, Lot, fitted
from tasks.simulator import behaviour
from tasks.simulator.breaks import p_reached, p_stop
from tasks.simulator.draws import Bits, Draws, Flags, Floats, Key, Stream, logistic
from tasks.simulator.listings import present_lists, shelf
from tasks.simulator.sessions import Requests, requests
from tasks.simulator.shop import Letters, Shop, indices_of
from tests.benchmarks.bench_preferences import rows
from tests.benchmarks.lookalike_shops import HORIZON, SCORED_DAY, Life

JUDGED_FUTURES, LEARNT_FUTURES = 4, 2
ANYTHING = "anything"
"""The propensity of ordering anything at all."""
FIRST_OF_LUCK, LAST_OF_LUCK = Stream.SESSIONS, Stream.MAILING
LATER_LUCK = (Stream.STOP, Stream.CHOICE, Stream.QUANTITY)


@dataclass(frozen=True)
class Luck(Draws):
    """The draws of a seed with other luck from now on; customers and items stay who they are."""

    future: int = 0

    def bits(self, stream: Stream, *keys: Key) -> Bits:
        """Return 64 random bits per key."""
        is_luck = FIRST_OF_LUCK <= stream <= LAST_OF_LUCK or stream in LATER_LUCK
        return super().bits(stream, *keys, self.future) if is_luck else super().bits(stream, *keys)


class Truth:
    """The true probabilities of one shop's customers, worked out once for each anchor."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.known: dict[date, pl.DataFrame] = {}

    def at(self, anchor: date) -> pl.DataFrame:
        """Return `user_id`, `ANYTHING`, and every segment that orders of some items make."""
        if anchor not in self.known:
            futures = JUDGED_FUTURES if anchor == SCORED_DAY else LEARNT_FUTURES
            until = anchor + timedelta(days=HORIZON)
            items = {
                name: seed_items(self.life.lake, segment, until)
                for name, segment in segments().items()
            }
            wanted = {name: found for name, found in items.items() if len(found)}
            evening = self.life.evenings[anchor]
            self.known[anchor] = propensities(evening, HORIZON, wanted, futures)
        return self.known[anchor]

    def of(self, segment: str, people: pl.DataFrame, anchor: date) -> pl.Series | None:
        """Return the probability of each of the people; None where no item makes a seed.

        Who is no customer, as a bot, orders nothing.
        """
        there = self.at(anchor)
        if segment not in there.columns:
            return None
        found = people.select(c.USER_ID).join(
            there, on=c.USER_ID, how="left", maintain_order="left"
        )
        return found[segment].fill_null(0.0)

    def ceiling(self, segment: str, learnt: Lessons) -> Model:
        """Return the model that the task would fit if it knew the probabilities."""
        seeding, anything = (self._told(learnt.seeding, name) for name in (segment, ANYTHING))
        share = np.divide(seeding, anything, out=np.zeros(len(seeding)), where=anything > 0)
        buying = _as_told(learnt.buying, self._told(learnt.buying, ANYTHING))
        return fitted(replace(learnt, seeding=_as_told(learnt.seeding, share), buying=buying))

    def _told(self, lot: Lot, name: str) -> Array:
        parts = [
            self.of(name, people, anchor)
            for (anchor,), people in lot.people.group_by(ANCHOR, maintain_order=True)
        ]
        told: Array = pl.concat(part for part in parts if part is not None).to_numpy()
        return told


def _as_told(lot: Lot, probability: Array) -> Lot:
    return replace(lot, people=lot.people.with_columns(pl.Series(LABEL, probability)))


def seed_items(lake: Lake, segment: Segment, day: date) -> pl.Series:
    """Return the `item_id` whose order is a seed act, by the segment's own SELECT.

    Each item of the snapshots up to `day` is ordered once, by somebody of the item's name.
    """
    snapshots = dict.fromkeys((ITEMS, ITEM_ATTRIBUTES, CUSTOMERS), SNAPSHOT_DAYS)
    items = lake.read_window(ITEMS, day, SNAPSHOT_DAYS)[c.ITEM_ID].unique().sort()
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    each = {c.EVENT_ID: items, c.USER_ID: items, c.ITEM_ID: items}
    orders = rows(EVENTS, {**each, c.EVENT_TYPE: c.ORDER, c.TS: noon})
    dated = orders.with_columns(pl.lit(day).alias(c.DT))
    found = lake.select(segment.sql, day, snapshots, frames={EVENTS.name: dated})[c.USER_ID]
    return items.filter(items.is_in(found.implode()))


def propensities(
    shop: Shop, horizon: int, wanted: Mapping[str, pl.Series], futures: int
) -> pl.DataFrame:
    """Return `user_id`, the propensity of each of `wanted`, items by name, and of `ANYTHING`.

    Args:
        shop: on the morning after the anchor; it stays as it is.
        horizon: days.
        wanted: the items of each seed thing.
        futures: how many.
    """
    size = shop.world.catalogue.size
    flags = {name: np.isin(np.arange(size), indices_of(items)) for name, items in wanted.items()}
    flags[ANYTHING] = np.ones(size, bool)
    total = {name: np.zeros(shop.world.customers.size) for name in flags}
    for future in range(futures):
        none = _odds_of_none(_turned(shop, future), horizon, flags)
        for name in flags:
            total[name] -= np.expm1(none[name]) / futures
    return pl.DataFrame({c.USER_ID: shop.world.customers.ids, **total})


def _turned(shop: Shop, future: int) -> Shop:
    """Return a shop that goes on from here by other luck."""
    draws = Luck(shop.world.draws.seed, future)
    branch = shop.copy()
    return replace(branch, world=replace(branch.world, draws=draws))


def _odds_of_none(shop: Shop, horizon: int, flags: Mapping[str, Flags]) -> dict[str, Floats]:
    """Return each customer's log-probability of no order of each kind; the shop moves on."""
    none = {name: np.zeros(shop.world.customers.size) for name in flags}
    for _ in range(horizon):
        met, chance = _lived_day(shop)
        for name, wanted in flags.items():
            missed = np.where(wanted[met.item], np.log1p(-chance), 0.0)
            none[name] += np.bincount(met.customer, missed, minlength=len(none[name]))
    return none


def _lived_day(shop: Shop) -> tuple[behaviour.Encounters, Floats]:
    """Return what customers meet on the shop's next day and the chance of each order; moves on."""
    world, state, day = shop.world, shop.state, shop.next_day
    plan = requests(world, state, day, world.customers.indices)
    own = shelf(world, state, day)
    lists = present_lists(world, own, plan)
    mailed = indices_of(shop._newsletter(day)[c.USER_ID])
    letters = Letters(mailed, behaviour.best_of_interest(world, own, day, mailed))
    met = behaviour.joined(
        [
            behaviour.listed(plan, lists),
            behaviour.revisits(world, state, plan),
            behaviour.mailing_visits(world, day, *letters),
        ]
    )
    chance = order_chances(shop, plan, met)
    lived = shop._live(plan, lists, letters, shop.scheduled)
    shop._move_on(lived.later, lived.gained)
    return met, chance


def order_chances(shop: Shop, plan: Requests, met: behaviour.Encounters) -> Floats:
    """Return the chance that each encounter ends in an order; slots of lists by list, first."""
    world, state, parameters = shop.world, shop.state, shop.world.parameters
    utility = behaviour.utilities(world, state, met)
    is_listed = met.request >= 0
    view = np.where(is_listed, behaviour.p_view(world, utility), 1.0)
    cart = behaviour.p_cart(world, state, met, utility)
    examined = behaviour.p_examined(world, met)
    stop = examined * p_stop(world, utility, view, cart)
    viewed = examined * view
    viewed[is_listed] *= p_reached(met.request[is_listed], stop[is_listed])
    need = parameters.need_in_orders * behaviour.needs(world, state, met)
    order = logistic(parameters.order_intercept + parameters.order_slope * utility + need)
    return viewed * _p_chosen(shop, met, utility, viewed) * cart * order


def _p_chosen(
    shop: Shop, met: behaviour.Encounters, utility: Floats, viewed: Floats
) -> Floats | float:
    """Return P(the best liked of its list's category | viewed), where these compete."""
    if not shop.world.parameters.breaks.one_choice:
        return 1.0
    liked = np.exp(utility)
    rivals = np.stack([met.request, shop.world.catalogue.category[met.item]])
    place = np.unique(rivals, axis=1, return_inverse=True)[1].ravel()
    others = np.bincount(place, viewed * liked)[place] - viewed * liked
    return np.where(met.request >= 0, liked / (liked + others), 1.0)
