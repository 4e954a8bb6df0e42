from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from tasks.errors import QualityGateFailed
from tasks.lake.contracts import conform
from tasks.lake.tables import THRESHOLD_CARDS
from tasks.lookalikes.calibration import fit_calibrator
from tasks.lookalikes.card import Judged, refusing_card, threshold_card
from tasks.lookalikes.classifier import chosen_ridge, fit_classifier
from tasks.lookalikes.judgement import (
    Estimate,
    auc_of,
    calibration_metrics,
    refuse_degenerate,
    wilson,
)
from tasks.lookalikes.people import Shown, shown_by_holders
from tasks.lookalikes.registry import Segment
from tasks.settings import Lookalikes

AUC = Estimate(0.8, 0.7, 0.9)


def test_auc_counts_pairs_in_order_and_ties_as_half() -> None:
    # Positives 3 and 1, negatives 2, 1 and 0: of 6 pairs 3>2, 3>1, 3>0, 1>0 and one tie, 1 = 1.
    scores, y = np.array([3.0, 1, 2, 1, 0]), np.array([1.0, 1, 0, 0, 0])
    assert auc_of(scores, y).value == pytest.approx((4 + 0.5) / 6)


def test_the_interval_of_the_auc_covers_one_half_for_noise_and_not_for_signal() -> None:
    generator = np.random.default_rng(3)
    y = (np.arange(2000) < 200) * 1.0
    noise = generator.random(2000)
    guessed, known = auc_of(noise, y), auc_of(noise + y, y)
    assert guessed.low < 0.5 < guessed.high
    assert known.low > 0.9
    assert known.high <= 1


def test_wilson_gives_known_intervals() -> None:
    # 0 of 10: (0, z^2 / (10 + z^2)); nothing to count: anything is possible.
    z2 = 1.959964**2
    low, high = wilson(np.array([0, 0]), np.array([10, 0]))
    assert low.tolist() == [0, 0]
    assert high == pytest.approx([z2 / (10 + z2), 1])


def test_a_constant_model_is_degenerate() -> None:
    with pytest.raises(QualityGateFailed, match="1 distinct probabilities for 100 people"):
        refuse_degenerate("bags", np.full(100, 0.1))


def test_two_or_three_values_are_degenerate_however_good_they_look() -> None:
    with pytest.raises(QualityGateFailed, match="at least 1,000 are expected"):
        refuse_degenerate("bags", np.tile([0.1, 0.2, 0.9], 5000))


def test_one_frequent_value_is_degenerate() -> None:
    mostly = np.concatenate([np.linspace(0.1, 0.9, 940), np.full(60, 0.05)])
    with pytest.raises(QualityGateFailed, match=r"shared by 6\.0% of the people"):
        refuse_degenerate("bags", mostly)
    refuse_degenerate("bags", mostly[:980])


def test_a_fifth_of_a_small_base_is_enough() -> None:
    refuse_degenerate("bags", np.repeat(np.linspace(0.1, 0.9, 20), 5))
    with pytest.raises(QualityGateFailed, match="19 distinct"):
        refuse_degenerate("bags", np.append(np.repeat(np.linspace(0.1, 0.9, 19), 5), [0.1] * 5))


def test_of_a_handful_each_with_a_value_of_its_own_nobody_is_degenerate() -> None:
    refuse_degenerate("bags", np.linspace(0.1, 0.9, 15))


def test_without_features_nobody_can_be_told_apart() -> None:
    with pytest.raises(QualityGateFailed, match="nobody has features"):
        refuse_degenerate("bags", np.array([]))


SCORES = st.lists(st.floats(-20, 20), min_size=3, max_size=40, unique=True)


@settings(max_examples=12)
@given(scores=SCORES, data=st.data())
def test_a_calibrator_never_ties_or_swaps_people(scores: list[float], data: st.DataObject) -> None:
    ordered = np.sort(np.array(scores))
    assume(np.min(np.diff(ordered)) > 1e-3)
    y = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(scores), max_size=len(scores)))
    )
    assume(0 < y.mean() < 1)
    calibrator = fit_calibrator(ordered, y)
    assert calibrator.a >= 0
    assert calibrator.b >= 0
    assert calibrator.a + calibrator.b > 0
    p = calibrator.probability(ordered)
    # Nearer to 0 and 1 doubles cannot tell probabilities apart any more.
    told_apart = p[(p > 1e-9) & (p < 1 - 1e-9)]
    assert np.all(np.diff(told_apart) > 0)


def test_calibration_finds_the_true_probabilities() -> None:
    generator = np.random.default_rng(8)
    score = generator.normal(size=60_000)
    truth = 1 / (1 + np.exp(-(0.5 * score - 3)))
    y = (generator.random(60_000) < truth) * 1.0
    p = fit_calibrator(score, y).probability(score)
    assert np.abs(p - truth).max() < 0.02
    judged = calibration_metrics(p, y)
    assert judged["calibration_slope"] == pytest.approx(1, abs=0.05)
    assert judged["observed_to_expected"] == pytest.approx(1, abs=0.02)
    assert judged["brier_skill"] > 0


