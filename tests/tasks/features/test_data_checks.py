from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import log2

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.errors import DataCheckFailed
from tasks.features.bands import place, verdict
from tasks.features.checks import (
    CHECKS,
    NULLABLE,
    SHIFTS,
    SILENT,
    checked,
    next_version,
    places,
    refuse_broken,
)
from tasks.features.received import LEAST_EVENTS, Past, Received, broken
from tasks.features.shift import by_category, by_price, divergence
from tasks.lake.contracts import conform
from tasks.lake.tables import DAILY_ACTS, DAILY_ITEM_COUNTS, DATA_CHECKS, EVENTS, ITEMS
from tests.rows import rows as rows_of

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


CATALOGUE = pl.DataFrame({c.ITEM_ID: ["a", "b"], c.CATEGORY: ["jeans", "rugs"]})


def received(
    *events: dict[str, object], volumes: tuple[int, ...] = (), set_aside: int = 0
) -> Received:
    rows = pl.DataFrame([EVENT | event for event in events], schema=EVENTS.stored_schema)
    return Received(DAY, rows, ITEMS.empty(), CATALOGUE, set_aside, volumes)


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
    complaint = r"events.event_id: volume against 7 days is 21, hard band ..20\. VITRINA_ACCEPT"
    with pytest.raises(DataCheckFailed, match=complaint):
        refuse_broken(rows)


def test_silence_before_midnight_counts_from_the_last_receipt() -> None:
    row = of_check(checked(received({}), 1), "hours silent at the end")
    assert (row[c.VALUE], row["verdict"]) == (12.0, "ok")


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({c.TS: NOON - timedelta(days=1)}, "share late", "warned"),
        ({c.PRICE: 0}, "share free", "warned"),
        ({c.ITEM_ID: "unheard"}, "share not in catalogue", "warned"),
        ({c.TS: datetime(2027, 1, 1, tzinfo=UTC)}, "share after receipt", "broken"),
    ],
)
def test_each_share_sees_the_row_that_breaks_it(
    change: dict[str, object], check: str, verdict: str
) -> None:
    row = of_check(checked(received(change), 1), check)
    assert (row[c.VALUE], row["verdict"]) == (1.0, verdict)


@pytest.mark.parametrize(
    ("change", "check"),
    [({c.ITEM_ID: "unheard"}, "share not in catalogue"), ({c.PRICE: 0}, "share free")],
)
def test_what_one_event_may_be_a_thousand_may_not(change: dict[str, object], check: str) -> None:
    with pytest.raises(DataCheckFailed, match=f"{check} is 1, hard band ..0.9"):
        refuse_broken(checked(received(*[change] * LEAST_EVENTS), 1))


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


# Against the same weekday


def counts(**by_item: int) -> pl.DataFrame:
    given = [{c.ITEM_ID: item, c.EVENT_TYPE: "view", "n": n} for item, n in by_item.items()]
    return rows_of(DAILY_ITEM_COUNTS, *given)


def past(
    volumes: tuple[int, ...] = (LEAST_EVENTS, LEAST_EVENTS),
    shares: dict[str, list[float]] | None = None,
) -> Past:
    checks = [
        {"table": "events", "column": column, "check": "share null", c.VALUE: value}
        for column, values in (shares or {}).items()
        for value in values
    ]
    acts = rows_of(DAILY_ACTS, *[{c.PLATFORM: "web", c.PRICE: 100}] * LEAST_EVENTS)
    return Past(volumes, acts, counts(a=LEAST_EVENTS), rows_of(DATA_CHECKS, *checks))


def held_against(before: Past, events: int = LEAST_EVENTS, **changed: object) -> pl.DataFrame:
    day = received(*[{}] * events)
    return checked(replace(day, **{"past": before} | changed), 1)


