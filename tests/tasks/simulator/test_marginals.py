from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.settings import Settings
from tasks.simulator import measures as m
from tasks.simulator.marginals import (
    INSIDE,
    MARGINALS,
    NEARBY,
    OUTSIDE,
    SILENT,
    Marginal,
    Row,
    real_range,
    shop_log,
    simulated_value,
    table,
    windows,
)
from tasks.simulator.real_logs import LOGS, obd_small, online_retail, real_logs
from tasks.simulator.shop import Shop
from tests.real_data import real

START = datetime(2026, 3, 2, tzinfo=UTC)


def at(day: float = 0, hour: float = 0) -> datetime:
    return START + timedelta(days=day, hours=hour)


def log_of(*rows: tuple[object, ...], columns: str) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=columns.split(), orient="row")


def test_a_rate_is_events_of_one_type_over_those_of_another() -> None:
    log = log_of(*[(c.VIEW,)] * 8, (c.ORDER,), (c.ORDER,), (c.CART,), columns="event_type")
    assert m.rate(c.ORDER, c.VIEW)(log).value == 2 / 8


def test_a_rate_of_one_group_leaves_the_others_out() -> None:
    rows = [(c.ORDER, "home")] * 4 + [(c.RETURN, "home")] + [(c.RETURN, "clothes")] * 3
    log = log_of(*rows, columns="event_type category_group")
    assert m.rate(c.RETURN, c.ORDER, group="home")(log).value == 1 / 4


def test_wilsons_interval_of_two_in_ten() -> None:
    # Agresti and Coull's textbook case: 0.0567 to 0.5098.
    value, low, high = m.wilson(2, 10)
    assert value == 0.2
    assert (low, high) == (pytest.approx(0.0567, abs=1e-4), pytest.approx(0.5098, abs=1e-4))


def test_more_hits_than_trials_have_no_interval_and_no_trials_no_value() -> None:
    assert m.wilson(3, 2) == (1.5, 1.5, 1.5)
    assert math.isnan(m.wilson(0, 0).value)


def test_a_repeat_is_a_purchase_of_an_earlier_day_and_a_day_counts_once() -> None:
    rows = [
        ("ann", "soap", at(0)),
        ("ann", "soap", at(0, 2)),  # the same day: one purchase
        ("ann", "soap", at(5)),  # a repeat
        ("ann", "rug", at(5)),
        ("bob", "soap", at(6)),
    ]
    log = log_of(*rows, columns="user_id item_id ts").with_columns(event_type=pl.lit(c.ORDER))
    assert m.repeats(c.ITEM_ID)(log).value == 1 / 4


def test_sessions_count_from_their_number_of_views_on() -> None:
    rows = [("ann", "s1", at(0))] * 3 + [("ann", "s2", at(1)), ("bob", "s3", at(1))]
    log = log_of(*rows, columns="user_id session_id ts").with_columns(event_type=pl.lit(c.VIEW))
    assert m.views_per_session(1)(log).value == 5 / 3
    assert m.views_per_session(2)(log).value == 3


def test_sessions_and_days_are_those_of_users_active_that_week() -> None:
    rows = [("ann", "s1", at(0)), ("ann", "s2", at(0, 5)), ("ann", "s3", at(3))]
    rows += [("bob", "s4", at(1)), ("ann", "s5", at(8))]
    log = log_of(*rows, columns="user_id session_id ts").with_columns(event_type=pl.lit(c.VIEW))
    # Users and weeks: ann 0, bob 0, ann 1.
    assert m.sessions_per_week(1)(log).value == 5 / 3
    assert m.active_days_per_week(log).value == 4 / 3


def test_a_view_again_is_one_of_the_same_item_in_the_same_session() -> None:
    rows = [("ann", "s1", "hat"), ("ann", "s1", "rug"), ("ann", "s1", "hat"), ("ann", "s2", "hat")]
    log = log_of(*rows, columns="user_id session_id item_id").with_columns(
        event_type=pl.lit(c.VIEW)
    )
    assert m.again_in_session(log).value == 1 / 4


def test_gini_is_nothing_for_equals_and_near_one_for_one_who_has_all() -> None:
    assert m.gini(np.array([3, 3, 3])) == pytest.approx(0)
    # Counts 1 and 3: 2 (1 x 1 + 2 x 3) / (2 x 4) - 3 / 2.
    assert m.gini(np.array([3, 1])) == pytest.approx(14 / 8 - 3 / 2)
    assert m.gini(np.array([1] * 99 + [10**6])) > 0.98


