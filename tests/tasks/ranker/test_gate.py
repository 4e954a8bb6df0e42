from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.ranker.gate import (
    LEAST_MAD,
    Comparison,
    Decision,
    Evidence,
    Limits,
    confirm_refit,
    decide,
    highest_expected_gain,
)
from tasks.ranker.measure import Interval

LIMITS = Limits(
    margin=0.005,
    min_customers=30,
    mads=6.0,
    share=0.9,
    diversity_low=0.7,
    price_low=0.75,
    price_high=1.33,
    refit_correlation=0.95,
)


def against(name: str, value: float, low: float, high: float) -> Comparison:
    return Comparison(name, Interval(value, low, high), -0.005 if name == "incumbent" else 0.0)


BEATS_BASES = (against("sf_pos", 0.03, 0.01, 0.05), against("popularity", 0.08, 0.05, 0.11))
GOOD = Evidence(customers=500, comparisons=BEATS_BASES, gain=0.03)


def verdict_with(*comparisons: Comparison) -> str:
    return decide(replace(GOOD, comparisons=(*BEATS_BASES, *comparisons)), LIMITS).verdict


def test_without_an_incumbent_segment_ranking_and_popularity_decide() -> None:
    decision = decide(GOOD, LIMITS)
    assert decision.verdict == "pass"
    assert "+0.0300 [+0.0100, +0.0500] against sf_pos" in decision.reason


def test_only_without_a_live_model_does_the_reason_say_that_none_is_older() -> None:
    alone = "The registry has no accepted model older"
    assert alone in decide(GOOD, LIMITS).reason
    for name in ("incumbent", "live 14 days ago"):
        live = Comparison(name, Interval(0.01, 0.004, 0.016), 0.0)
        told = decide(replace(GOOD, comparisons=(*BEATS_BASES, live)), replace(LIMITS, margin=0.0))
        assert (told.verdict, alone in told.reason) == ("pass", False)


def test_a_base_order_without_a_value_is_refused_and_so_is_nothing_at_all() -> None:
    """A join that came apart leaves nulls: silence would let the model pass on what is left."""
    alone = replace(GOOD, comparisons=BEATS_BASES[1:], absent=("sf_pos",))
    told = decide(alone, LIMITS)
    assert (told.verdict, "no held-out row has a value of sf_pos" in told.reason) == (
        "refused",
        True,
    )
    assert decide(replace(GOOD, comparisons=()), LIMITS).verdict == "refused"


def test_a_tie_with_the_incumbent_passes_and_a_tie_with_segment_ranking_does_not() -> None:
    assert verdict_with(against("incumbent", 0.0, 0.0, 0.0)) == "pass"
    assert verdict_with(against("sf_pos", 0.0, 0.0, 0.0)) == "refused"


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.001, -0.004, 0.006, "pass"),  # low > -margin
        (-0.001, -0.009, 0.007, "undecided"),  # 0.016 wide: more days may tell
        (-0.004, -0.006, -0.002, "refused"),  # 0.004 wide: more days would not help
        (-0.020, -0.030, -0.010, "refused"),  # wide, but surely worse by more than the margin
    ],
)
def test_against_the_incumbent_the_interval_decides(
    value: float, low: float, high: float, verdict: str
) -> None:
    assert verdict_with(against("incumbent", value, low, high)) == verdict


def test_a_model_of_shuffled_labels_is_refused_by_name() -> None:
    worse = (against("sf_pos", -0.05, -0.08, -0.02), against("popularity", 0.01, -0.02, 0.04))
    decision = decide(replace(GOOD, comparisons=worse), LIMITS)
    assert decision.verdict == "refused"
    assert "sf_pos" in decision.reason
    assert "popularity" not in decision.reason


def test_a_day_of_few_customers_decides_nothing() -> None:
    assert decide(replace(GOOD, customers=29), LIMITS).verdict == "undecided"
    none = decide(Evidence(0, (), 0.0), LIMITS)
    assert none.verdict == "undecided"
    assert "no carts" in none.reason


def test_one_feature_that_carries_everything_is_too_good() -> None:
    leak = replace(GOOD, top_feature="pair_carts_30", top_share=0.9)
    decision = decide(leak, LIMITS)
    assert decision.verdict == "too good"
    assert "pair_carts_30" in decision.reason


def test_a_gain_far_above_past_ones_is_too_good() -> None:
    past = (0.030, 0.031, 0.029, 0.033, 0.027, 0.030, 0.034)
    # Median 0.030; deviations 0, .001, .001, .003, .003, 0, .004: median .001, so 0.002 counts.
    ceiling = 0.030 + 6 * LEAST_MAD
    assert highest_expected_gain(past, 6.0) == pytest.approx(ceiling)
    assert (
        decide(replace(GOOD, gain=ceiling + 0.001, past_gains=past), LIMITS).verdict == "too good"
    )
    assert decide(replace(GOOD, gain=ceiling, past_gains=past), LIMITS).verdict == "pass"


def test_six_past_gains_are_too_few_to_call_one_too_good() -> None:
    assert highest_expected_gain((0.03,) * 6, 6.0) is None


def test_a_reason_lets_a_model_that_is_too_good_pass_and_is_recorded() -> None:
    leak = replace(GOOD, top_feature="pair_carts_30", top_share=0.95)
    decision = decide(leak, LIMITS, accept_reason="checked by hand: repeats week")
    assert decision.verdict == "pass"
    assert "checked by hand: repeats week" in decision.reason


def test_a_reason_does_not_let_a_worse_model_pass() -> None:
    worse = replace(GOOD, comparisons=(against("sf_pos", -0.05, -0.08, -0.02),))
    assert decide(worse, LIMITS, accept_reason="please").verdict == "refused"


@pytest.mark.parametrize(
    ("diversity", "price", "verdict"),
    [
        (0.7, 1.0, "pass"),
        (0.69, 1.0, "refused"),
        (1.0, 0.74, "refused"),
        (1.0, 1.34, "refused"),
        (None, None, "pass"),
    ],
)
def test_a_top_outside_the_bands_is_refused(
    diversity: float | None, price: float | None, verdict: str
) -> None:
    evidence = replace(GOOD, diversity_ratio=diversity, price_ratio=price)
    assert decide(evidence, LIMITS).verdict == verdict


def test_a_refit_unlike_the_judged_model_is_refused() -> None:
    passed = Decision("pass", "better")
    assert confirm_refit(passed, 0.95, LIMITS) == passed
    refused = confirm_refit(passed, 0.949, LIMITS)
    assert refused.verdict == "refused"
    assert "0.949" in refused.reason


def test_a_slow_decline_within_the_margin_each_day_is_caught_by_the_model_of_14_days_ago() -> None:
    # 0.3% of NDCG 0.4 a day: 0.0012 below yesterday, 14 x 0.0012 = 0.0168 below the old model.
    daily = against("incumbent", -0.0012, -0.0030, 0.0006)
    assert verdict_with(daily) == "pass"
    old = Comparison("live 14 days ago", Interval(-0.0168, -0.0200, -0.0136), -0.005)
    assert verdict_with(daily, old) == "refused"
