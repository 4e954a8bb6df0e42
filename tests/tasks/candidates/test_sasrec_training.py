"""SASRec's training: validation, early stopping, checkpoints, warm start."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from math import log2
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tasks import columns as c
from tasks.candidates.ease import Ease
from tasks.candidates.epochs import Epoch, best, told
from tasks.candidates.generator import Known, Run
from tasks.candidates.sasrec import SASRec, inherited
from tasks.candidates.validation import held_out, ranks_of, validation_of, without
from tasks.candidates.windows import ITEM
from tasks.errors import ContractViolation
from tasks.settings import Candidates, Settings


def with_sasrec(settings: Settings, **values: object) -> Candidates:
    options = settings.candidates
    return options.model_copy(update={"sasrec": options.sasrec.model_copy(update=values)})


def bits(generator: SASRec) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in generator.state()[0].items()}


def test_ranks_count_what_scores_higher_and_equal_scores_of_smaller_items() -> None:
    scores = torch.tensor([[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert ranks_of(scores, torch.tensor([3, 2])).tolist() == [3, 3]


def test_what_was_touched_does_not_rank_but_a_wanted_item_touched_before_does() -> None:
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    histories = [np.array([[0, 1, 7]]), np.array([[0, 1, 7], [1, 1, 8]])]
    hidden = without(scores, histories, torch.tensor([1, 1]))
    assert hidden.tolist() == [[-np.inf, 3, 2, 1], [-np.inf, 3, 2, 1]]


def test_validation_is_the_mean_discount_of_ranks_up_to_ten(small_shop: Known) -> None:
    class Fixed(torch.nn.Module):
        """Scores every item by its bias alone."""

        def __init__(self) -> None:
            super().__init__()
            self.bias = -torch.arange(60.0)
            self.places = torch.nn.Embedding(12, 1)

        def items(self) -> torch.Tensor:
            return torch.zeros(60, 1)

        def ends(self, padded: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(padded), 1)

    learned, later = held_out(small_shop)
    ids = small_shop.item_ids()
    found = validation_of(learned, later, ids, seed=1)
    gains = []
    for history, wanted in zip(found.histories, found.targets, strict=True):
        better = set(range(wanted)) - set(history[:, ITEM].tolist())
        rank = len(better) + 1
        gains.append(1 / log2(rank + 1) if rank <= 10 else 0.0)
    assert len(gains) == later.select(c.USER_ID, c.ITEM_ID).unique().height
    assert found.ndcg(Fixed()) == pytest.approx(np.mean(gains))  # type: ignore[arg-type]


def test_validation_items_are_the_last_day_or_what_is_told(small_shop: Known) -> None:
    learned, later = held_out(small_shop)
    assert later[c.DT].unique().to_list() == [small_shop.interactions[c.DT].max()]
    assert learned.interactions.height + later.height == small_shop.interactions.height
    told_later = replace(small_shop, later=later.head(3))
    assert held_out(told_later) == (told_later, told_later.later)


def test_one_day_alone_cannot_be_validated_on(small_shop: Known) -> None:
    last = small_shop.interactions.filter(pl.col(c.DT) == pl.col(c.DT).max())
    with pytest.raises(ContractViolation, match="there is one day only"):
        held_out(replace(small_shop, interactions=last))


def epoch(number: int, validation: float | None) -> Epoch:
    return Epoch(number, 5.0, 2.0, 1234.5, validation)


def test_the_best_epoch_has_the_best_validation_the_first_of_equal_ones() -> None:
    assert best([epoch(1, 0.1), epoch(2, 0.3), epoch(3, 0.3)]).number == 2
    assert best([epoch(1, None), epoch(2, None)]).number == 2


def test_an_epoch_is_told_with_pace_and_expected_end() -> None:
    assert told([epoch(1, 0.25), epoch(2, 0.5)], 10) == (
        "sasrec: epoch 2 of 10, loss 5.0000, validation NDCG@10 0.5000, 1,234 windows a second,"
        " 2.0 s each, 16 s to go"
    )


def test_training_ends_after_its_patience_and_keeps_the_best_epoch(
    small_shop: Known, small_settings: Settings
) -> None:
    options = with_sasrec(small_settings, patience=2, epochs=40, min_steps=1, learning_rate=0.05)
    generator = SASRec.fit(small_shop, options, Run(3, 1))
    found = generator.curves()["validation_ndcg_at_10"]
    assert len(found) < 40
    at_best = int(np.argmax(found)) + 1
    assert len(found) == at_best + 2
    only = SASRec.fit(
        small_shop,
        with_sasrec(small_settings, patience=2, epochs=at_best, min_steps=1, learning_rate=0.05),
        Run(3, 1),
    )
    assert bits(only) == bits(generator)


class Killer(logging.Handler):
    """Ends the training as its log tells the end of an epoch."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            raise KeyboardInterrupt


