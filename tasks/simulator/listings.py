"""The shop's present order, and what of it is shuffled or explored.

score(listing, item) = log(carts and views of late, with a prior by appeal) + noise + match with
the query. 2% of listings are shuffled as a whole (propensity of a position: 1 / length), and some
ranked ones have slots filled with an item drawn evenly from those that were not to be shown
(propensity: 1 / pool).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.attributes import COLOUR
from tasks.simulator.draws import Flags, Floats, Ints, Stream
from tasks.simulator.sessions import RECOMMENDATIONS, SEARCH, Requests, listing_ids
from tasks.simulator.state import NOTHING, State
from tasks.simulator.world import World

RANKED, SHUFFLED = "ranked", "shuffled"
_KIND, _HAS_SLOTS, _FIRST_ITEM, _NEXT_ITEM, _FIRST_SLOT = range(5)
CHUNK = 20_000
_TOP = 2


_SLOT = (c.LISTING_ID, c.POSITION, c.ITEM_ID)


@dataclass(frozen=True)
class Lists:
    """What listings showed, one row per slot by position; `request` is a row of Requests."""

    request: Ints
    position: Ints
    item: Ints
    is_shuffled: Flags
    is_explored: Flags
    propensity: Floats

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.request)

    def take(self, rows: Flags) -> Lists:
        """Return the rows at `rows`."""
        return Lists(*(value[rows] for value in vars(self).values()))


@dataclass(frozen=True)
class Shelf:
    """The present order on a morning.

    Attributes:
        scores: by item.
        best: the best items of each scope, best first; -1 where the scope has no more.
    """

    scores: Floats
    best: Ints


def opening_popularity(world: World) -> Floats:
    """Return what the shop has seen of its items before it opened here: nothing of newcomers."""
    known = world.catalogue.first_day <= 0
    return np.where(known, np.exp(1.3 * (world.catalogue.appeal + world.catalogue.quality)), 0.0)


def shelf(world: World, state: State, day: date) -> Shelf:
    """Return the shop's own order on the morning of `day`."""
    scores = np.log(state.popularity + 0.3 * np.exp(0.5 * world.catalogue.appeal))
    stocked = np.flatnonzero(world.catalogue.in_stock(day))
    categories = _best(world.catalogue.category[stocked], stocked, scores, world)
    groups = len(world.category_names) + world.catalogue.group[stocked]
    return Shelf(scores, np.maximum(categories, _best(groups, stocked, scores, world)))


def _best(scope: Ints, items: Ints, scores: Floats, world: World) -> Ints:
    """Return a row per scope, filled where items of that scope are given."""
    order = np.lexsort((items, -scores[items], scope))
    scope, items = scope[order], items[order]
    rank = np.arange(len(scope)) - np.searchsorted(scope, scope)
    kept = rank < world.parameters.shelf_size
    result = np.full((len(world.scope_names), world.parameters.shelf_size), NOTHING)
    result[scope[kept], rank[kept]] = items[kept]
    return result


def present_lists(world: World, own: Shelf, plan: Requests) -> Lists:
    """Return what the shop's own order shows for each request."""
    parts = [
        _present_chunk(world, plan, own, np.arange(start, min(start + CHUNK, len(plan))))
        for start in range(0, max(len(plan), 1), CHUNK)
    ]
    names = vars(parts[0])
    return Lists(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in names})


def _present_chunk(world: World, plan: Requests, own: Shelf, rows: Ints) -> Lists:
    items = own.best[plan.scope[rows]]
    values, found = _scored(world, plan, own.scores, items, rows)
    order = np.argsort(-values, axis=1, kind="stable")
    items, available = np.take_along_axis(items, order, axis=1), found.sum(axis=1)
    length = np.minimum(plan.length[rows], available)
    shuffled = _drawn(world, plan, rows, _KIND) < world.parameters.shuffled
    items = _shuffle(world, plan, rows, items, np.where(shuffled, length, 0))
    pool = np.where(shuffled, 0, available - length)
    items, explored = _explore(world, plan, rows, items, length, pool)
    row, slot = np.nonzero(np.arange(items.shape[1])[None, :] < length[:, None])
    chance = 1.0 / np.maximum(np.where(shuffled, length, pool), 1)
    drawn = shuffled[row] | explored[row, slot]
    propensity = np.where(drawn, chance[row], np.nan)
    return Lists(
        rows[row], slot + 1, items[row, slot], shuffled[row], explored[row, slot], propensity
    )


