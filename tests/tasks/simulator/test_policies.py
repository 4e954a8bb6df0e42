from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.simulator import policies
from tasks.simulator.events import SCHEMA
from tasks.simulator.policies import Morning, morning, shelves
from tasks.simulator.shop import Shop

DAY = date(2026, 3, 2)
NOTHING = pl.DataFrame(schema=SCHEMA).drop(c.RECEIVED_AT)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop.opened(seed=5, day=DAY, customers=600, items=300)


@pytest.fixture(scope="module")
def first_days(shop: Shop) -> pl.DataFrame:
    return policies.played(shop, None, 4, NOTHING)


def carts(events: pl.DataFrame) -> int:
    return events.filter(pl.col(c.EVENT_TYPE) == c.CART).height


def later(shop: Shop, days: int) -> Shop:
    own = shop.copy()
    for _ in range(days):
        own.live_day(own.next_day, own.present_lists(own.next_day))
    return own


def test_days_played_by_the_shops_own_order_are_those_it_lives(
    shop: Shop, first_days: pl.DataFrame
) -> None:
    own = shop.copy()
    lived = [own.live_day(own.next_day, own.present_lists(own.next_day)) for _ in range(4)]
    assert_frame_equal(first_days, pl.concat(lived))
    assert shop.next_day == DAY


def test_a_policy_sees_only_what_happened_before_its_day(
    shop: Shop, first_days: pl.DataFrame
) -> None:
    mornings: list[Morning] = []

    def watching(known: Morning) -> pl.DataFrame:
        mornings.append(known)
        return policies.ordered_by(policies.popularity)(known)

    policies.played(later(shop, 4), watching, 2, first_days)
    assert [known.day for known in mornings] == [DAY + timedelta(4), DAY + timedelta(5)]
    for known in mornings:
        last = known.events[c.TS].dt.date().max()
        assert last == known.day - timedelta(1)
        assert known.items.height


def test_lists_hold_what_is_in_stock_there_in_the_order_of_the_score(
    shop: Shop, first_days: pl.DataFrame
) -> None:
    known = policies.morning(later(shop, 4), first_days)
    lists = policies.ordered_by(policies.popularity, shelf=40)(known)
    rows = lists.join(known.items, on=c.ITEM_ID).join(known.requests, on=c.LISTING_ID)
    scope = pl.col("scope")
    fits = (scope == pl.col(c.CATEGORY)) | (scope == pl.col(c.CATEGORY_GROUP))
    here = [
        cities is None or city in cities.split("|")
        for cities, city in rows.select(c.STOCK_CITIES, c.CITY).rows()
    ]
    assert rows.select(fits.all()).item()
    assert all(here)
    assert rows[c.IN_STOCK].all()
    assert lists.select(
        (pl.len().over(c.LISTING_ID) == pl.col(c.POSITION).max().over(c.LISTING_ID)).all()
    ).item()
    scored = lists.join(policies.popular(known), on=c.ITEM_ID).sort(c.LISTING_ID, c.POSITION)
    falls = scored.select(pl.col("popular").diff().over(c.LISTING_ID) <= 0).to_series()
    assert falls.drop_nulls().all()


def test_popular_items_first_bring_more_carts_than_a_random_order(
    shop: Shop, first_days: pl.DataFrame
) -> None:
    start = later(shop, 4)
    popular, random = (
        policies.played(start, policies.ordered_by(score, 10_000), 4, first_days)
        for score in (policies.popularity, policies.at_random)
    )
    assert carts(popular) > 1.1 * carts(random)


def test_letters_help_some_and_harm_some_and_not_the_more_the_likelier_one_buys(shop: Shop) -> None:
    people = shop.world.customers
    effect, rate = people.mailing_effect, people.rate
    assert 0.1 < (effect < 0).mean() < 0.6
    by_rate = [effect[part].mean() for part in np.array_split(np.argsort(rate), 5)]
    # Those in the middle are moved most; who hardly buys and who buys anyway, not at all.
    assert by_rate[2] > max(by_rate[0], by_rate[4]) + 0.3


def test_what_others_are_shown_changes_nothing_for_whoever_is_shown_the_same() -> None:
    fixed = pl.col(c.USER_ID).str.ends_with("1")
    letters = pl.DataFrame(
        {c.USER_ID: [f"u{n:07d}" for n in range(1, 300, 10)], c.ITEM_ID: "i000007"}
    )

    def lived(is_reversed: bool) -> pl.DataFrame:
        own = Shop.opened(5, DAY, 300, 200)
        return pl.concat([answered(own, is_reversed) for _ in range(4)]).filter(fixed)

    def answered(own: Shop, is_reversed: bool) -> pl.DataFrame:
        known = morning(own, pl.DataFrame(schema=SCHEMA))
        rows = shelves(known, 40).sort(c.LISTING_ID, c.ITEM_ID)
        turned = pl.when(fixed | pl.lit(not is_reversed)).then(1).otherwise(-1)
        place = (pl.int_range(pl.len()) * turned).rank("ordinal").over(c.LISTING_ID)
        lists = rows.with_columns(place.cast(pl.Int32).alias(c.POSITION))
        shown = lists.filter(pl.col(c.POSITION) <= pl.col("length"))
        return own.live_day(
            own.next_day, shown.select(c.LISTING_ID, c.POSITION, c.ITEM_ID), letters
        )

    one, other = lived(is_reversed=False), lived(is_reversed=True)
    assert one.filter(surface="other").height > 0
    assert one.drop(c.EVENT_ID).equals(other.drop(c.EVENT_ID))


def test_visits_rise_where_letters_please_and_fall_where_they_annoy(shop: Shop) -> None:
    people = shop.world.customers
    best, worst = np.argsort(-people.mailing_effect)[:150], np.argsort(people.mailing_effect)[:150]

    def visits(letters: pl.DataFrame | None, of: pl.Series) -> int:
        own = shop.copy()
        own.live_day(DAY, own.present_lists(DAY), letters)
        events = [own.live_day(own.next_day, own.present_lists(own.next_day)) for _ in range(3)]
        theirs = pl.concat(events).filter(pl.col(c.USER_ID).is_in(of.implode()))
        return theirs[c.SESSION_ID].n_unique()

    for these, sign in ((best, 1), (worst, -1)):
        ids = people.ids.gather(these)
        letters = pl.DataFrame({c.USER_ID: ids, c.MAILING: "spring"})
        assert sign * visits(letters, ids) > sign * visits(None, ids)