def test_a_day_with_half_of_its_weekdays_events_is_ok_and_with_a_fiftieth_it_stops() -> None:
    found = of_check(held_against(past((2 * LEAST_EVENTS,) * 2)), "volume against its weekday")
    assert (found[c.VALUE], found["verdict"]) == (1 / 2, "ok")
    with pytest.raises(DataCheckFailed, match=r"its weekday is 0.01, hard band 0.02\.\.20"):
        refuse_broken(held_against(past((100 * LEAST_EVENTS,) * 2)))


@pytest.mark.parametrize("volumes", [(), (LEAST_EVENTS,), (10, 10, 10, 10)])
def test_a_young_or_tiny_shop_is_held_against_no_weekday(volumes: tuple[int, ...]) -> None:
    rows = held_against(past(volumes, {c.SESSION_ID: [1.0, 1.0]}), item_counts=counts(b=10**6))
    assert not [name for name in rows["check"] if "weekday" in name]


def test_an_empty_night_is_held_against_no_weekday() -> None:
    rows = held_against(past(), events=0)
    assert not [name for name in rows["check"] if "weekday" in name]


@pytest.mark.parametrize(
    ("before", "value", "found"),
    [
        ([0.0, 0.0], 0.0, "ok"),
        ([0.3, 0.9, 0.2], -0.3, "warned"),
        ([0.9, 0.9], -0.9, "warned"),
    ],
)
def test_a_share_of_nulls_is_held_against_the_median_of_its_weekday(
    before: list[float], value: float, found: str
) -> None:
    rows = held_against(past(shares={c.SESSION_ID: before}))
    row = of_check(rows, "share null against its weekday")
    assert row[c.VALUE] == pytest.approx(value)
    assert row["verdict"] == found


def test_a_delivery_that_ends_at_dawn_is_refused_only_where_none_did_before() -> None:
    dawn = datetime(2026, 3, 31, 3, tzinfo=UTC)
    day = received(*[{c.TS: dawn, c.RECEIVED_AT: dawn}] * LEAST_EVENTS)

    def held(*silent: float) -> pl.DataFrame:
        before = {"table": "events", "column": c.RECEIVED_AT, "check": SILENT}
        checks = [before | {c.VALUE: hours} for hours in silent]
        known = replace(past(), checks=rows_of(DATA_CHECKS, *checks))
        return checked(replace(day, past=known), 1)

    told = r"events.received_at: hours silent against its weekday is 20, hard band \.\.12"
    with pytest.raises(DataCheckFailed, match=told):
        refuse_broken(held(0.5, 1.0, 2.0))
    refuse_broken(held(21.0, 20.5, 22.0))
    refuse_broken(held(1.0))


@pytest.mark.parametrize("column", NULLABLE)
def test_a_column_that_is_suddenly_empty_stops_the_day(column: str) -> None:
    event = {c.EVENT_TYPE: NULLABLE[column][0], column: None}
    day = received(*[event] * LEAST_EVENTS)
    rows = checked(replace(day, past=past(shares={column: [0.0, 0.0]})), 1)
    told = rf"events.{column}: share null against its weekday is 1, hard band \.\.0.5"
    with pytest.raises(DataCheckFailed, match=told):
        refuse_broken(rows)


OTHERS = {
    c.EVENT_TYPE: {"item_counts": counts(a=LEAST_EVENTS).with_columns(event_type=pl.lit("order"))},
    c.CATEGORY: {"item_counts": counts(b=LEAST_EVENTS)},
    c.PLATFORM: {
        "acts": rows_of(DAILY_ACTS, *[{c.PLATFORM: "unknown", c.PRICE: 100}] * LEAST_EVENTS)
    },
    c.PRICE: {"acts": rows_of(DAILY_ACTS, *[{c.PLATFORM: "web", c.PRICE: 10_000}] * LEAST_EVENTS)},
}


@pytest.mark.parametrize("column", SHIFTS)
def test_a_day_with_nothing_of_what_its_weekday_had_is_stopped(column: str) -> None:
    told = rf"events.{column}: shift from its weekday is 1, hard band \.\.0.6"
    with pytest.raises(DataCheckFailed, match=told):
        refuse_broken(held_against(past(), **OTHERS[column]))


