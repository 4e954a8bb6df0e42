"""Places that chance fills in proportion to score, with the propensity of each item in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.candidates import fitting, serving
from tasks.candidates.fitting import fitted, offered, published
from tasks.candidates.generator import Known, Requests
from tasks.candidates.sampling import inclusion, places, sampled, systematic, weights
from tasks.candidates.serving import Shelf
from tasks.settings import Candidates, Settings

HALF = Candidates(sampled_share=0.5, sampled_depth=8)


def ranked(*users: str, items: int = 8) -> pl.DataFrame:
    """Lists of the items a, b, c... with scores that fall from `items` to 1."""
    rows = [
        (user, chr(ord("a") + place), float(items - place), place + 1)
        for user in users
        for place in range(items)
    ]
    schema = {c.USER_ID: pl.String, c.ITEM_ID: pl.String, c.SCORE: pl.Float64, c.RANK: pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_places_that_chance_fills_are_spread_from_the_top_down() -> None:
    assert places(6, 2) == ([3, 6], [1, 2, 4, 5])
    assert places(3, 0) == ([], [1, 2, 3])


def test_propensities_are_in_proportion_to_weight_capped_at_1_and_sum_to_the_places() -> None:
    chance = inclusion(np.array([[6.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), count=2)
    # In proportion 6 would get 12 / 8: it is there for sure, and 1 place is left for two items.
    assert chance.tolist() == [[1, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0.5]]


def test_fewer_items_than_places_are_all_there() -> None:
    assert inclusion(np.array([[3.0, 1.0, 0.0]]), count=3).tolist() == [[1, 1, 0]]


def test_weights_are_a_softmax_in_spreads_of_the_scores() -> None:
    found = weights(np.array([[3.0, 1.0, np.nan], [5.0, 5.0, 5.0]]), temperature=2.0)
    # Scores 3 and 1 have a spread of 1, so the second is 2 spreads below.
    assert found == pytest.approx(np.array([[1, np.exp(-2 / 2), 0], [1, 1, 1]]))


def test_drawn_is_who_covers_the_points_when_laid_in_the_random_order() -> None:
    chance = np.array([[0.5, 0.5, 1.0]])
    # Laid as third [0, 1), first [1, 1.5), second [1.5, 2); points at 0.6 and 1.6.
    drawn = systematic(chance, order=np.array([[2.0, 3.0, 1.0]]), starts=np.array([0.6]))
    assert drawn.tolist() == [[False, True, True]]


def test_the_first_ranks_keep_their_order_and_what_is_drawn_says_with_which_chance() -> None:
    rows = sampled(ranked("u"), HALF, k=4, seed=3)
    assert rows[c.RANK].to_list() == [1, 2, 3, 4]
    assert rows[c.ITEM_ID].to_list()[::2] == ["a", "b"]
    assert [p is None for p in rows[c.PROPENSITY]] == [True, False, True, False]
    drawn = rows.drop_nulls(c.PROPENSITY)
    assert drawn[c.SCORE].to_list() == sorted(drawn[c.SCORE], reverse=True)
    assert set(drawn[c.ITEM_ID]) <= set("cdefgh")


def test_over_many_users_items_are_drawn_as_often_as_their_propensity_says() -> None:
    users = [f"u{number}" for number in range(4000)]
    drawn = sampled(ranked(*users), HALF, k=4, seed=3).drop_nulls(c.PROPENSITY)
    shares = drawn.group_by(c.ITEM_ID).agg(
        (pl.len() / len(users)).alias("share"), pl.col(c.PROPENSITY).first()
    )
    told, seen = shares[c.PROPENSITY].to_numpy(), shares["share"].to_numpy()
    assert len(shares) == 6
    assert told.sum() == pytest.approx(2)
    # Four standard errors of a share of 4,000 users are at most 4 x 0.5 / sqrt(4000).
    assert seen == pytest.approx(told, abs=0.032)
    assert shares.sort(c.ITEM_ID)[c.PROPENSITY].is_sorted(descending=True)


def test_draws_depend_on_seed_and_user_and_not_on_who_else_asks() -> None:
    both = sampled(ranked("u", "v"), HALF, k=4, seed=3)
    alone = sampled(ranked("v"), HALF, k=4, seed=3)
    assert_frame_equal(both.filter(pl.col(c.USER_ID) == "v"), alone)
    lists = {tuple(sampled(ranked("u"), HALF, k=4, seed=seed)[c.ITEM_ID]) for seed in range(20)}
    assert len(lists) > 1


def test_lists_of_any_length_are_drawn_to_the_same_bits_in_parts_of_any_size() -> None:
    chance = np.random.default_rng(8)
    rows = [
        (f"u{user:02d}", f"i{place:03d}", score, place + 1)
        for user in range(30)
        for place, score in enumerate(sorted(chance.normal(size=chance.integers(1, 200)))[::-1])
    ]
    lists = pl.DataFrame(rows, schema=ranked().schema, orient="row")
    options = Candidates(sampled_share=0.3, sampled_depth=150)
    whole = sampled(lists, options, k=20, seed=3)
    assert whole[c.PROPENSITY].count() > 30
    numbers = lists[c.USER_ID].str.slice(1).cast(pl.Int64)
    for users in (1, 7):
        parts = [
            sampled(lists.filter(numbers.is_between(first, first + users - 1)), options, 20, seed=3)
            for first in range(0, 30, users)
        ]
        assert_frame_equal(pl.concat(parts), whole, check_exact=True)


@pytest.mark.parametrize("interests", [1, 2])
def test_a_night_s_ranks_are_never_all_there_at_once_and_the_lists_are_the_same(
    interests: int,
    small_shop: Known,
    shop_requests: Requests,
    small_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"sampled_share": 0.2, "sampled_depth": 40, "interests": interests}
    options = small_settings.candidates.model_copy(update=told)
    settings = small_settings.model_copy(update={"candidates": options})
    model = fitted("item_neighbours", small_shop, settings)
    heights: list[int] = []

    def noted(ranks: pl.DataFrame, *rest: object) -> pl.DataFrame:
        heights.append(ranks.height)
        return sampled(ranks, *rest)

    monkeypatch.setattr(fitting, "sampled", noted)
    shelf = Shelf(small_shop.items, small_shop.interactions.select(c.USER_ID, c.ITEM_ID).head(9))
    whole = published(model, shop_requests, shelf, settings)
    # Batches of 3 users, of which 4 (two interests: 2) have 500 ranks to draw from.
    monkeypatch.setattr(serving, "SCORES_AT_ONCE", 3 * len(model.item_ids))
    monkeypatch.setattr(fitting, "ROWS_AT_ONCE", 500)
    parts = published(model, shop_requests, shelf, settings)
    assert_frame_equal(parts, whole, check_exact=True)
    assert len(heights) > 1 + shop_requests.height // 12
    assert max(heights[1:]) <= 500 < heights[0]


def test_short_lists_and_no_lists_stay_whole() -> None:
    short = sampled(ranked("u", items=3), HALF, k=4, seed=3)
    assert short[c.ITEM_ID].sort().to_list() == ["a", "b", "c"]
    assert short[c.RANK].to_list() == [1, 2, 3]
    assert short[c.PROPENSITY].to_list().count(1.0) == 1
    assert sampled(ranked(), HALF, k=4, seed=3).is_empty()


def test_without_a_share_lists_are_the_first_ranks() -> None:
    rows = sampled(ranked("u"), Candidates(), k=4, seed=3)
    assert_frame_equal(rows.drop(c.PROPENSITY), ranked("u").head(4))
    assert rows[c.PROPENSITY].is_null().all()


def test_a_night_offers_drawn_places_that_another_day_draws_anew(
    small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    options = small_settings.candidates.model_copy(
        update={"sampled_share": 0.2, "sampled_depth": 40}
    )
    settings = small_settings.model_copy(update={"candidates": options})
    model = fitted("popular", small_shop, settings)
    lists = offered(model, small_shop, shop_requests, settings).lists
    drawn = lists.drop_nulls(c.PROPENSITY)
    assert drawn.group_by(c.USER_ID).len()["len"].unique().to_list() == [4]
    tomorrow = replace(shop_requests, through=shop_requests.through + timedelta(days=1))
    other = offered(model, small_shop, tomorrow, settings).lists
    assert not other.equals(lists)
    assert offered(model, small_shop, shop_requests, settings).lists.equals(lists)
