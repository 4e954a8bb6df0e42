"""A day's requests: who comes, when, on what, and what each listing is asked for.

Intents form a chain per customer, so that the order of a history says more than its set: the next
listing stays in the category, goes on to the category that follows it (dresses, heels, bags, ...),
or starts from interest; its style stays, turns to the next style or starts anew. Requests depend on
what earlier days brought and never on this day's lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.attributes import COLOUR, GROUPS, STYLE
from tasks.simulator.breaks import in_fashion, taste_vectors
from tasks.simulator.catalogue import in_promotion
from tasks.simulator.customers import browsing, buying, trait_days, value_vectors
from tasks.simulator.draws import Flags, Floats, Ints, Stream
from tasks.simulator.state import NOTHING, State
from tasks.simulator.world import World

CATALOGUE, SEARCH, RECOMMENDATIONS, OTHER = range(4)
UNKNOWN_PLATFORM = c.PLATFORMS.index("unknown")
DAY_SECONDS = 86_400
LISTING_SECONDS = 210
SESSION_MOST_SECONDS = 3_600
MOST_SESSIONS = 5
_LENGTH, _SURFACE, _SCOPE, _PLAIN = range(4)
_SURFACE_SHARES = np.cumsum([0.6, 0.25, 0.15])


@dataclass(frozen=True)
class Intended:
    """What customers come for, by customer and time; `ordinal` counts a customer's day from 0."""

    day: date
    customer: Ints
    ordinal: Ints
    session: Ints
    second: Ints
    platform: Ints
    category: Ints
    style: Ints

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.customer)


@dataclass(frozen=True)
class Requests(Intended):
    """Listing requests of a day; `scope` is what may be shown, `colour` what a search names."""

    surface: Ints
    scope: Ints
    colour: Ints
    length: Ints


