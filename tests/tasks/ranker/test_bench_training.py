"""What the benchmark of training draws, and what it would choose."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from tasks.ranker import model as ranker
from tasks.ranker.measure import tie_breaks
from tasks.settings import Settings
from tests.benchmarks import bench_training as training
from tests.ranking import drawn_groups

DAY = date(2026, 3, 9)


def rows(*listings: tuple[str, int, str]) -> pl.DataFrame:
    """Return rows of lists: group, how many days before DAY, and a letter per item, C a cart."""
    told = [
        (group, DAY - timedelta(days=ago), f"i{place}", int(letter == "C"))
        for group, ago, items in listings
        for place, letter in enumerate(items)
    ]
    schema = ["group_id", "listing_day", "item_id", "label"]
    found = pl.DataFrame(told, schema=schema, orient="row")
    return found.with_columns(tie_breaks(found))


def days_of(found: pl.DataFrame) -> set[int]:
    return {(DAY - day).days for day in found["listing_day"]}


def test_a_share_of_negatives_is_kept_and_every_cart() -> None:
    drawn = rows(("g", 1, "C" * 50 + "." * 5_000))
    kept = training.with_negatives(drawn, 0.2)
    assert kept["label"].sum() == 50
    # 5,000 draws at 0.2: 1,000, with a standard deviation of 28.
    assert abs(kept.filter(label=0).height - 1_000) < 4 * 28
    assert training.with_negatives(drawn, 1.0).equals(drawn)


def test_a_smaller_share_of_negatives_is_part_of_a_greater_one() -> None:
    drawn = rows(("g", 1, "." * 300), ("h", 2, "." * 300))
    few, more = training.with_negatives(drawn, 0.1), training.with_negatives(drawn, 0.5)
    assert few.join(more, on=["group_id", "item_id"], how="anti").is_empty()


def test_a_budget_of_rows_is_filled_with_whole_lists_of_the_newest_days() -> None:
    lists = rows(("a", 1, "C.."), ("b", 1, "C."), ("c", 2, "C..."), ("d", 2, "C..."), ("e", 3, "C"))
    # 3 + 2 of the newest day leave 4 of 9: one list of 4 of the day before.
    kept = training.newest(lists, 9)
    assert kept.height == 9
    assert {"a", "b"} < set(kept["group_id"])
    assert days_of(kept) == {1, 2}
    assert training.newest(lists, 100).height == lists.height


def test_a_stale_model_learns_from_as_many_days_that_end_earlier() -> None:
    lists = rows(*((f"g{ago}", ago, "C" * 3) for ago in range(1, 30)))
    windows = {one.name: days_of(one.rows) for one in training.staleness(lists, DAY)}
    assert windows["1 days"] == set(range(1, 9))
    assert windows["14 days"] == set(range(14, 22))
    assert max(windows["14 days"]) < training.LISTING_DAYS


def test_every_loss_learns_from_the_same_rows_of_the_nightly_days() -> None:
    lists = rows(*((f"g{ago}", ago, "C....") for ago in range(1, 23)))
    lists = lists.with_columns(log_examination=pl.lit(0.0))
    found = list(training.losses(lists, DAY))
    assert [one.loss for one in found] == list(training.LOSSES)
    assert days_of(found[0].rows) == set(range(1, 18))
    keys = ["group_id", "item_id"]
    assert all(one.rows.select(keys).equals(found[0].rows.select(keys)) for one in found)


def test_a_squared_loss_does_not_raise_what_nobody_looks_at(quick: Settings) -> None:
    """Position follows the item's views, which have no effect: no more than noise is learnt."""
    lists = drawn_groups(days=10, per_day=100, steepness=1.0)

    def share_of_views(taught: pl.DataFrame) -> float:
        model = ranker.fit(taught, quick.ranker, seed=5, threads=2, loss=training.SQUARED)
        found = ranker.shap_shares(ranker.shap_values(model, lists, 2))
        return float(found.filter(feature="item_views_7")["share"][0])

    assert share_of_views(lists) > 0.75
    assert share_of_views(training.weighed(lists)) < 0.25


def test_the_row_budget_is_compared_with_the_nightly_share() -> None:
    lists = rows(*((f"g{ago}", ago, "C" + "." * 9) for ago in range(1, 18)))
    found = list(training.negatives(lists, DAY))
    nightly, newer = found[0].rows, found[-1].rows
    assert found[0].name == "20%"
    assert nightly.height - 10 < newer.height <= nightly.height
    assert newer["listing_day"].n_unique() < nightly["listing_day"].n_unique() == 17


def scores(**by_contender: list[float]) -> pl.DataFrame:
    customers = len(next(iter(by_contender.values())))
    ids = [f"u{number}" for number in range(customers)]
    return pl.DataFrame({"group_id": ids, "user_id": ids, **by_contender})


def test_the_default_is_the_best_if_its_lead_is_real() -> None:
    ndcg = scores(slow=[0.6, 0.7] * 20, fast=[0.5, 0.6] * 20)
    assert training.default_of(ndcg, {"slow": 9.0, "fast": 1.0}) == "slow"


def test_the_default_is_the_fastest_of_those_that_tie_with_the_best() -> None:
    # `fast` is as often above `slow` as below; `poor` is faster still and always below.
    ndcg = scores(slow=[0.61, 0.5] * 20, fast=[0.5, 0.6] * 20, poor=[0.1, 0.2] * 20)
    seconds = {"slow": 9.0, "fast": 2.0, "poor": 1.0}
    assert training.default_of(ndcg, seconds) == "fast"
