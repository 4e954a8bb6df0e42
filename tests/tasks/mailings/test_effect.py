"""Effects worked by hand, and intervals that hold a known truth as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.mailings.effect import (
    UNKNOWN,
    coefficient,
    counts_by_tenth,
    difference_of_means,
    difference_of_shares,
    effects,
    qini,
    ratio_of_shares,
)

MAILINGS = 400


def audience(sent: list[int], control: list[int]) -> pl.DataFrame:
    """Return people, alternating in probability, of whom the given numbers did it, per tenth."""
    rows = [
        {"role": role, "seed_thing": place < did[tenth], "probability": 1 - tenth / 10}
        for tenth in range(10)
        for role, did in (("sent", sent), ("control", control))
        for place in range(10)
    ]
    whole = pl.DataFrame(rows).with_columns(
        pl.col("seed_thing").cast(pl.Int64).alias("orders"),
        (pl.col("seed_thing") * 100).cast(pl.Int64).alias("revenue"),
    )
    return whole.with_columns(pl.Series("user_id", [f"u{n:04d}" for n in range(len(rows))]))


def by(found: pl.DataFrame, metric: str, cut: str = "all") -> dict[str, Any]:
    return found.filter(metric=metric, cut=cut).row(0, named=True)


def test_the_difference_of_two_shares_is_newcombe_s() -> None:
    # Newcombe 1998, table II, case (a), method 10: 56/70 - 48/80 is 0.2, from 0.0524 to 0.3339.
    found = difference_of_shares((56, 70), (48, 80))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )


def test_the_ratio_of_two_shares_is_katz_s() -> None:
    found = ratio_of_shares((20, 100), (10, 100))
    half = 1.959964 * np.sqrt(1 / 20 - 1 / 100 + 1 / 10 - 1 / 100)
    assert found.value == pytest.approx(2 - 1)
    assert found.low == pytest.approx(2 * np.exp(-half) - 1)
    assert found.high == pytest.approx(2 * np.exp(half) - 1)


def test_the_difference_of_two_means_is_welch_s() -> None:
    found = difference_of_means(pl.Series([1, 2, 3]), pl.Series([0, 2]))
    half = 1.959964 * np.sqrt(1 / 3 + 2 / 2)
    assert found.value == 2 - 1
    assert (found.low, found.high) == (pytest.approx(1 - half), pytest.approx(1 + half))


def test_without_a_control_group_nothing_can_be_told() -> None:
    assert difference_of_shares((3, 10), (0, 0)) == UNKNOWN
    assert ratio_of_shares((3, 10), (0, 10)) == UNKNOWN
    assert difference_of_means(pl.Series([1, 2]), pl.Series([1])) == UNKNOWN
    alone = audience([5] * 10, [0] * 10).filter(role="sent")
    found = effects(alone, bootstraps=100, seed=1)
    assert found["effect"].null_count() == found.height
    assert set(found["control"]) == {0}


def test_effects_of_an_audience_worked_by_hand() -> None:
    # Sent: 4 of 10 in the first tenth, 1 of 10 in the others; control: 1 of 10 throughout.
    found = effects(audience([4] + [1] * 9, [1] * 10), bootstraps=100, seed=1)
    whole = by(found, "seed_thing")
    assert (whole["sent"], whole["control"]) == (100, 100)
    assert (whole["sent_value"], whole["control_value"]) == (0.13, 0.1)
    assert whole["effect"] == pytest.approx(0.03)
    assert by(found, "seed_thing_relative")["effect"] == pytest.approx(0.13 / 0.1 - 1)
    assert by(found, "buyers")["effect"] == pytest.approx(0.03)
    assert by(found, "revenue")["effect"] == pytest.approx((13 - 10) * 100 / 100)
    assert by(found, "uplift", "top 10%")["effect"] == pytest.approx(0.4 - 0.1)
    assert by(found, "uplift", "top 20%")["effect"] == pytest.approx(5 / 20 - 2 / 20)
    # Three people won, whichever top is written to, of 100 sent.
    assert [by(found, "qini", f"top {cut}%")["effect"] for cut in (10, 50, 100)] == pytest.approx(
        [0.03] * 3
    )
    # Above the line 0.003, 0.006 ... 0.03: 0.03 - 0.03 * 5.5 / 10.
    assert by(found, "qini_coefficient")["effect"] == pytest.approx(0.03 - 0.03 * 0.55)


def test_equal_people_in_another_order_give_equal_effects() -> None:
    people = audience([4, 3] + [1] * 8, [1] * 10)
    mixed = people.sample(fraction=1, shuffle=True, seed=3)
    assert effects(mixed, 100, 1).equals(effects(people, 100, 1))


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_a_letter_that_does_nothing_wins_nobody(did: list[int]) -> None:
    cells = counts_by_tenth(audience(did, did))
    assert np.allclose(qini(cells[None]), 0)
    assert np.allclose(coefficient(qini(cells[None])), 0)


def made(random: np.random.Generator, people: int = 1500) -> tuple[pl.DataFrame, float, float]:
    """Return an audience that a letter moves the more the more probable, its true effects."""
    p = np.sort(random.uniform(0.02, 0.2, people))[::-1]
    lift = 0.3 * p
    is_sent = random.random(people) < 0.8
    did = random.random(people) < p + lift * is_sent
    frame = pl.DataFrame(
        {
            "user_id": [f"u{n:05d}" for n in range(people)],
            "role": np.where(is_sent, "sent", "control"),
            "probability": p,
            "seed_thing": did,
            "orders": did * random.integers(1, 4, people),
        }
    ).with_columns((pl.col("orders") * 250).alias("revenue"))
    return frame, float(lift.mean()), float(lift.mean() * 2 * 250)


def test_intervals_hold_the_truth_nineteen_times_out_of_twenty() -> None:
    random = np.random.default_rng(11)
    held = {"seed_thing": 0, "revenue": 0}
    for _ in range(MAILINGS):
        people, share, revenue = made(random)
        found = effects(people, bootstraps=100, seed=1)
        for metric, truth in (("seed_thing", share), ("revenue", revenue)):
            row = by(found, metric)
            held[metric] += row["low"] <= truth <= row["high"]
    # 0.95 give or take four standard errors: 4 * sqrt(0.95 * 0.05 / 400) = 0.044.
    assert all(abs(count / MAILINGS - 0.95) <= 0.044 for count in held.values()), held
