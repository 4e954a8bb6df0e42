"""Ingest: which of a delivery's events count, and why the others do not.

An event counts when it is the first received copy of its `event_id`, in this delivery and in those
of the `duplicate_days` days before. Of what is left, these are set aside with a reason:

    clock_ahead   ts > received_at + max_clock_ahead_seconds
    too_late      ts < received_at - max_late_days: no counter's window reaches back that far
    hourly_rate   acts of the user in some hour of ts > max_events_per_hour
    daily_rate    acts of the user in the delivery > max_events_per_day

An act is an event, but the lines of one order or return, which share user and ts, are one act: a
wholesaler's invoice of 400 lines is no bot. A user beyond a rate is set aside with all events of
the delivery. Kept and counted are late events (ts before the day of receipt), events at a price of
zero, and events of items or users that the day's snapshots do not list: a snapshot may lag, a thing
may be free, and two users may have become one. Anything that breaks the contract of a table refuses
the delivery.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.lake.contracts import Table, conform
from tasks.lake.tables import (
    CONTACTS,
    CUSTOMERS,
    DATA_CHECKS,
    EVENTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    SET_ASIDE_EVENTS,
)
from tasks.landing.manifest import Manifest, day_folder, landing_days, read_files, read_manifest
from tasks.landing.schema import Differences, contract_columns
from tasks.settings import LandingRules

log = logging.getLogger(__name__)

SNAPSHOTS = (ITEMS, ITEM_ATTRIBUTES, CUSTOMERS, CONTACTS)
NEEDED = (EVENTS, ITEMS)
REASONS = ("clock_ahead", "too_late", "hourly_rate", "daily_rate")
TRADES = (c.ORDER, c.RETURN)
EXAMPLES = 3


@dataclass(frozen=True)
class Delivery:
    """What landed on a day: one frame per table, the columns of its contract."""

    manifest: Manifest
    frames: dict[Table, pl.DataFrame]
    differences: Differences = field(default_factory=Differences)

    @property
    def events(self) -> pl.DataFrame:
        """The events as delivered, duplicates included."""
        return self.frames[EVENTS]


@dataclass(frozen=True)
class Judged:
    """A delivery's events by fate; `counts` add up to the delivered rows."""

    events: pl.DataFrame
    set_aside: pl.DataFrame
    counts: dict[str, int]


@dataclass(frozen=True)
class Received:
    """What ingest writes of a day, and the deliveries that it was made from.

    Attributes:
        judged: the events by fate.
        snapshots: rows by table.
        manifest: the day's own delivery.
        earlier: those before it, whose identifiers were looked through.
    """

    judged: Judged
    snapshots: dict[Table, pl.DataFrame]
    manifest: Manifest
    earlier: tuple[Manifest, ...]


def read_delivery(landing: Path, day: date) -> Delivery:
    """Return the newest version of the day's delivery, its files and columns checked.

    Raises:
        InputNotReady: the day has no manifest.
        ContractViolation: a file, a table or a column differs from what was announced.
    """
    manifest = read_manifest(landing, day)
    absent = [table.name for table in NEEDED if not manifest.of_kind(table.name)]
    if manifest.files and absent:
        raise ContractViolation(
            f"landing {day}: the delivery has no file of {' and none of '.join(absent)};"
            " only a manifest without any file is an empty night"
        )
    found = Differences()
    frames = {table: _rows(landing, manifest, table, found) for table in (*SNAPSHOTS, EVENTS)}
    log.info("delivery %s v%d: %s events", day, manifest.version, f"{frames[EVENTS].height:,}")
    return Delivery(manifest, frames, found)


def _rows(landing: Path, manifest: Manifest, table: Table, found: Differences) -> pl.DataFrame:
    files = read_files(landing, manifest, table.name)
    return pl.concat([table.empty(), *(contract_columns(table, file, found) for file in files)])