def _scored(
    world: World, plan: Requests, scores: Floats, items: Ints, rows: Ints
) -> tuple[Floats, Flags]:
    """Return the score of each shelf item for each listing, -inf where it cannot be shown."""
    city = world.customers.city[plan.customer[rows]]
    reachable = (world.catalogue.stocked_cities(plan.day)[items] >> city[:, None]) & 1
    found = (items >= 0) & (reachable == 1)
    keys = (plan.customer[rows][:, None], plan.day.toordinal(), plan.ordinal[rows][:, None], items)
    noise = world.parameters.ordering_noise * world.draws.gumbel(Stream.ORDERING, *keys)
    colour = plan.colour[rows][:, None]
    match = (colour >= 0) & (world.catalogue.values[COLOUR][items] == colour)
    values = scores[items] + noise + world.parameters.query_match * match
    return np.where(found, values, -np.inf), found


def _drawn(world: World, plan: Requests, rows: Ints, what: int) -> Floats:
    keys = (plan.customer[rows], plan.day.toordinal(), plan.ordinal[rows])
    return world.draws.uniform(Stream.EXPLORE, *keys, what)


def _shuffle(world: World, plan: Requests, rows: Ints, items: Ints, length: Ints) -> Ints:
    """Return `items` with the first `length` of each row in random order."""
    these = np.flatnonzero(length > 0)
    slots = np.arange(items.shape[1])[None, :]
    keys = (
        plan.customer[rows[these]][:, None],
        plan.day.toordinal(),
        plan.ordinal[rows[these]][:, None],
        slots,
    )
    places = np.where(
        slots < length[these][:, None], world.draws.uniform(Stream.SHUFFLE, *keys), 1.0 + slots
    )
    result = items.copy()
    result[these] = np.take_along_axis(
        items[these], np.argsort(places, axis=1, kind="stable"), axis=1
    )
    return result


def _explore(
    world: World, plan: Requests, rows: Ints, items: Ints, length: Ints, pool: Ints
) -> tuple[Ints, Flags]:
    """Return the items with slots explored from the `pool` behind `length`, and which slots."""
    slots = world.parameters.explored_slots
    has = (pool >= slots) & (length >= world.parameters.explored_length)
    chosen = _drawn(world, plan, rows, _HAS_SLOTS) < world.parameters.explored
    these = np.flatnonzero(has & chosen)
    result, explored = items.copy(), np.zeros(items.shape, dtype=np.bool_)
    first = (_drawn(world, plan, rows, _FIRST_ITEM) * pool).astype(np.int64)
    step = 1 + (_drawn(world, plan, rows, _NEXT_ITEM) * (pool - 1)).astype(np.int64)
    for number in range(slots):
        places = _slot_places(world, plan, rows, length, number)[these]
        taken = (first + number * step)[these] % pool[these]
        result[these, places] = items[these, length[these] + taken]
        explored[these, places] = True
    return result, explored


def _slot_places(world: World, plan: Requests, rows: Ints, length: Ints, number: int) -> Ints:
    """Return which place of the list each row explores: one in each equal part below the second."""
    part = (length - _TOP) / world.parameters.explored_slots
    drawn = _drawn(world, plan, rows, _FIRST_SLOT + number)
    return _TOP + ((number + drawn) * part).astype(np.int64)


def lists_frame(world: World, plan: Requests, lists: Lists) -> pl.DataFrame:
    """Return lists as a policy gives them: `listing_id, position, item_id` and what was drawn."""
    return pl.DataFrame(
        {
            c.LISTING_ID: listing_ids(world, plan).gather(lists.request),
            c.POSITION: pl.Series(lists.position, dtype=pl.Int32),
            c.ITEM_ID: world.catalogue.ids.gather(lists.item),
            c.LISTING_KIND: pl.Series([RANKED, SHUFFLED]).gather(
                lists.is_shuffled.astype(np.int64)
            ),
            c.IS_EXPLORED: lists.is_explored,
            c.PROPENSITY: pl.Series(lists.propensity).fill_nan(None),
        }
    )


