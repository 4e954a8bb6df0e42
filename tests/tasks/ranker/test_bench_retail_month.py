from __future__ import annotations

from datetime import date

import polars as pl

from tests.benchmarks import bench_retail_month as month


def test_a_month_is_cut_into_weeks_whose_last_may_be_short() -> None:
    found = list(month.weeks(date(2011, 9, 1), date(2011, 9, 9)))
    assert found == [
        (date(2011, 9, 1), date(2011, 9, 7)),
        (date(2011, 9, 8), date(2011, 9, 9)),
    ]


def test_a_night_learns_from_training_rows_up_to_the_day_before_it() -> None:
    days = [date(2011, 9, day) for day in (3, 4, 6, 7)]
    groups = pl.DataFrame({"listing_day": [*days, days[2]], "is_trained": [True] * 4 + [False]})
    found = month.learnt(groups, night=date(2011, 9, 7), days=2)
    assert found["listing_day"].to_list() == [date(2011, 9, 4), date(2011, 9, 6)]


def test_recall_counts_what_was_never_proposed_and_buyers_without_candidates() -> None:
    rows = pl.DataFrame(
        {"group_id": ["g", "g", "g"], "item_id": ["a", "b", "c"], "label": [1, 0, 1]}
    )
    bought = pl.DataFrame({"group_id": ["g", "h"], "user_id": ["u", "v"], "bought": [4, 2]})
    hits = {"first two": pl.Series([True, True, False]), "all": pl.Series([True, True, True])}
    # Of g's four purchases one is among the first two and two were proposed; nobody proposed to h.
    assert month.recall_by_buyer(rows, bought, hits).rows() == [
        ("g", "u", 0.25, 0.5),
        ("h", "v", 0.0, 0.0),
    ]
