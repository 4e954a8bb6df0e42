from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks import columns as c
from tasks.simulator import breaks
from tasks.simulator.draws import Draws, Stream
from tasks.simulator.parameters import DEFAULT, world_named
from tasks.simulator.shop import Shop

DAY = date(2026, 3, 2)


def lived(world: str, days: int = 2, seed: int = 5) -> Shop:
    """A shop of 600 customers on the morning of DAY."""
    shop = Shop.opened(seed, DAY - timedelta(days), 600, 300, world_named(world))
    while shop.next_day < DAY:
        shop.live_day(shop.next_day, shop.present_lists(shop.next_day))
    return shop


def counted(events: pl.DataFrame, kind: str) -> int:
    listed = pl.col(c.LISTING_ID).is_not_null()
    return events.filter(listed & (pl.col(c.EVENT_TYPE) == kind)).height


def test_worlds_are_named_and_each_break_has_its_own_switch() -> None:
    assert world_named("default") is DEFAULT
    assert world_named("rough").breaks == breaks.ALL
    some = world_named("rough:cascade,regime_day").breaks
    assert some == breaks.Breaks(cascade=breaks.ALL.cascade, regime_day=breaks.ALL.regime_day)
    every = {world_named(f"rough:{name}").digest for name in breaks.NAMES}
    assert len(every | {DEFAULT.digest, world_named("rough").digest}) == len(breaks.NAMES) + 2


@pytest.mark.parametrize("name", ["smooth", "rough:taste", "default:cascade"])
def test_an_unknown_world_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="default, lively, rough, or rough:NAME"):
        world_named(name)


def broken(shop: Shop, name: str) -> Shop:
    """The same shop on the same morning, in a world that breaks one assumption."""
    other = shop.copy()
    parameters = replace(shop.world.parameters, breaks=breaks.ALL.only((name,)))
    other.world = replace(shop.world, parameters=parameters)
    other.state.leaning = np.ones((shop.world.customers.size, parameters.vector_length))
    return other


@pytest.mark.parametrize("name", [name for name in breaks.NAMES if name != "heavy_tails"])
def test_each_break_alone_changes_what_the_same_lists_bring(name: str) -> None:
    shop = lived("default", 16)
    other, lists = broken(shop, name), shop.present_lists(DAY)
    one, two = (one.respond(DAY, lists) for one in (shop, other))
    assert counted(one, c.IMPRESSION) == counted(two, c.IMPRESSION)
    fewer = {"cascade": c.VIEW, "one_choice": c.CART, "regime_day": c.VIEW}
    if name in fewer:
        assert counted(two, fewer[name]) < counted(one, fewer[name])
    else:
        kept = [c.LISTING_ID, c.ITEM_ID, c.EVENT_TYPE]
        gone = one.select(kept).join(two.select(kept), on=kept, how="anti", nulls_equal=True)
        assert gone.height > 10


def test_a_rough_shop_that_was_saved_goes_on_to_the_byte(tmp_path: Path) -> None:
    parameters = world_named("rough")
    whole = Shop.opened(5, DAY, 300, 200, parameters)
    first = [whole.live_day(whole.next_day, whole.present_lists(whole.next_day)) for _ in range(17)]
    whole.save(tmp_path)
    again = Shop.opened(5, DAY, 300, 200, parameters).resumed(tmp_path)
    assert again.state.leaning.any()
    assert first
    for _ in range(2):
        day = whole.next_day
        lists = whole.present_lists(day)
        assert again.present_lists(day).equals(lists)
        assert again.live_day(day, lists).equals(whole.live_day(day, lists))


def test_exposure_still_turns_taste_after_fashion_has_turned() -> None:
    shop = lived("rough:reinforced,regime_day", 16)
    who, item = np.arange(shop.world.customers.size), np.full(shop.world.customers.size, 7)
    lists = shop.present_lists(DAY)
    rows = (
        lists.group_by(c.LISTING_ID)
        .first()
        .with_columns(
            pl.lit(shop.world.catalogue.ids[7]).alias(c.ITEM_ID),
            pl.lit(1, pl.Int32).alias(c.POSITION),
        )
    )
    before = shop.truth(DAY, rows)["utility"].mean()
    for _ in range(10):
        breaks.lean(shop.world, DAY, shop.state.leaning, who, item)
    after = shop.truth(DAY, rows)["utility"].mean()
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert after > before + 0.3


NO_CHOICE = ",".join(name for name in breaks.NAMES if name != "one_choice")


@pytest.mark.parametrize("world", ["default", "rough:cascade", f"rough:{NO_CHOICE}"])
def test_the_truth_says_how_many_carts_each_part_of_a_list_gets(world: str) -> None:
    shop = lived(world, days=8, seed=8)
    expected, seen = np.zeros(3), np.zeros(3)
    variance = np.zeros(3)
    bands = pl.col(c.POSITION).cut([3, 10], labels=["0", "1", "2"]).cast(pl.String).cast(pl.Int64)
    for _ in range(14):
        day = shop.next_day
        lists = shop.present_lists(day)
        chance = pl.col(c.P_EXAMINED) * pl.col("p_cart_if_examined")
        truth = shop.truth(day, lists).select(bands.alias("band"), chance.alias("p"))
        sums = truth.group_by("band").agg(
            pl.col("p").sum(), (pl.col("p") * (1 - pl.col("p"))).sum().alias("v")
        )
        events = shop.live_day(day, lists).filter(
            (pl.col(c.EVENT_TYPE) == c.CART) & pl.col(c.LISTING_ID).is_not_null()
        )
        for band, p, v in sums.iter_rows():
            expected[band] += p
            variance[band] += v
        for band, count in (
            events.select(bands.alias("band")).to_series().value_counts().iter_rows()
        ):
            seen[band] += count
    assert (expected > 5).all()
    assert (np.abs(seen - expected) < 4 * np.sqrt(variance)).all(), (seen, expected)


