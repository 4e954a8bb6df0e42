"""Data checks: what a person would look at before trusting a day, each with its bands.

A value outside `usual` is `warned`; outside `hard` it is `broken`, and the day stops before
anything downstream starts. A check without a band is `counted`. A value that the day cannot give
(a share of no rows) has no row. A new check is one entry of `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import ContractViolation
from tasks.lake.lake import WHOLE, Lake, Window
from tasks.lake.tables import DATA_CHECKS, EVENTS, ITEM_FEATURES, ITEMS, SET_ASIDE_EVENTS

Limits = tuple[float | None, float | None]
OPEN: Limits = (None, None)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Received:
    """What a day received: its events and catalogue, and how many events the days before had."""

    day: date
    events: pl.DataFrame
    items: pl.DataFrame
    catalogue: pl.DataFrame
    set_aside: int
    volumes_before: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """One value of a day, and the bands it is expected in."""

    table: str
    column: str
    name: str
    value: Callable[[Received], float | None]
    usual: Limits = OPEN
    hard: Limits = OPEN


def _volume(received: Received) -> float | None:
    """Return the events over the mean of the days before that had any."""
    busy = [volume for volume in received.volumes_before if volume]
    return received.events.height * len(busy) / sum(busy) if busy else None


def _hours_silent(received: Received) -> float | None:
    """Return the hours from the last receipt to the end of the day."""
    if received.events.is_empty():
        return None
    midnight = datetime.combine(received.day, datetime.min.time(), UTC) + timedelta(days=1)
    last: datetime = received.events.select(pl.col(c.RECEIVED_AT).max()).item()
    return (midnight - last) / HOUR


def _share(rows: pl.DataFrame, of: pl.Expr) -> float | None:
    return float(rows.select(of.mean()).item()) if rows.height else None


def _null_sessions(received: Received) -> float | None:
    return _share(received.events, pl.col(c.SESSION_ID).is_null())


def _unpriced_orders(received: Received) -> float | None:
    orders = received.events.filter(pl.col(c.EVENT_TYPE) == c.ORDER)
    return _share(orders, pl.col(c.PRICE).is_null())


def _unplaced_impressions(received: Received) -> float | None:
    impressions = received.events.filter(pl.col(c.EVENT_TYPE) == c.IMPRESSION)
    return _share(impressions, pl.col(c.POSITION).is_null())


def _dated_ahead(received: Received) -> float | None:
    return _share(received.events, pl.col(c.TS) > pl.col(c.RECEIVED_AT))


def _unknown_items(received: Received) -> float | None:
    known = received.catalogue[c.ITEM_ID].implode()
    return _share(received.events, ~pl.col(c.ITEM_ID).is_in(known))


def _set_aside(received: Received) -> float | None:
    total = received.set_aside + received.events.height
    return received.set_aside / total if total else None


def _free_items(received: Received) -> float | None:
    return _share(received.items, pl.col(c.PRICE) <= 0)


CHECKS = (
    Check("events", c.EVENT_ID, "volume against 7 days", _volume, (0.3, 3.0), (None, 20.0)),
    Check("events", c.RECEIVED_AT, "hours silent at the end", _hours_silent, (0.0, 14.0)),
    Check("events", c.SESSION_ID, "share null", _null_sessions),
    Check("events", c.PRICE, "share null in orders", _unpriced_orders, (None, 0.05)),
    Check("events", c.POSITION, "share null in impressions", _unplaced_impressions, (None, 0.05)),
    Check("events", c.TS, "share after receipt", _dated_ahead, (None, 0.01), (None, 0.5)),
    Check("events", c.ITEM_ID, "share not in catalogue", _unknown_items, (None, 0.05)),
    Check(
        # A bot storm is what setting aside is for: it is told, and the night goes on with the rest.
        "set_aside_events",
        c.EVENT_ID,
        "share of received",
        _set_aside,
        (None, 0.1),
        (None, 0.95),
    ),
    Check("items", c.PRICE, "share without price", _free_items, (None, 0.01), (None, 0.9)),
)


def checked(received: Received, version: int) -> pl.DataFrame:
    """Return DATA_CHECKS rows of every check that the day can answer.

    Args:
        received: the day.
        version: counts the runs of these checks over the day.
    """
    values = [(check, check.value(received)) for check in CHECKS]
    rows = [_row(check, value, version) for check, value in values if value is not None]
    return pl.DataFrame(rows, schema=DATA_CHECKS.schema, orient="row")


def _row(check: Check, value: float, version: int) -> tuple[object, ...]:
    verdict, (low, high) = _verdict(check, value)
    return check.table, check.column, check.name, version, value, low, high, verdict


def _verdict(check: Check, value: float) -> tuple[str, Limits]:
    if not _within(value, check.hard):
        return "broken", check.hard
    if not _within(value, check.usual):
        return "warned", check.usual
    return ("counted" if check.usual == OPEN else "ok"), check.usual


def _within(value: float, limits: Limits) -> bool:
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


def next_version(before: pl.DataFrame) -> int:
    """Return the version of the next run of these checks, given the day's DATA_CHECKS so far."""
    names = [check.name for check in CHECKS]
    versions = before.filter(pl.col("check").is_in(names))["version"]
    return int(versions.max() or 0) + 1  # type: ignore[arg-type]


def refuse_broken(rows: pl.DataFrame) -> None:
    """Raise when a hard band is broken.

    Raises:
        ContractViolation: naming each check, its value and its band.
    """
    broken = rows.filter(pl.col("verdict") == "broken")
    if broken.height:
        raise ContractViolation("; ".join(map(_complaint, broken.iter_rows(named=True))))


def _complaint(row: dict[str, object]) -> str:
    band = f"{row[c.LOW] if row[c.LOW] is not None else ''}..{row[c.HIGH]}"
    return f"{row['table']}.{row['column']}: {row['check']} is {row[c.VALUE]:.4g}, hard band {band}"


def received(lake: Lake, day: date) -> Received:
    """Return what the checks look at, read from the lake."""
    return Received(
        day=day,
        events=lake.read_day(EVENTS, day),
        items=lake.read_day(ITEMS, day),
        catalogue=lake.read_day(ITEM_FEATURES, day).filter(pl.col(c.CATEGORY).is_not_null()),
        set_aside=lake.ledger.written(SET_ASIDE_EVENTS)[day, WHOLE].rows,
        volumes_before=_volumes_before(lake, day),
    )


def _volumes_before(lake: Lake, day: date) -> tuple[int, ...]:
    written = lake.ledger.written(EVENTS)
    days = [(day - timedelta(days=age), WHOLE) for age in range(1, 8)]
    return tuple(written[slot].rows for slot in days if slot in written)


def check_day(lake: Lake, day: date) -> int:
    """Record the checks of `day` and return how many were outside their usual band.

    Raises:
        ContractViolation: a value is outside its hard band; the record is written all the same.
    """
    before = lake.read_window(DATA_CHECKS, day, Window(1, optional=True))
    rows = checked(received(lake, day), next_version(before))
    lake.append_day(DATA_CHECKS, day, rows)
    tracking.metrics(
        {f"check/{row['table']}/{row['check']}": row[c.VALUE] for row in rows.to_dicts()}
    )
    refuse_broken(rows)
    return rows.filter(pl.col("verdict") == "warned").height
