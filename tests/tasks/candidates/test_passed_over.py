"""What was passed over, its draws, the losses with it and with counted targets; worked by hand."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, timedelta
from math import log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tasks import columns as c
from tasks.candidates.epochs import beside_of
from tasks.candidates.generator import Known, Requests, Run
from tasks.candidates.losses import (
    NOTHING_BESIDE,
    Beside,
    Loss,
    Negatives,
    cosine,
    full_softmax,
    gbce,
    sampled_softmax,
)
from tasks.candidates.passed_over import PER_WINDOW, Drawn, drawn_by, passed_over
from tasks.candidates.sasrec import SASRec, name_of
from tasks.candidates.validation import held_out
from tasks.candidates.windows import NOTHING, TIMES, sequences, usual_times
from tasks.errors import ContractViolation
from tasks.settings import Candidates, PassedOver, SASRecOptions, Settings

DAY = date(2026, 3, 31)
SHOWN = [c.USER_ID, c.ITEM_ID, c.DT, c.EXAMINED_PPM, c.IS_TOUCHED]


def shown(*rows: tuple[str, str, int, int, bool], day: date = DAY) -> pl.DataFrame:
    """Rows `user, item, age in days, examined_ppm, is_touched`."""
    dated = [(who, what, day - timedelta(days=age), *rest) for who, what, age, *rest in rows]
    return pl.DataFrame(dated, schema=SHOWN, orient="row")


def knowing(frame: pl.DataFrame | None) -> Known:
    users = pl.DataFrame({c.USER_ID: ["u", "v", "w"]})
    return Known(DAY, pl.DataFrame(), pl.DataFrame(), users, shown=frame)


ROWS = shown(
    ("u", "a", 0, 500_000, False),
    ("u", "a", 2, 400_000, False),
    ("u", "a", 3, 999_999, False),  # before the window of three days
    ("u", "b", 1, 500_000, False),
    ("u", "b", 0, 0, True),  # looked at on another day
    ("u", "d", 1, 300_000, False),
    ("w", "b", 2, 700_000, False),
    ("w", "b", 3, 0, True),  # looked at before the window
)
THREE_DAYS = PassedOver(share=0.5, days=3)


def test_passed_over_is_shown_and_examined_and_not_touched_in_the_window() -> None:
    assert passed_over(knowing(ROWS), THREE_DAYS).rows() == [
        ("u", "a", 500_000 + 400_000),
        ("u", "d", 300_000),
        ("w", "b", 700_000),
    ]


def test_negatives_of_what_nobody_knows_are_refused() -> None:
    with pytest.raises(ContractViolation, match=r"SHARE is 0\.5, but nothing is known of what was"):
        passed_over(knowing(None), THREE_DAYS)


def test_what_was_passed_over_is_drawn_in_proportion_for_the_user_of_each_window() -> None:
    # Windows of u, v, w, u; d is not in the catalogue, and v passed nothing over.
    ids = pl.Series(c.ITEM_ID, ["a", "b"])
    rows = pl.concat([ROWS, shown(("w", "a", 0, 300_000, False))])
    drawn = drawn_by(knowing(rows), np.array([0, 1, 2, 0]), ids, THREE_DAYS)
    assert drawn is not None
    torch.manual_seed(3)
    places = torch.stack([drawn.draw(np.array([0, 1, 2, 3])) for _ in range(500)])
    assert places.shape == (500, 4, PER_WINDOW)
    assert (places[:, [0, 3]] == 0).all()
    assert (places[:, 1] == NOTHING).all()
    # w: a weighs 0.3, b 0.7; four standard errors of 8,000 draws.
    assert (places[:, 2] == 1).float().mean().item() == pytest.approx(0.7, abs=0.021)
    # Half of all negatives' weight: as much as all others.
    assert drawn.weight == 1


def test_nothing_is_drawn_where_the_share_is_0() -> None:
    ids = pl.Series(c.ITEM_ID, ["a"])
    assert drawn_by(knowing(ROWS), np.array([0]), ids, PassedOver()) is None


# Losses: three items, all logits 0, item 0 is wanted, 1 and 2 are drawn.

STATES, WANTED, THREE, BIAS = (
    torch.zeros(1, 1),
    torch.tensor([0]),
    torch.zeros(3, 1),
    torch.zeros(3),
)


def drawing(*places: int) -> Negatives:
    negatives = Negatives(torch.full((3,), 1 / 3).log(), "uniform", len(places))
    negatives.draw = lambda: torch.tensor(places)
    return negatives


def beside(*places: int) -> Beside:
    return Beside(passed=torch.tensor([places]), weight=0.5)


@pytest.mark.parametrize(
    ("places", "more"),
    [((1, 2), 0.5 * 3), ((0, 1), 0.5 * 3 / 2), ((NOTHING, NOTHING), 0.0)],
    ids=["others", "the target does not count", "nothing was passed over"],
)
def test_the_softmax_grows_by_the_weight_of_what_was_passed_over(
    places: tuple[int, int], more: float
) -> None:
    full = full_softmax(STATES, WANTED, THREE, BIAS, beside=beside(*places))
    assert full.item() == pytest.approx(log(3 + more))
    # Two negatives drawn from three items stand for three.
    drawn = sampled_softmax(STATES, WANTED, THREE, BIAS, drawing(1, 2), beside=beside(*places))
    assert drawn.item() == pytest.approx(log(1 + 3 + more))


def test_gbce_and_cosine_count_what_was_passed_over_beside_their_negatives() -> None:
    # Every sigmoid is 1/2: log 2 for the target and for each of two negatives, half of two more.
    found = gbce(STATES, WANTED, THREE, BIAS, drawing(1, 2), 0.0, beside=beside(1, 2))
    assert found.item() == pytest.approx((1 + 2 + 0.5 * 2) * log(2))
    options = SASRecOptions(loss="cosine", margin=0.1, push=4)
    state, items = torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    near = cosine(state, WANTED, items, BIAS, drawing(2), options, beside=beside(1, 2))
    # 1 - 0.6, nothing from the negative at -0.6, and 4 x 0.5 x the mean of 0.8 - 0.1 and 0.
    assert near.item() == pytest.approx(0.4 + 4 * 0.5 * 0.7 / 2)


@pytest.mark.parametrize("by", ["uniform", "popular"])
def test_what_the_others_draw_prefers_stays_undone(by: str) -> None:
    torch.manual_seed(2)
    states, items, bias = torch.randn(4, 8), torch.randn(50, 8) * 0.3, torch.zeros(50)
    wanted, told = torch.tensor([1, 7, 7, 30]), Beside(None, torch.randint(50, (4, 16)), 0.5)
    popular = (torch.arange(50) * 0.05).log_softmax(0)
    negatives = Negatives(popular, by, 40)
    full = full_softmax(states, wanted, items, bias, beside=told)
    losses = [
        sampled_softmax(states, wanted, items, bias, negatives, beside=told) for _ in range(400)
    ]
    assert torch.stack(losses).mean().item() == pytest.approx(full.item(), abs=0.05)


@pytest.mark.parametrize("loss", [full_softmax, None])
def test_targets_count_as_much_as_they_are_told(loss: Loss | None) -> None:
    # Chances 3/4 and 1/4; the only negative that is drawn is the other one, half of all items.
    bias, wanted = torch.tensor([3.0, 1.0]).log(), torch.tensor([0, 1])
    states, items, counts = torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([1.5, 0.5])
    if loss is full_softmax:
        found = full_softmax(states, wanted, items, bias, beside=Beside(counts))
        assert found.item() == pytest.approx((1.5 * log(4 / 3) + 0.5 * log(4)) / 2)
    else:
        assert Beside(counts).mean(torch.tensor([2.0, 6.0])).item() == (1.5 * 2 + 0.5 * 6) / 2


# Targets of a batch.


def test_a_target_counts_its_times_over_the_usual_ones() -> None:
    windows = [
        np.array([[0, 0, 0, 9], [1, 0, 0, 3], [2, 0, 0, 1]]),
        np.array([[0, 0, 0, 1], [1, 0, 0, 2]]),
    ]
    # The first step of a window is no target.
    assert usual_times(windows) == (3 + 1 + 2) / 3
    wanted = torch.tensor([[[1, 0, 0, 3], [2, 0, 0, 1]], [[1, 0, 0, 2], [NOTHING] * 4]])
    told = beside_of(wanted, 2.0, (torch.tensor([[5, 6], [7, 8]]), 0.5), torch.device("cpu"))
    assert told.counts is not None
    assert told.counts.tolist() == [1.5, 0.5, 1]
    # Each target of a window has the window's draws.
    assert told.passed is not None
    assert told.passed.tolist() == [[5, 6], [5, 6], [7, 8]]


def test_without_either_nothing_is_beside_the_targets() -> None:
    wanted = torch.tensor([[[1, 0, 0, 1]]])
    assert beside_of(wanted, 1.0, None, torch.device("cpu")) is NOTHING_BESIDE


def test_the_same_item_in_a_row_counts_as_often_as_the_most_counted(small_shop: Known) -> None:
    rows = small_shop.interactions.head(3).with_columns(
        pl.Series(c.USER_ID, ["u00"] * 3),
        pl.Series(c.ITEM_ID, ["i01", "i01", "i02"]),
        pl.Series(c.TIMES, [2, 6, 1]),
    )
    asked = Requests(small_shop.through, pl.DataFrame({c.USER_ID: ["u00"]}), rows)
    assert sequences(asked, small_shop.item_ids())[0][:, TIMES].tolist() == [6, 1]


# Trained.

PLANTED = "i12"


def planted(known: Known, days: int = 3) -> Known:
    """Everybody was shown one item on each of the last days and never turned to it."""
    others = known.interactions.filter(pl.col(c.ITEM_ID) == PLANTED)[c.USER_ID].unique()
    whose = known.users.filter(~pl.col(c.USER_ID).is_in(others.implode()))[c.USER_ID].to_list()
    rows = [(who, PLANTED, age, 10**6, False) for who in whose for age in range(days)]
    return replace(known, shown=shown(*rows, day=known.through))


def options_of(
    settings: Settings, passed: PassedOver | None = None, **sasrec: object
) -> Candidates:
    options = settings.candidates
    told = options.sasrec.model_copy(update={"min_steps": 1, "epochs": 4} | sasrec)
    return options.model_copy(update={"sasrec": told, "passed_over": passed or PassedOver()})


def bits(generator: SASRec) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in generator.state()[0].items()}


@pytest.mark.parametrize(
    "told",
    [{}, {"full_softmax_items": 10, "negatives": 20}, {"loss": "gbce", "negatives": 20}],
    ids=["softmax", "sampled", "gbce"],
)
def test_what_is_always_shown_and_passed_over_ends_lower(
    told: dict[str, object],
    small_shop: Known,
    shop_requests: Requests,
    small_settings: Settings,
) -> None:
    known = planted(small_shop)
    assert known.shown is not None
    place = small_shop.item_ids().to_list().index(PLANTED)
    asked = shop_requests.users[c.USER_ID].is_in(known.shown[c.USER_ID].unique().implode())
    ranks = []
    for share in (0.0, 0.5):
        model = SASRec.fit(
            known, options_of(small_settings, PassedOver(share=share), **told), Run(3, 1)
        )
        scores = model.scores(shop_requests)[asked.to_numpy()]
        ranks.append(float((scores > scores[:, [place]]).sum(axis=1).mean()))
    assert ranks[1] > ranks[0] + 5


def test_what_discovery_counts_more_teaches_more(
    small_shop: Known, small_settings: Settings
) -> None:
    options = options_of(small_settings)
    plain = SASRec.fit(small_shop, options, Run(3, 1))
    thrice = small_shop.interactions.with_columns(pl.col(c.TIMES) * 3)
    # Counting everything three times is counting everything once.
    even = SASRec.fit(replace(small_shop, interactions=thrice), options, Run(3, 1))
    assert np.allclose(even.item_vectors(), plain.item_vectors(), atol=1e-3)
    late = pl.when(pl.col(c.ITEM_ID) == PLANTED).then(50).otherwise(1).cast(pl.Int64)
    uneven = small_shop.interactions.with_columns(late.alias(c.TIMES))
    found = SASRec.fit(replace(small_shop, interactions=uneven), options, Run(3, 1))
    place = small_shop.item_ids().to_list().index(PLANTED)
    assert found.item_vectors()[place, -1] > plain.item_vectors()[place, -1]


def test_early_stopping_is_told_nothing_of_the_day_that_it_is_judged_by(small_shop: Known) -> None:
    known = planted(small_shop)
    learned, later = held_out(known)
    assert learned.shown is not None
    assert later[c.DT].max() == known.through
    assert learned.shown[c.DT].max() == known.through - timedelta(days=1)


class Killer(logging.Handler):
    """Ends the training as its log tells the end of its second epoch."""

    def emit(self, record: logging.LogRecord) -> None:
        if "epoch 2 of" in record.getMessage():
            raise KeyboardInterrupt


def test_a_killed_training_with_both_goes_on_to_the_same_bits(
    small_shop: Known,
    small_settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    long = (pl.int_range(pl.len()) % 3 + 1).alias(c.TIMES)
    known = planted(replace(small_shop, interactions=small_shop.interactions.with_columns(long)))
    options = options_of(small_settings, PassedOver(share=0.3), epochs=3)
    whole = SASRec.fit(known, options, Run(3, 1))
    logger, killer = logging.getLogger("tasks.candidates.epochs"), Killer()
    logger.addHandler(killer)
    try:
        with pytest.raises(KeyboardInterrupt):
            SASRec.fit(known, options, Run(3, 1, tmp_path))
    finally:
        logger.removeHandler(killer)
    assert len(list(tmp_path.iterdir())) == 1
    assert bits(SASRec.fit(known, options, Run(3, 1, tmp_path))) == bits(whole)


def test_a_checkpoint_is_of_one_share_and_one_past() -> None:
    arrays = [np.array([place]) for place in (0, 1, 4)]
    drawn = [
        None,
        Drawn(*arrays, np.array([0, 7]), 0.5),
        Drawn(*arrays, np.array([0, 7]), 0.6),
        Drawn(*arrays, np.array([0, 8]), 0.5),
    ]
    codes = torch.zeros(5, 0, dtype=torch.int64)
    names = [name_of([], codes, SASRecOptions(), 1, passed) for passed in drawn]
    assert len(set(names)) == len(drawn)
