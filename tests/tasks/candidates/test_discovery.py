"""What counts for discovery: long views, favourites, first days in a category; worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tasks import columns as c
from tasks.candidates.ease import touched
from tasks.candidates.generator import Requests
from tasks.candidates.interactions import weighted
from tasks.settings import Candidates, Discovery

DAY = date(2026, 3, 10)
ITEMS = pl.DataFrame({c.ITEM_ID: ["coat", "hat", "lamp"], c.CATEGORY: ["wear", "wear", "light"]})
ACTS = [
    ("e1", "coat", c.VIEW, 0, 45),
    ("e2", "hat", c.VIEW, 1, 29),
    ("e3", "lamp", c.VIEW, 1, 30),
    ("e4", "lamp", c.FAVORITE, 1, None),
    ("e5", "lamp", c.VIEW, 2, 10),
    ("e6", "gone", c.VIEW, 3, 5),
]


def events() -> pl.DataFrame:
    """One customer's acts `event_id, item_id, event_type, days later, dwell_seconds`."""
    start = datetime(2026, 3, 1, 9, tzinfo=UTC)
    rows = [
        ("u", item, kind, start + timedelta(days=days), event, dwell)
        for event, item, kind, days, dwell in ACTS
    ]
    names = [c.USER_ID, c.ITEM_ID, c.EVENT_TYPE, c.TS, c.EVENT_ID, c.DWELL_SECONDS]
    return pl.DataFrame(rows, schema=names, orient="row").sort(c.EVENT_ID, descending=True)


def found(column: str, **discovery: int) -> list[int]:
    options = Candidates(discovery=Discovery(long_view_seconds=30, **discovery))
    counted: list[int] = weighted(events(), ITEMS, options)[column].to_list()
    return counted


def test_by_default_everything_counts_once() -> None:
    assert found(c.TIMES) == [1] * 6
    assert found(c.WEIGHT) == [1, 1, 1, 2, 1, 1]


def test_a_view_is_long_from_the_declared_seconds_on() -> None:
    assert found(c.TIMES, long_view=3) == [3, 1, 3, 1, 1, 1]


def test_a_first_day_in_a_category_counts_unless_it_is_the_first_of_all() -> None:
    # The coat opens the first day; the hat is in its category; what left the catalogue has none.
    assert found(c.TIMES, new_category=4) == [1, 1, 4, 4, 1, 1]


def test_what_applies_together_multiplies_and_goes_into_the_weight() -> None:
    told = {"long_view": 3, "favorite": 2, "new_category": 4}
    assert found(c.TIMES, **told) == [3, 1, 3 * 4, 2 * 4, 1, 1]
    # A favourite weighs 2, a view 1.
    assert found(c.WEIGHT, **told) == [3, 1, 12, 2 * 8, 1, 1]


def test_ease_counts_an_act_so_many_times() -> None:
    options = Candidates(discovery=Discovery(long_view=3, new_category=4))
    acts = weighted(events(), ITEMS, options)
    asked = Requests(DAY, acts.select(c.USER_ID).unique(), acts)
    matrix = touched(asked, pl.Series(c.ITEM_ID, ["coat", "lamp"]), half_life_days=1e9)
    # Coat: one long view. Lamp: a long view and a favourite of the first day, and a later view.
    assert matrix.toarray()[0] == pytest.approx([3**0.5, (3 * 4 + 4 + 1) ** 0.5], rel=1e-6)
