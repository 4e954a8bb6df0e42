"""What customers do with what they are shown.

examined  ~ floor + (1 - floor) / (1 + (position - 1) / scale) ** power, by platform
view      ~ logistic(view_intercept + view_slope * u), if examined
cart      ~ logistic(cart_intercept + cart_slope * u + buyer + need), if viewed
u = - the usual + appeal + quality + sum over attributes of importance x taste + price + season
    + style intent + collection begun + seen before + bought before

True importance of an attribute is its term's share in the log-odds. `p_cart_if_examined` is
P(view) P(cart | view).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from tasks.simulator import breaks
from tasks.simulator.attributes import COLLECTION, GENDER, GROUPS, SIZE, STYLE
from tasks.simulator.catalogue import season_fit
from tasks.simulator.customers import buying, tastes, trait_days
from tasks.simulator.draws import Flags, Floats, Ints, Stream, logistic
from tasks.simulator.listings import Lists, Shelf
from tasks.simulator.sessions import DAY_SECONDS, OTHER, UNKNOWN_PLATFORM, Requests, interests
from tasks.simulator.state import LONG_AGO, MOVES, NOTHING, State
from tasks.simulator.world import World

IMPRESSION, VIEW, FAVORITE, CART, ORDER, RETURN = range(6)
MICROSECONDS = 1_000_000
MAILING_TURN = 99
REVISIT_TURN = 50


@dataclass(frozen=True)
class Encounters:
    """Customers meeting items, a row each: slots of lists, and visits without (`request` -1)."""

    day: date
    customer: Ints
    item: Ints
    turn: Ints
    request: Ints
    position: Ints
    style: Ints
    second: Ints
    platform: Ints
    surface: Ints

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.customer)

    def take(self, rows: Ints | Flags) -> Encounters:
        """Return the rows at `rows`."""
        columns = {name: value[rows] for name, value in vars(self).items() if name != "day"}
        return Encounters(day=self.day, **columns)


def listed(plan: Requests, lists: Lists) -> Encounters:
    """Return the encounters of lists."""
    row = lists.request
    return Encounters(
        plan.day, plan.customer[row], lists.item, plan.ordinal[row], row, lists.position,
        plan.style[row], plan.second[row], plan.platform[row], plan.surface[row],
    )  # fmt: skip


def revisits(world: World, state: State, plan: Requests) -> Encounters:
    """Return visits to items of one's own memory at the start of a session."""
    opens = np.flatnonzero(np.diff(plan.customer * 64 + plan.session, prepend=-1) != 0)
    who, turn = plan.customer[opens], REVISIT_TURN + plan.session[opens]
    drawn = world.draws.uniform(Stream.REVISIT, who, plan.day.toordinal(), turn)
    memory = np.concatenate([state.seen[who], state.bought[who]], axis=1)
    width = memory.shape[1]
    # Of the two rings' newest ends, since the newest are what people come back for.
    pick = width // 2 - 1 - (drawn / world.parameters.revisit * 4).astype(np.int64) % (width // 2)
    pick += np.where((drawn * 1e4).astype(np.int64) % 3 == 0, width // 2, 0)
    item = memory[np.arange(len(who)), pick]
    comes = (
        (drawn < world.parameters.revisit)
        & (item != NOTHING)
        & world.catalogue.in_stock(plan.day)[item]
    )
    visits = _unlisted(plan.day, who, item, turn, plan.second[opens] + 15)
    return replace(visits, platform=plan.platform[opens], style=plan.style[opens]).take(comes)


def _unlisted(day: date, who: Ints, item: Ints, turn: Ints, second: Ints) -> Encounters:
    nothing = np.full(len(who), NOTHING)
    return Encounters(
        day, who, item, turn, nothing, nothing, nothing, second, nothing, np.full(len(who), OTHER)
    )


def best_of_interest(world: World, shelf: Shelf, day: date, who: Ints) -> Ints:
    """Return the best item of the shop's present order in what interests each most; -1 for none."""
    if not len(who):
        return who
    best: Ints = shelf.best[np.argmax(interests(world, day, who), axis=1), 0]
    return best


def mailing_visits(world: World, day: date, mailed: Ints, item: Ints) -> Encounters:
    """Return the visits to `item` that letters sent on `day` bring.

    On the day itself a letter only brings visits; whom it annoys comes less often afterwards.
    """
    if not len(mailed):
        return _unlisted(day, mailed, mailed, mailed, mailed)
    chance = world.parameters.visit_after_mailing * np.exp(world.customers.mailing_effect[mailed])
    drawn = world.draws.uniform(Stream.MAILING, mailed, day.toordinal(), 1)
    second = 43_200 + (
        world.draws.uniform(Stream.MAILING, mailed, day.toordinal(), 2) * 36_000
    ).astype(np.int64)
    visits = _unlisted(day, mailed, item, np.full(len(mailed), MAILING_TURN), second)
    return replace(visits, platform=world.customers.platform[mailed]).take(
        (drawn < chance) & (item >= 0)
    )


def joined(parts: list[Encounters]) -> Encounters:
    """Return several sets of encounters as one."""
    names = [name for name in vars(parts[0]) if name != "day"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Encounters(day=parts[0].day, **columns)


def p_examined(world: World, met: Encounters) -> Floats:
    """Return P(examined) of each encounter; 1 without a list."""
    parameters = world.parameters
    scale = np.array(parameters.examine_scale)[np.maximum(met.platform, 0)]
    scale = scale * (breaks.SHALLOWER if breaks.has_turned(world, met.day) else 1.0)
    fall = (1.0 + np.maximum(met.position - 1, 0) / scale) ** -parameters.examine_power
    return np.where(
        met.position > 0, parameters.examine_floor + (1 - parameters.examine_floor) * fall, 1.0
    )


def taste_terms(world: World, state: State, met: Encounters) -> dict[str, Floats]:
    """Return importance x taste of each attribute that means something, by attribute."""
    terms: dict[str, Floats] = {}
    group = world.catalogue.group[met.item]
    vectors = breaks.taste_vectors(world, state, met.customer, met.day)
    for number, attribute in enumerate(world.parameters.attributes):
        importance = np.array([attribute.importance.get(name, 0.0) for name in GROUPS])
        if importance.any():
            codes, count = (
                world.catalogue.values[attribute.name][met.item],
                len(world.catalogue.names[attribute.name]),
            )
            if attribute.name not in {SIZE, GENDER}:
                codes = breaks.in_fashion(world, met.day, codes, count)
            taste = tastes(world.customers, met.customer, vectors, number, codes, count)
            weight = importance[group] * breaks.own_factors(world, met.customer, number)
            terms[attribute.name] = world.parameters.importance_scale * weight * taste
    return terms


def other_terms(world: World, state: State, met: Encounters) -> dict[str, Floats]:
    """Return the terms of utility that are not taste for an attribute."""
    parameters, items = world.parameters, world.catalogue
    middle = np.array([entry.price for entry in parameters.categories])[items.category[met.item]]
    dearer = np.log(items.prices(met.day)[met.item] / middle)
    style = items.values[STYLE][met.item]
    begun = state.last_collection[met.customer]
    return {
        "appeal": items.appeal[met.item],
        "quality": items.quality[met.item],
        "price": -parameters.price_weight
        * world.customers.price_sensitivity[met.customer]
        * dearer,
        "season": parameters.season_weight * season_fit(items, met.day)[met.item],
        "style_intent": parameters.style_intent * ((style == met.style) & (style >= 0)),
        "collection": parameters.collection_continues
        * ((items.values[COLLECTION][met.item] == begun) & (begun != NOTHING)),
        "memory": _memory_term(world, state, met),
    }


def _memory_term(world: World, state: State, met: Encounters) -> Floats:
    parameters = world.parameters
    repeatable = np.array([entry.repeatable for entry in parameters.categories])[
        world.catalogue.category[met.item]
    ]
    seen = (state.seen[met.customer] == met.item[:, None]).any(axis=1)
    bought = state.bought[met.customer] == met.item[:, None]
    last = np.where(bought, state.bought_day[met.customer], LONG_AGO).max(axis=1)
    rested = met.day.toordinal() - last >= parameters.rest_days
    again = np.where(repeatable & rested, parameters.bought_again, parameters.bought_once)
    return np.where(bought.any(axis=1), again, parameters.seen_before * seen)


def utilities(world: World, state: State, met: Encounters) -> Floats:
    """Return u of each encounter."""
    total = breaks.hidden_style_term(world, met) - np.full(len(met), world.usual_utility)
    terms = taste_terms(world, state, met) | other_terms(world, state, met)
    for term in terms.values():
        total += term
    return total


def needs(world: World, state: State, met: Encounters) -> Floats:
    """Return the log-odds that traits add to carts where they end, until one has bought there."""
    names, category = list(world.category_names), world.catalogue.category[met.item]
    total = np.zeros(len(met))
    for number, trait in enumerate(world.parameters.traits):
        ends = np.isin(category, [names.index(name) for name in trait.buys])
        rows = np.flatnonzero(ends)
        who = met.customer[rows]
        due = buying(trait, trait_days(world.customers, number, met.day, who))
        due &= ~_bought_category(world, state, who, category[rows])
        total[rows] = world.parameters.trait_need * np.where(due, 1.0, -0.5)
    return total


def _bought_category(world: World, state: State, who: Ints, category: Ints) -> Flags:
    bought = state.bought[who]
    same = (world.catalogue.category[bought] == category[:, None]) & (bought != NOTHING)
    result: Flags = same.any(axis=1)
    return result


def p_view(world: World, utility: Floats) -> Floats:
    """Return P(view | examined)."""
    return logistic(world.parameters.view_intercept + world.parameters.view_slope * utility)


def p_favorite(world: World, utility: Floats) -> Floats:
    """Return P(favorite | viewed)."""
    favorite = world.parameters.favorite_intercept + world.parameters.favorite_slope * utility
    return logistic(favorite)


def p_cart(world: World, state: State, met: Encounters, utility: Floats) -> Floats:
    """Return P(cart | viewed)."""
    base = world.parameters.cart_intercept + world.customers.buyer[met.customer]
    return logistic(base + world.parameters.cart_slope * utility + needs(world, state, met))


def drawn(world: World, stream: Stream, met: Encounters) -> Floats:
    """Return the number that decides `stream` for each encounter, whatever its position."""
    return world.draws.uniform(stream, met.customer, met.day.toordinal(), met.turn, met.item)


def moves(world: World, state: State, plan: Requests, met: Encounters) -> pl.DataFrame:
    """Return what happens in the encounters, from impressions to orders, as MOVES rows."""
    impressions = met.take(met.request >= 0)
    shown_at = impressions.second * MICROSECONDS + impressions.position
    views, utility = _views(world, state, met)
    carted = drawn(world, Stream.CART, views) < p_cart(world, state, views, utility)
    reached = breaks.are_reached(world, views, utility, carted)
    views, utility, carted = views.take(reached), utility[reached], carted[reached]
    carted &= breaks.are_chosen(world, views, utility)
    liked = drawn(world, Stream.FAVORITE, views) < p_favorite(world, utility)
    dwell = _dwell_seconds(world, views, utility, carted)
    at = view_moments(world, views)
    done = at + np.minimum(dwell, 90) * MICROSECONDS
    parts = [
        _rows(world, plan, impressions, IMPRESSION, shown_at),
        _rows(world, plan, views, VIEW, at, dwell),
        _rows(world, plan, views.take(liked), FAVORITE, done[liked] - MICROSECONDS // 2),
        _rows(world, plan, views.take(carted), CART, done[carted]),
        _orders(world, state, plan, views.take(carted), utility[carted], done[carted]),
    ]
    return pl.concat(parts)


def _views(world: World, state: State, met: Encounters) -> tuple[Encounters, Floats]:
    """Return the encounters that end in a view, and their utility."""
    looked = met.take(drawn(world, Stream.EXAMINE, met) < p_examined(world, met))
    utility = utilities(world, state, looked)
    viewed = (drawn(world, Stream.VIEW, looked) < p_view(world, utility)) | (looked.request < 0)
    return looked.take(viewed), utility[viewed]


def view_moments(world: World, met: Encounters) -> Ints:
    """Return when each viewed item is opened: down the list, a little after its impression."""
    jitter = (drawn(world, Stream.MOMENT, met) * 4 * MICROSECONDS).astype(np.int64)
    second: Ints = met.second + 3 + 2 * np.maximum(met.position, 0)
    return second * MICROSECONDS + jitter


def _dwell_seconds(world: World, met: Encounters, utility: Floats, carted: Flags) -> Ints:
    noise = world.draws.normal(Stream.DWELL, met.customer, met.day.toordinal(), met.turn, met.item)
    return np.clip(np.exp(2.6 + 0.25 * utility + 0.6 * carted + 0.7 * noise), 1, 900).astype(
        np.int64
    )


def _orders(
    world: World, state: State, plan: Requests, carts: Encounters, utility: Floats, at: Ints
) -> pl.DataFrame:
    """Return the orders of carts, at the end of the session or one to three days later."""
    parameters = world.parameters
    need = parameters.need_in_orders * needs(world, state, carts)
    chance = logistic(parameters.order_intercept + parameters.order_slope * utility + need)
    wanted = drawn(world, Stream.ORDER, carts) < chance
    orders, at = carts.take(wanted), at[wanted]
    delay = drawn(world, Stream.ORDER_DELAY, orders)
    days = np.where(
        delay < parameters.order_later, 1 + (delay / parameters.order_later * 3).astype(np.int64), 0
    )
    wait = (60 + 600 * delay).astype(np.int64) + days * (DAY_SECONDS - 3600)
    rows = _rows(world, plan, orders, ORDER, at + wait * MICROSECONDS)
    session = np.where(days > 0, NOTHING, rows["session"].to_numpy())
    return _unlisted_rows(rows).with_columns(
        pl.Series("session", session), pl.Series("quantity", _quantities(world, orders))
    )


def _unlisted_rows(rows: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(NOTHING, pl.Int64)
    return rows.with_columns(
        nothing.alias("request"),
        nothing.alias("position"),
        pl.lit(OTHER, pl.Int64).alias("surface"),
    )


def _quantities(world: World, orders: Encounters) -> Ints:
    repeatable = np.array([entry.repeatable for entry in world.parameters.categories])
    several = repeatable[world.catalogue.category[orders.item]] & (
        drawn(world, Stream.QUANTITY, orders) < world.parameters.several_ordered
    )
    return np.where(several, 2, 1)


def _rows(
    world: World,
    plan: Requests,
    met: Encounters,
    kind: int,
    at: Ints,
    dwell: Ints | None = None,
) -> pl.DataFrame:
    number = met.turn - REVISIT_TURN
    session = np.where(met.request >= 0, plan.session[met.request], number) if len(plan) else number
    bought = kind in (CART, ORDER, RETURN)
    return pl.DataFrame(
        {
            "kind": np.full(len(met), kind),
            "at": at,
            "customer": met.customer,
            "item": met.item,
            "request": met.request,
            "session": session,
            "platform": met.platform,
            "surface": met.surface,
            "position": met.position,
            "dwell": np.full(len(met), NOTHING) if dwell is None else dwell,
            "price": world.catalogue.prices(met.day)[met.item],
            "quantity": np.full(len(met), 1 if bought else NOTHING),
        },
        schema=MOVES,
    )


def returns(world: World, orders: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return what will come back of the orders made on `day`, three to twelve days on."""
    who, item = orders["customer"].to_numpy(), orders["item"].to_numpy()
    odds = world.parameters.return_intercept - 1.2 * world.catalogue.quality[item]
    odds += np.array(world.parameters.return_by_group)[world.catalogue.group[item]]
    back = world.draws.uniform(Stream.RETURN, who, item, day.toordinal()) < logistic(odds)
    wait = 3 + world.draws.uniform(Stream.RETURN, who, item, day.toordinal(), 1) * 9
    moment = orders["at"].to_numpy() + (wait * DAY_SECONDS).astype(np.int64) * MICROSECONDS
    return orders.with_columns(
        pl.Series("at", moment),
        pl.lit(RETURN, pl.Int64).alias("kind"),
        pl.lit(NOTHING, pl.Int64).alias("session"),
        pl.lit(UNKNOWN_PLATFORM, pl.Int64).alias("platform"),
    ).filter(pl.Series(back))
