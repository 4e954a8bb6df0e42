"""Faults on order: what goes wrong with a delivery on the days that somebody names.

The shop itself knows nothing of them: a fault changes how a day is delivered, never what happened
in it, and what it holds back comes with a later day. A new fault is one entry of `FAULTS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.simulator.customers import user_ids
from tasks.simulator.draws import Floats, Ints, Stream
from tasks.simulator.events import SCHEMA, event_keys, midnight
from tasks.simulator.faults import accounts, deliveries, rush
from tasks.simulator.shop import indices_of
from tasks.simulator.world import World

Frames = dict[str, pl.DataFrame]
Orders = Mapping[date, tuple[str, ...]]
ITEMS, CUSTOMERS, CONTACTS = "items", "customers", "contacts"
MANY, FEW = 0.1, 0.05
LATE_DAYS = 3
FAST = timedelta(hours=2)
RESET = datetime(1970, 1, 1, tzinfo=UTC)
MERGED = 0.04
LEAST_STORM_BOTS = 3
TORN_BYTES = 1024
EXPORTED_AT = 20


@dataclass(frozen=True)
class Night:
    """A delivery that a fault acts on; `since` is the day that the fault was ordered for."""

    world: World
    fault: str
    since: date
    day: date

    def drawn(self, *keys: Ints) -> Floats:
        """Return a number in [0, 1) per key, the same on every day that the fault lasts."""
        fault = crc32(self.fault.encode())
        return self.world.draws.uniform(Stream.FAULT, fault, self.since.toordinal(), *keys)

    def some(self, events: pl.DataFrame, share: float) -> pl.Series:
        """Return which events are hit: each with its copies."""
        drawn = self.drawn(*event_keys(events[c.EVENT_ID]))
        return pl.Series(drawn < share, dtype=pl.Boolean)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, what ingest does with it, and where it strikes.

    Attributes:
        wrong: what goes wrong, one sentence.
        fate: what ingest does with it, one sentence.
        events: changes some of the day's events; those it gives a later `received_at` come then.
        snapshots: changes the day's other frames.
        strangers: events of nobody the shop knows, for how many events of others there are.
        columns: changes the columns of the events that land.
        first: what a first delivery holds of the events, before the whole comes as a correction.
        file: damages a landed file of events below its manifest; once or twice is the same.
        lasts: whether `events` and `snapshots` change the days after too.
    """

    wrong: str
    fate: str
    events: Callable[[Night, pl.DataFrame], pl.DataFrame] | None = None
    snapshots: Callable[[Night, Frames], Frames] | None = None
    strangers: Callable[[Night, int], pl.DataFrame] | None = None
    columns: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    first: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    file: Callable[[Path], None] | None = None
    lasts: bool = False


def acting(world: World, day: date, orders: Orders) -> list[Night]:
    """Return the faults that act on the delivery of `day`, in the order in which they do."""
    return [
        Night(world, name, since, day)
        for since in sorted(orders)
        for name in orders[since]
        if since == day or (since < day and FAULTS[name].lasts)
    ]


def hit_snapshots(nights: list[Night], frames: Frames) -> Frames:
    """Return the snapshots that land."""
    for night in nights:
        if change := FAULTS[night.fault].snapshots:
            frames = change(night, frames)
    return frames