@pytest.mark.parametrize("column", SHIFTS)
def test_a_day_like_its_weekday_has_no_shift(column: str) -> None:
    same = {"item_counts": past().item_counts, "acts": past().acts}
    shifts = held_against(past(), **same).filter(check="shift from its weekday", column=column)
    assert shifts.select(c.VALUE, "verdict").rows() == [(0.0, "ok")]


def buckets(**n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"bucket": list(n), "n": list(n.values())}, schema_overrides={"n": pl.Int64}
    )


def test_the_divergence_is_worked_by_hand() -> None:
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4)
    expected = (log2(4 / 3) + (log2(2 / 3) + log2(2)) / 2) / 2
    assert divergence(buckets(x=7), buckets(x=3, y=3)) == pytest.approx(expected)
    assert divergence(buckets(x=3, y=3), buckets(x=7)) == pytest.approx(expected)
    assert divergence(buckets(x=1), buckets(y=1)) == 1.0
    assert divergence(buckets(x=1, y=2), buckets(y=4, x=2)) == 0.0


def test_an_item_of_no_category_is_a_bucket_of_its_own() -> None:
    found = by_category(counts(a=3, unheard=4), CATALOGUE)
    assert set(found.rows()) == {("jeans", 3), (None, 4)}
    assert divergence(found, found) == 0.0


def test_prices_are_put_in_half_doublings_and_what_is_free_apart() -> None:
    given = [{c.PRICE: price} for price in (0, 1, 7, 100, 10_000, None)]
    # ceil(2 log2(price + 1)): 0, 2, 6, 13.3, 26.6
    assert set(by_price(rows_of(DAILY_ACTS, *given))["bucket"]) == {0, 2, 6, 14, 27}


@pytest.mark.parametrize(
    ("value", "usual", "hard", "expected"),
    [
        (0.5, (0.0, 1.0), (None, None), 0.0),
        (1.0, (0.0, 1.0), (None, None), 1.0),
        (2.0, (None, 1.0), (None, 3.0), 1.5),
        (-2.0, (0.0, 1.0), (-1.0, None), 3.0),
        (9.0, (None, 1.0), (None, None), 1.5),
        (0.03, (None, 0.05), (None, 0.6), 0.6),
    ],
)
def test_a_place_is_1_at_the_usual_edge_and_2_at_the_hard_one(
    value: float,
    usual: tuple[float | None, float | None],
    hard: tuple[float | None, float | None],
    expected: float,
) -> None:
    assert place(value, usual, hard) == pytest.approx(expected)


@given(st.floats(-50, 50))
def test_a_place_says_what_the_verdict_says(value: float) -> None:
    usual, hard = (-1.0, 2.0), (-10.0, 20.0)
    place_of = {"ok": (0, 1), "warned": (1, 2), "broken": (2, 3)}
    low, high = place_of[verdict(value, usual, hard)[0]]
    assert low <= place(value, usual, hard) <= high


def test_what_has_no_band_has_no_place() -> None:
    rows = checked(received({}), 1)
    named = {f"{check.table}.{check.column}: {check.name}" for check in CHECKS if check.usual[1]}
    assert set(places(rows)["check"]) <= named
    assert places(rows)["verdict"].is_in(("ok", "warned", "broken")).all()


def test_only_the_last_run_of_a_day_s_checks_tells_whether_it_is_refused() -> None:
    row = {"table": "events", "column": "ts", "check": "share late", c.VALUE: 1.0}
    yesterday, before = DAY - timedelta(days=1), DAY - timedelta(days=2)
    told = [
        row | {c.DT: day, "version": version, "verdict": said}
        for day, version, said in (
            (DAY, 1, "broken"), (DAY, 2, "ok"), (DAY, 9, "counted"),
            (yesterday, 1, "ok"), (yesterday, 2, "broken"),
            (before, 1, "broken"), (before, 2, "accepted"),
        )
    ]  # fmt: skip
    found = broken(pl.DataFrame(told, schema_overrides={"version": pl.Int64}))
    assert found[c.DT].to_list() == [yesterday]
