from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import columns as c
from tasks.lake.contracts import conform
from tasks.lake.tables import EXAMINATION
from tasks.segments.examination import enough_chance, examination
from tasks.settings import Segments

OPTIONS = Segments(min_explored_clicks=100, prior_shown=1.0, max_position=30)
POSITIONS = 20
SEEN = 1 / np.sqrt(np.arange(1, POSITIONS + 1))


def counts(
    rows: list[tuple[str, str, str, int, int, int]],
) -> pl.DataFrame:
    names = [c.PLATFORM, c.SURFACE, "arrangement", c.POSITION, "impressions", "clicks"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.col(c.POSITION).cast(pl.Int32)
    )


def source(
    platform: str, arrangement: str, level: float, shown: int = 1_000_000
) -> list[tuple[str, str, str, int, int, int]]:
    return [
        (platform, "search", arrangement, k + 1, shown, round(shown * level * SEEN[k]))
        for k in range(POSITIONS)
    ]


def curve(rows: pl.DataFrame, platform: str) -> np.ndarray[Any, Any]:
    place = (pl.col(c.PLATFORM) == platform) & (pl.col(c.SURFACE) == "search")
    return rows.filter(place)[c.P_EXAMINED].to_numpy()


def test_without_impressions_there_is_no_examination() -> None:
    assert examination(counts([]), OPTIONS).equals(EXAMINATION.empty())


def test_the_curve_is_that_of_the_clicks() -> None:
    rows = examination(counts(source("web", "shuffled", 0.2)), OPTIONS)
    assert rows[c.BASIS].unique().to_list() == ["explored"]
    assert curve(rows, "web")[:POSITIONS] == pytest.approx(SEEN, rel=0.02)


def test_explored_slots_of_worse_items_do_not_bend_the_curve() -> None:
    worse = [row for row in source("web", "explored", 0.02) if row[3] in (5, 6, 7)]
    rows = examination(counts(source("web", "shuffled", 0.2) + worse), OPTIONS)
    assert curve(rows, "web")[:POSITIONS] == pytest.approx(SEEN, rel=0.02)


def test_a_curve_of_ranked_items_says_so() -> None:
    rows = examination(counts(source("web", "ranked", 0.2)), OPTIONS)
    assert rows[c.BASIS].unique().to_list() == ["ranked"]


@pytest.mark.parametrize(("clicked", "enough"), [(99, False), (100, True)])
def test_a_hundred_clicks_on_chance_slots_were_asked_for(clicked: int, enough: bool) -> None:
    assert (
        enough_chance(counts([("web", "search", "shuffled", 1, 500, clicked)]), OPTIONS) is enough
    )


def test_positions_deeper_than_any_seen_follow_the_last_one() -> None:
    web = curve(examination(counts(source("web", "shuffled", 0.2)), OPTIONS), "web")
    assert len(web) == OPTIONS.max_position
    assert set(web[POSITIONS:]) == {web[POSITIONS - 1]}


def test_a_platform_that_was_never_seen_takes_the_common_curve() -> None:
    rows = examination(counts(source("web", "shuffled", 0.2)), OPTIONS)
    assert curve(rows, "ios") == pytest.approx(curve(rows, "web"), rel=0.01)
    assert rows.filter(pl.col(c.PLATFORM) == "ios")["impressions"].sum() == 0


def test_without_a_click_every_position_counts_as_examined() -> None:
    rows = examination(counts([("web", "search", "shuffled", 2, 9, 0)]), OPTIONS)
    assert set(rows[c.P_EXAMINED]) == {1.0}


def test_a_tail_without_clicks_keeps_a_floor() -> None:
    rows = [
        ("web", "search", "shuffled", 1, 1000, 500),
        ("web", "search", "shuffled", 9, 1000, 0),
    ]
    assert curve(examination(counts(rows), OPTIONS), "web")[-1] == 0.01


cells = st.tuples(
    st.sampled_from(["web", "ios"]),
    st.sampled_from(["search", "catalogue"]),
    st.sampled_from(["shuffled", "explored", "ranked"]),
    st.integers(1, 30),
)


@settings(max_examples=60)
@given(st.dictionaries(cells, st.tuples(st.integers(1, 500), st.integers(0, 500))))
def test_p_examined_keeps_its_contract_falls_with_position_and_ignores_the_order_of_rows(
    found: dict[tuple[str, str, str, int], tuple[int, int]],
) -> None:
    rows = [(*cell, shown, min(shown, clicked)) for cell, (shown, clicked) in found.items()]
    result = conform(EXAMINATION, examination(counts(rows), OPTIONS))
    assert result.equals(conform(EXAMINATION, examination(counts(rows[::-1]), OPTIONS)))
    for place in result.partition_by(c.PLATFORM, c.SURFACE):
        assert place[c.P_EXAMINED][0] == 1.0
        assert place[c.P_EXAMINED].is_sorted(descending=True)
