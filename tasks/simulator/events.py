"""The event contract of landing, filled from what happened."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.catalogue import named
from tasks.simulator.draws import Ints
from tasks.simulator.listings import RANKED, SHUFFLED, Lists, queries, shown_scope
from tasks.simulator.sessions import Requests, listing_ids, session_ids
from tasks.simulator.world import World

MOMENT = pl.Datetime("us", "UTC")
SCHEMA: dict[str, pl.DataType] = {
    c.EVENT_ID: pl.String(),
    c.TS: MOMENT,
    c.RECEIVED_AT: MOMENT,
    c.USER_ID: pl.String(),
    c.SESSION_ID: pl.String(),
    c.EVENT_TYPE: pl.String(),
    c.ITEM_ID: pl.String(),
    c.PLATFORM: pl.String(),
    c.SURFACE: pl.String(),
    c.LISTING_ID: pl.String(),
    c.LISTING_KIND: pl.String(),
    c.LISTING_CATEGORY: pl.String(),
    c.QUERY: pl.String(),
    c.POSITION: pl.Int32(),
    c.IS_EXPLORED: pl.Boolean(),
    c.PROPENSITY: pl.Float64(),
    c.VARIANT: pl.String(),
    c.DWELL_SECONDS: pl.Int32(),
    c.PRICE: pl.Int64(),
    c.QUANTITY: pl.Int32(),
    c.CITY: pl.String(),
}


def midnight(day: date) -> datetime:
    """Return the first moment of a day, UTC."""
    return datetime.combine(day, time.min, UTC)


def moments(day: date, at: Ints) -> pl.Series:
    """Return moments from microseconds since the day's start."""
    start = int(midnight(day).timestamp()) * 1_000_000
    return pl.Series(c.TS, at + start).cast(MOMENT)


def event_ids(day: date, account: Ints, number: Ints) -> pl.Series:
    """Return public event ids: the day, the account, the number of its event of that day."""
    accounts, numbers = (pl.Series(part).cast(pl.String) for part in (account, number))
    return f"{day:%y%m%d}-" + accounts.str.zfill(7) + "-" + numbers.str.zfill(4)


def event_keys(ids: pl.Series) -> tuple[Ints, Ints, Ints]:
    """Return what event ids are made of, as keys of draws: day, account, number."""
    day, account, number = (
        part.cast(pl.Int64).to_numpy()
        for part in (ids.str.slice(0, 6), ids.str.slice(7, 7), ids.str.slice(15))
    )
    return day, account, number


def events_frame(world: World, plan: Requests, lists: Lists, moves: pl.DataFrame) -> pl.DataFrame:
    """Return `moves` of one day as events without `received_at`, by time."""
    moves = moves.sort("at", "customer", "kind", "item", "request")
    request, customer = moves["request"].to_numpy(), moves["customer"].to_numpy()
    number = moves.select(pl.int_range(pl.len()).over("customer")).to_series().to_numpy()
    slots = _slots(lists, moves)
    return pl.DataFrame(
        {
            c.EVENT_ID: event_ids(plan.day, customer, number),
            c.TS: moments(plan.day, moves["at"].to_numpy()),
            c.USER_ID: world.customers.ids.gather(customer),
            c.SESSION_ID: _sessions(world, plan, moves),
            c.EVENT_TYPE: named(c.EVENT_TYPES, moves["kind"].to_numpy()),
            c.ITEM_ID: world.catalogue.ids.gather(moves["item"].to_numpy()),
            c.PLATFORM: named(c.PLATFORMS, moves["platform"].to_numpy()),
            c.SURFACE: named(c.SURFACES, moves["surface"].to_numpy()),
            c.LISTING_ID: _of_request(listing_ids(world, plan), request),
            c.LISTING_KIND: slots["kind"],
            c.LISTING_CATEGORY: _of_request(shown_scope(world, plan), request),
            c.QUERY: _of_request(queries(world, plan), request),
            c.POSITION: _known(moves["position"]),
            c.IS_EXPLORED: slots["is_explored"],
            c.PROPENSITY: slots["propensity"],
            c.VARIANT: pl.Series([None] * moves.height, dtype=pl.String),
            c.DWELL_SECONDS: _known(moves["dwell"]),
            c.PRICE: moves["price"],
            c.QUANTITY: _known(moves["quantity"]),
            c.CITY: named(world.parameters.cities, world.customers.city[customer]),
        }
    )


def _of_request(values: pl.Series, request: Ints) -> pl.Series:
    return pl.concat([values, pl.Series([None], dtype=values.dtype)]).gather(
        request % (len(values) + 1)
    )


def _sessions(world: World, plan: Requests, moves: pl.DataFrame) -> pl.Series:
    names = session_ids(world, plan.day, moves["customer"].to_numpy(), moves["session"].to_numpy())
    return names.set(moves["session"] < 0, None)


def _known(values: pl.Series) -> pl.Series:
    return values.set(values < 0, None).cast(pl.Int32)


def _slots(lists: Lists, moves: pl.DataFrame) -> pl.DataFrame:
    """Return kind, exploration and propensity of the slot that each move came from."""
    slots = pl.DataFrame(
        {
            "request": lists.request,
            "position": lists.position,
            "kind": pl.Series([RANKED, SHUFFLED]).gather(lists.is_shuffled.astype(np.int64)),
            "is_explored": lists.is_explored,
            "propensity": pl.Series(lists.propensity).fill_nan(None),
        }
    )
    keys = moves.select("request", "position")
    return keys.join(slots, on=["request", "position"], how="left", maintain_order="left")
