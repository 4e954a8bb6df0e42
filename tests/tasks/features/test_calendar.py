from __future__ import annotations

from datetime import UTC, date, datetime

from tasks.features.calendar import calendar

DAY = date(2026, 3, 1)


def test_the_day_itself_is_of_age_0_and_the_day_before_of_age_1() -> None:
    rows = calendar(DAY, 2).rows(named=True)
    assert [(row["day"], row["age_days"]) for row in rows] == [(DAY, 0), (date(2026, 2, 28), 1)]


def test_a_day_is_from_midnight_to_midnight_in_utc() -> None:
    row = calendar(DAY, 1).row(0, named=True)
    assert row["starts_at"] == datetime(2026, 3, 1, tzinfo=UTC)
    assert row["ends_at"] == datetime(2026, 3, 2, tzinfo=UTC)


def test_decay_is_an_integer_that_halves_in_a_half_life() -> None:
    assert calendar(DAY, 15, half_life=7)["decay_ppm"][[0, 7, 14]].to_list() == [
        1_000_000,
        500_000,
        250_000,
    ]
