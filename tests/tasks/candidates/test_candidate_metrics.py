"""Metrics of lists, worked by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.candidates.evaluation import METRICS, above, bootstrap, summary, user_metrics

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


@settings(deadline=None)
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
