from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.build_features import count_interactions, rank_segments, write_daily_counts
from tasks.errors import DataCheckFailed, InputNotReady
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake
from tasks.lake.tables import (
    CUSTOMERS,
    DATA_CHECKS,
    DEMAND_LAGS,
    EVENTS,
    EXAMINATION,
    ITEM_ATTRIBUTES,
    ITEM_FEATURES,
    ITEMS,
    SEGMENT_ITEM_FEATURES,
    SEGMENT_SCORES,
    SET_ASIDE_EVENTS,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEGMENTS,
    USER_SEQUENCES,
)
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]
DAY = DAYS[2]
WRITTEN = (
    ITEM_FEATURES,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    DEMAND_LAGS,
    USER_SEQUENCES,
    USER_SEGMENTS,
    SEGMENT_ITEM_FEATURES,
    EXAMINATION,
    SEGMENT_SCORES,
)
ITEM_ROWS = pl.DataFrame(
    [
        {
            c.ITEM_ID: item,
            c.CATEGORY_GROUP: "clothes",
            c.CATEGORY: "jeans",
            c.PRICE: 1000,
            c.IN_STOCK: True,
            c.FIRST_SEEN: FIRST,
        }
        for item in "abc"
    ],
    schema=ITEMS.schema,
)


@dataclass(frozen=True)
class Act:
    """An event `minute` minutes after the first midnight, received `delay` days later."""

    user: str
    item: str
    event_type: str
    minute: int
    delay: int

    def received(self) -> date:
        return FIRST + timedelta(days=self.minute // 1440 + self.delay)

    def row(self, number: int) -> dict[str, object]:
        ts = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=self.minute)
        listed = self.event_type in (c.IMPRESSION, c.VIEW)
        return {
            c.EVENT_ID: f"e{number}",
            c.TS: ts,
            c.RECEIVED_AT: ts + timedelta(days=self.delay),
            c.USER_ID: self.user,
            c.EVENT_TYPE: self.event_type,
            c.ITEM_ID: self.item,
            c.PLATFORM: "web",
            c.SURFACE: "search",
            c.LISTING_ID: f"l{self.minute}" if listed else None,
            c.POSITION: 1 + self.minute % 3 if listed else None,
            c.PRICE: 1000,
        }


acts = st.builds(
    Act,
    user=st.sampled_from(["u", "v"]),
    item=st.sampled_from(["a", "b", "unlisted"]),
    event_type=st.sampled_from(c.EVENT_TYPES),
    minute=st.integers(0, 3 * 1440 - 1),
    delay=st.integers(0, 1),
)


def received(history: list[Act], day: date, order: Random) -> pl.DataFrame:
    rows = [act.row(n) for n, act in enumerate(history) if act.received() == day]
    return pl.DataFrame(order.sample(rows, len(rows)), schema=EVENTS.schema)


def fill(settings: Settings, history: list[Act], order: Random, days: list[date]) -> Lake:
    lake = Lake(settings)
    for day in DAYS:
        write_landing_day(settings.landing, day, {}, "test")
    for day in order.sample(days, len(days)):
        lake.write_day(EVENTS, day, received(history, day, order))
        write_daily_counts(day, settings)
        lake.write_day(ITEMS, day, ITEM_ROWS)
        for table in (SET_ASIDE_EVENTS, CUSTOMERS, ITEM_ATTRIBUTES):
            lake.write_day(table, day, table.empty())
    return lake


def hashes(settings: Settings, day: date, tables: tuple[Table, ...] = WRITTEN) -> dict[str, str]:
    ledger = Lake(settings).ledger
    return {table.name: ledger.written(table)[day, WHOLE].row_hash for table in tables}


def features(history: list[Act], seed: int, days: list[date]) -> dict[str, str]:
    """Return the hash of each table of DAY after `days` were received in some order."""
    with TemporaryDirectory() as home:
        settings = Settings(home=Path(home), mlflow_url="", min_free_gb=0)
        fill(settings, history, Random(seed), days)
        count_interactions(DAY, settings)
        rank_segments(DAY, settings)
        return hashes(settings, DAY)


@hypothesis_settings(max_examples=4)
@given(st.lists(acts, max_size=25), st.lists(acts, min_size=1, max_size=5))
def test_features_are_a_function_of_what_was_received_up_to_the_day(
    history: list[Act], later: list[Act]
) -> None:
    known = [act for act in history if act.received() <= DAY]
    # Whatever arrives the day after, of the first day or of now, whatever order days are filled in.
    next_day = [Act(a.user, a.item, a.event_type, a.minute % 1440, 3) for a in later]
    then = features(known, 1, DAYS[:3])
    assert features(known + next_day, 2, DAYS) == then


@pytest.fixture
def filled(settings: Settings) -> Settings:
    history = [Act("u", "a", kind, 60 * n, 0) for n, kind in enumerate(c.EVENT_TYPES)]
    fill(settings, history, Random(0), DAYS)
    return settings


def test_a_day_run_again_writes_the_same_rows(filled: Settings) -> None:
    for day in (DAYS[2], DAYS[0], DAYS[2]):
        count_interactions(day, filled)
        rank_segments(day, filled)
    versions = Lake(filled).ledger
    for table in WRITTEN:
        first, second = (versions.version(table, DAY, WHOLE, n) for n in (1, 2))
        assert first is not None
        assert second is not None
        assert first.row_hash == second.row_hash


