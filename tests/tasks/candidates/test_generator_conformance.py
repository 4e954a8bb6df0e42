"""What every generator of the registry must keep to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.candidates import BASELINES, GENERATORS, generator_class
from tasks.candidates.fitting import embeddings, fitted
from tasks.candidates.generator import Generator, Known, Requests, VectorGenerator
from tasks.candidates.interactions import requests_of
from tasks.candidates.nearest import as_row, built, exactly_highest, restored
from tasks.candidates.serving import bought, recommend
from tasks.candidates.stored import load, save
from tasks.settings import Settings

K = 7
NAMES = (*GENERATORS, *BASELINES)


@pytest.fixture(scope="module", params=NAMES)
def generator(
    request: pytest.FixtureRequest, small_shop: Known, small_settings: Settings
) -> Generator:
    return fitted(request.param, small_shop, small_settings)


def lists(generator: Generator, small_shop: Known, requests: Requests, k: int = K) -> pl.DataFrame:
    once = bought(requests.histories, small_shop.items, ("beauty",))
    return recommend(generator, requests, k, small_shop.items, once)


def test_it_is_called_what_the_registry_calls_it(generator: Generator) -> None:
    assert generator_class(generator.name) is type(generator)


def test_a_list_has_at_most_k_items_none_twice_ranked_from_1_without_gaps(
    generator: Generator, small_shop: Known, shop_requests: Requests
) -> None:
    rows = lists(generator, small_shop, shop_requests)
    assert rows.height
    assert not rows.select(c.USER_ID, c.ITEM_ID).is_duplicated().any()
    ranks = rows.group_by(c.USER_ID).agg(pl.col(c.RANK).sort())
    assert all(found == list(range(1, len(found) + 1)) for found in ranks[c.RANK].to_list())
    assert ranks[c.RANK].list.len().max() <= K
    assert rows.filter(~pl.col(c.SCORE).is_finite()).is_empty()


def test_scores_fall_with_rank_and_ties_go_to_the_smaller_item(
    generator: Generator, small_shop: Known, shop_requests: Requests
) -> None:
    rows = lists(generator, small_shop, shop_requests)
    assert rows.height
    by_score = rows.sort([c.USER_ID, c.SCORE, c.ITEM_ID], descending=[False, True, False])
    assert_frame_equal(rows.sort(c.USER_ID, c.RANK), by_score)


def test_what_was_bought_is_left_out_unless_bought_again(
    generator: Generator, small_shop: Known, shop_requests: Requests
) -> None:
    orders = small_shop.interactions.filter(pl.col(c.EVENT_TYPE) == c.ORDER)
    groups = small_shop.items.select(c.ITEM_ID, c.CATEGORY_GROUP)
    offered = lists(generator, small_shop, shop_requests, k=60)
    again = offered.join(orders, on=[c.USER_ID, c.ITEM_ID], how="semi").join(groups, on=c.ITEM_ID)
    assert set(again[c.CATEGORY_GROUP]) == {"beauty"}


def test_what_is_out_of_stock_or_not_in_the_city_is_left_out(
    generator: Generator, small_shop: Known, shop_requests: Requests
) -> None:
    rows = lists(generator, small_shop, shop_requests, k=60).join(shop_requests.users, on=c.USER_ID)
    assert "i57" not in rows[c.ITEM_ID]
    assert set(rows.filter(pl.col(c.ITEM_ID) == "i58")[c.CITY]) <= {"north"}


def test_an_unknown_user_breaks_nothing(generator: Generator, small_shop: Known) -> None:
    asked = requests_of(small_shop, pl.Series(c.USER_ID, ["nobody", "u03"]))
    both = lists(generator, small_shop, asked)
    alone = lists(generator, small_shop, requests_of(small_shop, pl.Series(c.USER_ID, ["u03"])))
    assert "u03" in both[c.USER_ID]
    assert_frame_equal(both.filter(pl.col(c.USER_ID) == "u03").drop(c.SCORE), alone.drop(c.SCORE))


def test_customers_without_a_history_get_a_whole_list_or_nothing(
    generator: Generator, small_shop: Known
) -> None:
    asked = requests_of(small_shop, pl.Series(c.USER_ID, ["u84"]))
    assert asked.histories.is_empty()
    assert lists(generator, small_shop, asked).height in (0, K)


def test_nobody_asking_gives_an_empty_frame(generator: Generator, small_shop: Known) -> None:
    asked = requests_of(small_shop, pl.Series(c.USER_ID, [], dtype=pl.String))
    assert lists(generator, small_shop, asked).is_empty()


def test_the_same_seed_gives_the_same_bits(
    generator: Generator, small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    again = fitted(generator.name, small_shop, small_settings)
    assert np.array_equal(generator.scores(shop_requests), again.scores(shop_requests))


def test_saved_and_loaded_it_answers_the_same(
    generator: Generator, shop_requests: Requests, tmp_path: Path
) -> None:
    save(generator, tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors", ".json"}
    loaded = load(tmp_path)
    assert np.array_equal(generator.scores(shop_requests), loaded.scores(shop_requests))


def test_scores_are_products_of_the_embeddings_where_there_are_any(
    generator: Generator, shop_requests: Requests
) -> None:
    items, users = generator.item_vectors(), generator.user_vectors(shop_requests)
    assert (items is None) == (users is None)
    if items is not None and users is not None:
        assert items.shape == (len(generator.item_ids), users.shape[1])
        assert np.allclose(users @ items.T, generator.scores(shop_requests))


def test_an_index_of_its_embeddings_finds_what_scores_highest_and_comes_back_from_its_row(
    generator: Generator, shop_requests: Requests
) -> None:
    if not isinstance(generator, VectorGenerator):
        assert generator.item_vectors() is None
        return
    items = embeddings(generator.item_ids, generator.item_vectors())
    users = generator.user_vectors(shop_requests)
    index = built(items)
    found = index.highest(users, K)
    # Sixty items are fewer than a search weighs: nothing may be missed.
    exact = exactly_highest(generator.item_vectors(), users, K)
    assert np.array_equal(found[0], exact[0])
    assert np.allclose(found[1], exact[1])
    assert as_row(index).equals(as_row(built(items)))
    again = restored(as_row(index), items).highest(users, K)
    assert np.array_equal(again[0], found[0])


def test_a_name_outside_the_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="popular, ease, lightfm, sasrec"):
        generator_class("os:system")
