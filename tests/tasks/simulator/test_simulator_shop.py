from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.simulator import behaviour
from tasks.simulator.customers import NEVER_ENDING_DAYS, trait_days
from tasks.simulator.listings import Lists, present_lists, shelf
from tasks.simulator.parameters import DEFAULT
from tasks.simulator.sessions import Requests, followers, requests
from tasks.simulator.shop import Shop

DAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def opened() -> Shop:
    """A shop that lived three days."""
    shop = Shop.opened(seed=5, day=DAY - timedelta(3), customers=600, items=300)
    for age in (3, 2, 1):
        shop.simulate_day(DAY - timedelta(age))
    return shop


def asked(shop: Shop) -> Requests:
    return requests(shop.world, shop.state, DAY, shop.world.customers.indices)


def own_lists(shop: Shop, plan: Requests) -> Lists:
    return present_lists(shop.world, shelf(shop.world, shop.state, DAY), plan)


def happened(events: pl.DataFrame) -> pl.DataFrame:
    """What happened where, without the number among the customer's events of the day."""
    keys = [c.LISTING_ID, c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS]
    return events.drop(c.EVENT_ID).sort(*keys, nulls_last=True)


def reversed_lists(lists: pl.DataFrame) -> pl.DataFrame:
    turned = pl.col(c.POSITION).max().over(c.LISTING_ID) + 1 - pl.col(c.POSITION)
    return lists.with_columns(turned)