def test_a_late_event_changes_the_day_of_its_receipt_and_not_the_day_it_happened(
    filled: Settings,
) -> None:
    for day in DAYS[:3]:
        count_interactions(day, filled)
    views = {
        day: Lake(filled).read_day(ITEM_FEATURES, day).filter(pl.col(c.ITEM_ID) == "a")["views_7"]
        for day in DAYS[:3]
    }
    late = [Act("u", "a", c.VIEW, 10, 1)]
    rows = received(late, DAYS[1], Random(0)).with_columns(pl.lit("late").alias(c.EVENT_ID))
    Lake(filled).write_day(EVENTS, DAYS[1], rows)
    write_daily_counts(DAYS[1], filled)
    for day in DAYS[:3]:
        count_interactions(day, filled)
    after = {
        day: Lake(filled).read_day(ITEM_FEATURES, day).filter(pl.col(c.ITEM_ID) == "a")["views_7"]
        for day in DAYS[:3]
    }
    assert [after[day][0] - views[day][0] for day in DAYS[:3]] == [0, 1, 1]


def test_a_missing_day_of_events_is_named_and_never_skipped(settings: Settings) -> None:
    fill(settings, [], Random(0), [DAYS[0], DAYS[2]])
    with pytest.raises(
        InputNotReady, match=r"daily_item_counts: 1 of 30 days are absent, 2026-03-02"
    ):
        count_interactions(DAY, settings)


def test_a_source_without_impressions_has_no_examination_and_shares_as_scores(
    settings: Settings,
) -> None:
    fill(settings, [Act("u", "a", c.ORDER, 5, 0), Act("v", "b", c.ORDER, 9, 0)], Random(0), DAYS)
    count_interactions(DAY, settings)
    counted = rank_segments(DAY, settings)
    assert counted[EXAMINATION.name] == 0
    scores = Lake(settings).read_day(SEGMENT_SCORES, DAY)
    assert scores[c.BASIS].unique().to_list() == ["share"]
    everybody = scores.filter(pl.col(c.SEGMENT) == "all").sort(c.ITEM_ID)
    a, b, never_bought = everybody[c.SF_POS]
    assert a == b > never_bought


def test_an_empty_first_day_runs_and_counts_nothing(settings: Settings) -> None:
    fill(settings, [], Random(0), DAYS[:1])
    count_interactions(FIRST, settings)
    rank_segments(FIRST, settings)
    rows = Lake(settings).read_day(ITEM_FEATURES, FIRST)
    assert rows.height == ITEM_ROWS.height
    assert rows["views_30"].sum() == 0


@pytest.fixture
def dated_ahead(settings: Settings) -> Settings:
    ahead = {c.TS: datetime(2027, 1, 1, tzinfo=UTC)}
    rows = pl.DataFrame([Act("u", "a", c.VIEW, 5, 0).row(0) | ahead], schema=EVENTS.schema)
    lake = fill(settings, [], Random(0), DAYS)
    lake.write_day(EVENTS, DAY, rows)
    write_daily_counts(DAY, settings)
    return settings


def test_a_broken_check_is_recorded_and_stops_the_day_before_anything_is_counted(
    dated_ahead: Settings,
) -> None:
    for _ in range(2):
        with pytest.raises(DataCheckFailed, match="share after receipt is 1, hard band"):
            count_interactions(DAY, dated_ahead)
    lake = Lake(dated_ahead)
    assert not any(lake.has_day(table, DAY) for table in WRITTEN)
    record = lake.read_day(DATA_CHECKS, DAY).filter(pl.col("verdict") == "broken")
    assert sorted(record["version"]) == [1, 2]


def test_a_day_that_is_right_all_the_same_is_let_through_and_told(
    dated_ahead: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    accepting = dated_ahead.model_copy(update={"accept_data_checks": True})
    count_interactions(DAY, accepting)
    assert Lake(accepting).has_day(ITEM_FEATURES, DAY)
    assert f"{DAY}: accepted all the same: events.ts: share after receipt is 1" in caplog.text


def refused_before(settings: Settings) -> Settings:
    """The day before DAY is delivered anew as `dated_ahead` was, and refused."""
    before = DAY - timedelta(days=1)
    ahead = {c.TS: datetime(2027, 1, 1, tzinfo=UTC)}
    rows = pl.DataFrame([Act("u", "a", c.VIEW, 5, 0).row(0) | ahead], schema=EVENTS.schema)
    Lake(settings).write_day(EVENTS, before, rows)
    write_daily_counts(before, settings)
    with pytest.raises(DataCheckFailed):
        count_interactions(before, settings)
    return settings


def test_a_refused_day_flows_into_no_later_one(filled: Settings) -> None:
    settings = refused_before(filled)
    with pytest.raises(
        InputNotReady, match=r"were refused: 1, the first 2026-03-02: events.ts: share after"
    ):
        count_interactions(DAY, settings)
    assert not any(Lake(settings).has_day(table, DAY) for table in WRITTEN)


@pytest.mark.parametrize("mended", ["let through", "delivered again"])
def test_a_refused_day_holds_nobody_up_once_it_is_mended(filled: Settings, mended: str) -> None:
    settings, before = refused_before(filled), DAY - timedelta(days=1)
    if mended == "let through":
        accepting = settings.model_copy(update={"accept_data_checks": True})
        count_interactions(before, accepting)
    else:
        Lake(settings).write_day(EVENTS, before, EVENTS.empty())
        write_daily_counts(before, settings)
        count_interactions(before, settings)
    count_interactions(DAY, settings)
    assert Lake(settings).has_day(ITEM_FEATURES, DAY)


def test_what_was_counted_says_nothing_of_the_days_it_was_held_against(filled: Settings) -> None:
    count_interactions(DAY, filled)
    inputs = Lake(filled).ledger.written(USER_FEATURES)[DAY, WHOLE].inputs
    assert not {"data_checks", "set_aside_events"} & set(inputs)