def visit_rates(world: World, state: State, day: date, who: Ints) -> Floats:
    """Return the expected sessions of each of `who` on `day`."""
    parameters, people = world.parameters, world.customers
    burst = np.exp(0.6 * world.draws.normal(Stream.BURST, who, day.toordinal() // 7) - 0.18)
    since = (day.toordinal() - state.mailed_day[who]).astype(np.float64)
    fresh = (since > 0) & (since <= parameters.mailing_days)
    mailed = np.exp(people.mailing_effect[who] * fresh * 0.4 / np.maximum(since, 1))
    rates: Floats = people.rate[who] * burst * mailed * parameters.weekdays[day.weekday()]
    return rates * people.present(day)[who] * _calendar_factor(world, day)


def _calendar_factor(world: World, day: date) -> float:
    parameters = world.parameters
    if (day - world.opened).days % parameters.calendar_days == parameters.quiet_day:
        return parameters.quiet_factor
    return parameters.promotion_factor if in_promotion(parameters, world.opened, day) else 1.0


def session_counts(world: World, state: State, day: date, who: Ints) -> Ints:
    """Return the sessions of each of `who` on `day`, Poisson, at most `MOST_SESSIONS`."""
    rates = visit_rates(world, state, day, who)
    drawn = world.draws.uniform(Stream.SESSIONS, who, day.toordinal())
    share = np.exp(-rates)
    reached, counts = share.copy(), np.zeros(len(rates), dtype=np.int64)
    for count in range(1, MOST_SESSIONS + 1):
        counts += drawn >= reached
        share = share * rates / count
        reached += share
    return counts


def session_starts(world: World, day: date, customer: Ints, number: Ints) -> Ints:
    """Return the second of the day at which each session starts, early enough to end within it."""
    hours = np.array(world.parameters.hours, dtype=np.float64)
    hour = world.draws.choice(
        np.cumsum(hours / hours.sum()), Stream.START, customer, day.toordinal(), number
    )
    within = world.draws.uniform(Stream.START, customer, day.toordinal(), number, 1) * 3600
    return np.minimum(hour * 3600 + within.astype(np.int64), DAY_SECONDS - SESSION_MOST_SECONDS)


def requests(world: World, state: State, day: date, people: Ints) -> Requests:
    """Return the listing requests that `people`, in order of their indices, make on `day`."""
    counts = session_counts(world, state, day, people)
    customer, number = np.repeat(people, counts), running(counts)
    start = session_starts(world, day, customer, number)
    by_time = np.lexsort((start, customer))
    customer, start = customer[by_time], start[by_time]
    listings = _listing_counts(world, day, customer, number)
    rows = np.repeat(np.arange(len(customer)), listings)
    within = running(listings)
    who, session = customer[rows], number[rows]
    second = start[rows] + within * LISTING_SECONDS
    ordinal = running(np.unique(who, return_counts=True)[1])
    platform = _platforms(world, day, who, session)
    category, style = intents(world, state, day, who, ordinal, within == 0)
    intended = Intended(day, who, ordinal, session, second, platform, category, style)
    return _asked(world, state, intended)


def running(counts: Ints) -> Ints:
    """Return 0..n-1 for each count n, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _listing_counts(world: World, day: date, customer: Ints, number: Ints) -> Ints:
    drawn = 1.0 - world.draws.uniform(Stream.LENGTH, customer, day.toordinal(), number)
    more = np.floor(np.log(drawn) / np.log(world.parameters.listings_go_on))
    counts: Ints = 1 + more.astype(np.int64)
    return np.minimum(counts, world.parameters.max_listings)


def _platforms(world: World, day: date, customer: Ints, session: Ints) -> Ints:
    drawn = world.draws.uniform(Stream.PLATFORM, customer, day.toordinal(), session)
    other = (drawn * 1000).astype(np.int64) % 4
    usual = world.customers.platform[customer]
    usual = np.where(drawn < world.parameters.other_platform, other, usual)
    return np.where(drawn < world.parameters.unknown_platform, UNKNOWN_PLATFORM, usual)


def interests(world: World, day: date, who: Ints) -> Floats:
    """Return each customer's log-interest in each category on `day`."""
    parameters, people = world.parameters, world.customers
    entries = parameters.categories
    shares = np.array([entry.share for entry in entries])
    scores: Floats = np.tile(np.log(shares), (len(who), 1))
    # Numbers beyond those of the attributes: a category's vector, and its group's.
    own = value_vectors(parameters, world.draws, len(parameters.attributes), len(entries))
    group = value_vectors(parameters, world.draws, len(parameters.attributes) + 1, len(GROUPS))
    scores += (
        parameters.interest_sd * people.vectors(who, day) @ (own + group[world.category_groups]).T
    )
    scores += parameters.wrong_gender * _unfit(world, who)
    scores += _trait_interests(world, day, who)
    return scores


def _unfit(world: World, who: Ints) -> Floats:
    """Return how little of each category is made for the customer's gender, 0 to 1."""
    women = np.array([entry.women for entry in world.parameters.categories])
    men = np.array([entry.men for entry in world.parameters.categories])
    is_woman = (world.customers.gender[who] == 0)[:, None]
    lacking: Floats = np.where(is_woman, np.maximum(men - women, 0), np.maximum(women - men, 0))
    return lacking


def _trait_interests(world: World, day: date, who: Ints) -> Floats:
    names, boost = list(world.category_names), world.parameters.trait_interest
    scores = np.zeros((len(who), len(names)))
    for number, trait in enumerate(world.parameters.traits):
        since = trait_days(world.customers, number, day, who)
        for name in trait.views:
            scores[:, names.index(name)] += boost * browsing(trait, since)
        for name in trait.buys:
            scores[:, names.index(name)] += boost * buying(trait, since)
    return scores


def intents(
    world: World, state: State, day: date, who: Ints, ordinal: Ints, opens: Flags
) -> tuple[Ints, Ints]:
    """Return category and style of each request, chained in the order of a customer's day."""
    fresh = _fresh_categories(world, day, who, ordinal)
    category, style = np.zeros(len(who), dtype=np.int64), np.zeros(len(who), dtype=np.int64)
    for turn in range(int(ordinal.max(initial=-1)) + 1):
        now = np.flatnonzero(ordinal == turn)
        people = who[now]
        # A customer's requests lie one after the other.
        last_category = category[now - 1] if turn else state.last_category[people]
        last_style = style[now - 1] if turn else state.last_style[people]
        drawn = world.draws.uniform(Stream.INTENT, people, day.toordinal(), turn, 1)
        category[now] = _next_category(world, people, last_category, fresh[now], drawn, opens[now])
        style[now] = _next_style(world, day, people, turn, last_style)
    return category, style


def _fresh_categories(world: World, day: date, who: Ints, ordinal: Ints) -> Ints:
    people, rows = np.unique(who, return_inverse=True)
    scores = interests(world, day, people)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    cumulative = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    drawn = world.draws.uniform(Stream.INTENT, who, day.toordinal(), ordinal, 0)
    chosen: Ints = np.count_nonzero(cumulative[rows] <= drawn[:, None], axis=1).astype(np.int64)
    most: int = shares.shape[1] - 1
    return np.minimum(chosen, most)


def _next_category(
    world: World, who: Ints, last: Ints, fresh: Ints, drawn: Floats, opens: Flags
) -> Ints:
    parameters = world.parameters
    stays = np.where(opens, parameters.same_category_later, parameters.same_category)
    follows = stays + np.where(opens, parameters.next_category_later, parameters.next_category)
    chained = np.where(drawn < stays, last, followers(world)[world.customers.gender[who], last])
    return np.where((last == NOTHING) | (drawn >= follows), fresh, chained)


def followers(world: World) -> Ints:
    """Return the category that follows each category, by gender and category code."""
    code = {name: index for index, name in enumerate(world.category_names)}
    entries = world.parameters.categories
    return np.array([[code[e.next_women] for e in entries], [code[e.next_men] for e in entries]])


def _next_style(world: World, day: date, who: Ints, turn: int, last: Ints) -> Ints:
    parameters, count = world.parameters, len(world.catalogue.names[STYLE])
    drawn = world.draws.uniform(Stream.STYLE, who, day.toordinal(), turn)
    fresh = (world.draws.uniform(Stream.STYLE, who, day.toordinal(), turn, 1) * count).astype(
        np.int64
    )
    moved = np.where(drawn < parameters.same_style, last, (last + 1) % count)
    return np.where(
        (last == NOTHING) | (drawn >= parameters.same_style + parameters.next_style), fresh, moved
    )


def _asked(world: World, state: State, plan: Intended) -> Requests:
    """Return the requests with surface, scope, queried colour and length drawn."""
    keys = (plan.customer, plan.day.toordinal(), plan.ordinal)
    surface = world.draws.choice(_SURFACE_SHARES, Stream.REQUEST, *keys, _SURFACE)
    wide = world.draws.uniform(Stream.REQUEST, *keys, _SCOPE) < world.parameters.wide_listings
    wide &= surface == CATALOGUE
    wide |= surface == RECOMMENDATIONS
    scope = np.where(
        wide, len(world.category_names) + world.category_groups[plan.category], plan.category
    )
    lengths = world.parameters.listing_lengths
    length = world.draws.choice(
        np.cumsum(world.parameters.listing_length_shares), Stream.REQUEST, *keys, _LENGTH
    )
    colour = np.where(surface == SEARCH, _queried_colours(world, state, plan), NOTHING)
    return Requests(
        **vars(plan), surface=surface, scope=scope, colour=colour, length=np.array(lengths)[length]
    )


def _queried_colours(world: World, state: State, plan: Intended) -> Ints:
    """Return the colour that a search names, drawn by taste; -1 for beauty and plain searches."""
    number = [attribute.name for attribute in world.parameters.attributes].index(COLOUR)
    count = len(world.catalogue.names[COLOUR])
    values = value_vectors(world.parameters, world.draws, number, count)
    vectors = values[in_fashion(world, plan.day, np.arange(count), count)]
    scores = 1.5 * taste_vectors(world, state, plan.customer, plan.day) @ vectors.T
    keys = (plan.customer[:, None], plan.day.toordinal(), plan.ordinal[:, None])
    colour = np.argmax(
        scores + world.draws.gumbel(Stream.QUERY, *keys, np.arange(len(vectors))), axis=1
    )
    drawn = world.draws.uniform(
        Stream.REQUEST, plan.customer, plan.day.toordinal(), plan.ordinal, _PLAIN
    )
    plain = drawn < world.parameters.plain_searches
    coloured = world.category_groups[plan.category] < GROUPS.index("beauty")
    return np.where(coloured & ~plain, colour, NOTHING)


def session_ids(world: World, day: date, customer: Ints, session: Ints) -> pl.Series:
    """Return public session ids."""
    return (
        f"{day:%y%m%d}-"
        + world.customers.ids.gather(customer)
        + "-"
        + pl.Series(session).cast(pl.String)
    )


def listing_ids(world: World, plan: Requests) -> pl.Series:
    """Return public listing ids."""
    ids = world.customers.ids.gather(plan.customer)
    return f"{plan.day:%y%m%d}-" + ids + "-l" + pl.Series(plan.ordinal).cast(pl.String)
