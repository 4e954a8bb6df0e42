"""Data checks: what a person would look at before trusting a day, each with its bands.

A value outside `usual` is `warned`; outside `hard` it is `broken`, and the day stops before
anything is counted, and so do the days after it that would count it in, until it is delivered again
or let through (`accepted`). A check without a band is `counted`. A value that the day cannot give
(a share of no rows, a comparison without a past) has no row. What is held against its weekday is
compared with up to four weeks, as soon as two of them are known: a young shop is not stopped for
want of a past. A new check is one entry of `CHECKS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from statistics import median

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import DataCheckFailed, InputNotReady
from tasks.features.bands import OPEN, Limits, place, verdict
from tasks.features.received import KNOWN_WEEKS, LEAST_EVENTS, Received, broken, received
from tasks.features.shift import by_category, by_kind, by_platform, by_price, divergence
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import DATA_CHECKS
from tasks.report import figures

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
SHARE_NULL = "share null"
SILENT = "hours silent at the end"
ACCEPTED = "VITRINA_ACCEPT_DATA_CHECKS=true"


@dataclass(frozen=True)
class Check:
    """One value of a day, and the bands it is expected in; few events stop no day."""

    table: str
    column: str
    name: str
    value: Callable[[Received], float | None]
    usual: Limits = OPEN
    hard: Limits = OPEN
    least: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it in DATA_CHECKS."""
        return self.table, self.column, self.name


# Volume and freshness


def _volume(received: Received) -> float | None:
    """Return the events over the mean of the days before that had any."""
    busy = [volume for volume in received.volumes_before if volume]
    return received.events.height * len(busy) / sum(busy) if busy else None


def _weekday_volume(received: Received) -> float | None:
    """Return the events over the median of the weekday before; an empty night is no volume."""
    if not received.past.is_known or received.events.is_empty():
        return None
    return received.events.height / float(median(received.past.volumes))


def _midnight(received: Received) -> datetime:
    return datetime.combine(received.day, datetime.min.time(), UTC)


def _hours_silent(received: Received) -> float | None:
    """Return the hours from the last receipt to the end of the day."""
    if received.events.is_empty():
        return None
    last: datetime = received.events.select(pl.col(c.RECEIVED_AT).max()).item()
    return (_midnight(received) + timedelta(days=1) - last) / HOUR


def _longer_silent(received: Received) -> float | None:
    """Return by how many hours more than on its weekday before nothing came at the end."""
    return _against_weekday(received, c.RECEIVED_AT, SILENT, _hours_silent(received))


def _against_weekday(
    received: Received, column: str, check: str, now: float | None
) -> float | None:
    """Return what a check found less the median of what it found on the weekday before."""
    before = received.past.checks.filter(column=column, check=check)[c.VALUE].to_list()
    if now is None or not received.is_comparable or len(before) < KNOWN_WEEKS:
        return None
    return now - float(median(before))


def _share(rows: pl.DataFrame, of: pl.Expr) -> float | None:
    return float(rows.select(of.mean()).item()) if rows.height else None


def _late(received: Received) -> float | None:
    return _share(received.events, pl.col(c.TS) < _midnight(received))


def _dated_ahead(received: Received) -> float | None:
    return _share(received.events, pl.col(c.TS) > pl.col(c.RECEIVED_AT))


# Nulls, prices, what is unknown


def _null(received: Received, column: str, of: tuple[str, ...]) -> float | None:
    rows = received.events.filter(pl.col(c.EVENT_TYPE).is_in(of))
    return _share(rows, pl.col(column).is_null())


def _more_null(received: Received, column: str, of: tuple[str, ...]) -> float | None:
    """Return by how much the share of nulls exceeds the median of the weekday before."""
    return _against_weekday(received, column, SHARE_NULL, _null(received, column, of))


def _unknown_items(received: Received) -> float | None:
    known = received.catalogue[c.ITEM_ID].implode()
    return _share(received.events, ~pl.col(c.ITEM_ID).is_in(known))


