"""The blend: ranks of later items, recall of sources, quotas chosen by marginal recall."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.candidates.evaluation import time_split
from tasks.candidates.fitting import fitted
from tasks.candidates.generator import Known
from tasks.candidates.interactions import located
from tasks.candidates.picture import blend_picture
from tasks.candidates.quotas import NOT_FOUND, STEPS, Pairs, blend, greedy, pairs_of, quotas
from tasks.candidates.serving import Shelf, ranks_of, recommend
from tasks.settings import Settings

FIRST, SECOND = date(2026, 3, 10), date(2026, 3, 11)


def ranks(*rows: tuple[str, str, str, int | None, date]) -> pl.DataFrame:
    schema = {
        c.GENERATOR: pl.String,
        c.USER_ID: pl.String,
        c.ITEM_ID: pl.String,
        c.RANK: pl.Int32,
        "first_day": pl.Date,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def recalls(rows: pl.DataFrame, budget: int) -> dict[str, float]:
    part = rows.filter(pl.col("budget") == budget)
    return dict(part.select("source", "recall").iter_rows())


def pairs(*places: tuple[int, ...], users: list[int] | None = None) -> Pairs:
    found = np.array(places, dtype=np.int32)
    return Pairs(np.array(users or range(len(places)), dtype=np.int64), found)


def test_ranks_are_those_of_the_list_and_null_where_no_list_holds_the_item(
    small_shop: Known, small_settings: Settings
) -> None:
    then = date(2026, 3, 25)
    old = small_shop.interactions.filter(pl.col(c.DT) <= then)
    known = Known(then, old, small_shop.items, located(old, small_shop.users))
    split = time_split(known, small_shop.interactions, small_settings.candidates)
    generator, protocol = fitted("ease", known, small_settings), split.protocols[0]
    assert protocol.first_days is not None
    shelf = Shelf(known.items, protocol.blocked)
    found = ranks_of(generator, split.requests, protocol.first_days, shelf)
    lists = recommend(generator, split.requests, 60, known.items, protocol.blocked)
    expected = protocol.first_days.join(
        lists.select(c.USER_ID, c.ITEM_ID, c.RANK), on=[c.USER_ID, c.ITEM_ID], how="left"
    )
    key = [c.USER_ID, c.ITEM_ID]
    assert found.sort(key).equals(expected.sort(key))
    assert found[c.RANK].null_count() > 0
    assert found["first_day"].min() > then


def test_the_source_that_finds_more_gets_the_places() -> None:
    # Budget 40, so steps of 2. The first source has two items at once; the second one at place 9.
    found = quotas(pairs((1, NOT_FOUND), (2, NOT_FOUND), (NOT_FOUND, 9)), 40)
    assert found.tolist() == [2, 10]


def test_what_is_found_already_gives_a_second_source_nothing() -> None:
    assert quotas(pairs((1, 1), (2, 2), (3, 4)), 40).tolist() == [4, 0]


def test_places_move_where_taking_the_best_first_was_wrong() -> None:
    # Budget 40, steps of 2. The first source begins better, but all it finds the second finds too.
    places = [(1, 3), (2, 4), *((NOT_FOUND, place) for place in range(5, 41))]
    found = pairs(*places)
    assert greedy(found, 40, 2).tolist() == [2, 38]
    assert quotas(found, 40).tolist() == [0, 40]


def test_a_user_with_many_later_items_weighs_no_more_than_one_with_a_single_one() -> None:
    # The first source finds 2 of a user's 4 items (half a user), the second another's only item.
    nowhere = (NOT_FOUND, NOT_FOUND)
    of_one = ((1, NOT_FOUND), (2, NOT_FOUND), nowhere, nowhere)
    found = pairs(*of_one, (NOT_FOUND, 2), users=[0, 0, 0, 0, 1])
    assert found.weights().tolist() == [1 / 8] * 4 + [1 / 2]
    assert quotas(found, 20).tolist() == [2, 2]
    assert found.recall(found.ranks[:, 0] <= 2).tolist() == [0.5, 0.0]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.sampled_from([1, 5, 20, 90, 250, NOT_FOUND])] * 3), min_size=1, max_size=9
    )
)
def test_quotas_keep_to_the_budget_and_find_no_less_than_any_source_alone(
    places: list[tuple[int, ...]],
) -> None:
    found = pairs(*places)
    chosen = quotas(found, 300)
    assert chosen.sum() <= 300
    assert (chosen % (300 // STEPS) == 0).all()
    recall = found.recall((found.ranks <= chosen).any(axis=1)).mean()
    for source in range(3):
        assert recall >= found.recall(found.ranks[:, source] <= 300).mean() - 1e-12


def test_recall_of_each_source_of_what_it_alone_finds_and_of_all_together() -> None:
    rows = ranks(
        ("a", "u", "x", 1, FIRST), ("b", "u", "x", 400, FIRST),
        ("a", "u", "y", 1, SECOND), ("b", "u", "y", 300, SECOND),
        ("a", "u", "z", None, SECOND), ("b", "u", "z", 301, SECOND),
        ("a", "v", "x", None, SECOND), ("b", "v", "x", 299, SECOND),
    )  # fmt: skip
    found = blend(rows, ["a", "b"], 20, seed=1)
    # Measured on the second day: u touched y and z, v touched x. Within 300 a has y, b y and x.
    at_300 = recalls(found, 300)
    assert at_300["a"] == (1 / 2 + 0) / 2
    assert at_300["b"] == at_300["union"] == (1 / 2 + 1) / 2
    assert at_300["equal"] == (1 / 2 + 0) / 2  # 150 places of each: b's are further down
    unique = dict(found.filter(budget=300).select("source", "unique_recall").iter_rows())
    assert unique["a"] == 0
    assert unique["b"] == (0 + 1) / 2
    assert unique["blend"] is None
    # Chosen on the first day, when b had nothing within 300 that a had not.
    quota = dict(found.filter(budget=300).select("source", "quota").iter_rows())
    assert (quota["a"], quota["b"], quota["blend"]) == (15, 0, 15)
    assert at_300["blend"] == at_300["a"]
    assert recalls(found, 1000)["b"] == 1.0


def test_one_held_out_day_is_chosen_on_and_measured_on() -> None:
    rows = ranks(("a", "u", "x", 1, FIRST), ("b", "u", "x", None, FIRST))
    assert recalls(blend(rows, ["a", "b"], 20, seed=1), 300)["blend"] == 1.0


def test_pairs_do_not_depend_on_the_order_of_rows() -> None:
    rows = ranks(
        ("b", "v", "x", 4, FIRST), ("a", "u", "y", 1, FIRST), ("a", "v", "x", None, FIRST),
        ("b", "u", "y", 2, FIRST),
    )  # fmt: skip
    for frame in (rows, rows.reverse()):
        found = pairs_of(frame, ["a", "b"])
        assert found.users.tolist() == [0, 1]
        assert found.ranks.tolist() == [[1, 2], [NOT_FOUND, 4]]


def test_the_picture_has_a_panel_a_budget() -> None:
    rows = ranks(("a", "u", "x", 1, FIRST), ("b", "u", "x", None, FIRST))
    figure = blend_picture(blend(rows, ["a", "b"], 20, seed=1))
    assert [axes.get_xlabel()[:14] for axes in figure.axes] == ["recall of 300 ", "recall of 1000"]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert "a (15)" in labels


def test_every_quota_of_nothing_is_nothing() -> None:
    assert quotas(pairs((NOT_FOUND, NOT_FOUND)), 300).tolist() == [0, 0]
