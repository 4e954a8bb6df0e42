from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tasks import columns as c
from tasks.compute_facet_weights import write_user_facets
from tasks.facets.preferences import event_weights, prior_ppm
from tasks.features.calendar import calendar
from tasks.lake import engines
from tasks.lake.lake import Lake
from tasks.lake.tables import EVENTS, ITEM_ATTRIBUTES, ITEMS, USER_FACETS
from tasks.settings import Facets, Settings
from tests.conftest import SHOP_DAYS, SHOP_FIRST_DAY
from tests.rows import rows

DAY = date(2026, 3, 31)
OPTIONS = Facets(window_days=5)
GROUP = [c.USER_ID, c.CATEGORY_GROUP, c.ATTRIBUTE]

EVENT = st.fixed_dictionaries(
    {
        c.USER_ID: st.sampled_from(["u", "v"]),
        c.ITEM_ID: st.sampled_from(["a", "b", "x"]),
        c.EVENT_TYPE: st.sampled_from(c.EVENT_TYPES),
        "age": st.integers(0, 6),
    }
)


def preferences(
    events: list[dict[str, object]], settings: Settings, top_values: int, prior_ppm: int = 0
) -> pl.DataFrame:
    received = [
        {
            **{name: value for name, value in event.items() if name != "age"},
            c.EVENT_ID: str(place),
            c.TS: datetime(2026, 3, 31, 12, tzinfo=UTC) - timedelta(days=event["age"]),
        }
        for place, event in enumerate(events)
    ]
    items = [{c.ITEM_ID: item, c.CATEGORY_GROUP: "clothes"} for item in ("a", "b")]
    values = [("a", "red"), ("b", "red"), ("b", "blue")]
    attributes = [
        {c.ITEM_ID: item, c.ATTRIBUTE: "colour", c.VALUE: value} for item, value in values
    ]
    relations = {
        "events": rows(EVENTS, *received).with_columns(dt=pl.lit(DAY)),
        "items": rows(ITEMS, *items).with_columns(dt=pl.lit(DAY)),
        "item_attributes": rows(ITEM_ATTRIBUTES, *attributes).with_columns(dt=pl.lit(DAY)),
        "calendar": calendar(DAY, OPTIONS.window_days, OPTIONS.half_life_days),
        "event_weights": event_weights(OPTIONS),
    }
    text = engines.sql_text("user_facets")
    params = {"top_values": top_values, "prior_ppm": prior_ppm}
    found = engines.select(text, relations, params, settings)
    return found.sort(*GROUP, c.VALUE)


@examples(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENT, max_size=12), seed=st.randoms())
def test_preferences_of_an_attribute_sum_to_one_in_any_order(
    events: list[dict[str, object]], seed: st.random, settings: Settings
) -> None:
    known = preferences(events, settings, top_values=100)
    sums = known.group_by(GROUP).agg(pl.col(c.PREFERENCE).sum())[c.PREFERENCE]
    assert sums.to_list() == pytest.approx([1.0] * len(sums))
    shuffled = list(events)
    seed.shuffle(shuffled)
    assert preferences(shuffled, settings, top_values=100).equals(known)


@examples(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENT, max_size=12))
def test_the_cut_keeps_the_first_value_and_its_share_of_all(
    events: list[dict[str, object]], settings: Settings
) -> None:
    every, first = (preferences(events, settings, top_values) for top_values in (100, 1))
    best = every.sort(c.PREFERENCE, c.VALUE, descending=[True, False])
    wanted = best.group_by(GROUP, maintain_order=True).first().select(first.columns).sort(GROUP)
    assert first.equals(wanted)


def test_who_has_done_little_prefers_little(settings: Settings) -> None:
    views = [
        {c.USER_ID: user, c.ITEM_ID: "a", c.EVENT_TYPE: c.VIEW, "age": 0}
        for user in ["u"] + ["v"] * 15
    ]
    known = preferences(views, settings, 10, prior_ppm(Facets(prior_weight=5)))
    # One view of weight 1, and fifteen: 1 / (1 + 5) and 15 / (15 + 5).
    assert dict(known.select(c.USER_ID, c.PREFERENCE).iter_rows()) == pytest.approx(
        {"u": 1 / 6, "v": 15 / 20}
    )


def test_decay_and_weights_by_hand(settings: Settings) -> None:
    # A half-life of 14 days: the order of today counts 10, the view of 4 days ago 2 ** -(4 / 14).
    events = [
        {c.USER_ID: "u", c.ITEM_ID: "a", c.EVENT_TYPE: c.ORDER, "age": 0},
        {c.USER_ID: "u", c.ITEM_ID: "b", c.EVENT_TYPE: c.VIEW, "age": 4},
    ]
    known = preferences(events, settings, 10).select(c.VALUE, c.PREFERENCE)
    view = 2 ** -(4 / 14)
    # Item b is red and blue, and gives its whole weight to each: red 10 + view, blue view.
    total = 10 + 2 * view
    assert dict(known.iter_rows()) == pytest.approx(
        {"red": (10 + view) / total, "blue": view / total}, rel=1e-5
    )


def test_events_count_by_how_much_they_commit() -> None:
    weights = dict(event_weights(Facets()).iter_rows())
    assert weights[c.ORDER] > weights[c.CART] > weights[c.FAVORITE] > weights[c.VIEW] > 0
    assert c.IMPRESSION not in weights


def test_preferences_of_a_day_do_not_know_the_days_after_it(loaded_copy: Settings) -> None:
    day = SHOP_FIRST_DAY + timedelta(days=SHOP_DAYS // 2)
    before = Lake(loaded_copy).read_day(USER_FACETS, day)
    write_user_facets(day, loaded_copy)
    assert Lake(loaded_copy).read_day(USER_FACETS, day).equals(before)
    sums = before.group_by(GROUP).agg(pl.col(c.PREFERENCE).sum())[c.PREFERENCE]
    assert sums.max() <= 1 + 1e-9
