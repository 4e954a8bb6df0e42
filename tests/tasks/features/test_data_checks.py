from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.features.checks import CHECKS, Received, checked, next_version, refuse_broken
from tasks.lake.contracts import conform
from tasks.lake.tables import DATA_CHECKS, EVENTS, ITEMS

DAY = date(2026, 3, 31)
NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
EVENT = {
    c.TS: NOON,
    c.RECEIVED_AT: NOON,
    c.EVENT_TYPE: "order",
    c.ITEM_ID: "a",
    c.SESSION_ID: "s",
    c.PRICE: 100,
}


def received(
    *events: dict[str, object], volumes: tuple[int, ...] = (), set_aside: int = 0
) -> Received:
    rows = pl.DataFrame([EVENT | event for event in events], schema=EVENTS.stored_schema)
    catalogue = pl.DataFrame({c.ITEM_ID: ["a"]})
    return Received(DAY, rows, ITEMS.empty(), catalogue, set_aside, volumes)


def of_check(rows: pl.DataFrame, name: str) -> dict[str, object]:
    return rows.row(by_predicate=pl.col("check") == name, named=True)


def test_the_volume_is_measured_against_the_days_before_that_had_events() -> None:
    row = of_check(checked(received({}, {}, volumes=(6, 0, 2)), 1), "volume against 7 days")
    assert (row[c.VALUE], row["verdict"]) == (2 / 4, "ok")


def test_a_quiet_night_is_warned_of_and_has_no_shares() -> None:
    rows = checked(received(volumes=(1000,)), 1)
    assert rows.select("check", "verdict").rows() == [("volume against 7 days", "warned")]


def test_twenty_times_the_usual_volume_is_refused_by_name_value_and_band() -> None:
    rows = checked(received(*[{}] * 21, volumes=(1,)), 1)
    complaint = "events.event_id: volume against 7 days is 21, hard band ..20"
    with pytest.raises(ContractViolation, match=complaint):
        refuse_broken(rows)


def test_silence_before_midnight_counts_from_the_last_receipt() -> None:
    row = of_check(checked(received({}), 1), "hours silent at the end")
    assert (row[c.VALUE], row["verdict"]) == (12.0, "ok")


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({c.SESSION_ID: None}, "share null", "counted"),
        ({c.PRICE: None}, "share null in orders", "warned"),
        ({c.EVENT_TYPE: "impression"}, "share null in impressions", "warned"),
        ({c.ITEM_ID: "b"}, "share not in catalogue", "warned"),
        ({c.TS: datetime(2027, 1, 1, tzinfo=UTC)}, "share after receipt", "broken"),
    ],
)
def test_each_share_sees_the_row_that_breaks_it(
    change: dict[str, object], check: str, verdict: str
) -> None:
    row = of_check(checked(received(change), 1), check)
    assert (row[c.VALUE], row["verdict"]) == (1.0, verdict)


@pytest.mark.parametrize(("aside", "verdict"), [(3, "warned"), (99, "broken")])
def test_a_bot_storm_is_warned_of_and_nothing_but_bots_stops_the_day(
    aside: int, verdict: str
) -> None:
    row = of_check(checked(received({}, set_aside=aside), 1), "share of received")
    assert (row[c.VALUE], row["verdict"]) == (aside / (aside + 1), verdict)


def test_a_day_within_its_bands_is_let_through() -> None:
    late = {c.RECEIVED_AT: datetime(2026, 3, 31, 23, tzinfo=UTC)}
    rows = conform(DATA_CHECKS, checked(received(late, volumes=(1,)), 1))
    assert set(rows["verdict"]) <= {"ok", "counted"}
    refuse_broken(rows)


def test_each_run_of_the_checks_is_a_version_of_its_own() -> None:
    first = checked(received({}), next_version(DATA_CHECKS.empty()))
    assert next_version(first) == 2
    conform(DATA_CHECKS, pl.concat([first, checked(received({}), 2)]))


def test_checks_are_told_apart_by_table_column_and_name() -> None:
    assert len({(check.table, check.column, check.name) for check in CHECKS}) == len(CHECKS)
