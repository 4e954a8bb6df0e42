"""Which pieces the history has before Airflow's first run."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tasks.errors import InputNotReady
from tasks.settings import Settings
from vitrina_airflow.history import deliveries, derived, load_history

FIRST, LAST = date(2026, 3, 2), date(2026, 3, 20)
THURSDAYS = [date(2026, 3, day) for day in (5, 12, 19)]


def days_of(dag: str, listing_days: int, first: date = FIRST) -> list[date]:
    return [piece.day for piece in derived(first, LAST, listing_days) if piece.dag == dag]


def test_every_day_s_delivery_is_taken_in() -> None:
    pieces = deliveries(FIRST, LAST)
    assert [piece.day for piece in pieces] == [FIRST + timedelta(days=n) for n in range(19)]
    assert {(piece.dag, piece.steps) for piece in pieces} == {("build_features", ("ingest",))}


@pytest.mark.parametrize("dag", ["build_features", "compute_facet_weights"])
def test_the_days_before_the_listings_have_features_and_facets(dag: str) -> None:
    assert days_of(dag, 8) == [date(2026, 3, day) for day in range(12, 21)]


def test_candidates_are_fitted_on_thursdays_from_a_week_before_the_listings() -> None:
    assert days_of("train_candidates", 8) == THURSDAYS
    assert days_of("train_candidates", 7) == THURSDAYS[1:]


def test_candidates_come_first_since_they_take_longest() -> None:
    dags = [piece.dag for piece in derived(FIRST, LAST, 8)]
    assert dags[:3] == ["train_candidates"] * 3
    assert "train_candidates" not in dags[3:]


def test_nothing_is_derived_for_days_before_the_shop_s_first() -> None:
    first = date(2026, 3, 18)
    assert days_of("build_features", 8, first) == [date(2026, 3, day) for day in (18, 19, 20)]
    assert days_of("train_candidates", 8, first) == [date(2026, 3, 19)]


def test_a_piece_is_titled_by_its_one_step_or_its_dag() -> None:
    titles = {piece.title for piece in derived(LAST, LAST, 0)}
    assert titles == {"2026-03-20 build_features", "2026-03-20 write_user_facets"}


def test_a_delivery_that_is_absent_ends_the_history_with_its_error(settings: Settings) -> None:
    with pytest.raises(InputNotReady):
        load_history(FIRST, FIRST, 1, settings)