def test_a_handful_of_seeds_moves_the_mean_and_hardly_the_slope() -> None:
    """Half of the low scores and half of the high ones did it: the order says nothing."""
    score, y = np.array([-1.0] * 8 + [1.0] * 8), np.array([1.0, 0.0] * 8)
    low, high = fit_calibrator(score, y).probability(np.array([-1.0, 1.0]))
    # The model's own: 1 / (1 + exp(1)) = 0.269 and 0.731.
    assert high - low == pytest.approx(0.731 - 0.269, abs=0.05)
    many = fit_calibrator(np.tile(score, 1000), np.tile(y, 1000))
    assert many.probability(np.array([-1.0, 1.0])) == pytest.approx([0.5, 0.5], abs=0.01)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(-3, 3), number=st.integers(0, 100))
def test_as_many_are_expected_as_were_seen(shift: float, number: int) -> None:
    generator = np.random.default_rng(number)
    score = generator.normal(shift, 1, 300)
    y = (generator.random(300) < 0.2) * 1.0
    assert fit_calibrator(score, y).probability(score).mean() == pytest.approx(y.mean(), abs=1e-5)


def test_the_classifier_gives_the_log_odds_of_a_two_by_two_table() -> None:
    x = np.array([[0.0]] * 4 + [[1.0]] * 4)
    fit = fit_classifier(x, np.array([1.0, 0, 0, 0, 1, 1, 1, 0]), ridge=1e-9)
    assert fit.intercept == pytest.approx(math.log(1 / 3), abs=1e-3)
    assert fit.coefficients == pytest.approx([math.log(9)], abs=1e-3)


def test_sparse_and_dense_columns_give_the_same_fit() -> None:
    generator = np.random.default_rng(4)
    x = generator.random((300, 6)) * (generator.random((300, 6)) < 0.3)
    y = (generator.random(300) < 0.4) * 1.0
    dense, sparse = (fit_classifier(given, y, ridge=10) for given in (x, csr_matrix(x)))
    assert sparse.coefficients == pytest.approx(dense.coefficients, abs=1e-5)


def test_noise_is_penalised_more_than_signal() -> None:
    generator = np.random.default_rng(6)
    x = csr_matrix(generator.random((600, 40)) * (generator.random((600, 40)) < 0.3))
    person = np.arange(600)
    noise = (generator.random(600) < 0.3) * 1.0
    odds = 8 * np.asarray(x[:, :5].sum(axis=1)).ravel() - 4
    signal = (generator.random(600) < 1 / (1 + np.exp(-odds))) * 1.0
    assert chosen_ridge(x, noise, person) > chosen_ridge(x, signal, person)


def judged() -> Judged:
    """A hundred people: 8 of the upper ten did it, 2 of the next ten, nobody else."""
    p = np.linspace(0.001, 0.1, 100)
    y = np.zeros(100)
    y[90:98] = 1
    y[80:82] = 1
    return Judged(p, y, AUC)


def test_a_card_counts_what_each_threshold_would_have_brought() -> None:
    today = np.concatenate([np.linspace(0.001, 0.1, 100)] * 2)
    card = conform(THRESHOLD_CARDS, threshold_card(today, judged(), Lookalikes()))
    tenth = card.filter(pl.col("audience_size") == 20).row(0, named=True)
    assert tenth["threshold"] == pytest.approx(0.091)
    assert tenth["precision"] == pytest.approx(8 / 10)
    assert tenth["recall"] == pytest.approx(8 / 10)
    assert tenth["lift"] == pytest.approx((8 / 10) / (10 / 100))
    assert tenth["expected_buyers"] == pytest.approx(20 * 8 / 10)
    assert tenth["expected_low"] == pytest.approx(20 * tenth["precision_low"])
    everybody = card.filter(pl.col("audience_size") == 200).row(0, named=True)
    assert everybody["precision"] == everybody["base_rate"] == pytest.approx(0.1)
    assert everybody["recall"] == 1
    assert card["audience_size"].is_sorted(descending=True)


def test_sure_has_the_surest_precision_and_wide_reaches_more_buyers() -> None:
    today = np.linspace(0.001, 0.1, 1000)
    card = threshold_card(today, judged(), Lookalikes(wide_recall=0.9))
    sure, wide = (
        card.filter(pl.col("suggestion") == kind).row(0, named=True) for kind in ("sure", "wide")
    )
    assert sure["audience_size"] == 100
    assert sure["precision_low"] == card["precision_low"].max()
    assert wide["audience_size"] == 200
    assert wide["recall"] == 1


def test_a_card_without_better_than_average_audiences_suggests_nothing() -> None:
    same = Judged(np.linspace(0.001, 0.1, 100), np.tile([0.0, 1.0], 50), AUC)
    card = threshold_card(same.p, same, Lookalikes())
    assert card["suggestion"].null_count() == card.height


def test_a_refusing_card_selects_nobody_and_says_why() -> None:
    card = conform(THRESHOLD_CARDS, refusing_card("too few", "3 people", None))
    assert card.select("threshold", "audience_size", "verdict", "reason").row(0) == (
        1,
        0,
        "too few",
        "3 people",
    )


