"""The slow decline of the gate's benchmark: its widths, its noise, what goes live."""

from __future__ import annotations

import pytest

from tasks.ranker import evaluation as ev
from tests.benchmarks import bench_gate as gate
from tests.ranking import LAST, drawn_groups

VERDICTS = {
    "nothing is wrong, no model before": "pass",
    "shuffled labels": "refused",
    "leaked label": "too good",
    "label leaked into 50% of rows": "too good",
    "tie with the accepted model": "pass",
    "accepted model lost": "pass",
    "20 customers on each held-out day": "undecided",
    "20 customers on the newest day alone": "pass",
    "one feature carries everything": "too good",
}


@pytest.mark.parametrize("name", gate.CASES)
def test_every_tampered_night_gets_its_verdict(name: str) -> None:
    assert gate.case(gate.CASES[name]).decision.verdict == VERDICTS[name]


def test_small_losses_go_live_until_they_add_up_to_more_than_the_margin_in_14_days() -> None:
    """0.3% of the first NDCG a night, each step within the margin."""
    wide = gate.lists_of(gate.CALIBRATED_ON, seed=0)
    noises = gate.noises_of([gate.DECLINE * number for number in range(15)], wide)
    *steps, last = gate.declined(10_000, noises)
    assert {one.decision.verdict for one in steps} == {"pass"}
    assert last.comparisons[ev.INCUMBENT].verdict(0.005) == "pass"
    assert (last.number, last.decision.verdict) == (14, "refused")
    assert "against live 14 days ago" in last.decision.reason


def test_widths_that_decide_on_a_decline_are_those_where_the_gate_turns() -> None:
    """0.3% of 0.8 a night is 0.0024, of 14 nights 0.0336; the margin is 0.005."""
    limits = gate.limits(0.8)
    step, refused = limits["a step passes below"], limits["14 steps are refused up to"]
    assert (step, refused) == (pytest.approx(0.0052), pytest.approx(0.0572))
    assert [gate.at_width(0.0024, step + more) for more in (-1e-6, 1e-6)] == ["pass", "undecided"]
    told = [gate.at_width(0.0336, refused + more) for more in (-1e-6, 1e-6)]
    assert told == ["refused", "undecided"]


def test_noise_loses_the_share_that_it_was_asked_to_lose() -> None:
    lists = gate.lists_of(2_000, seed=1)
    (none, some) = gate.noises_of([0.0, 0.05], lists)
    assert none == 0.0
    lost = 1 - gate.mean_ndcg(lists, some) / gate.mean_ndcg(lists, 0.0)
    assert lost == pytest.approx(0.05, abs=0.003)
    with pytest.raises(ValueError, match="only, not 90"):
        gate.noises_of([0.9], lists)


def test_a_model_that_does_not_pass_does_not_go_live() -> None:
    """A loss of a tenth in one night: refused against the first model on every night after."""
    lists = gate.lists_of(2_000, seed=1)
    noises = gate.noises_of([0.0, *[0.1] * gate.NIGHTS], lists)
    nights = gate.declined(1_000, noises)
    assert {one.decision.verdict for one in nights} == {"refused"}
    assert ev.LIVE_BEFORE not in nights[12].comparisons
    assert nights[13].comparisons[ev.LIVE_BEFORE].gain.high < -0.03


def test_every_night_of_the_decline_has_lists_of_its_own_customers() -> None:
    lists = gate.lists_of(50, seed=2)
    assert lists["user_id"].n_unique() == 50
    assert lists["listing_day"].unique().to_list() == [LAST]
    assert drawn_groups(2, days=1, per_day=50)["label"].sum() == lists["label"].sum()
