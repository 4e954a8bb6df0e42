"""What goes wrong between shop and landing of itself: late events, duplicates, bots, staff.

An event is received seconds after it happened, or, when late, one to three days after. A duplicate
is the same event received again, seconds or a day later. The first received stands.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.customers import user_ids
from tasks.simulator.draws import Draws, Floats, Ints, Stream
from tasks.simulator.events import SCHEMA, event_ids, event_keys, midnight, moments
from tasks.simulator.parameters import Parameters
from tasks.simulator.world import World

_DELAY, _LATE, _HOW_LATE = range(3)
_WHETHER, _WHEN, _HOW_LONG = range(3)
MOST_BOTS = 20
STAFF_WEEKDAY = 0
STAFF_HOURS = 9


def received(parameters: Parameters, draws: Draws, events: pl.DataFrame) -> pl.DataFrame:
    """Return `events` with `received_at`, and copies of some of them, received again."""
    keys = event_keys(events[c.EVENT_ID])
    seconds = 1 + 20 * draws.uniform(Stream.RECEIPT, *keys, _DELAY)
    late = draws.uniform(Stream.RECEIPT, *keys, _LATE) < parameters.late
    days = 1 + 2 * draws.uniform(Stream.RECEIPT, *keys, _HOW_LATE)
    seconds = np.where(late, 86_400 * days, seconds)
    fresh = events.with_columns((pl.col(c.TS) + _microseconds(seconds)).alias(c.RECEIVED_AT))
    return pl.concat([fresh, _repeated(parameters, draws, fresh, keys)]).select(list(SCHEMA))


def _repeated(
    parameters: Parameters, draws: Draws, events: pl.DataFrame, keys: tuple[Ints, Ints, Ints]
) -> pl.DataFrame:
    again = draws.uniform(Stream.DUPLICATE, *keys, _WHETHER) < parameters.duplicates
    day, account, number = keys
    keys = day[again], account[again], number[again]
    when = draws.uniform(Stream.DUPLICATE, *keys, _WHEN)
    wait = draws.uniform(Stream.DUPLICATE, *keys, _HOW_LONG)
    seconds = np.where(when < parameters.duplicated_at_once, 1 + 60 * wait, 43_200 + 86_400 * wait)
    copies = events.filter(pl.Series(again))
    return copies.with_columns(pl.col(c.RECEIVED_AT) + _microseconds(seconds))


def _microseconds(seconds: Floats) -> pl.Series:
    return pl.Series((seconds * 1e6).astype(np.int64)).cast(pl.Duration("us"))


def deliveries(pool: pl.DataFrame, day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what is received on `day`, and what is received later."""
    now = pl.col(c.RECEIVED_AT) < midnight(day + timedelta(1))
    # Rows share the text of the frame they were chosen from; a few that wait would keep it whole.
    return pool.filter(now), pool.filter(~now).with_columns(pl.col(pl.String) + "")


def accounts(world: World) -> tuple[Ints, int]:
    """Return the indices of bots and of the staff's account, all beyond the customers."""
    count = int(np.clip(world.customers.size * world.parameters.bots_per_customer, 1, MOST_BOTS))
    first = world.customers.size
    return np.arange(first, first + count), first + count


def account_events(world: World, day: date) -> pl.DataFrame:
    """Return what bots and staff do on `day`: more views than any person could open."""
    bots, staff = accounts(world)
    drawn = world.draws.uniform(Stream.ACCOUNT, bots, day.toordinal())
    active = [int(bot) for bot in bots[drawn < world.parameters.bot_days]]
    hours = {bot: 1 + bot % 20 for bot in active}
    parts = [
        rush(world, day, bot, world.parameters.bot_events, hours[bot], 3_400) for bot in active
    ]
    if day.weekday() == STAFF_WEEKDAY:
        parts.append(rush(world, day, staff, world.parameters.staff_events, 8, STAFF_HOURS * 3_600))
    return pl.concat(parts) if parts else pl.DataFrame(schema=SCHEMA).drop(c.RECEIVED_AT)


def rush(
    world: World, day: date, account: int, count: int, hour: int, seconds: int
) -> pl.DataFrame:
    """Return `count` views of one account at an even pace from `hour` on."""
    shown = np.flatnonzero(world.catalogue.on_sale(day))
    item = shown[np.arange(count) % len(shown)]
    at = (hour * 3_600 + np.arange(count) * seconds / count) * 1e6
    known = {
        c.EVENT_ID: event_ids(day, np.full(count, account), np.arange(count)),
        c.TS: moments(day, at.astype(np.int64)),
        c.USER_ID: user_ids(np.full(count, account)),
        c.SESSION_ID: pl.Series([f"{day:%y%m%d}-a{account}"] * count),
        c.EVENT_TYPE: pl.Series([c.VIEW] * count),
        c.ITEM_ID: world.catalogue.ids.gather(item),
        c.PLATFORM: pl.Series(["web"] * count),
        c.SURFACE: pl.Series(["catalogue"] * count),
        c.PRICE: pl.Series(world.catalogue.prices(day)[item]),
    }
    nothing = {
        name: pl.Series([None] * count, dtype=kind)
        for name, kind in SCHEMA.items()
        if name not in known
    }
    return pl.DataFrame({**known, **nothing}).select(list(SCHEMA)).drop(c.RECEIVED_AT)