def hit_events(nights: list[Night], events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what of these events lands on the night's day, and what comes later."""
    for night in nights:
        if change := FAULTS[night.fault].events:
            events = change(night, events)
    return deliveries(events, nights[0].day) if nights else (events, events.clear())


def strangers(nights: list[Night], count: int) -> pl.DataFrame:
    """Return what those do whom the shop does not know, beside `count` events of others."""
    arrived = [pl.DataFrame(schema=SCHEMA)]
    for night in nights:
        if made := FAULTS[night.fault].strangers:
            arrived.append(made(night, count))
    return pl.concat(arrived)


def version_count(names: tuple[str, ...]) -> int:
    """Return how many versions of its manifest a day with these faults has."""
    return 1 + sum(FAULTS[name].first is not None for name in names)


def versions(names: tuple[str, ...], events: pl.DataFrame) -> list[pl.DataFrame]:
    """Return what each version of the day's manifest holds of events that land."""
    faults = [FAULTS[name] for name in names]
    for columns in (fault.columns for fault in faults if fault.columns):
        events = columns(events)
    return [fault.first(events) for fault in faults if fault.first] + [events]


def damage(file: Path, names: tuple[str, ...]) -> None:
    """Do to the landed file of events what the day's faults do to files."""
    for name in names:
        if break_file := FAULTS[name].file:
            break_file(file)


def in_order(names: set[str]) -> tuple[str, ...]:
    """Return the names in the order in which their faults act."""
    return tuple(name for name in FAULTS if name in names)


def _copied(night: Night, events: pl.DataFrame, received: pl.Expr) -> pl.DataFrame:
    """Return the events with copies of many, received at another time."""
    copies = events.filter(night.some(events, MANY)).with_columns(received.alias(c.RECEIVED_AT))
    return pl.concat([events, copies])


def _duplicates_within(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    end = midnight(night.day + timedelta(1)) - timedelta(microseconds=1)
    soon = pl.col(c.RECEIVED_AT).dt.offset_by("1m")
    return _copied(night, events, pl.min_horizontal(soon, pl.lit(end, SCHEMA[c.RECEIVED_AT])))


def _duplicates_across(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    return _copied(night, events, pl.col(c.RECEIVED_AT).dt.offset_by("1d"))


def _late_events(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    held = pl.lit(night.some(events, MANY))
    later = pl.col(c.RECEIVED_AT).dt.offset_by(f"{LATE_DAYS}d")
    received = pl.when(held).then(later).otherwise(c.RECEIVED_AT)
    return events.with_columns(received.alias(c.RECEIVED_AT))


def _empty_night(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    tomorrow = pl.lit(midnight(night.day + timedelta(1)), SCHEMA[c.RECEIVED_AT])
    received = pl.max_horizontal(c.RECEIVED_AT, tomorrow)
    return events.with_columns(received.alias(c.RECEIVED_AT))


def _clock_skew(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    drawn = pl.lit(pl.Series(night.drawn(indices_of(events[c.USER_ID]))))
    ts = pl.col(c.TS)
    since_reset = pl.lit(RESET, SCHEMA[c.TS]) + (ts - ts.dt.truncate("1d"))
    shown = pl.when(drawn < FEW).then(ts + FAST).when(drawn < 2 * FEW).then(since_reset)
    return events.with_columns(shown.otherwise(ts).alias(c.TS))


def _bot_storm(night: Night, count: int) -> pl.DataFrame:
    """Return as many views by bots as there are events, or a few bots' more."""
    _, staff = accounts(night.world)
    each = night.world.parameters.bot_events
    views = pl.concat(
        rush(night.world, night.day, staff + 1 + bot, each, 1 + bot % 20, 3_400)
        for bot in range(max(LEAST_STORM_BOTS, ceil(count / each)))
    )
    received = pl.col(c.TS).dt.offset_by("1s").alias(c.RECEIVED_AT)
    return views.with_columns(received).select(list(SCHEMA))


def _free(night: Night, priced: pl.DataFrame) -> pl.DataFrame:
    drawn = night.drawn(np.arange(night.world.catalogue.size))
    hit = pl.col(c.ITEM_ID).is_in(night.world.catalogue.ids.filter(drawn < MANY).implode())
    free = pl.when(hit & pl.col(c.PRICE).is_not_null()).then(0).otherwise(c.PRICE)
    return priced.with_columns(free.alias(c.PRICE))


def _unknown_item(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    hit = pl.lit(night.some(events, FEW))
    unheard = pl.when(hit).then(pl.lit("x") + pl.col(c.ITEM_ID)).otherwise(c.ITEM_ID)
    return events.with_columns(unheard.alias(c.ITEM_ID))


def _merged_events(night: Night, events: pl.DataFrame) -> pl.DataFrame:
    names = pl.col(c.USER_ID).replace(*merged_users(night))
    after = pl.col(c.TS) >= midnight(night.since)
    return events.with_columns(pl.when(after).then(names).otherwise(c.USER_ID).alias(c.USER_ID))


def _merged_snapshots(night: Night, frames: Frames) -> Frames:
    old, new = merged_users(night)
    letters = frames[CONTACTS].with_columns(pl.col(c.USER_ID).replace(old, new))
    return {
        **frames,
        CUSTOMERS: frames[CUSTOMERS].filter(~pl.col(c.USER_ID).is_in(old.implode())),
        CONTACTS: _one_letter_each(letters),
    }


def merged_users(night: Night) -> tuple[pl.Series, pl.Series]:
    """Return who is merged and into whom: even numbers into the odd ones next to them.

    So nobody is merged into someone who is or will be gone.
    """
    here = night.world.customers.present(night.since)
    pairs = np.arange(len(here) // 2)
    both = here[2 * pairs] & here[2 * pairs + 1]
    chosen = pairs[both & (night.drawn(pairs) < MERGED)]
    return user_ids(2 * chosen), user_ids(2 * chosen + 1)


def _one_letter_each(contacts: pl.DataFrame) -> pl.DataFrame:
    left_first = contacts.sort(c.OPTED_OUT, descending=True, maintain_order=True)
    key = [c.USER_ID, c.CHANNEL, c.MAILING, c.SENT_AT]
    return left_first.unique(key, keep="first", maintain_order=True).sort(key)


def _as_decimal_text(price: pl.Expr) -> pl.Expr:
    cents = price.cast(pl.Int64)
    return pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))


def _tear(file: Path) -> None:
    if file.exists():
        os.truncate(file, min(file.stat().st_size, TORN_BYTES))


FAULTS = {
    "duplicates_within": Fault(
        "A tenth of the events comes again in the same delivery, a minute later.",
        "The copy received first stands; the others are counted as `duplicates`.",
        events=_duplicates_within,
    ),
    "duplicates_across": Fault(
        "A tenth of the events comes again in the next day's delivery.",
        "The day stays as it is; the next day counts them as `duplicates`.",
        events=_duplicates_across,
    ),
    "late_events": Fault(
        f"A tenth of the events is received {LATE_DAYS} days late.",
        "They are kept in the partition of the day of receipt, and counted there as `late`.",
        events=_late_events,
    ),
    "clock_skew": Fault(
        "The clocks of a twentieth of the users run two hours ahead, those of another twentieth"
        " were reset to 1970.",
        "Events dated after their receipt are set aside as `clock_ahead`, those from 1970 as"
        " `too_late`.",
        events=_clock_skew,
    ),
    "bot_storm": Fault(
        "Bots open as many pages as everybody else together, each 2,600 within an hour.",
        "Everything they did is set aside as `hourly_rate`; people's events are untouched.",
        strangers=_bot_storm,
    ),
    "zero_price": Fault(
        "A tenth of the items, and the events with them, has a price of zero.",
        "They are kept, since a thing may be free; events are counted as `zero_prices`.",
        events=_free,
        snapshots=lambda night, frames: {**frames, ITEMS: _free(night, frames[ITEMS])},
    ),
    "unknown_item": Fault(
        "A twentieth of the events names items that no catalogue has listed.",
        "They are kept, since a catalogue may lag, and counted as `unknown_items`.",
        events=_unknown_item,
    ),
    "merged_user": Fault(
        "Some users turn out to be others: from that day on the old identifier is gone from"
        " customers, contacts and new events.",
        "New events count for the new identifier; older ones that come late keep the old one and"
        " are counted as `unknown_users`.",
        events=_merged_events,
        snapshots=_merged_snapshots,
        lasts=True,
    ),
    "empty_night": Fault(
        "No event is received; the whole day comes with the next one.",
        "The day is written without events, its snapshots as ever; the next day counts them as"
        " `late`.",
        events=_empty_night,
    ),
    "missing_column": Fault(
        "The events come without `session_id`.",
        "Refused: ContractViolation names the column, though it may be null; nothing is written.",
        columns=lambda events: events.drop(c.SESSION_ID),
    ),
    "new_column": Fault(
        "The events come with `app_version`, which nobody has announced.",
        "It is left out with a warning and counted as `columns_left_out`.",
        columns=lambda events: events.with_columns(pl.lit("4.2.0").alias("app_version")),
    ),
    "wider_type": Fault(
        "Prices come as floating point numbers, positions as 64-bit integers.",
        "They are cast with a warning, since no value is lost; counted as `columns_cast`.",
        columns=lambda events: events.cast({c.PRICE: pl.Float64, c.POSITION: pl.Int64}),
    ),
    "changed_type": Fault(
        "Prices come as text with a decimal point.",
        "Refused: ContractViolation names column, types and examples; nothing is written.",
        columns=lambda events: events.with_columns(_as_decimal_text(pl.col(c.PRICE))),
    ),
    "correction": Fault(
        f"The day is delivered twice: first as it stood at {EXPORTED_AT}:00, then whole as version"
        " 2.",
        "The newest version is read whole; a day made from the first is stale until it runs again.",
        first=lambda events: events.filter(pl.col(c.RECEIVED_AT).dt.hour() < EXPORTED_AT),
    ),
    "torn_file": Fault(
        "The first file of events breaks off after its first kilobyte.",
        "Refused: ContractViolation names the file whose sha256 differs; nothing is written on that"
        " day, nor on those that look for copies in it, until a correction lands.",
        file=_tear,
    ),
    "missing_file": Fault(
        "The first file of events that the manifest names is not there.",
        "Refused: ContractViolation names the absent file; nothing is written on that day, nor on"
        " those that look for copies in it, until a correction lands.",
        file=lambda file: file.unlink(missing_ok=True),
    ),
}
"""By name, in the order in which those of one day act."""
