"""Which events of a delivery count, worked by hand."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tasks.errors import ContractViolation
from tasks.lake.tables import CUSTOMERS, EVENTS, ITEMS
from tasks.landing.ingest import Delivery, Judged, check_rows, first_copies, judged
from tasks.landing.manifest import Manifest
from tasks.settings import LandingRules
from tests.tasks.landing.conftest import DAY, at, customers_frame, event, events_frame, items_frame

RULES = LandingRules(max_events_per_hour=10, max_events_per_day=15)
NOBODY = pl.Series("event_id", [], pl.String)


def fates(
    *rows: dict[str, Any], before: pl.Series = NOBODY, customers: pl.DataFrame | None = None
) -> Judged:
    manifest = Manifest(day=DAY, version=1, source="test", files=[])
    known = CUSTOMERS.empty() if customers is None else customers
    frames = {EVENTS: events_frame(*rows), ITEMS: items_frame(), CUSTOMERS: known}
    return judged(Delivery(manifest, frames), before, DAY, RULES)


def reasons(found: Judged) -> dict[str, str]:
    return dict(found.set_aside.select("event_id", "reason").sort("event_id").iter_rows())


def test_the_copy_received_first_stands() -> None:
    early = event("e", received_at=at(DAY, 13), item_id="first")
    late = event("e", received_at=at(DAY, 14), item_id="second")
    assert fates(late, early).events["item_id"].to_list() == ["first"]


def test_copies_received_at_once_are_told_apart_by_their_content_not_their_order() -> None:
    a, b = event("e", item_id="a"), event("e", item_id="b")
    assert fates(a, b).events["item_id"].to_list() == ["a"]
    assert fates(b, a).events["item_id"].to_list() == ["a"]


def test_an_event_delivered_on_an_earlier_day_is_a_duplicate() -> None:
    found = fates(event("old"), event("new"), before=pl.Series("event_id", ["old"]))
    assert found.events["event_id"].to_list() == ["new"]
    assert found.counts["duplicates"] == 1


def test_late_events_are_kept_in_the_day_of_receipt_and_counted() -> None:
    found = fates(event("late", ts=at(DAY - timedelta(days=3))), event("today"))
    assert (found.counts["events"], found.counts["late"]) == (2, 1)


def test_a_clock_that_runs_ahead_beyond_the_tolerance_is_set_aside() -> None:
    # Received at 13:00; five minutes ahead are allowed.
    allowed = event("allowed", ts=at(DAY, 13, 5))
    ahead = event("ahead", ts=at(DAY, 13, 5, 1))
    assert reasons(fates(allowed, ahead)) == {"ahead": "clock_ahead"}


def test_events_older_than_any_window_are_set_aside() -> None:
    # Received at 13:00, 30 days allowed.
    oldest = event("oldest", ts=at(DAY - timedelta(days=30), 13))
    older = event("older", ts=at(DAY - timedelta(days=30), 12, 59))
    assert reasons(fates(oldest, older)) == {"older": "too_late"}


def test_a_user_beyond_the_hourly_rate_is_set_aside_with_the_whole_delivery() -> None:
    burst = [event(f"b{n:02}", user_id="bot", ts=at(DAY, 3, n)) for n in range(11)]
    calm = [event(f"c{n:02}", ts=at(DAY, 3, n)) for n in range(10)]
    elsewhen = event("later", user_id="bot", ts=at(DAY, 9))
    found = fates(*burst, *calm, elsewhen)
    assert set(found.events["user_id"]) == {"u1"}
    assert found.counts["set_aside_hourly_rate"] == 12


def test_a_user_beyond_the_daily_rate_is_set_aside() -> None:
    steady = [event(f"s{n:02}", user_id="staff", ts=at(DAY, n // 2, n)) for n in range(16)]
    assert fates(*steady).counts["set_aside_daily_rate"] == 16
    assert fates(*steady[:15]).counts["set_aside"] == 0


def test_an_order_of_many_lines_is_one_act() -> None:
    lines = [event(f"l{n:02}", event_type="order", item_id=f"i{n}") for n in range(40)]
    assert fates(*lines).counts["set_aside"] == 0


def test_duplicates_do_not_make_a_person_a_bot() -> None:
    twice = [event(f"e{n}", ts=at(DAY, 3, n)) for n in range(8)] * 2
    found = fates(*twice)
    assert (found.counts["duplicates"], found.counts["set_aside"]) == (8, 0)


def test_an_item_that_the_snapshot_does_not_list_is_kept_and_counted() -> None:
    found = fates(event("a", item_id="unheard"), event("b"))
    assert (found.counts["events"], found.counts["unknown_items"]) == (2, 1)


def test_a_user_that_the_snapshot_does_not_list_is_kept_and_counted() -> None:
    rows = event("a", user_id="merged"), event("b"), event("c", user_id="merged")
    found = fates(*rows, customers=customers_frame("u1"))
    assert (found.counts["events"], found.counts["unknown_users"]) == (3, 2)


def test_where_a_source_lists_no_customers_no_user_is_unknown() -> None:
    assert fates(event("a")).counts["unknown_users"] == 0


def test_a_price_of_zero_is_kept_and_counted() -> None:
    found = fates(event("free", price=0), event("cheap", price=1), event("unpriced"))
    assert (found.counts["events"], found.counts["zero_prices"]) == (3, 1)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"event_type": "glance"}, "event_type is one of"),
        ({"price": -1}, "price >= 0"),
        ({"item_id": None}, "item_id is never null"),
        ({"platform": "fridge"}, "platform is one of"),
        ({"ts": None}, "ts is never null"),
        ({"received_at": at(DAY + timedelta(days=1))}, f"received_at lies on {DAY}"),
    ],
)
def test_a_breach_names_the_rule_and_shows_counted_examples(
    changed: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ContractViolation, match=rule) as raised:
        fates(event("good"), *(event(f"bad{n}", **changed) for n in range(4)))
    assert "4 rows" in str(raised.value)
    assert str(raised.value).count("bad") == 3


def test_an_empty_delivery_counts_nothing() -> None:
    found = fates()
    assert found.events.is_empty()
    assert found.counts["rows"] == 0


def test_the_checks_are_counts_about_one_version_of_the_events() -> None:
    rows = check_rows({"duplicates": 2, "late": 0}, version=4)
    assert rows.select("check", "value", "version", "verdict").rows() == [
        ("duplicates", 2.0, 4, "counted"),
        ("late", 0.0, 4, "counted"),
    ]


@examples(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from(["a", "b"])), max_size=30
    ),
    st.randoms(use_true_random=False),
)
def test_the_fate_of_events_does_not_depend_on_their_order(
    drawn: list[tuple[int, int, str]], shuffler: random.Random
) -> None:
    rows = [event(f"e{n}", received_at=at(DAY, 13 + h), user_id=u) for n, h, u in drawn]
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = fates(*rows), fates(*shuffled)
    assert_frame_equal(first.events, second.events)
    assert_frame_equal(first.set_aside, second.set_aside)
    assert first.counts == second.counts
    kept = first.counts["events"] + first.counts["set_aside"] + first.counts["duplicates"]
    assert kept == len(rows) == first.counts["rows"]


@examples(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=20))
def test_first_copies_keeps_each_identifier_once(drawn: list[tuple[int, int]]) -> None:
    rows = [event(f"e{n}", received_at=at(date(2026, 3, 10), 13 + h)) for n, h in drawn]
    kept = first_copies(events_frame(*rows))
    earliest = {f"e{n}": min(h for m, h in drawn if m == n) for n, _ in drawn}
    assert {
        k: v.hour - 13 for k, v in kept.select("event_id", "received_at").iter_rows()
    } == earliest
    assert kept.height == len(earliest)
