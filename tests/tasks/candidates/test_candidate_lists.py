"""Lists from scores: ties, filters, stock; and the union of several lists."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks import columns as c
from tasks.candidates.blend import interleaved
from tasks.candidates.generator import NO_OPINION, Requests
from tasks.candidates.serving import Stock, bought, top_k


def test_ties_go_to_the_smaller_column_also_at_the_end_of_the_list() -> None:
    scores = np.array([[1.0, 3.0, 1.0, 3.0, 1.0]], dtype=np.float32)
    rows, places, ranks = top_k(scores, 3)
    assert rows.tolist() == [0, 0, 0]
    assert places.tolist() == [1, 3, 0]
    assert ranks.tolist() == [1, 2, 3]


def test_no_opinion_never_enters_a_list() -> None:
    scores = np.array([[NO_OPINION, 2.0], [NO_OPINION, NO_OPINION]], dtype=np.float32)
    rows, places, ranks = top_k(scores, 2)
    assert (rows.tolist(), places.tolist(), ranks.tolist()) == ([0], [1], [1])


@given(
    arrays(np.float32, (3, 8), elements=st.sampled_from([0.0, 0.5, 1.0, -np.inf])),
    st.integers(1, 10),
)
def test_the_top_k_equal_a_plain_sort(scores: np.ndarray, k: int) -> None:
    rows, places, ranks = top_k(scores, k)
    expected = [
        (row, place, rank)
        for row in range(3)
        for rank, place in enumerate(
            sorted(
                (p for p in range(8) if np.isfinite(scores[row, p])),
                key=lambda p: (-scores[row, p], p),
            )[:k],
            1,
        )
    ]
    assert list(zip(rows.tolist(), places.tolist(), ranks.tolist(), strict=True)) == expected


def test_stock_is_by_city_and_anywhere_for_those_without_one() -> None:
    items = pl.DataFrame(
        {
            c.ITEM_ID: ["a", "b", "d", "e"],
            c.IN_STOCK: [True, False, True, True],
            c.STOCK_CITIES: [None, None, "north|east", "west"],
        }
    )
    stock = Stock(items, pl.Series(c.ITEM_ID, ["a", "b", "c", "d", "e"]))
    sold = stock.sold_in(pl.Series(c.CITY, ["north", None, "south", "north"]))
    # a is sold everywhere, b nowhere, c is not on sale, d in the north and east, e in the west.
    assert sold.tolist() == [
        [True, False, False, True, False],
        [True, False, False, True, True],
        [True, False, False, False, False],
        [True, False, False, True, False],
    ]


def test_bought_items_are_blocked_once_unless_their_group_is_bought_again() -> None:
    histories = pl.DataFrame(
        {
            c.USER_ID: ["u", "u", "u", "u"],
            c.ITEM_ID: ["coat", "coat", "soap", "hat"],
            c.EVENT_TYPE: [c.ORDER, c.ORDER, c.ORDER, c.VIEW],
        }
    )
    items = pl.DataFrame(
        {c.ITEM_ID: ["coat", "soap", "hat"], c.CATEGORY_GROUP: ["clothes", "beauty", "clothes"]}
    )
    assert bought(histories, items, ("beauty",)).rows() == [("u", "coat")]


def test_batches_keep_each_user_with_the_user_s_own_history() -> None:
    users = pl.DataFrame({c.USER_ID: ["a", "b", "c", "d", "e"]})
    histories = pl.DataFrame(
        {
            c.USER_ID: ["a", "a", "c", "e", "e", "e"],
            c.ITEM_ID: ["1", "2", "3", "4", "5", "6"],
            c.TIMES: [1] * 6,
            c.WEIGHT: [1] * 6,
            c.TS: [datetime(2026, 1, 1, tzinfo=UTC)] * 6,
        }
    )
    batches = list(Requests(date(2026, 1, 1), users, histories).batches(2))
    assert [batch.height for batch in batches] == [2, 2, 1]
    assert [batch.histories[c.ITEM_ID].to_list() for batch in batches] == [
        ["1", "2"],
        ["3"],
        ["4", "5", "6"],
    ]
    rows, items, _, ages, _ = batches[1].encoded(pl.Series(c.ITEM_ID, ["2", "3"]))
    assert (rows.tolist(), items.tolist(), ages.tolist()) == ([0], [1], [0.0])


def test_the_union_reads_rank_by_rank_and_drops_repeats() -> None:
    lists = pl.DataFrame(
        {
            c.GENERATOR: ["second", "second", "first", "first", "unnamed"],
            c.USER_ID: ["u"] * 5,
            c.ITEM_ID: ["a", "b", "a", "d", "e"],
            c.RANK: pl.Series([1, 2, 1, 2, 1], dtype=pl.Int32),
        }
    )
    # Rank 1: first's a, then second's a again. Rank 2: first's d, then second's b.
    union = interleaved(lists, {"first": 1, "second": 1}, k=3)
    assert union.rows() == [("u", "a", 1), ("u", "d", 2), ("u", "b", 3)]
    assert interleaved(lists, {"first": 1, "second": 1}, k=1).rows() == [("u", "a", 1)]


def test_a_generator_of_three_times_the_share_is_read_three_times_as_fast() -> None:
    lists = pl.DataFrame(
        {
            c.GENERATOR: ["main"] * 6 + ["new"] * 2,
            c.USER_ID: ["u"] * 8,
            c.ITEM_ID: ["a", "b", "d", "e", "f", "g", "x", "b"],
            c.RANK: pl.Series([1, 2, 3, 4, 5, 6, 1, 2], dtype=pl.Int32),
        }
    )
    # main is read at 1/6, 3/6, 5/6, 7/6, 9/6, 11/6; new at 1/2, after main's second, and at 3/2,
    # where its b is a repeat.
    union = interleaved(lists, {"main": 3, "new": 1}, k=6)
    assert union[c.ITEM_ID].to_list() == ["a", "b", "x", "d", "e", "f"]