def test_the_top_is_one_value_at_least() -> None:
    assert m.top_share(np.array([1, 5, 4]), 0.01) == 5 / 10
    assert m.top_share(np.array([1, 5, 4]), 0.67) == 9 / 10


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.floats(1.0, 6.0))
def test_thinning_stops_at_the_density_or_finds_too_few_events(
    values: list[int], density: float
) -> None:
    codes = np.unique(np.array(values), return_inverse=True)[1]
    drawn = m.thinned(codes, density, seed=0)
    if drawn is None:
        assert len(codes) / (codes.max() + 1) < density
    else:
        met = len(drawn) / len(np.unique(drawn))
        assert density <= met <= density + 1
        assert (np.bincount(drawn, minlength=10) <= np.bincount(codes, minlength=10)).all()


def test_concentration_says_nothing_of_a_log_that_is_too_thin() -> None:
    log = log_of(("hat",), ("rug",), ("hat",), columns="item_id").with_columns(
        event_type=pl.lit(c.VIEW)
    )
    assert math.isnan(m.concentration(c.ITEM_ID, m.gini, density=2)(log).value)


def test_new_items_are_those_first_seen_within_the_log() -> None:
    rows = [
        ("hat", date(2026, 2, 1), at(0)),
        ("hat", date(2026, 2, 1), at(9)),
        ("rug", date(2026, 3, 4), at(3)),
        ("mug", date(2026, 3, 2), at(1)),
        ("pot", date(2026, 3, 1), at(1)),
    ]
    log = log_of(*rows, columns="item_id first_seen ts")
    # Two of four items, in ten days.
    assert m.new_per_day(log).value == pytest.approx(2 / 4 / 10)


def test_late_is_a_day_or_more_after_it_happened() -> None:
    log = log_of((at(0), at(0, 23)), (at(0), at(1)), (at(0), at(2)), columns="ts received_at")
    assert m.late(log).value == 2 / 3


def test_six_hours_in_a_row_may_span_midnight() -> None:
    hours = [22, 23, 0, 1, 2, 3] * 3 + [12]
    log = pl.DataFrame({c.TS: [at(0, hour) for hour in hours]}).with_columns(
        event_type=pl.lit(c.VIEW)
    )
    assert m.busy_hours(log).value == pytest.approx(18 / 19)
    assert m.quiet_hours(log).value == 0


def test_weekdays_compare_by_their_middle_day() -> None:
    views = {0: 4, 7: 6, 14: 100, 1: 3, 8: 3, 15: 3}  # Mondays and Tuesdays; one promotion
    moments = [at(day) for day, count in views.items() for _ in range(count)]
    log = pl.DataFrame({c.TS: moments}).with_columns(event_type=pl.lit(c.VIEW))
    assert m.weekday_ratio(log).value == 6 / 3


def test_relative_click_is_of_shuffled_lists_and_carries_katzs_interval() -> None:
    rows = [(1, c.IMPRESSION, "shuffled")] * 10 + [(1, c.VIEW, "shuffled")] * 4
    rows += [(2, c.IMPRESSION, "shuffled")] * 10 + [(2, c.VIEW, "shuffled")] * 2
    rows += [(2, c.IMPRESSION, "ranked"), (2, c.VIEW, "ranked")]
    value, low, high = m.relative_click(2)(
        log_of(*rows, columns="position event_type listing_kind")
    )
    error = math.sqrt(1 / 2 - 1 / 10 + 1 / 4 - 1 / 10)
    assert value == pytest.approx(0.5)
    assert (low, high) == (
        pytest.approx(0.5 * math.exp(-1.96 * error)),
        pytest.approx(0.5 * math.exp(1.96 * error)),
    )


def test_windows_are_whole_and_a_short_log_is_one() -> None:
    log = pl.DataFrame({c.TS: [at(day) for day in range(9)]})
    assert [window.height for window in windows(log, 4)] == [4, 4]
    assert [window.height for window in windows(log, 4, since_days=3)] == [4]
    assert [window.height for window in windows(log, 30)] == [9]
    assert [window.height for window in windows(log, None)] == [9]


def views_and_orders(views: int, orders: int, day: int = 0) -> pl.DataFrame:
    types = [c.VIEW] * views + [c.ORDER] * orders
    return pl.DataFrame({c.EVENT_TYPE: types, c.TS: [at(day)] * len(types)})


