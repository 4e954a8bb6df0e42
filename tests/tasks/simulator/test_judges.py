"""What benchmarks hold our figures against, worked out again from the shop's own numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks.ranker import model as ranker
from tasks.ranker.measure import tie_breaks
from tasks.settings import Ranker, Settings
from tasks.simulator.catalogue import season_fit
from tasks.simulator.parameters import DEFAULT
from tasks.simulator.shop import Shop, indices_of
from tests.benchmarks.facet_truth import TASTE, TERM, true_terms
from tests.benchmarks.segment_truth import true_rates
from tests.benchmarks.truth import GAIN, ceiling
from tests.ranking import LAST, drawn_groups

DAY = date(2026, 3, 2)


def test_true_terms_are_all_of_the_utility_that_attributes_show() -> None:
    shop = Shop.opened(seed=5, day=DAY, customers=300, items=200)
    lists = shop.present_lists(DAY)
    keys = [c.LISTING_ID, c.ITEM_ID]
    known = shop.truth(DAY, lists).join(true_terms(shop), on=keys, maintain_order="left")
    assert known.height == lists.height
    world, items = shop.world, shop.world.catalogue
    item, who = indices_of(known[c.ITEM_ID]), indices_of(known[c.USER_ID])
    usual_price = np.array([entry.price for entry in DEFAULT.categories])[items.category[item]]
    dearer = np.log(items.prices(DAY)[item] / usual_price)
    unseen = items.appeal[item] + items.quality[item] - world.usual_utility
    unseen += DEFAULT.season_weight * season_fit(items, DAY)[item]
    unseen -= DEFAULT.price_weight * world.customers.price_sensitivity[who] * dearer
    terms = known.select(pl.sum_horizontal(pl.col(f"^{TERM}.*$").cast(pl.Float64))).to_series()
    np.testing.assert_allclose(terms.to_numpy() + unseen, known["utility"], atol=1e-5)


def test_a_true_taste_times_what_its_attribute_counts_is_its_term() -> None:
    shop = Shop.opened(seed=5, day=DAY, customers=300, items=200)
    known = true_terms(shop).filter(pl.col(f"{TERM}brand") != 0)
    groups = shop.world.catalogue.group[indices_of(known[c.ITEM_ID])]
    ratio = known.select(pl.col(f"{TERM}brand") / pl.col(f"{TASTE}brand")).to_series().to_numpy()
    for group in np.unique(groups):
        # One importance for everybody in the default world: the same ratio in a whole group.
        np.testing.assert_allclose(ratio[groups == group], ratio[groups == group][0], rtol=1e-4)


def test_true_rates_of_a_segment_are_the_means_of_its_customers_own() -> None:
    unhurried = replace(DEFAULT, style_intent=0.0)
    shop = Shop.opened(seed=5, day=DAY, customers=300, items=200, parameters=unhurried)
    truth = shop.truth(DAY, shop.present_lists(DAY))
    one, two = truth[c.USER_ID].unique().sort().head(2)
    alone = true_rates(shop, people(one), most=10)
    assert alone.height == shop.world.catalogue.in_stock(DAY).sum()
    listed = truth.filter(pl.col(c.USER_ID) == one).join(alone, on=c.ITEM_ID, suffix="_alone")
    np.testing.assert_allclose(listed[GAIN], listed[f"{GAIN}_alone"], rtol=1e-12)
    other, both = true_rates(shop, people(two), 10), true_rates(shop, people(one, two), 10)
    np.testing.assert_allclose(both[GAIN], (alone[GAIN] + other[GAIN]) / 2, rtol=1e-12)
    assert true_rates(shop, people(one, two), most=1)[GAIN].equals(alone[GAIN])


def people(*users: str) -> pl.DataFrame:
    return pl.DataFrame({c.USER_ID: users}).with_columns(pl.lit("segment").alias(c.SEGMENT))


@pytest.mark.parametrize("flips", [False, True])
def test_the_ceiling_orders_as_the_planted_odds_do(settings: Settings, flips: bool) -> None:
    sign = -1 if flips else 1
    odds = sign * (6 * pl.col("facet_brand") + 2 * pl.col(c.SF_POS) - 6)
    groups = drawn_groups().with_columns((1 / (1 + (-odds).exp())).cast(pl.Float64).alias(GAIN))
    quick = settings.model_copy(update={"ranker": Ranker(iterations=60, learning_rate=0.1)})
    before = groups.filter(pl.col(c.LISTING_DAY) < LAST)
    lists = ranker.in_order(groups.filter(pl.col(c.LISTING_DAY) == LAST))
    scored = lists.with_columns(
        ranker.score(ceiling(before, quick), lists, 2).alias("ceiling"), tie_breaks(lists)
    )
    assert ranker.rank_correlation(scored, "ceiling", GAIN) > 0.95
