"""A page of shelves: which, in what order, and what stands on them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.candidates.generator import Requests
from tasks.candidates.slates import PLACE, SHELF, WORTH, Page, category_shelves, learned, slates

LISTED = {SHELF: pl.String, c.USER_ID: pl.String, c.ITEM_ID: pl.String, c.RANK: pl.Int32}
WORTHS = {PLACE: pl.Int32, SHELF: pl.String, c.RANK: pl.Int32, WORTH: pl.Float64}
TWO_OF_TWO = Page(("x", "y", "z"), shelves=2, items=2)


def listed(user: str = "u", **shelves: str) -> pl.DataFrame:
    """Rows of each shelf's items, a letter each, the first of rank 1."""
    rows = [
        (shelf, user, item, rank)
        for shelf, items in shelves.items()
        for rank, item in enumerate(items, 1)
    ]
    return pl.DataFrame(rows, schema=LISTED, orient="row")


def worths(*places: dict[str, list[float]]) -> pl.DataFrame:
    """Worth by rank of every shelf, a dictionary a place."""
    rows = [
        (place, shelf, rank, worth)
        for place, shelves in enumerate(places, 1)
        for shelf, values in shelves.items()
        for rank, worth in enumerate(values, 1)
    ]
    return pl.DataFrame(rows, schema=WORTHS, orient="row")


def told(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    return rows.select(c.USER_ID, PLACE, SHELF, c.RANK, c.ITEM_ID).rows()


def test_a_shelf_that_stands_above_already_gains_less_and_goes_on_below() -> None:
    lists = listed(x="ab", y="abcd", z="ef")
    falling = {"x": [0.5, 0.4], "y": [0.4, 0.3, 0.1, 0.1], "z": [0.2, 0.1]}
    # x first. y is left with c and d, 0.1 each; e and f of z are worth 0.2 and 0.1.
    rows = slates(lists, worths(falling, falling), TWO_OF_TWO)
    assert told(rows) == [
        ("u", 1, "x", 1, "a"),
        ("u", 1, "x", 2, "b"),
        ("u", 2, "z", 3, "e"),
        ("u", 2, "z", 4, "f"),
    ]
    # Were c and d worth as much as a and b, y would go on with them.
    level = falling | {"y": [0.4] * 4}
    assert slates(lists, worths(falling, level), TWO_OF_TWO)[c.ITEM_ID].to_list() == list("abcd")


def test_what_is_read_first_counts_most() -> None:
    lists = listed(x="ab", y="cd")
    # 0.3 / log2(2) + 0 / log2(3) = 0.3 is more than 0.18 / log2(2) + 0.18 / log2(3) = 0.2936.
    one = Page(("y", "x"), shelves=1, items=2)
    first = worths({"x": [0.3, 0.0], "y": [0.18, 0.18]})
    assert slates(lists, first, one)[c.ITEM_ID].to_list() == ["a", "b"]
    # 0.19 would be 0.3099.
    second = worths({"x": [0.3, 0.0], "y": [0.19, 0.19]})
    assert slates(lists, second, one)[c.ITEM_ID].to_list() == ["c", "d"]


def test_of_equal_gains_the_shelf_named_first_stands_and_one_not_named_never() -> None:
    lists = listed(x="a", y="b", w="d")
    alike = {"x": [0.1], "y": [0.1], "w": [0.9]}
    named = Page(("y", "x"), shelves=3, items=1)
    assert slates(lists, worths(alike, alike, alike), named)[SHELF].to_list() == ["y", "x"]


def test_a_shelf_with_too_few_items_left_is_passed_over() -> None:
    lists = listed(x="ab", y="bc", z="de")
    worth = {"x": [0.5, 0.5], "y": [0.4, 0.4], "z": [0.1, 0.1]}
    whole = Page(("x", "y", "z"), shelves=2, items=2, fewest=2)
    # Below x, y has c alone.
    assert slates(lists, worths(worth, worth), whole)[c.ITEM_ID].to_list() == ["a", "b", "d", "e"]
    short = Page(("x", "y", "z"), shelves=2, items=2, fewest=1)
    assert slates(lists, worths(worth, worth), short)[c.ITEM_ID].to_list() == ["a", "b", "c"]


def test_customers_without_a_list_get_what_there_is() -> None:
    lists = pl.concat([listed("u", x="a", y="b"), listed("v", y="b")])
    worth = worths({"x": [0.5], "y": [0.1]}, {"x": [0.5], "y": [0.1]})
    assert told(slates(lists, worth, TWO_OF_TWO)) == [
        ("u", 1, "x", 1, "a"),
        ("u", 2, "y", 2, "b"),
        ("v", 1, "y", 1, "b"),
    ]
    assert slates(lists.clear(), worth, TWO_OF_TWO).is_empty()


def test_worth_is_the_share_touched_later_of_what_is_not_above() -> None:
    lists = pl.concat([listed("u", x="ab", y="bd"), listed("v", x="ab", y="ad")])
    later = [("u", "a"), ("v", "a"), ("u", "b"), ("v", "d")]
    truth = pl.DataFrame(later, schema=[c.USER_ID, c.ITEM_ID], orient="row")
    rows = learned(lists, truth, Page(("x", "y"), shelves=2, items=1))
    # Place 1: of x both first items were touched and one of the second; of y both first (b by u,
    # a by v) and one of the second. x is named first; then y has lost v's a, and u's b is touched.
    assert rows.rows() == [
        (1, "x", 1, 1.0),
        (1, "x", 2, 0.5),
        (1, "y", 1, 1.0),
        (1, "y", 2, 0.5),
        (2, "y", 1, 1.0),
        (2, "y", 2, 0.5),
    ]


def test_worth_never_rises_with_rank() -> None:
    lists = pl.concat([listed("u", x="abd"), listed("v", x="abd")])
    later = [("u", "b"), ("v", "b"), ("u", "a")]
    truth = pl.DataFrame(later, schema=[c.USER_ID, c.ITEM_ID], orient="row")
    # 1/2, 2/2 and 0/2 were touched: the first two ranks share their mean.
    worth = learned(lists, truth, Page(("x",), shelves=1, items=2))[WORTH].to_list()
    assert worth == pytest.approx([0.75, 0.75, 0.0])


def test_a_rank_that_nobody_has_left_is_worth_what_the_next_one_below_is() -> None:
    lists = listed(x="a", y="abd")
    truth = pl.DataFrame({c.USER_ID: ["u", "u"], c.ITEM_ID: ["a", "b"]})
    rows = learned(lists, truth, Page(("x", "y"), shelves=2, items=1))
    second = rows.filter(pl.col(PLACE) == 2)
    assert second.select(SHELF, c.RANK, WORTH).rows() == [("y", 1, 1), ("y", 2, 1), ("y", 3, 0)]


def test_heaviest_categories_of_a_history_are_shelves_of_the_list() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    kinds = {"a": "hats", "b": "lamps", "d": "hats", "e": "soap"}
    items = pl.DataFrame({c.ITEM_ID: list(kinds), c.CATEGORY: list(kinds.values())})
    history = [("u", "b", noon, 5), ("u", "a", noon, 3), ("u", "e", noon, 1)]
    names = [c.USER_ID, c.ITEM_ID, c.TS, c.WEIGHT]
    histories = pl.DataFrame(history, schema=names, orient="row")
    requests = Requests(date(2026, 3, 1), pl.DataFrame({c.USER_ID: ["u", "v"]}), histories)
    ranked = pl.concat([listed("u", x="eadb"), listed("v", x="a")]).drop(SHELF)
    # Lamps weigh 5, hats 3; soap is a third category. v has no history.
    assert category_shelves(ranked, requests, items, 2).rows() == [
        ("category 1", "u", "b", 1),
        ("category 2", "u", "a", 1),
        ("category 2", "u", "d", 2),
    ]


def test_a_shelf_that_lists_an_item_twice_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"2 rows share shelf, user and item_id.*'a'"):
        slates(listed(x="aba"), worths(), TWO_OF_TWO)