def _free_acts(received: Received) -> float | None:
    priced = received.events.filter(pl.col(c.PRICE).is_not_null())
    return _share(priced, pl.col(c.PRICE) == 0)


def _set_aside(received: Received) -> float | None:
    total = received.set_aside + received.events.height
    return received.set_aside / total if total else None


def _free_items(received: Received) -> float | None:
    return _share(received.items, pl.col(c.PRICE) <= 0)


# Shifts


def _shift(received: Received, now: pl.DataFrame, before: pl.DataFrame) -> float | None:
    if not received.is_comparable or min(now["n"].sum(), before["n"].sum()) < LEAST_EVENTS:
        return None
    return divergence(now, before)


def _shift_of_types(received: Received) -> float | None:
    return _shift(received, by_kind(received.item_counts), by_kind(received.past.item_counts))


def _shift_of_categories(received: Received) -> float | None:
    category = partial(by_category, catalogue=received.catalogue)
    return _shift(received, category(received.item_counts), category(received.past.item_counts))


def _shift_of_platforms(received: Received) -> float | None:
    return _shift(received, by_platform(received.acts), by_platform(received.past.acts))


def _shift_of_prices(received: Received) -> float | None:
    return _shift(received, by_price(received.acts), by_price(received.past.acts))


NULLABLE = {
    c.SESSION_ID: c.EVENT_TYPES,
    c.LISTING_ID: (c.IMPRESSION,),
    c.POSITION: (c.IMPRESSION,),
    c.DWELL_SECONDS: (c.VIEW,),
    c.PRICE: (c.ORDER,),
}
"""What a source may lack, and of which events it is then missed."""
SHIFTS = {
    c.EVENT_TYPE: _shift_of_types,
    c.PLATFORM: _shift_of_platforms,
    c.CATEGORY: _shift_of_categories,
    c.PRICE: _shift_of_prices,
}


def _nulls(column: str, of: tuple[str, ...]) -> tuple[Check, Check]:
    share = partial(_null, column=column, of=of)
    more = partial(_more_null, column=column, of=of)
    return (
        Check("events", column, SHARE_NULL, share),
        Check("events", column, "share null against its weekday", more, (-0.1, 0.1), (None, 0.5)),
    )


def _shifts(column: str, value: Callable[[Received], float | None]) -> Check:
    # Of 1 bit, which nothing in common has. What two weeks in three know stays within the hard one.
    return Check("events", column, "shift from its weekday", value, (None, 0.05), (None, 0.6))


