"""What the benchmark of discovery counts, worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks import columns as c
from tasks.candidates.evaluation import Split
from tasks.candidates.generator import Known, Requests
from tasks.candidates.serving import bought
from tasks.candidates.slates import PLACE, SHELF
from tasks.settings import Settings
from tests.benchmarks import bench_discovery
from tests.benchmarks.bench_discovery import (
    CHOICES,
    DISCOVERY,
    E_NDCG,
    FOR_YOU,
    METRICS,
    Choice,
    K,
    Lived,
    e_ndcg,
    first_categories,
    front,
    gini,
    lists_of,
    lived,
    measured,
    page_of,
    shelves,
    true_worth,
    whole_shelves,
)

RANKED = {c.USER_ID: pl.String, c.ITEM_ID: pl.String, c.RANK: pl.Int32}


def test_first_categories_are_those_entered_later_that_the_list_leads_to() -> None:
    items = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"], c.CATEGORY: ["x", "y", "z", "y"]})
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    past = pl.DataFrame({c.USER_ID: ["u", "v"], c.ITEM_ID: ["a", "b"], c.TS: [noon] * 2})
    users = past.select(c.USER_ID)
    split = Split(
        Known(date(2026, 3, 1), past, items, users), Requests(noon.date(), users, past), ()
    )
    # u enters y and z and is shown e of y, d too late; v enters nothing: e is in y, too.
    truth = pl.DataFrame({c.USER_ID: ["u", "u", "v"], c.ITEM_ID: ["b", "d", "e"]})
    lists = pl.DataFrame([("u", "e", 1), ("u", "d", 11)], schema=RANKED, orient="row")
    assert first_categories(lists, split, truth).rows() == [("u", 1 / 2)]


def test_expected_ndcg_is_over_the_best_of_the_catalogue_and_0_without_a_list() -> None:
    rows = [("u", "a", 0.4), ("u", "b", 0.2), ("v", "a", 0.3)]
    worth = pl.DataFrame(rows, schema=[c.USER_ID, c.ITEM_ID, "worth"], orient="row")
    lists = pl.DataFrame([("u", "b", 1)], schema=RANKED, orient="row")
    found = dict(e_ndcg(lists, worth).rows())
    assert found == {"u": pytest.approx(0.2 / (0.4 + 0.2 / 1.5849625)), "v": 0}


def test_the_front_holds_who_nobody_beats_in_both() -> None:
    # The third is below the second in everything.
    values = {"plain": (0.3, 1.0), "second": (0.2, 3.0), "third": (0.1, 2.0)}
    rows = [
        (name, "plain", metric, accuracy if metric == E_NDCG else discovery)
        for name, (accuracy, discovery) in values.items()
        for metric in (E_NDCG, *DISCOVERY)
    ]
    told = pl.DataFrame(rows, schema=["choice", "plain", "metric", "value"], orient="row")
    assert front(told).select("choice", "is_best").rows() == [
        ("plain", True),
        ("second", True),
        ("third", False),
    ]


def test_gini_is_0_for_equal_shares_and_near_1_for_one_item_alone() -> None:
    items = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"], c.IN_STOCK: [True] * 4})
    lists = pl.DataFrame({c.ITEM_ID: ["a", "b", "d", "e"]})
    assert gini(lists, items) == 0
    assert gini(lists.head(1), items) == 3 / 4


@pytest.fixture(scope="module")
def tiny() -> Iterator[Lived]:
    """A shop of 60 customers and 50 items, six days learned and two later."""
    sizes = {"CUSTOMERS": 60, "ITEMS": 50, "LEARNT_DAYS": 6, "LATER_DAYS": 2}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes.items():
            patch.setattr(bench_discovery, name, value)
        yield lived("default", 3, Settings(mlflow_url="", min_free_gb=0))


def first_shelf_by(truth: pl.DataFrame, tiny: Lived, small_settings: Settings) -> pl.DataFrame:
    """Pages of one shelf of five where held-out customers touched this later."""
    split, before = tiny.split(small_settings.candidates), tiny.held_out(small_settings.candidates)
    touched = replace(before.protocols[0], truth=truth)
    held_out = replace(before, protocols=(touched,))
    return page_of(whole_shelves(1, 5), "ease", held_out, split, small_settings)


def test_what_shelves_are_worth_is_learned_from_days_before_those_asked_for(
    tiny: Lived, small_settings: Settings
) -> None:
    before, split = tiny.held_out(small_settings.candidates), tiny.split(small_settings.candidates)
    assert before.known.through == split.known.through - timedelta(days=3)
    assert before.known.interactions[c.DT].max() <= before.known.through
    pairs = [c.USER_ID, c.ITEM_ID]
    days = (before.known.through + timedelta(days=1), split.known.through)
    then = split.known.interactions.filter(pl.col(c.DT).is_between(*days)).select(pairs).unique()
    assert_frame_equal(before.protocols[0].truth.sort(pairs), then.sort(pairs))


def test_a_page_stands_in_the_table_as_ten_places_read_row_by_row(
    tiny: Lived, small_settings: Settings
) -> None:
    rows, split = lists_of(CHOICES["ease, page of 2 shelves of 5"], tiny, small_settings)
    assert set(rows[c.USER_ID]) == set(split.requests.users[c.USER_ID])
    assert not rows.select(c.USER_ID, c.ITEM_ID).is_duplicated().any()
    full = rows.group_by(c.USER_ID).agg(pl.col(c.RANK).sort(), pl.col(PLACE).sort())
    assert full[c.RANK].to_list() == [list(range(1, K + 1))] * full.height
    assert full[PLACE].to_list() == [[1] * 5 + [2] * 5] * full.height
    once = bought(split.requests.histories, split.known.items, small_settings.candidates.repeatable)
    assert rows.join(once, on=[c.USER_ID, c.ITEM_ID], how="semi").is_empty()
    yardstick, _ = lists_of(Choice("popular_7d"), tiny, small_settings)
    worth = true_worth(tiny, split.requests.users[c.USER_ID])
    found = measured(rows, split, yardstick, worth)
    assert found.columns == [c.USER_ID, *METRICS]
    assert found["ndcg@10"].is_between(0, 1).all()
    assert found["ndcg@10"].max() > 0


def test_where_nothing_is_touched_later_the_plain_list_stands_first(
    tiny: Lived, small_settings: Settings
) -> None:
    nothing = tiny.held_out(small_settings.candidates).protocols[0].truth.clear()
    page = first_shelf_by(nothing, tiny, small_settings)
    plain, _ = lists_of(Choice("ease"), tiny, small_settings)
    listed = [c.USER_ID, c.ITEM_ID, c.RANK]
    first = plain.filter(pl.col(c.RANK) <= 5).select(listed)
    mine = page.filter(pl.col(SHELF) == FOR_YOU).select(listed)
    assert mine.height
    assert_frame_equal(mine, first.join(mine, on=c.USER_ID, how="semi").sort(c.USER_ID, c.RANK))


def test_the_shelf_whose_items_are_touched_later_stands_first(
    tiny: Lived, small_settings: Settings
) -> None:
    offered = shelves("ease", tiny.held_out(small_settings.candidates), small_settings)
    top = offered.filter(pl.col(SHELF) == "popular", pl.col(c.RANK) <= 5)
    page = first_shelf_by(top.select(c.USER_ID, c.ITEM_ID), tiny, small_settings)
    assert page[SHELF].unique().to_list() == ["popular"]
