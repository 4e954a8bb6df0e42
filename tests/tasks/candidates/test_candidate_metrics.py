"""Metrics of lists, worked by hand."""

from __future__ import annotations

from datetime import date
from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import columns as c
from tasks.candidates.beyond import beyond_accuracy, coverage, serendipity, stratified
from tasks.candidates.evaluation import (
    METRICS,
    above,
    bootstrap,
    by_history,
    summary,
    user_metrics,
)
from tasks.candidates.generator import Known

NOBODY = pl.Series(c.USER_ID, [], dtype=pl.String)


def pairs(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={c.USER_ID: pl.String, c.ITEM_ID: pl.String}, orient="row")


def ranked(*rows: tuple[str, str, int]) -> pl.DataFrame:
    schema = {c.USER_ID: pl.String, c.ITEM_ID: pl.String, c.RANK: pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_recall_hit_rate_and_ndcg_of_two_hits_among_three_later_items() -> None:
    truth = pairs(("u", "a"), ("u", "b"), ("u", "z"))
    lists = ranked(("u", "a", 1), ("u", "x", 2), ("u", "b", 3), ("u", "z", 15))
    row = user_metrics(lists, truth, NOBODY).to_dicts()[0]
    assert row["recall@10"] == pytest.approx(2 / 3)
    assert row["recall@20"] == pytest.approx(3 / 3)
    assert row["hit_rate@10"] == 1
    ideal = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert row["ndcg@10"] == pytest.approx((1 / log2(2) + 1 / log2(4)) / ideal)
    assert row["ndcg@20"] == pytest.approx((1 / log2(2) + 1 / log2(4) + 1 / log2(16)) / ideal)


def test_the_best_possible_list_has_ndcg_1_even_with_more_later_items_than_places() -> None:
    later = [f"i{number:02d}" for number in range(25)]
    truth = pairs(*(("u", item) for item in later))
    lists = ranked(*(("u", item, place) for place, item in enumerate(later[:10], 1)))
    row = user_metrics(lists, truth, NOBODY).to_dicts()[0]
    assert row["ndcg@10"] == pytest.approx(1)
    assert row["recall@10"] == pytest.approx(10 / 25)


def test_the_reciprocal_rank_is_of_the_first_hit_within_the_cut() -> None:
    truth = pairs(("u", "a"), ("u", "b"), ("v", "a"), ("w", "a"))
    lists = ranked(("u", "b", 4), ("u", "a", 9), ("v", "a", 15), ("w", "x", 1))
    rows = user_metrics(lists, truth, NOBODY)
    assert rows["mrr@10"].to_list() == [1 / 4, 0, 0]
    assert rows["mrr@20"].to_list() == [1 / 4, 1 / 15, 0]


def test_users_are_sliced_by_the_length_of_their_histories() -> None:
    users = pl.DataFrame({c.USER_ID: ["a", "b", "d", "e", "f"]})
    touches = {"a": 1, "b": 4, "d": 5, "e": 50}
    histories = pairs(*((user, "i") for user, count in touches.items() for _ in range(count)))
    found = by_history(users, histories)["history"].to_list()
    assert found == ["history 1-4", "history 1-4", "history 5-19", "history 50+", None]


def shop(*touched: tuple[str, str]) -> Known:
    """Twenty items i00..i19 of two brands; the colour is everywhere another one."""
    items = pl.DataFrame(
        {
            c.ITEM_ID: [f"i{number:02d}" for number in range(20)],
            c.BRAND: [f"b{number % 2}" for number in range(20)],
            c.COLOUR: [f"c{number}" for number in range(20)],
            c.IN_STOCK: [number != 19 for number in range(20)],
        }
    )
    users = pl.DataFrame({c.USER_ID: sorted({user for user, _ in touched})})
    return Known(date(2026, 3, 1), pairs(*touched), items, users)


def test_novelty_and_popular_share_of_a_list_by_hand() -> None:
    # Two of 20 items are popular: i01, touched by three, and i00, the smaller of those by one.
    known = shop(("u", "i01"), ("v", "i01"), ("w", "i01"), ("u", "i05"), ("w", "i00"))
    row = beyond_accuracy(ranked(("u", "i01", 1), ("u", "i07", 2)), known, ()).to_dicts()[0]
    # i01: (3 + 1) of (3 + 1); i07: (0 + 1) of (3 + 1), so 2 bits.
    assert row["novelty@10"] == pytest.approx((0 + 2) / 2)
    assert row["popular_share@10"] == 1 / 2
    assert "diversity@10" not in row


def test_diversity_is_the_share_of_pairs_and_features_that_differ() -> None:
    lists = ranked(("u", "i00", 1), ("u", "i02", 2), ("u", "i01", 3), ("v", "i00", 1))
    rows = beyond_accuracy(lists, shop(("u", "i00")), (c.BRAND, c.COLOUR, "absent"))
    # Three pairs of two features: only i00 and i02 share a brand. A list of one has no pair.
    assert rows["diversity@10"].to_list() == [pytest.approx(1 - 1 / 6), 0.0]


def test_coverage_is_of_items_in_stock_and_of_first_places_alone() -> None:
    lists = ranked(("u", "i00", 1), ("v", "i00", 10), ("v", "i03", 2), ("v", "i04", 11))
    assert coverage(lists, shop(("u", "i00")).items) == 2 / 19


def test_serendipity_counts_hits_that_the_yardstick_does_not_show() -> None:
    truth = pairs(("u", "a"), ("u", "b"), ("v", "a"))
    users = user_metrics(ranked(), truth, NOBODY)
    lists, yardstick = ranked(("u", "a", 1), ("u", "b", 2)), ranked(("u", "a", 3), ("u", "b", 11))
    found = serendipity(users, lists, yardstick, truth)
    assert found["serendipity@10"].to_list() == [1 / 2, 0.0]


def test_stratified_metrics_divide_an_item_by_a_power_of_its_popularity() -> None:
    # i01 is touched three times and i05 never: at power 0.5 they count 1 / 2 and 1.
    known = shop(("u", "i01"), ("v", "i01"), ("w", "i01"))
    truth = pairs(("u", "i01"), ("u", "i05"), ("v", "i01"), ("v", "i05"), ("w", "i05"))
    users = user_metrics(ranked(), truth, NOBODY)
    lists = ranked(("u", "i01", 1), ("u", "i05", 11), ("v", "i05", 3))
    found = stratified(users, lists, truth, known, power=0.5)
    assert found["stratified_recall@10"].to_list() == pytest.approx([0.5 / 1.5, 1 / 1.5, 0])
    best = 1 / log2(2) + 0.5 / log2(3)
    assert found["stratified_ndcg@10"].to_list() == pytest.approx(
        [0.5 / log2(2) / best, 1 / log2(4) / best, 0]
    )
    plain = stratified(users, lists, truth, known, power=0)
    assert plain["stratified_recall@10"].to_list() == [1 / 2, 1 / 2, 0]


def test_a_test_user_without_a_list_counts_with_zero() -> None:
    truth = pairs(("u", "a"), ("v", "b"))
    rows = user_metrics(ranked(("u", "a", 1)), truth, pl.Series(c.USER_ID, ["u"]))
    assert rows[c.USER_ID].to_list() == ["u", "v"]
    assert rows[c.SLICE].to_list() == ["warm", "cold"]
    assert rows["ndcg@10"].to_list() == [1.0, 0.0]
    whole = summary(rows, "time", 20, seed=1).filter(pl.col(c.SLICE) == "all")
    values = dict(whole.select(c.METRIC, c.VALUE).iter_rows())
    assert values["hit_rate@10"] == 1 / 2
    assert values["users"] == 2


def test_lists_of_users_who_did_nothing_later_do_not_count() -> None:
    rows = user_metrics(ranked(("u", "a", 1), ("w", "a", 1)), pairs(("u", "b")), NOBODY)
    assert rows[c.USER_ID].to_list() == ["u"]


def test_a_slice_without_users_has_no_rows() -> None:
    rows = user_metrics(ranked(("u", "a", 1)), pairs(("u", "a")), pl.Series(c.USER_ID, ["u"]))
    table = summary(rows, "loo", 20, seed=1)
    assert table[c.SLICE].unique().sort().to_list() == ["all", "warm"]
    assert table["protocol"].unique().to_list() == ["loo"]


def test_the_difference_from_a_yardstick_is_taken_user_by_user() -> None:
    truth = pairs(("u", "a"), ("v", "b"))
    ours = user_metrics(ranked(("u", "a", 1), ("v", "b", 1)), truth, NOBODY)
    theirs = user_metrics(ranked(("v", "b", 1)), truth, NOBODY)
    gains = above(ours, theirs, "popular_7d")
    assert gains["above_popular_7d:ndcg@10"].to_list() == [1.0, 0.0]
    table = summary(gains, "time", 50, seed=1)
    gain = table.filter(
        (pl.col(c.SLICE) == "all") & (pl.col(c.METRIC) == "above_popular_7d:ndcg@10")
    ).to_dicts()[0]
    assert gain[c.VALUE] == 0.5
    assert gain[c.LOW] <= 0.5 <= gain[c.HIGH]


def test_the_bootstrap_interval_of_equal_values_has_no_width() -> None:
    low, high = bootstrap(np.full((7, 2), 0.25), 20, seed=3)
    assert low.tolist() == high.tolist() == [0.25, 0.25]


def test_the_bootstrap_interval_is_about_two_standard_errors_each_way() -> None:
    values = np.repeat([0.0, 1.0], 200)[:, None]
    low, high = bootstrap(values, 2000, seed=3)
    standard_error = np.sqrt(0.5 * 0.5 / 400)
    assert low[0] == pytest.approx(0.5 - 1.96 * standard_error, abs=0.004)
    assert high[0] == pytest.approx(0.5 + 1.96 * standard_error, abs=0.004)


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdef")), min_size=1))
def test_metrics_lie_between_0_and_1_whatever_the_order_of_rows(
    rows: list[tuple[str, str]],
) -> None:
    truth = pairs(*sorted(set(rows)))
    lists = ranked(*((user, item, place) for user in "uv" for place, item in enumerate("fbd", 1)))
    found = user_metrics(lists, truth, NOBODY)
    assert found.select(METRICS).to_numpy().min() >= 0
    assert found.select(METRICS).to_numpy().max() <= 1
    assert found.equals(user_metrics(lists.reverse(), truth.reverse(), NOBODY))