def earlier_days(landing: Path, day: date, days: int) -> list[date]:
    """Return the days before `day` whose deliveries may hold a first copy, none before history."""
    first = min(landing_days(landing), default=day)
    return [
        before for back in range(days, 0, -1) if (before := day - timedelta(days=back)) >= first
    ]


def delivered_before(landing: Path, earlier: Iterable[Manifest], ids: pl.Series) -> pl.Series:
    """Return which of the identifiers an earlier delivery holds already."""
    files = [
        day_folder(landing, manifest.day) / file.name
        for manifest in earlier
        for file in manifest.of_kind(EVENTS.name)
    ]
    if not files:
        return ids.clear()
    # One by one: in a scan of many, a column that only one of them has is an error.
    delivered = pl.concat([_identifiers(file) for file in files])
    wanted = ids.to_frame(c.EVENT_ID).lazy()
    # This way round, the engine holds the day's identifiers and streams the week's.
    found: pl.DataFrame = delivered.join(wanted, on=c.EVENT_ID, how="semi").unique().collect()
    return found[c.EVENT_ID]


def _identifiers(file: Path) -> pl.LazyFrame:
    try:
        there = c.EVENT_ID in pl.read_parquet_schema(file)
    except pl.exceptions.PolarsError:
        there = False
    if not there:
        raise ContractViolation(
            f"{file.parent.name[3:]}: {file.name} has no {c.EVENT_ID} to find copies by;"
            " that delivery has to be corrected first"
        )
    return pl.scan_parquet(file).select(pl.col(c.EVENT_ID).cast(pl.String))


def judged(delivery: Delivery, before: pl.Series, day: date, rules: LandingRules) -> Judged:
    """Return the events that count, those set aside, and how many of each kind there were.

    Args:
        delivery: what landed on `day`.
        before: identifiers among them that were delivered earlier.
        day: the day of receipt.
        rules: rates and tolerances.

    Raises:
        ContractViolation: an event breaks the contract, or was not received on `day`.
    """
    _refuse_other_days(delivery.events, day)
    first = first_copies(delivery.events.join(before.to_frame(), on=c.EVENT_ID, how="anti"))
    marked = with_reasons(first, rules)
    kept = conform(EVENTS, marked.filter(pl.col(c.REASON).is_null()).drop(c.REASON))
    aside = conform(SET_ASIDE_EVENTS, marked.filter(pl.col(c.REASON).is_not_null()))
    return Judged(kept, aside, _counts(delivery, kept, aside, day))


def received(landing: Path, day: date, rules: LandingRules) -> Received:
    """Return the day's events by fate and its snapshots, every contract checked.

    Raises:
        InputNotReady: the day, or one before it that may hold first copies, has not landed.
        ContractViolation: the delivery, or one of those before, breaks a rule.
    """
    delivery = read_delivery(landing, day)
    days = earlier_days(landing, day, rules.duplicate_days)
    earlier = tuple(read_manifest(landing, before) for before in days)
    seen = delivered_before(landing, earlier, delivery.events[c.EVENT_ID])
    snapshots = {table: conform(table, delivery.frames[table]) for table in SNAPSHOTS}
    return Received(judged(delivery, seen, day, rules), snapshots, delivery.manifest, earlier)


def _refuse_other_days(events: pl.DataFrame, day: date) -> None:
    other = events.filter(pl.col(c.RECEIVED_AT).dt.date() != day)
    if other.height:
        shown = other.select(c.EVENT_ID, c.RECEIVED_AT).head(EXAMPLES).to_dicts()
        raise ContractViolation(
            f"events: 'received_at lies on {day}' broken by {other.height:,} rows, nothing"
            f" written. Examples: {'; '.join(map(str, shown))}"
        )


def first_copies(events: pl.DataFrame) -> pl.DataFrame:
    """Return one row per `event_id`: the one received first; the other columns break a tie."""
    copied = events[c.EVENT_ID].is_duplicated()
    order = [c.RECEIVED_AT, c.TS, *(name for name in events.columns if name != c.EVENT_ID)]
    copies = events.filter(copied).sort(list(dict.fromkeys(order)), nulls_last=True)
    first = copies.unique(c.EVENT_ID, keep="first", maintain_order=True)
    return pl.concat([events.filter(~copied), first])