@pytest.mark.parametrize(
    ("names", "shelves", "items", "fewest"),
    [(("x",), 0, 2, 1), (("x",), 1, 2, 3), (("x",), 1, 2, 0), (("x", "x"), 1, 2, 1)],
)
def test_a_page_that_cannot_be_is_refused(
    names: tuple[str, ...], shelves: int, items: int, fewest: int
) -> None:
    with pytest.raises(ValueError, match="shel"):
        Page(names, shelves, items, fewest)


@st.composite
def some_lists(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lists of a few users, and what they touched later."""
    items = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)
    rows = [
        (shelf, user, item, rank)
        for user in "uv"
        for shelf in "xyz"
        for rank, item in enumerate(draw(items), 1)
    ]
    later = [(user, item) for user in "uv" for item in draw(items)]
    schema = {c.USER_ID: pl.String, c.ITEM_ID: pl.String}
    lists = pl.DataFrame(rows, schema=LISTED, orient="row")
    return lists, pl.DataFrame(later, schema=schema, orient="row")


@given(some_lists(), st.integers(1, 3), st.integers(1, 4), st.data())
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_page_keeps_to_its_sizes_and_repeats_nothing_in_whatever_order_rows_come(
    found: tuple[pl.DataFrame, pl.DataFrame], most: int, items: int, data: st.DataObject
) -> None:
    lists, truth = found
    page = Page(("x", "y", "z"), most, items, data.draw(st.integers(1, items)))
    rows = slates(lists, learned(lists, truth, page), page)
    assert not rows.select(c.USER_ID, c.ITEM_ID).is_duplicated().any()
    assert rows.join(lists, on=[SHELF, c.USER_ID, c.ITEM_ID], how="anti").is_empty()
    sizes = rows.group_by(c.USER_ID, PLACE).agg(pl.len(), pl.col(SHELF).n_unique().alias("kinds"))
    assert sizes["len"].is_between(page.fewest, items).all()
    assert (sizes["kinds"] == 1).all()
    for user in rows.partition_by(c.USER_ID):
        assert user[c.RANK].to_list() == list(range(1, user.height + 1))
        places = user[PLACE].unique().sort().to_list()
        assert places == list(range(1, len(places) + 1))
        assert len(places) == user[SHELF].n_unique() <= most
    seed = data.draw(st.integers(0, 9))
    shuffled, later = (part.sample(fraction=1, shuffle=True, seed=seed) for part in found)
    assert_frame_equal(slates(shuffled, learned(shuffled, later, page), page), rows)