def test_an_expected_buyer_costs_what_reaching_so_many_people_costs() -> None:
    today = np.concatenate([np.linspace(0.001, 0.1, 100)] * 2)
    priced = threshold_card(today, judged(), Lookalikes(contact_price=0.4))
    tenth = conform(THRESHOLD_CARDS, priced).filter(audience_size=20).row(0, named=True)
    # 10 people at 0.4 each, of whom 8 buy.
    assert tenth["cost_per_buyer"] == pytest.approx(10 * 0.4 / 8)
    assert tenth["cost_per_buyer_low"] == pytest.approx(0.4 / tenth["precision_high"])
    assert tenth["cost_per_buyer_high"] == pytest.approx(0.4 / tenth["precision_low"])
    assert threshold_card(today, judged(), Lookalikes()).schema["cost_per_buyer"] == pl.Float64
    assert threshold_card(today, judged(), Lookalikes())["cost_per_buyer"].is_null().all()


def test_the_simple_rule_is_judged_beside_as_many_of_the_most_probable() -> None:
    by_rule = np.zeros(100, bool)
    by_rule[[3, 50, 81, 95]] = True
    beside = replace(judged(), by_rule=by_rule)
    card = conform(THRESHOLD_CARDS, threshold_card(beside.p, beside, Lookalikes(), rule_size=7))
    first = card.row(0, named=True)
    assert first["rule_size"] == 7
    assert first["rule_precision"] == pytest.approx(2 / 4)
    assert first["rule_recall"] == pytest.approx(2 / 10)
    # Places 96 to 99 are the most probable four, of which the last two did nothing.
    assert first["rule_matched_precision"] == pytest.approx(2 / 4)
    # Wilson's interval of 2 of 4, whose middle is a half.
    half = 1.959964 * np.sqrt(1 / 16 + 1.959964**2 / 64) / (1 + 1.959964**2 / 4)
    assert first["rule_matched_precision_low"] == pytest.approx(1 / 2 - half)
    assert first["rule_matched_precision_high"] == pytest.approx(1 / 2 + half)
    assert first["rule_matched_recall"] == pytest.approx(2 / 10)
    without = threshold_card(beside.p, judged(), Lookalikes())
    assert without["rule_size"].is_null().all()


def test_a_rule_that_took_nobody_of_the_later_window_still_says_whom_it_takes_today() -> None:
    beside = replace(judged(), by_rule=np.zeros(100, bool))
    card = conform(THRESHOLD_CARDS, threshold_card(beside.p, beside, Lookalikes(), rule_size=7))
    first = card.row(0, named=True)
    assert (first["rule_size"], first["rule_recall"], first["rule_matched_recall"]) == (7, 0, 0)
    for of in ("rule_precision", "rule_matched_precision"):
        assert [first[f"{of}{side}"] for side in ("", "_low", "_high")] == [None, None, None]


def test_a_lasting_trait_is_there_more_often_than_it_is_shown() -> None:
    # Of 200 who had shown it, 50 show it again in a horizon: a quarter of all who have it.
    lasting = replace(judged(), shown=Shown(50, 200))
    card = conform(THRESHOLD_CARDS, threshold_card(lasting.p, lasting, Lookalikes()))
    everybody = card.filter(audience_size=100).row(0, named=True)
    assert everybody["shown_share"] == pytest.approx(50 / 200)
    assert everybody["trait_share"] == pytest.approx((10 / 100) / (50 / 200))
    low, high = (float(bound[0]) for bound in wilson(np.array([50]), np.array([200])))
    assert everybody["trait_share_low"] == pytest.approx(everybody["precision_low"] / high)
    assert everybody["trait_share_high"] == pytest.approx(everybody["precision_high"] / low)
    upper = card.filter(audience_size=10).row(0, named=True)
    assert upper["trait_share"] == 1
    same = threshold_card(lasting.p, judged(), Lookalikes())
    assert set(same["threshold"]) == set(card["threshold"])
    assert same["trait_share"].is_null().all()


def test_who_has_shown_a_lasting_trait_and_shows_it_again() -> None:
    lasting = Segment("s", "me", "did it", 5, 1, 3, lasting_trait=True)
    # By 10 March: a, b, c within five days, d before; then a in the horizon, b after it, e anew.
    days = {"a": (6, 11), "b": (10, 14), "c": (8,), "d": (5, 11), "e": (12,)}
    seeds = pl.DataFrame(
        [(user, date(2026, 3, day)) for user, acts in days.items() for day in acts],
        schema={"user_id": pl.String, "day": pl.Date},
        orient="row",
    )
    assert shown_by_holders(seeds, date(2026, 3, 10), lasting) == Shown(again=1, holders=3)
    assert shown_by_holders(seeds, date(2026, 3, 4), lasting) is None
    changing = replace(lasting, lasting_trait=False)
    assert shown_by_holders(seeds, date(2026, 3, 10), changing) is None
