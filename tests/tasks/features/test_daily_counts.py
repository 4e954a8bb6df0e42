"""Windows added up from daily counts equal a recount of every event, whatever came when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.build_features import count_interactions, ingest, write_daily_counts
from tasks.errors import InputNotReady
from tasks.features.calendar import calendar
from tasks.features.daily import DAILY
from tasks.lake import engines
from tasks.lake.contracts import Table
from tasks.lake.lake import WHOLE, Lake
from tasks.lake.tables import (
    DAILY_ACTS,
    DEMAND_LAGS,
    EVENTS,
    ITEM_FEATURES,
    ITEMS,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    USER_SEGMENTS,
    USER_SEQUENCES,
)
from tasks.landing.manifest import write_landing_day
from tasks.settings import Settings

DAY = date(2026, 3, 31)
WINDOWS = (1, 7, 30)
SEQUENCE_DAYS = 36
# A folder that nothing is written to: the statements run in memory.
IN_MEMORY = Settings(home=Path("unused"), mlflow_url="", threads=1)


@dataclass(frozen=True)
class Act:
    """An event received `age` days before DAY that happened `delay` days earlier still."""

    user: str
    item: str
    event_type: str
    age: int
    delay: int
    second: int
    session: str | None = None
    price: int | None = None
    quantity: int | None = None

    @property
    def ts(self) -> datetime:
        day = DAY - timedelta(days=self.age + self.delay)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=self.second)

    def within(self, days: int) -> bool:
        """Whether the days of receipt and of ts are both among the last `days`."""
        return self.age < days and 0 <= self.age + self.delay < days

    @property
    def known_for(self) -> int:
        """Age of the event: that of the older of its two days."""
        return max(self.age, self.age + self.delay)


# Both sides of each window's edge; a device's clock may run ahead into the next day.
acts = st.builds(
    Act,
    user=st.sampled_from("uv"),
    item=st.sampled_from("ab"),
    event_type=st.sampled_from(c.EVENT_TYPES),
    age=st.sampled_from([0, 6, 7, 29, 30]),
    delay=st.sampled_from([-1, 0, 0, 1, 6, 23]),
    second=st.sampled_from([0, 43_200, 86_399]),
    session=st.sampled_from(["s", "t", None]),
    price=st.sampled_from([100, 250, None]),
    quantity=st.sampled_from([1, 3, None]),
)


def events(history: list[Act]) -> pl.DataFrame:
    rows = [
        {
            c.EVENT_ID: f"e{number:03}",
            c.DT: DAY - timedelta(days=act.age),
            c.TS: act.ts,
            c.USER_ID: act.user,
            c.ITEM_ID: act.item,
            c.EVENT_TYPE: act.event_type,
            c.SESSION_ID: act.session,
            c.PRICE: act.price,
            c.QUANTITY: act.quantity,
            c.PLATFORM: "web",
            c.SURFACE: "search",
        }
        for number, act in enumerate(history)
    ]
    return pl.DataFrame(rows, schema=EVENTS.stored_schema)


def counted_by_day(found: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {table.name: pl.concat(_counted(table, found)) for table in DAILY}


def _counted(table: Table, found: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield pl.DataFrame(schema=table.stored_schema)
    for (day,), received in found.partition_by(c.DT, as_dict=True).items():
        rows = engines.select(engines.sql_text(table.name), {"events": received}, {}, IN_MEMORY)
        yield rows.with_columns(pl.lit(day).alias(c.DT)).select(table.stored_schema.names())


def selected(history: list[Act]) -> dict[Table, pl.DataFrame]:
    """Return the rows of each SELECT that adds up daily counts; the calendar reaches too far."""
    found = events(history)
    relations = {
        **counted_by_day(found),
        "events": found,
        "items": pl.DataFrame(schema=ITEMS.stored_schema),
    }
    relations |= {"calendar": calendar(DAY, SEQUENCE_DAYS)}
    params = {"day": DAY, "prior_events": 20, "sequence_length": 5}
    return {
        table: engines.select(engines.sql_text(table.name), relations, params, IN_MEMORY)
        for table in (ITEM_FEATURES, USER_FEATURES, USER_ITEM_FEATURES, DEMAND_LAGS, USER_SEQUENCES)
    }


def recounted(history: list[Act]) -> dict[str, object]:
    """Return every counter and recency of some events, from the events themselves."""
    found: dict[str, object] = {}
    for event_type in c.EVENT_TYPES:
        of_type = [act for act in history if act.event_type == event_type and act.within(30)]
        ages = [act.known_for for act in of_type]
        found[f"days_since_{event_type}"] = min(ages, default=None)
        for days in WINDOWS:
            found[f"{event_type}s_{days}"] = sum(act.within(days) for act in of_type)
    return found


def of_key(rows: pl.DataFrame, *key: str) -> dict[object, dict[str, object]]:
    return rows.rows_by_key(key, named=True, unique=True, include_key=False)


def assert_recounted(found: dict[str, object], expected: dict[str, object]) -> None:
    assert {name: found[name] for name in expected} == expected


def check_items(rows: pl.DataFrame, known: list[Act]) -> None:
    found = of_key(rows, c.ITEM_ID)
    assert set(found) == {act.item for act in known}
    for item, row in found.items():
        assert_recounted(row, recounted([act for act in known if act.item == item]))


def check_users(rows: pl.DataFrame, known: list[Act]) -> None:
    found = of_key(rows, c.USER_ID)
    assert set(found) == {act.user for act in known}
    for user, row in found.items():
        own = [act for act in known if act.user == user]
        assert_recounted(row, recounted(own) | doings(own))


def doings(own: list[Act]) -> dict[str, object]:
    done = [act for act in own if act.event_type != c.IMPRESSION]
    orders = [act for act in done if act.event_type == c.ORDER]
    return {
        "sessions_30": len({act.session for act in done if act.session}),
        "active_days_30": len({act.known_for for act in done}),
        "distinct_items_30": len({act.item for act in done}),
        "spent_30": sum((act.price or 0) * (act.quantity or 1) for act in orders),
        "days_since_event": min((act.known_for for act in done), default=None),
    }


def check_pairs(rows: pl.DataFrame, known: list[Act]) -> None:
    found = of_key(rows, c.USER_ID, c.ITEM_ID)
    assert set(found) == {(a.user, a.item) for a in known if a.event_type != c.IMPRESSION}
    for pair, row in found.items():
        assert_recounted(row, recounted([act for act in known if (act.user, act.item) == pair]))


def check_demand(rows: pl.DataFrame, known: list[Act]) -> None:
    units: dict[str, Counter[int]] = defaultdict(Counter)
    for act in known:
        if act.event_type == c.ORDER and act.within(28):
            units[act.item][act.age + act.delay + 1] += act.quantity or 1
    found = of_key(rows, c.ITEM_ID)
    assert set(found) == set(units)
    for item, row in found.items():
        assert_recounted(row, {f"lag_{lag}": units[item][lag] for lag in (1, 2, 7, 14, 21, 28)})


def check_sequences(rows: pl.DataFrame, known: list[Act]) -> None:
    steps: dict[str, list[Act]] = defaultdict(list)
    # Sorted is stable, and identifiers grow with the place in the history.
    for act in sorted(known, key=lambda act: act.ts):
        if act.event_type in (c.VIEW, c.FAVORITE, c.CART, c.ORDER):
            if steps[act.user] and steps[act.user][-1].item == act.item:
                steps[act.user].pop()
            steps[act.user].append(act)
    expected = {
        (user, position, act.item, act.event_type, act.ts)
        for user, done in steps.items()
        for position, act in enumerate(done[-5:], start=1)
    }
    names = (c.USER_ID, c.POSITION, c.ITEM_ID, c.EVENT_TYPE, c.TS)
    assert set(rows.select(names).iter_rows()) == expected


@hypothesis_settings(max_examples=10)
@given(st.lists(acts, max_size=25))
def test_windows_of_daily_counts_are_what_a_recount_of_every_event_gives(
    history: list[Act],
) -> None:
    known = [act for act in history if act.within(30)]
    rows = selected(history)
    check_items(rows[ITEM_FEATURES], known)
    check_users(rows[USER_FEATURES], known)
    check_pairs(rows[USER_ITEM_FEATURES], known)
    check_demand(rows[DEMAND_LAGS], known)
    check_sequences(rows[USER_SEQUENCES], [a for a in history if a.within(SEQUENCE_DAYS)])


# Through ingest, into a lake


DAYS = [DAY - timedelta(days=age) for age in (2, 1, 0)]
COUNTED = (
    *DAILY,
    ITEM_FEATURES,
    USER_FEATURES,
    USER_ITEM_FEATURES,
    DEMAND_LAGS,
    USER_SEQUENCES,
    USER_SEGMENTS,
)
delivered = st.builds(
    Act,
    user=st.sampled_from("uv"),
    item=st.sampled_from("ab"),
    event_type=st.sampled_from(c.EVENT_TYPES),
    age=st.integers(0, 2),
    delay=st.sampled_from([0, 0, 1, 7]),
    second=st.integers(0, 86_000),
)


def land(settings: Settings, history: list[Act]) -> None:
    """Land each act on its day, every third a second time, that day or the next."""
    found = events(history)
    next_day = pl.duration(days=pl.int_range(pl.len()) % 2)
    copies = found.gather_every(3).with_columns(pl.min_horizontal(pl.col(c.DT) + next_day, DAY))
    midnight = pl.col(c.DT).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    received = (midnight + timedelta(hours=23, minutes=59)).alias(c.RECEIVED_AT)
    both = pl.concat([found, copies]).with_columns(received)
    for day in DAYS:
        rows = both.filter(pl.col(c.DT) == day).select(*EVENTS.columns)
        frames = {"events": rows, "items": ITEMS.empty()}
        write_landing_day(settings.landing, day, frames, "test")


def hashes(settings: Settings) -> dict[str, str]:
    ledger = Lake(settings).ledger
    return {table.name: ledger.written(table)[DAY, WHOLE].row_hash for table in COUNTED}


def built(history: list[Act], order: list[date], again: list[date]) -> dict[str, str]:
    """Return the hash of each table of DAY, its days taken in in `order`, some `again`.

    While a day is missing, the counters must name it; the last one of `order` is filled later.
    """
    with TemporaryDirectory() as home:
        settings = Settings(home=Path(home), mlflow_url="", min_free_gb=0)
        land(settings, history)
        for day in order[:-1]:
            ingest(day, settings)
        with pytest.raises(InputNotReady, match=f"absent, {order[-1]}"):
            count_interactions(DAY, settings)
        for day in (order[-1], *again):
            ingest(day, settings)
        count_interactions(DAY, settings)
        return hashes(settings)


@hypothesis_settings(max_examples=3)
@given(
    st.lists(delivered, max_size=20),
    st.permutations(DAYS),
    st.lists(st.sampled_from(DAYS), max_size=2),
)
def test_neither_order_nor_reruns_nor_a_gap_filled_later_leave_a_trace(
    history: list[Act], order: list[date], again: list[date]
) -> None:
    assert built(history, order, again) == built(history, DAYS, [])


@pytest.fixture
def taken_in(settings: Settings) -> Settings:
    land(settings, [Act("u", "a", c.VIEW, age=age, delay=0, second=5) for age in range(3)])
    for day in DAYS:
        ingest(day, settings)
    return settings


def test_a_day_whose_events_were_replaced_after_they_were_counted_is_named(
    taken_in: Settings,
) -> None:
    lake = Lake(taken_in)
    lake.write_day(EVENTS, DAYS[1], EVENTS.empty())
    told = f"daily_acts: {DAYS[1]} was counted before its events were replaced; backfill"
    with pytest.raises(InputNotReady, match=told):
        count_interactions(DAY, taken_in)
    write_daily_counts(DAYS[1], taken_in)
    count_interactions(DAY, taken_in)
    views = Lake(taken_in).read_day(ITEM_FEATURES, DAY)["views_30"]
    assert views.to_list() == [2]


def test_events_written_again_with_the_same_rows_need_no_new_count(taken_in: Settings) -> None:
    rows = Lake(taken_in).read_day(EVENTS, DAYS[1]).drop(c.DT)
    Lake(taken_in).write_day(EVENTS, DAYS[1], rows)
    count_interactions(DAY, taken_in)
    assert Lake(taken_in).ledger.written(DAILY_ACTS)[DAYS[1], WHOLE].version == 1


def test_a_day_counts_nothing_but_its_own_events(taken_in: Settings) -> None:
    record = Lake(taken_in).ledger.written(DAILY_ACTS)[DAYS[1], WHOLE]
    assert record.inputs == {"events": {str(DAYS[1]): 1}}