@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(
    small_shop: Known,
    small_settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    loss: str,
) -> None:
    caplog.set_level("INFO")
    options = with_sasrec(small_settings, epochs=4, min_steps=1, patience=4, loss=loss)
    whole, folder = SASRec.fit(small_shop, options, Run(3, 1)), tmp_path / "checkpoints"
    logger = logging.getLogger("tasks.candidates.epochs")
    killer = Killer("epoch 3 of 4")
    logger.addHandler(killer)
    try:
        with pytest.raises(KeyboardInterrupt):
            SASRec.fit(small_shop, options, Run(3, 1, folder))
    finally:
        logger.removeHandler(killer)
    assert len(list(folder.iterdir())) == 1
    caplog.clear()
    resumed = SASRec.fit(small_shop, options, Run(3, 1, folder))
    # The third epoch was told but not yet kept.
    epochs = [message for message in caplog.messages if message.startswith("sasrec: epoch")]
    assert [line.partition(",")[0] for line in epochs] == [
        "sasrec: epoch 3 of 4",
        "sasrec: epoch 4 of 4",
    ]
    assert bits(resumed) == bits(whole)
    assert resumed.curves()["loss"] == whole.curves()["loss"]
    assert not folder.exists()


def test_another_seed_takes_up_no_checkpoint(
    small_shop: Known, small_settings: Settings, tmp_path: Path
) -> None:
    options = with_sasrec(small_settings, epochs=3, min_steps=1)
    logger = logging.getLogger("tasks.candidates.epochs")
    killer = Killer("epoch 2 of 3")
    logger.addHandler(killer)
    level = logger.level
    logger.setLevel("INFO")
    try:
        for seed in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                SASRec.fit(small_shop, options, Run(seed, 1, tmp_path))
    finally:
        logger.removeHandler(killer)
        logger.setLevel(level)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_the_parent_knows_is_inherited_by_name() -> None:
    mine, theirs = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0]])
    names, parents = pl.Series(["a", "b", "n"]), pl.Series(["b", "a"])
    assert inherited(mine, theirs, names, parents).tolist() == [[20], [10], [3]]


def through(known: Known, days: int) -> Known:
    """Return what was known so many days ago, without the items i40 and later."""
    cut = known.through - timedelta(days=days)
    old = (pl.col(c.DT) <= cut) & (pl.col(c.ITEM_ID) < "i40")
    items = known.items.filter(pl.col(c.ITEM_ID) < "i40")
    return replace(known, through=cut, interactions=known.interactions.filter(old), items=items)


def test_a_warm_start_begins_with_its_parent_s_weights_and_names_it(
    small_shop: Known, small_settings: Settings
) -> None:
    options = with_sasrec(small_settings, min_steps=1, epochs=1)
    parent = SASRec.fit(through(small_shop, 7), options, Run(3, 1))
    still = with_sasrec(small_settings, min_steps=1, epochs=1, learning_rate=1e-12, parent="12")
    child = SASRec.fit(small_shop, still, Run(3, 1, parent=parent))
    assert child.facts["parent"] == "12"
    theirs, mine = parent.network.own.weight, child.network.own.weight
    assert len(parent.item_ids) == 40
    assert torch.allclose(mine[:40], theirs, atol=1e-6)
    assert torch.allclose(
        child.network.blocks[0].attend.weight, parent.network.blocks[0].attend.weight, atol=1e-6
    )
    fresh = SASRec.fit(
        small_shop, with_sasrec(small_settings, min_steps=1, learning_rate=1e-12), Run(3, 1)
    )
    assert torch.allclose(mine[40:], fresh.network.own.weight[40:], atol=1e-6)


def test_a_parent_that_does_not_fit_is_refused(small_shop: Known, small_settings: Settings) -> None:
    options = with_sasrec(small_settings, min_steps=1, epochs=1)
    parent = SASRec.fit(through(small_shop, 7), options, Run(3, 1))
    wider = with_sasrec(small_settings, width=32)
    with pytest.raises(ContractViolation, match="has width 16; the settings say width 32"):
        SASRec.fit(small_shop, wider, Run(3, 1, parent=parent))
    with pytest.raises(ContractViolation, match="learned through 2026-03-21, what is fitted now"):
        SASRec.fit(through(small_shop, 9), options, Run(3, 1, parent=parent))
    ease = Ease.fit(small_shop, options, Run(3, 1))
    with pytest.raises(ContractViolation, match="sasrec cannot start from ease"):
        SASRec.fit(small_shop, options, Run(3, 1, parent=ease))