def test_a_reader_is_reached_as_far_as_no_earlier_item_stopped_them() -> None:
    request = np.array([0, 0, 0, 1, 1])
    reached = breaks.p_reached(request, np.array([0.5, 0.2, 0.9, 0.25, 0.1]))
    np.testing.assert_allclose(reached, [1, 0.5, 0.4, 1, 0.75])


def test_nobody_reads_on_after_the_item_that_satisfied_them() -> None:
    shop = lived("rough:cascade")
    lists = shop.present_lists(DAY)
    patient = shop.copy()
    patient.world = replace(shop.world, parameters=DEFAULT)
    plain = patient.respond(DAY, lists)
    events = shop.respond(DAY, lists)
    viewed = (pl.col(c.EVENT_TYPE) == c.VIEW) & pl.col(c.LISTING_ID).is_not_null()
    deepest = events.filter(viewed).group_by(c.LISTING_ID).agg(pl.col(c.POSITION).max())
    rows = plain.filter(viewed).join(deepest, on=c.LISTING_ID, suffix="_deepest")
    kept = rows.filter(pl.col(c.POSITION) <= pl.col("position_deepest"))
    # What is left of a list is its beginning, whole.
    assert kept.height == counted(events, c.VIEW) < counted(plain, c.VIEW)


def test_one_item_of_a_category_is_chosen_in_a_list() -> None:
    shop = lived("rough:one_choice")
    events = shop.respond(DAY, shop.present_lists(DAY))
    carts = events.filter((pl.col(c.EVENT_TYPE) == c.CART) & pl.col(c.LISTING_ID).is_not_null())
    number = carts[c.ITEM_ID].str.slice(1).cast(pl.Int64).to_numpy()
    carts = carts.with_columns(pl.Series("category", shop.world.catalogue.category[number]))
    assert carts.height > 20
    assert not carts.select(c.LISTING_ID, "category").is_duplicated().any()


def test_heavy_tails_keep_the_spread_and_reach_further() -> None:
    normal = Draws(1).normal(Stream.CUSTOMER, np.arange(100_000))
    tailed = breaks.heavy(normal, 0.15)
    assert tailed.std() == pytest.approx(normal.std())
    assert np.abs(tailed).max() > 1.5 * np.abs(normal).max()
    np.testing.assert_array_equal(breaks.heavy(normal, 0.0), normal)
    usual, heavy = (Shop.opened(5, DAY, 3_000, 200, world_named(w)) for w in ("default", "rough"))
    rates = [shop.world.customers.rate for shop in (usual, heavy)]
    assert rates[1].mean() == pytest.approx(rates[0].mean())
    assert rates[1].max() > 1.5 * rates[0].max()


def test_fashion_turns_on_its_day_and_absent_values_stay_absent() -> None:
    world = lived("rough:regime_day").world
    turns = world.opened + timedelta(breaks.ALL.regime_day)
    codes = np.array([-1, 0, 3, 5])
    np.testing.assert_array_equal(breaks.in_fashion(world, turns - timedelta(1), codes, 6), codes)
    np.testing.assert_array_equal(breaks.in_fashion(world, turns, codes, 6), [-1, 3, 0, 2])


def test_exposure_turns_taste_towards_what_was_viewed() -> None:
    world = lived("rough:reinforced").world
    leaning = np.zeros((world.customers.size, world.parameters.vector_length))
    breaks.lean(world, DAY, leaning, np.array([3, 3]), np.array([7, 7]))
    np.testing.assert_allclose(leaning[3], 0.1 * world.item_vectors[7])
    breaks.lean(world, DAY, leaning, np.array([3]), np.array([7]))
    np.testing.assert_allclose(leaning[3], 0.19 * world.item_vectors[7])
    assert not leaning[:3].any()
    assert not leaning[4:].any()


def test_half_the_people_get_other_lists_and_the_rest_answer_as_they_would_have() -> None:
    shop = lived("rough", days=17)
    lists = shop.present_lists(DAY)
    users = shop.requests(DAY).select(c.LISTING_ID, c.USER_ID)
    is_treated = pl.col(c.USER_ID).str.ends_with("1")
    treated = users.filter(is_treated)[c.LISTING_ID].implode()
    turned = pl.col(c.POSITION).max().over(c.LISTING_ID) + 1 - pl.col(c.POSITION)
    hit = pl.col(c.LISTING_ID).is_in(treated)
    other = lists.with_columns(pl.when(hit).then(turned).otherwise(c.POSITION).alias(c.POSITION))
    keys = [c.LISTING_ID, c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS]
    one, two = (
        shop.respond(DAY, shown).filter(~is_treated).drop(c.EVENT_ID).sort(keys, nulls_last=True)
        for shown in (lists, other)
    )
    assert one.height > 1_000
    assert one.equals(two)
