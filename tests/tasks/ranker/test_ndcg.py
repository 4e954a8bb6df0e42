from __future__ import annotations

from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ranker import measure
from tasks.ranker.measure import (
    intervals,
    ndcg_by_group,
    paired_gains,
    ranks,
    resampled_means,
    tie_breaks,
)


def lists(*rows: tuple[str, str, str, int, float | None]) -> pl.DataFrame:
    schema = {
        "group_id": pl.String,
        "user_id": pl.String,
        "item_id": pl.String,
        "label": pl.Int64,
        "score": pl.Float64,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(tie_breaks(frame))


def of_groups(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["group_id", "user_id", "a"], orient="row")


def test_a_cart_at_the_second_and_third_rank_is_worth_its_discounts() -> None:
    frame = lists(("g", "u", "a", 0, 3.0), ("g", "u", "b", 1, 2.0), ("g", "u", "c", 1, 1.0))
    dcg, best = 1 / log2(2 + 1) + 1 / log2(3 + 1), 1 / log2(1 + 1) + 1 / log2(2 + 1)
    assert ndcg_by_group(frame, ["score"], 60)["score"][0] == pytest.approx(dcg / best)


def test_ranks_below_the_cutoff_count_nothing_and_the_best_order_is_cut_as_well() -> None:
    frame = lists(("g", "u", "a", 1, 3.0), ("g", "u", "b", 1, 2.0), ("g", "u", "c", 1, 1.0))
    # All carts: with k = 2 both sums are 1 / log2(2) + 1 / log2(3).
    assert ndcg_by_group(frame, ["score"], 2)["score"][0] == pytest.approx(1.0)


def test_a_group_without_a_cart_has_no_ndcg() -> None:
    frame = lists(("g", "u", "a", 0, 1.0), ("h", "u", "a", 1, 1.0), ("h", "u", "b", 0, 2.0))
    found = ndcg_by_group(frame, ["score"], 60)
    assert found["group_id"].to_list() == ["h"]
    assert found["score"][0] == pytest.approx(1 / log2(3))


def test_graded_gains_take_the_place_of_labels() -> None:
    frame = lists(("g", "u", "a", 0, 2.0), ("g", "u", "b", 0, 1.0)).with_columns(
        pl.Series("gain", [0.1, 0.4])
    )
    dcg, best = 0.1 / log2(2) + 0.4 / log2(3), 0.4 / log2(2) + 0.1 / log2(3)
    found = ndcg_by_group(frame, ["score"], 60, gain="gain")
    assert found["score"][0] == pytest.approx(dcg / best)


def test_items_without_a_score_come_last_and_ties_are_broken_the_same_way_each_time() -> None:
    frame = lists(
        ("g", "u", "a", 0, None),
        ("g", "u", "b", 0, float("nan")),
        ("g", "u", "c", 0, -5.0),
        ("g", "u", "d", 0, -5.0),
    )
    found = ranks(frame, "score").to_list()
    assert sorted(found[:2]) == [3, 4]
    assert sorted(found[2:]) == [1, 2]
    again = frame.reverse()
    assert ranks(again, "score").reverse().to_list() == found


@given(st.permutations(range(8)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = [(f"g{i % 2}", "u", f"i{i}", int(i in {2, 5}), float(i * 7 % 5)) for i in range(8)]
    straight = ndcg_by_group(lists(*rows), ["score"], 3)
    assert ndcg_by_group(lists(*(rows[i] for i in order)), ["score"], 3).equals(straight)


def test_the_mean_weighs_groups_equally_and_not_customers() -> None:
    frame = of_groups(("g1", "u1", 1.0), ("g2", "u1", 1.0), ("g3", "u1", 1.0), ("g4", "u2", 0.0))
    means, _ = resampled_means(frame, ["a"], 100, 0)
    assert means[0] == pytest.approx(3 / 4)


def test_a_single_customer_has_no_spread_whatever_the_groups_are() -> None:
    frame = of_groups(("g1", "u1", 0.2), ("g2", "u1", 0.8))
    found = intervals(frame, ["a"], 200, 0)["a"]
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_draws_come_block_by_block_and_are_those_of_one_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million customers times a thousand draws would be 8 GB at once."""
    whole = np.concatenate(list(measure._customer_draws(5, 7, seed=3)))
    monkeypatch.setattr(measure, "BLOCK_CELLS", 10)
    blocks = measure._customer_draws(5, 7, seed=3)
    assert next(blocks).shape == (2, 5)
    rest = np.concatenate(list(blocks))
    assert np.array_equal(rest, whole[2:])


def test_the_interval_of_many_customers_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 2000)
    rows = ((f"g{i}", f"u{i}", float(value)) for i, value in enumerate(values))
    found = intervals(of_groups(*rows), ["a"], 2000, 0)["a"]
    half = 1.96 * values.std() / 2000**0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_groups_of_one_customer_do_not_shrink_the_interval() -> None:
    once = of_groups(*((f"g{i}", f"u{i}", float(i % 2)) for i in range(40)))
    thrice = of_groups(*((f"g{i}-{n}", f"u{i}", float(i % 2)) for i in range(40) for n in range(3)))
    one, three = intervals(once, ["a"], 1000, 0)["a"], intervals(thrice, ["a"], 1000, 0)["a"]
    assert three.high - three.low == pytest.approx(one.high - one.low)


def test_a_constant_lead_is_certain_however_much_customers_differ() -> None:
    frame = of_groups(*((f"g{i}", f"u{i}", i / 100) for i in range(50))).with_columns(
        (pl.col("a") - 0.01).alias("b")
    )
    gain = paired_gains(frame, "a", ["b"], 500, 0)["b"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.01, 0.01, 0.01))