CHECKS = (
    Check("events", c.EVENT_ID, "volume against 7 days", _volume, (0.3, 3.0), (None, 20.0)),
    Check(
        "events",
        c.EVENT_ID,
        "volume against its weekday",
        _weekday_volume,
        (0.4, 2.5),
        (0.02, 20.0),
    ),
    Check("events", c.RECEIVED_AT, SILENT, _hours_silent, (None, 14.0)),
    Check(
        # A source may deliver once, at dawn: what it never did before tells a torn delivery.
        "events",
        c.RECEIVED_AT,
        "hours silent against its weekday",
        _longer_silent,
        (None, 4.0),
        (None, 12.0),
    ),
    Check("events", c.TS, "share late", _late, (None, 0.05)),
    Check("events", c.TS, "share after receipt", _dated_ahead, (None, 0.01), (None, 0.5)),
    Check(
        "events",
        c.ITEM_ID,
        "share not in catalogue",
        _unknown_items,
        (None, 0.02),
        (None, 0.9),
        LEAST_EVENTS,
    ),
    Check("events", c.PRICE, "share free", _free_acts, (None, 0.05), (None, 0.9), LEAST_EVENTS),
    *(check for column, of in NULLABLE.items() for check in _nulls(column, of)),
    *(_shifts(column, value) for column, value in SHIFTS.items()),
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
    rows = [_row(check, value, version, received) for check, value in values if value is not None]
    return pl.DataFrame(rows, schema=DATA_CHECKS.schema, orient="row")


def _row(check: Check, value: float, version: int, received: Received) -> tuple[object, ...]:
    hard = check.hard if received.events.height >= check.least else OPEN
    found, (low, high) = verdict(value, check.usual, hard)
    return *check.key, version, value, low, high, found


def next_version(before: pl.DataFrame) -> int:
    """Return the version of the next run of these checks, given the day's DATA_CHECKS so far."""
    names = [check.name for check in CHECKS]
    versions = before.filter(pl.col("check").is_in(names))["version"]
    return int(versions.max() or 0) + 1  # type: ignore[arg-type]


def refuse_broken(rows: pl.DataFrame) -> None:
    """Raise when a hard band is broken.

    Raises:
        DataCheckFailed: naming each check, its value and its band.
    """
    if told := complaints(rows):
        raise DataCheckFailed(f"{told}. {ACCEPTED} lets a day through that is right all the same")


def complaints(rows: pl.DataFrame) -> str:
    """Return each check outside its hard band with value and band; empty when none is."""
    outside = rows.filter(pl.col("verdict") == "broken")
    return "; ".join(map(_complaint, outside.iter_rows(named=True)))


def _complaint(row: dict[str, object]) -> str:
    low, high = ("" if row[name] is None else f"{row[name]:g}" for name in (c.LOW, c.HIGH))
    value = f"{row[c.VALUE]:.4g}, hard band {low}..{high}"
    return f"{row['table']}.{row['column']}: {row['check']} is {value}"


def check_day(lake: Lake, day: date) -> int:
    """Record the checks of `day` and return how many were outside their usual band.

    Raises:
        DataCheckFailed: a value is outside its hard band; the record is written all the same.
    """
    before = lake.read_window(DATA_CHECKS, day, Window(1, optional=True))
    rows = checked(received(lake, day), next_version(before))
    told = complaints(rows)
    if told and lake.settings.accept_data_checks:
        log.warning("%s: accepted all the same: %s", day, told)
        rows = rows.with_columns(pl.col("verdict").replace("broken", "accepted"))
    lake.append_day(DATA_CHECKS, day, rows)
    _track(rows)
    refuse_broken(rows)
    return rows.filter(pl.col("verdict").is_in(("warned", "accepted"))).height


def require_accepted(lake: Lake, day: date, days: int) -> None:
    """Refuse a window with an earlier day that its own checks refused.

    Raises:
        InputNotReady: naming the first such day, what it broke, and what mends it.
    """
    window = Window(days - 1, ends=-1, optional=True)
    refused = broken(lake.read_window(DATA_CHECKS, day, window)).sort(c.DT)
    if refused.height:
        first = refused[c.DT][0]
        told = complaints(refused.filter(pl.col(c.DT) == first))
        raise InputNotReady(
            f"days of the window that were refused: {refused[c.DT].n_unique()}, the first {first}:"
            f" {told}; deliver it again or set {ACCEPTED}, then backfill build_features for {first}"
        )


def _track(rows: pl.DataFrame) -> None:
    tracking.metrics(
        {
            f"check/{row['table']}/{row['column']}/{row['check']}": row[c.VALUE]
            for row in rows.iter_rows(named=True)
        }
    )
    if tracking.run_id() and (placed := places(rows)).height:
        tracking.figure("data_checks.png", figures.bands(placed))


def places(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `check`, `place`, `verdict` of each DATA_CHECKS row that has a band.

    `place` is 0 in the middle of the usual band, 1 at its edge and 2 at that of the hard one.
    """
    banded = {check.key: check for check in CHECKS if check.usual != OPEN}
    keys = rows.select("table", "column", "check").rows()
    found = [
        (f"{key[0]}.{key[1]}: {key[2]}", place(value, check.usual, check.hard), said)
        for key, value, said in zip(keys, rows[c.VALUE], rows["verdict"], strict=True)
        if (check := banded.get(key))
    ]
    schema = {"check": pl.String, "place": pl.Float64, "verdict": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row")
