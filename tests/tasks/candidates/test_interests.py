"""Several interests a customer: who asks with what, and lists in turns."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.candidates.fitting import fitted
from tasks.candidates.generator import Known, Requests
from tasks.candidates.interests import heaviest, in_turns
from tasks.candidates.repeats import Repeats
from tasks.candidates.serving import bought, recommend
from tasks.settings import Settings

GROUPS = {"coat": "clothes", "hat": "clothes", "lamp": "home", "soap": "beauty", "odd": None}
ITEMS = pl.DataFrame(
    {
        c.ITEM_ID: list(GROUPS),
        c.CATEGORY_GROUP: list(GROUPS.values()),
        c.IN_STOCK: [True] * 5,
        c.STOCK_CITIES: [None] * 5,
    },
    schema_overrides={c.STOCK_CITIES: pl.String},
)
ASKED = [("u", "coat", 5), ("u", "hat", 4), ("u", "lamp", 3), ("u", "soap", 1), ("v", "odd", 9)]
NOTHING = pl.DataFrame(schema={c.USER_ID: pl.String, c.ITEM_ID: pl.String})


def asked() -> Requests:
    """Histories of one day, `user, item, weight`; w has none."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows = [(user, item, c.VIEW, noon, 1, weight) for user, item, weight in ASKED]
    names = [c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS, c.TIMES, c.WEIGHT]
    users = pl.DataFrame({c.USER_ID: ["u", "v", "w"], c.CITY: [None] * 3}).cast(pl.String)
    return Requests(date(2026, 3, 1), users, pl.DataFrame(rows, schema=names, orient="row"))


def test_interests_are_the_heaviest_groups_of_a_history() -> None:
    assert heaviest(asked(), ITEMS, 2).rows() == [("u", "clothes", 0), ("u", "home", 1)]


def test_each_interest_takes_its_turn_and_what_has_no_group_asks_as_a_whole() -> None:
    own = Repeats(ITEMS[c.ITEM_ID].sort(), half_life_days=7)
    rows = in_turns(own, asked(), 3, ITEMS, NOTHING, interests=2)
    # Own items by weight: coat, hat of clothes, lamp of home in between; soap is a third interest.
    told = rows.filter(pl.col(c.USER_ID) == "u").select(c.ITEM_ID, c.SCORE, c.RANK).rows()
    assert told == [("coat", 5, 1), ("lamp", 3, 2), ("hat", 4, 3)]
    assert rows.filter(pl.col(c.USER_ID) == "v")[c.ITEM_ID].to_list() == ["odd"]


def test_what_a_user_may_not_see_no_interest_shows() -> None:
    own = Repeats(ITEMS[c.ITEM_ID].sort(), half_life_days=7)
    blocked = pl.DataFrame({c.USER_ID: ["u"], c.ITEM_ID: ["coat"]})
    rows = in_turns(own, asked(), 3, ITEMS, blocked, interests=2)
    assert rows.filter(pl.col(c.USER_ID) == "u")[c.ITEM_ID].to_list() == ["hat", "lamp"]


def test_one_interest_is_the_plain_list() -> None:
    own = Repeats(ITEMS[c.ITEM_ID].sort(), half_life_days=7)
    plain = recommend(own, asked(), 3, ITEMS, NOTHING)
    assert plain.filter(pl.col(c.USER_ID) == "u")[c.ITEM_ID].to_list() == ["coat", "hat", "lamp"]
    assert_frame_equal(in_turns(own, asked(), 3, ITEMS, NOTHING, interests=1), plain)


def test_a_generator_that_knows_users_by_id_is_asked_as_ever(
    small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    model = fitted("lightfm", small_shop, small_settings)
    own = Repeats(small_shop.items[c.ITEM_ID].sort(), half_life_days=7)
    rows = in_turns(model, shop_requests, 7, small_shop.items, NOTHING, interests=3)
    # One that asks with a history gives these customers other lists than the plain ones.
    ways = [in_turns(own, shop_requests, 7, small_shop.items, NOTHING, n) for n in (1, 3)]
    assert not ways[0].equals(ways[1])
    assert_frame_equal(rows, recommend(model, shop_requests, 7, small_shop.items, NOTHING))


@pytest.mark.parametrize("name", ["ease", "sasrec"])
def test_lists_in_turns_keep_to_what_lists_keep_to(
    name: str, small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    once = bought(shop_requests.histories, small_shop.items, ("beauty",))
    model = fitted(name, small_shop, small_settings)
    rows = in_turns(model, shop_requests, 7, small_shop.items, once, interests=3)
    ranks = rows.group_by(c.USER_ID).agg(pl.col(c.RANK).sort())[c.RANK].to_list()
    assert all(found == list(range(1, len(found) + 1)) for found in ranks)
    assert not rows.select(c.USER_ID, c.ITEM_ID).is_duplicated().any()
    assert rows.join(once, on=[c.USER_ID, c.ITEM_ID], how="semi").is_empty()
    assert set(rows[c.USER_ID]) <= set(shop_requests.users[c.USER_ID])