def test_equal_lists_give_equal_events_and_leave_the_shop_as_it_was(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    first, second = opened.respond(DAY, lists), opened.respond(DAY, lists)
    assert_frame_equal(first, second)
    assert opened.next_day == DAY


def test_people_who_see_the_same_list_under_two_policies_do_the_same(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    users = opened.requests(DAY).select(c.LISTING_ID, c.USER_ID)
    treated = users.filter(pl.col(c.USER_ID).str.ends_with("1"))[c.LISTING_ID].implode()
    is_treated = pl.col(c.LISTING_ID).is_in(treated)
    other = pl.concat([lists.filter(~is_treated), reversed_lists(lists.filter(is_treated))])
    unchanged = ~pl.col(c.USER_ID).str.ends_with("1")
    both = [opened.respond(DAY, shown).sort(c.EVENT_ID) for shown in (lists, other)]
    assert not both[0].filter(~unchanged).equals(both[1].filter(~unchanged))
    one, two = (events.filter(unchanged) for events in both)
    assert one.height
    assert_frame_equal(one, two)


def test_an_item_seen_at_two_positions_meets_the_same_draw(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    one, two = opened.respond(DAY, lists), opened.respond(DAY, reversed_lists(lists))
    viewed = pl.col(c.EVENT_TYPE) == c.VIEW
    keys = [c.LISTING_ID, c.ITEM_ID]
    both = one.filter(viewed).join(two.filter(viewed), on=keys, suffix="_other")
    both = both.filter(pl.col(c.LISTING_ID).is_not_null())
    # Independent draws would agree on few percent of the views.
    assert both.height > 0.3 * one.filter(viewed).height
    carted = [
        frame.filter(pl.col(c.EVENT_TYPE) == c.CART).join(both, on=keys, how="semi").height
        for frame in (one, two)
    ]
    assert carted[0] == carted[1]


def test_requests_do_not_depend_on_the_lists_of_their_day(opened: Shop) -> None:
    lists, names = opened.present_lists(DAY), [c.LISTING_ID, c.USER_ID]
    asked_for = opened.requests(DAY).select(names).sort(names)
    assert asked_for.height
    for shown in (lists, reversed_lists(lists)):
        events = opened.respond(DAY, shown).filter(pl.col(c.EVENT_TYPE) == c.IMPRESSION)
        assert_frame_equal(events.select(names).unique().sort(names), asked_for)


def test_carts_come_at_the_true_rate(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    truth = opened.truth(DAY, lists)
    expected = truth.select(pl.col(c.P_EXAMINED) * pl.col("p_cart_if_examined")).sum().item()
    carts = opened.respond(DAY, lists).filter(
        (pl.col(c.EVENT_TYPE) == c.CART) & pl.col(c.LISTING_ID).is_not_null()
    )
    # A sum of independent draws: its deviation is at most the root of its mean.
    assert abs(carts.height - expected) < 4 * np.sqrt(expected)


def test_a_better_order_brings_more_carts(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    truth = opened.truth(DAY, lists)
    rank = pl.col("p_cart_if_examined").rank("ordinal", descending=True).over(c.LISTING_ID)
    best = truth.with_columns(rank.cast(pl.Int32).alias(c.POSITION))
    worst = reversed_lists(best)
    carts = [
        opened.respond(DAY, shown).filter(pl.col(c.EVENT_TYPE) == c.CART).height
        for shown in (worst, lists, best)
    ]
    assert carts[0] < carts[1] < carts[2]


def test_letters_bring_visits_of_those_who_were_sent_one(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    people = pl.DataFrame({c.USER_ID: opened.world.customers.ids, c.MAILING: "spring"})
    quiet, sent = (happened(opened.respond(DAY, lists, mail)) for mail in (None, people))
    gained = sent.join(quiet, on=quiet.columns, how="anti", nulls_equal=True)
    assert gained.height > 0
    assert set(gained[c.SURFACE]) == {"other"}
    assert quiet.join(sent, on=quiet.columns, how="anti", nulls_equal=True).height == 0


def test_only_the_next_day_can_be_lived(opened: Shop) -> None:
    with pytest.raises(ValueError, match="next day is 2026-03-02"):
        opened.requests(DAY + timedelta(1))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.lit(0, pl.Int32).alias(c.POSITION), "a position below 1"),
        (pl.lit(1, pl.Int32).alias(c.POSITION), "two items in one slot"),
        (pl.lit("i000001").alias(c.ITEM_ID), "an item twice"),
        (pl.lit("i-1").alias(c.ITEM_ID), "an unknown item"),
        (pl.lit(None, pl.String).alias(c.ITEM_ID), "an unknown item"),
    ],
)
def test_lists_that_cannot_be_are_refused_with_an_example(
    opened: Shop, change: pl.Expr, rule: str
) -> None:
    lists = opened.present_lists(DAY).with_columns(change)
    with pytest.raises(ValueError, match=rf"lists show {rule} in [\d]+ rows, e\.g\. \("):
        opened.respond(DAY, lists)


def test_a_policy_cannot_show_what_the_customers_city_has_not(opened: Shop) -> None:
    lists, items = opened.present_lists(DAY), opened.world.catalogue
    listing = opened.requests(DAY).row(0, named=True)
    city = opened.world.parameters.cities.index(listing[c.CITY])
    is_here = (items.stocked_cities(DAY) >> city) & 1 == 1
    elsewhere = items.ids.filter(pl.Series(items.in_stock(DAY) & ~is_here))[0]
    is_first = (pl.col(c.LISTING_ID) == listing[c.LISTING_ID]) & (pl.col(c.POSITION) == 1)
    shown = pl.when(is_first).then(pl.lit(elsewhere)).otherwise(c.ITEM_ID).alias(c.ITEM_ID)
    told = f"city lacks in 1 rows, e.g. ('{listing[c.LISTING_ID]}', 1, '{elsewhere}')"
    with pytest.raises(ValueError, match=re.escape(told)):
        opened.respond(DAY, lists.with_columns(shown))


def test_a_policy_cannot_show_what_the_shop_has_not(opened: Shop) -> None:
    lists, items = opened.present_lists(DAY), opened.world.catalogue
    gone = items.ids.filter(pl.Series(~items.in_stock(DAY)))[0]
    first = pl.int_range(pl.len()) == 0
    shown = pl.when(first).then(pl.lit(gone)).otherwise(c.ITEM_ID).alias(c.ITEM_ID)
    swapped = lists.with_columns(shown)
    with pytest.raises(ValueError, match=rf"an item out of stock in 1 rows, e\.g\. .*{gone}"):
        opened.respond(DAY, swapped)
    listing = opened.requests(DAY).row(0, named=True)
    long = pl.DataFrame({c.ITEM_ID: items.ids.filter(pl.Series(items.in_stock(DAY)))})
    long = long.select(
        pl.lit(listing[c.LISTING_ID]).alias(c.LISTING_ID),
        (pl.int_range(pl.len(), dtype=pl.Int32) + 1).alias(c.POSITION),
        c.ITEM_ID,
    )
    assert long.height > listing["length"]
    with pytest.raises(ValueError, match=f"more items than asked for in {long.height} rows"):
        opened.respond(DAY, long)
    assert opened.truth(DAY, long).height == long.height


def test_a_letter_shows_what_it_is_told_to(opened: Shop) -> None:
    lists, people = opened.present_lists(DAY), opened.world.customers
    item = opened.world.catalogue.ids[3]
    letters = pl.DataFrame({c.USER_ID: people.ids, c.ITEM_ID: item})
    visits = opened.respond(DAY, lists, letters).filter(surface="other", event_type="view")
    assert item in visits[c.ITEM_ID].unique()
    with pytest.raises(ValueError, match="letters show an unknown item in"):
        opened.respond(DAY, lists, letters.with_columns(pl.lit("i-1").alias(c.ITEM_ID)))


def test_letters_reach_those_who_may_have_them_once(opened: Shop) -> None:
    lists, people = opened.present_lists(DAY), opened.world.customers
    ids = people.ids.gather(np.flatnonzero(people.present(DAY)))
    once = pl.DataFrame({c.USER_ID: ids})
    visits = [
        opened.respond(DAY, lists, letters).filter(surface="other").height
        for letters in (None, once, pl.concat([once, once]))
    ]
    assert visits[0] < visits[1] == visits[2]
    absent = pl.DataFrame({c.USER_ID: people.ids.gather(np.flatnonzero(~people.present(DAY)))})
    assert absent.height
    assert opened.respond(DAY, lists, absent).equals(opened.respond(DAY, lists))
    with pytest.raises(ValueError, match=r"nobody this shop knows in 1 rows, e\.g\. \('u9999999'"):
        opened.respond(DAY, lists, pl.DataFrame({c.USER_ID: ["u9999999"]}))


def test_a_list_that_nobody_asked_for_is_refused(opened: Shop) -> None:
    lists = opened.present_lists(DAY).head(1)
    with pytest.raises(ValueError, match="lists show what was not asked for in 1 rows"):
        opened.respond(DAY, lists.with_columns(pl.lit("nobody-l0").alias(c.LISTING_ID)))


def test_positions_of_a_list_run_from_one_without_a_repeated_item(opened: Shop) -> None:
    lists = opened.present_lists(DAY).group_by(c.LISTING_ID).agg(
        pl.col(c.POSITION).sort(), pl.col(c.ITEM_ID).n_unique().alias("items"), pl.len()
    )  # fmt: skip
    assert (lists["items"] == lists["len"]).all()
    for row in lists.iter_rows(named=True):
        assert row[c.POSITION] == list(range(1, row["len"] + 1))


def test_explored_and_shuffled_slots_carry_their_propensity(opened: Shop) -> None:
    lists = opened.present_lists(DAY)
    shuffled = lists.filter(pl.col(c.LISTING_KIND) == "shuffled").with_columns(
        (1 / pl.len().over(c.LISTING_ID)).alias("expected")
    )
    assert (shuffled[c.PROPENSITY] == shuffled["expected"]).all()
    explored = lists.filter(c.IS_EXPLORED)
    assert explored.height > 0
    assert explored[c.PROPENSITY].is_between(0, 1, closed="right").all()
    plain = lists.filter((pl.col(c.LISTING_KIND) == "ranked") & ~pl.col(c.IS_EXPLORED))
    assert plain[c.PROPENSITY].null_count() == plain.height


def test_listings_show_only_what_the_customers_city_has(opened: Shop) -> None:
    plan = asked(opened)
    lists = own_lists(opened, plan)
    city = opened.world.customers.city[plan.customer[lists.request]]
    stocked = opened.world.catalogue.stocked_cities(DAY)[lists.item] >> city & 1
    assert stocked.all()
    assert opened.world.catalogue.in_stock(DAY)[lists.item].all()


def test_examination_falls_with_the_position(opened: Shop) -> None:
    plan = asked(opened)
    met = behaviour.listed(plan, own_lists(opened, plan))
    same = replace(met, platform=np.zeros(len(met), dtype=np.int64))
    order = np.argsort(met.position, kind="stable")
    assert (np.diff(behaviour.p_examined(opened.world, same)[order]) <= 0).all()
    assert behaviour.p_examined(opened.world, same)[order][0] == 1.0


def test_the_next_listing_often_follows_the_last_category(opened: Shop) -> None:
    plan = asked(opened)
    again = np.flatnonzero(np.diff(plan.customer) == 0)
    follower = followers(opened.world)[opened.world.customers.gender[plan.customer[again]]]
    expected = follower[np.arange(len(again)), plan.category[again]]
    share = (plan.category[again + 1] == expected).mean()
    assert 0.2 < share < 0.6
    backwards = follower[np.arange(len(again)), plan.category[again + 1]]
    assert (plan.category[again] == backwards).mean() < share / 2


def test_a_trait_shows_in_views_before_purchases(opened: Shop) -> None:
    world, trait = opened.world, DEFAULT.traits[0]
    days = trait_days(world.customers, 0, DAY, world.customers.indices)
    assert 0.4 < (days < NEVER_ENDING_DAYS).mean() < 0.9
    later = trait_days(world.customers, 0, DAY + timedelta(1), world.customers.indices)
    going_on = days < trait.cycle_days - 1
    assert (later[going_on] == days[going_on] + 1).all()


def test_what_was_bought_once_is_not_bought_again_unless_it_is_used_up(opened: Shop) -> None:
    world, state = opened.world, opened.copy().state
    repeatable = np.array([entry.repeatable for entry in DEFAULT.categories])
    soap = int(np.flatnonzero(repeatable[world.catalogue.category])[0])
    dress = int(np.flatnonzero(~repeatable[world.catalogue.category])[0])
    plan = asked(opened)
    met = behaviour.listed(plan, own_lists(opened, plan)).take(np.array([0, 0]))
    met = replace(met, item=np.array([soap, dress]))
    state.bought[met.customer[0], -2:] = [soap, dress]
    state.bought_day[met.customer[0], -2:] = DAY.toordinal() - DEFAULT.rest_days
    terms = behaviour.other_terms(world, state, met)["memory"]
    assert terms.tolist() == [DEFAULT.bought_again, DEFAULT.bought_once]
