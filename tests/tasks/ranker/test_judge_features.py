from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.__main__ import main
from tasks.errors import InputNotReady, WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.landing.manifest import write_landing_day
from tasks.ranker.features import NAMES
from tasks.ranker.judgement import (
    ARMS,
    HARMS,
    HELPS,
    MARKS,
    UNSURE,
    Judgement,
    column,
    enough,
    judged,
    judgement,
    sets_of,
    strata,
    with_told,
)
from tasks.ranker.measure import Interval
from tasks.settings import Settings
from tests.ranking import LAST, drawn_groups

DAY = date(2026, 3, 10)
CUSTOMERS = 270


def shop(seed: int = 3) -> pl.DataFrame:
    """270 customers, a list a day each: thirds of 1, 10 or 30 views, of those 0, 1 or 2 orders."""
    groups = drawn_groups(seed, days=4, per_day=CUSTOMERS, steepness=0.0)
    number = pl.col("group_id").rle_id().cast(pl.Int64) % CUSTOMERS
    random = np.random.default_rng(seed + 1)
    is_late = pl.col("listing_day") >= LAST - timedelta(days=1)
    return groups.with_columns(
        pl.format("u{}", number).alias("user_id"),
        (number % 3).replace_strict({0: 1, 1: 10, 2: 30}).cast(pl.Float32).alias("user_views_30"),
        (number // 3 % 3).cast(pl.Float32).alias("user_orders_30"),
        pl.lit(1, pl.Float32).alias("price_to_user"),
        pl.Series("facet_colour", random.random(groups.height), dtype=pl.Float32),
        is_measured=is_late,
        is_trained=pl.col("listing_day") < LAST,
    )


def carted(groups: pl.DataFrame, odds: pl.Expr) -> pl.DataFrame:
    chance = np.random.default_rng(11).random(groups.height)
    likely = 1 / (1 + (-odds).exp())
    return groups.with_columns((pl.Series(chance) < likely).cast(pl.Int64).alias("label"))


BRAND, COLOUR = pl.col("facet_brand"), pl.col("facet_colour")
ACTIVE = pl.col("user_views_30") == 30


@pytest.fixture(scope="module")
def useful() -> pl.DataFrame:
    """Everybody puts brands and colours that they like into the cart."""
    return carted(shop(), 4 * BRAND + 8 * COLOUR - 8)


@pytest.fixture(scope="module")
def marking() -> pl.DataFrame:
    """The active like a brand, the rest its contrary: who is active tells how to order."""
    return carted(shop(), 8 * pl.when(ACTIVE).then(BRAND).otherwise(1 - BRAND) - 6)


def of(groups: pl.DataFrame, names: str, settings: Settings, fits: int = 3) -> Judgement:
    (one,) = judged(groups.lazy(), sets_of(names), settings, fits).judgements
    return one


def test_a_useful_feature_is_found_in_every_stratum(useful: pl.DataFrame, quick: Settings) -> None:
    found = of(useful, "facet_colour", quick)
    assert found.verdict == HELPS
    assert found.strata["customers"].sum() > 250
    assert found.strata.height == 9
    assert found.strata["gain low"].min() > 0


def test_what_only_marks_the_active_is_told_so(marking: pl.DataFrame, quick: Settings) -> None:
    found = of(marking, "user_views_30", quick)
    assert found.gain.low > 0.05
    assert abs(found.equals.value) < 0.01
    assert found.verdict == MARKS


def test_who_looks_like_the_active_within_the_active_still_counts(
    marking: pl.DataFrame, quick: Settings
) -> None:
    """The same world, judged by what it really goes by: no activity tells the brand."""
    assert of(marking, "facet_brand", quick).verdict == HELPS


def test_noise_is_not_called_a_help(useful: pl.DataFrame, quick: Settings) -> None:
    assert of(useful, "item_views_7", quick).verdict in {UNSURE, HARMS}


def test_the_same_groups_in_any_order_give_the_same_judgement(
    useful: pl.DataFrame, quick: Settings
) -> None:
    shuffled = useful.sample(fraction=1, shuffle=True, seed=5)
    one, other = (of(rows, "facet_colour,sf_pos", quick, 2) for rows in (useful, shuffled))
    assert one.strata.equals(other.strata)
    assert (one.gain, one.equals, one.lost) == (other.gain, other.equals, other.lost)


def test_activity_and_spend_are_of_the_day_before_and_nothing_known_is_nothing() -> None:
    rows = pl.DataFrame(
        {
            "group_id": ["g", "g", "g", "h"],
            "user_views_30": [5.0] * 3 + [None],
            "user_carts_30": [3.0] * 3 + [None],
            "user_orders_30": [2.0] * 3 + [None],
            "item_price": [500.0, 1500.0, 0.0, 100.0],
            "price_to_user": [0.5, 1.5, 0.0, None],
        }
    )
    found = with_told(rows)
    assert found["activity"].to_list() == [5 + 3 + 2] * 3 + [0]
    assert found["spend"].to_list() == [2 * 1000] * 3 + [0]


def test_strata_are_thirds_by_activity_in_thirds_by_spend_equal_values_together() -> None:
    spend = [1, 2, 3, 0, 0, 5, 9, 9, 9]
    people = pl.DataFrame(
        {
            "group_id": [f"g{n}" for n in range(10)],
            "user_id": [f"u{n}" for n in range(10)],
            "activity": [*range(9), 1000],
            "spend": [*spend, 0],
            "label": [1] * 9 + [0],
        }
    )
    found = strata(people)
    assert found["user_id"].to_list() == [f"u{n}" for n in range(9)]
    expected = ["1 of 3", "2 of 3", "3 of 3", "1 of 2", "1 of 2", "2 of 2", *["1 of 1"] * 3]
    assert found["stratum"].to_list() == [
        f"activity {n // 3 + 1} of 3, spend {third}" for n, third in enumerate(expected)
    ]


def lists(stratum: str, customers: int, each: int, *arms: float) -> pl.DataFrame:
    """`each` lists of each customer, all alike."""
    ids = [f"{stratum}{n // each}" for n in range(customers * each)]
    return pl.DataFrame(
        {
            "group_id": [f"{stratum}.{n}" for n in range(customers * each)],
            "user_id": ids,
            "stratum": stratum,
            **{column(arm, 0): value for arm, value in zip(ARMS, arms, strict=True)},
        }
    )


def test_strata_weigh_alike_however_many_lists_they_have() -> None:
    many = lists("many", 10, 3, 0.5, 0.6, 0.7, 0.7)
    few = lists("few", 10, 1, 0.5, 0.5, 0.7, 0.71)
    found = judgement("x", pl.concat([many, few]), fits=1, draws=200, seed=1)
    assert found.gain.value == pytest.approx((30 * 0.1 + 10 * 0.0) / 40)
    assert found.equals.value == pytest.approx((0.0 + 0.01) / 2)
    assert found.lost.value == pytest.approx(((0.1 - 0.0) + (0.0 - 0.01)) / 2)
    assert found.strata["lists"].to_list() == [10, 30]


def test_a_stratum_of_few_customers_is_left_out_and_none_is_an_error() -> None:
    many, few = lists("a", 10, 1, 0.5, 0.6, 0.5, 0.6), lists("b", 9, 1, 0.5, 0.9, 0.5, 0.9)
    found = judgement("x", pl.concat([many, few]), fits=1, draws=200, seed=1)
    assert found.strata["stratum"].to_list() == ["a"]
    assert found.equals.value == pytest.approx(0.1)
    with pytest.raises(InputNotReady, match="none of 1 strata has 10 customers with a cart, 9 in"):
        enough(few.select("user_id", "stratum"))


@pytest.mark.parametrize(
    ("gain", "equals", "lost", "verdict"),
    [
        ((0.01, 0.03), (0.01, 0.03), (-0.01, 0.01), HELPS),
        ((0.01, 0.03), (0.01, 0.03), (0.01, 0.02), HELPS),
        ((0.01, 0.03), (-0.01, 0.01), (0.01, 0.02), MARKS),
        # Nothing sure at equal activity, but nothing surely lost either: too few customers.
        ((0.01, 0.03), (-0.01, 0.05), (-0.02, 0.02), UNSURE),
        ((-0.01, 0.03), (0.01, 0.03), (-0.02, 0.02), UNSURE),
        ((-0.03, -0.01), (-0.01, 0.03), (-0.02, 0.02), HARMS),
    ],
)
def test_a_verdict_goes_by_what_is_sure(
    gain: tuple[float, float],
    equals: tuple[float, float],
    lost: tuple[float, float],
    verdict: str,
) -> None:
    found = (Interval(sum(bounds) / 2, *bounds) for bounds in (gain, equals, lost))
    assert Judgement("x", *found, pl.DataFrame()).verdict == verdict


def test_by_default_every_feature_is_judged_with_its_family() -> None:
    found = sets_of(None)
    assert found["time"] == ("listing_hour", "listing_weekday")
    assert sorted(name for names in found.values() for name in names) == sorted(NAMES)


def test_a_wrong_name_is_told_with_those_like_it() -> None:
    with pytest.raises(WrongCall, match=r"no feature 'facet_brnd' of \d+; there are facet_brand"):
        sets_of("sf_pos,facet_brnd")
    with pytest.raises(WrongCall, match="without all features there is no ranker"):
        sets_of(",".join(NAMES))
    assert sets_of("sf_pos, sf_pos") == {"sf_pos": ("sf_pos",)}


def test_the_command_prints_gains_strata_and_a_sentence(
    useful: pl.DataFrame, quick: Settings, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_landing_day(quick.landing, DAY, {}, "test")
    Lake(quick).write_day(RANKING_GROUPS, DAY, useful)
    variables = {"HOME": str(quick.home), "MLFLOW_URL": "", "MIN_FREE_GB": "0",
                 "RANKER__ITERATIONS": "40"}  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"VITRINA_{name}", value)
    asked = ["judge-features", "--day", str(DAY), "--fits", "2", "--features"]
    assert main([*asked, "facet_colour"]) == 0
    said = capsys.readouterr().out
    assert f"Judged on the lists of {LAST - timedelta(days=1)}" in said
    assert "activity 3 of 3, spend 2 of 3" in said
    assert "It helps, among customers of equal activity and spend too." in said
    assert main([*asked, "facet_color"]) == 2
    assert "no feature 'facet_color'" in capsys.readouterr().err