def lists_of_frame(world: World, plan: Requests, frame: pl.DataFrame) -> Lists:
    """Return a policy's lists as rows; only `listing_id, position, item_id` are required.

    Raises:
        ValueError: a listing was not asked for, an item is not of this shop, or a list shows one
            item twice, two in one slot, or one above the first.
    """
    known = pl.DataFrame({c.LISTING_ID: listing_ids(world, plan), "request": np.arange(len(plan))})
    rows = frame.join(known, on=c.LISTING_ID, how="left").sort("request", c.POSITION)
    strange = {
        "what was not asked for": pl.col("request").is_null(),
        "an unknown item": ~pl.col(c.ITEM_ID).is_in(world.catalogue.ids.implode()),
        "a position below 1": ~(pl.col(c.POSITION) >= 1),
        "two items in one slot": pl.struct(c.LISTING_ID, c.POSITION).is_duplicated(),
        "an item twice": pl.struct(c.LISTING_ID, c.ITEM_ID).is_duplicated(),
    }
    _refuse(rows, strange, "lists show", _SLOT)
    item = rows[c.ITEM_ID].str.slice(1).cast(pl.Int64).to_numpy()
    return Lists(
        rows["request"].to_numpy(),
        rows[c.POSITION].cast(pl.Int64).to_numpy(),
        item,
        _optional(rows, c.LISTING_KIND, RANKED).to_numpy() == SHUFFLED,
        _optional(rows, c.IS_EXPLORED, False).to_numpy(),
        _optional(rows, c.PROPENSITY, np.nan).to_numpy(),
    )


def refuse_unsold(world: World, plan: Requests, lists: Lists) -> None:
    """Raise ValueError, with count and example, where the shop could not have shown this."""
    is_stocked = world.catalogue.in_stock(plan.day)[lists.item]
    city = world.customers.city[plan.customer[lists.request]]
    is_here = (world.catalogue.stocked_cities(plan.day)[lists.item] >> city) & 1
    is_short = np.bincount(lists.request, minlength=len(plan)) <= plan.length
    strange = {
        "an item out of stock": pl.lit(pl.Series(~is_stocked)),
        "more items than asked for": pl.lit(pl.Series(~is_short[lists.request])),
        "an item that the customer's city lacks": pl.lit(pl.Series(is_here == 0)),
    }
    _refuse(lists_frame(world, plan, lists), strange, "lists show", _SLOT)


def refuse_strange_letters(world: World, letters: pl.DataFrame) -> None:
    """Raise ValueError, with count and example, where nobody could be sent such a letter."""
    strange = {"nobody this shop knows": ~pl.col(c.USER_ID).is_in(world.customers.ids.implode())}
    _refuse(letters, strange, "letters to", (c.USER_ID,))
    if c.ITEM_ID in letters.columns:
        strange = {"an unknown item": ~pl.col(c.ITEM_ID).is_in(world.catalogue.ids.implode())}
        _refuse(letters, strange, "letters show", (c.ITEM_ID,))


def _refuse(
    rows: pl.DataFrame, strange: Mapping[str, pl.Expr], who: str, shown: tuple[str, ...]
) -> None:
    for what, is_strange in strange.items():
        found = rows.filter(is_strange.fill_null(True))
        if found.height:
            example = found.select(shown).row(0)
            raise ValueError(f"{who} {what} in {found.height} rows, e.g. {example}")


def _optional(rows: pl.DataFrame, column: str, absent: str | bool | float) -> pl.Series:
    if column not in rows.columns:
        return pl.Series([absent] * rows.height)
    return rows[column].fill_null(absent)


def shown_scope(world: World, plan: Requests) -> pl.Series:
    """Return `listing_category`: a category or a group; null for recommendations."""
    names = pl.Series([*world.scope_names, None], dtype=pl.String)
    return names.gather(
        np.where(plan.surface == RECOMMENDATIONS, len(world.scope_names), plan.scope)
    )


def queries(world: World, plan: Requests) -> pl.Series:
    """Return the text of searches; null elsewhere."""
    texts = [*world.category_names]
    texts += [
        f"{colour} {name}"
        for colour in world.catalogue.names[COLOUR]
        for name in world.category_names
    ]
    place = (plan.colour + 1) * len(world.category_names) + plan.category
    return pl.Series([*texts, None], dtype=pl.String).gather(
        np.where(plan.surface == SEARCH, place, len(texts))
    )