def with_reasons(events: pl.DataFrame, rules: LandingRules) -> pl.DataFrame:
    """Return the events with `reason`, null where the event counts."""
    ts, received = pl.col(c.TS), pl.col(c.RECEIVED_AT)
    ahead = ts > received + pl.duration(seconds=rules.max_clock_ahead_seconds)
    stale = ts < received - pl.duration(days=rules.max_late_days)
    of_event = pl.when(ahead).then(pl.lit("clock_ahead")).when(stale).then(pl.lit("too_late"))
    busy = busy_users(events, rules)
    with_rate = events.join(busy, on=c.USER_ID, how="left", maintain_order="left")
    return with_rate.with_columns(pl.coalesce(of_event, c.REASON).alias(c.REASON))


def busy_users(events: pl.DataFrame, rules: LandingRules) -> pl.DataFrame:
    """Return users beyond a person's rate with `reason`; key `user_id`."""
    hour = pl.col(c.TS).dt.truncate("1h").alias("hour")
    trade = pl.col(c.EVENT_TYPE).is_in(TRADES)
    # The lines of one order are stamped alike: one act each, however many lines.
    acts = (~trade).sum() + pl.struct(c.EVENT_TYPE, c.TS).filter(trade).n_unique()
    hourly = events.group_by(c.USER_ID, hour).agg(acts.alias("acts"))
    rates = hourly.group_by(c.USER_ID).agg(pl.col("acts").max().alias("peak"), pl.sum("acts"))
    reason = (
        pl.when(pl.col("peak") > rules.max_events_per_hour)
        .then(pl.lit("hourly_rate"))
        .when(pl.col("acts") > rules.max_events_per_day)
        .then(pl.lit("daily_rate"))
    )
    named = rates.select(c.USER_ID, reason.alias(c.REASON))
    return named.filter(pl.col(c.REASON).is_not_null()).sort(c.USER_ID)


def _counts(
    delivery: Delivery, kept: pl.DataFrame, aside: pl.DataFrame, day: date
) -> dict[str, int]:
    delivered, differences = delivery.events.height, delivery.differences
    reasons = {f"set_aside_{name}": int((aside[c.REASON] == name).sum()) for name in REASONS}
    return {
        "rows": delivered,
        "events": kept.height,
        "duplicates": delivered - kept.height - aside.height,
        "late": int((kept[c.TS].dt.date() < day).sum()),
        "set_aside": aside.height,
        **reasons,
        "unknown_items": _unlisted(kept, delivery.frames[ITEMS], c.ITEM_ID),
        "unknown_users": _unknown_users(kept, delivery.frames[CUSTOMERS]),
        "zero_prices": int((kept[c.PRICE] == 0).sum()),
        "columns_left_out": len(differences.left_out),
        "columns_cast": len(differences.cast),
        "manifest_version": delivery.manifest.version,
    }


def _unlisted(events: pl.DataFrame, snapshot: pl.DataFrame, key: str) -> int:
    return events.join(snapshot, on=key, how="anti").height


def _unknown_users(events: pl.DataFrame, customers: pl.DataFrame) -> int:
    """Return 0 where the source lists no customer at all: then nobody is known."""
    return 0 if customers.is_empty() else _unlisted(events, customers, c.USER_ID)


def check_rows(counts: dict[str, int], version: int) -> pl.DataFrame:
    """Return the counts as rows of DATA_CHECKS about the `events` of that ledger version."""
    rows = [
        {
            "table": EVENTS.name,
            "column": c.EVENT_ID,
            "check": name,
            "version": version,
            c.VALUE: float(count),
            c.LOW: None,
            c.HIGH: None,
            "verdict": "counted",
        }
        for name, count in counts.items()
    ]
    return pl.DataFrame(rows, schema=DATA_CHECKS.schema)