def test_the_real_range_spans_folders_windows_and_intervals() -> None:
    two_days = pl.concat([views_and_orders(100, 20), views_and_orders(100, 10, day=1)])
    logs = {"shop": two_days, "deaf": views_and_orders(100, 90)}
    orders = Marginal("orders", "%", m.rate(c.ORDER, c.VIEW), {"shop": "sells"}, window_days=1)
    assert real_range(orders, logs) == (m.wilson(10, 100).low, m.wilson(20, 100).high)
    assert real_range(orders, {"deaf": logs["deaf"]}) is None


def test_a_floor_has_no_upper_end() -> None:
    floor = Marginal(
        "orders", "%", m.rate(c.ORDER, c.VIEW), {"shop": "sells"}, window_days=None, is_floor=True
    )
    assert real_range(floor, {"shop": views_and_orders(100, 10)}) == (
        m.wilson(10, 100).low,
        math.inf,
    )


def test_a_simulated_value_is_the_mean_over_seeds() -> None:
    orders = Marginal("orders", "%", m.rate(c.ORDER, c.VIEW))
    logs = [views_and_orders(10, 1), views_and_orders(10, 3)]
    assert simulated_value(orders, logs) == (pytest.approx(0.2), 0.1, 0.3)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.1, INSIDE),
        (0.2, INSIDE),
        (0.29, NEARBY),
        (0.07, NEARBY),
        (0.31, OUTSIDE),
        (0.06, OUTSIDE),
    ],
)
def test_near_is_within_half_as_much_again(value: float, verdict: str) -> None:
    row = Row("orders", "%", ("shop",), (0.1, 0.2), m.exact(value))
    assert row.verdict == verdict


def test_without_folders_nobody_speaks() -> None:
    assert Row("orders", "%", (), None, m.exact(0.1)).verdict == SILENT


@pytest.fixture(scope="module")
def shop() -> pl.DataFrame:
    """The log of a small shop's first week."""
    opened = Shop.opened(seed=5, day=START.date(), customers=150, items=120)
    days = [opened.simulate_day(START.date() + timedelta(age))[0] for age in range(7)]
    events = pl.concat([frames["events"] for frames in days])
    return shop_log(events, days[-1]["items"], days[-1]["customers"])


def test_a_shops_log_holds_customers_once_with_their_items_facts(shop: pl.DataFrame) -> None:
    assert not shop[c.EVENT_ID].is_duplicated().any()
    assert shop[c.USER_ID].str.slice(1).cast(pl.Int64).max() < 150
    assert shop[c.CATEGORY_GROUP].null_count() == 0


def test_every_marginal_can_be_measured_in_a_simulated_shop(shop: pl.DataFrame) -> None:
    rows = table({}, [shop])
    assert [row.name for row in rows] == [marginal.name for marginal in MARGINALS]
    assert {row.verdict for row in rows} == {SILENT}
    thin = [row.name for row in rows if math.isnan(row.simulated.value)]
    # A week of 150 customers is short of orders, of views per item and of shuffled lists.
    short = ("orders", "10 each", "position")
    assert not [name for name in thin if not any(part in name for part in short)]


def test_marginals_have_names_of_their_own_and_name_folders_that_are_read() -> None:
    names = [marginal.name for marginal in MARGINALS]
    assert len(set(names)) == len(names)
    for marginal in MARGINALS:
        assert marginal.speaks
        assert set(marginal.speaks) <= set(LOGS)


def test_a_folder_that_is_absent_has_no_log(tmp_path: Path) -> None:
    assert real_logs(tmp_path) == {}


def test_every_folder_that_speaks_tells_what_is_asked_of_it() -> None:
    settings = Settings()
    for name in LOGS:
        real(settings, name)
    assert settings.real_data is not None
    small = {name: log.head(60_000) for name, log in real_logs(settings.real_data).items()}
    for marginal in MARGINALS:
        for name in marginal.speaks:
            marginal.measure(small[name])


def test_the_gift_shops_lines_are_articles_sold_or_returned() -> None:
    log = online_retail(real(Settings(), "online_retail"))
    assert log[c.ITEM_ID].str.contains(r"^\d{5}").all()
    # 1 to 3% of lines come back; a day's first lines are the first of their items.
    assert 0.01 < m.rate(c.RETURN, c.ORDER)(log).value < 0.03
    assert log[c.FIRST_SEEN].min() == date(2010, 12, 1)


def test_random_slots_are_impressions_and_their_clicks_views() -> None:
    log = obd_small(real(Settings(), "obd_small"))
    assert dict(log.group_by(c.EVENT_TYPE).len().iter_rows()) == {c.IMPRESSION: 20_000, c.VIEW: 92}
