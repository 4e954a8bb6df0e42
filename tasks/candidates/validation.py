"""What SASRec stops by: later items of the same users, which it never learns from.

NDCG@10 over the whole catalogue, mean over (user, later item) pairs: 1 / log2(rank + 1) up to rank
10, else 0; other items that the user touched before do not rank, ties go to the smaller item.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tasks import columns as c
from tasks.candidates.generator import Ints, Known, Requests, positions
from tasks.candidates.transformer import Network, products
from tasks.candidates.windows import ITEM, NOTHING, pad, sequences
from tasks.errors import ContractViolation

CUT = 10
PAIRS = 8192
"""At most so many pairs are judged: the standard error is then below 0.004."""
AT_ONCE = 256


@dataclass(frozen=True)
class Validation:
    """Histories, and one later item each; the shortest first, so that little is padding."""

    histories: list[Ints]
    targets: Ints

    def ndcg(self, network: Network) -> float:
        """Return the mean of the module's formula."""
        with torch.inference_mode():
            gains = torch.cat([gain for gain in self._gains(network)])
        return float(gains.double().mean())

    def _gains(self, network: Network) -> Iterator[Tensor]:
        items, length = network.items(), network.places.num_embeddings
        device = network.bias.device
        for start in range(0, len(self.targets), AT_ONCE):
            histories = self.histories[start : start + AT_ONCE]
            wanted = torch.from_numpy(self.targets[start : start + AT_ONCE]).to(device)
            padded = pad([history[-length:] for history in histories]).to(device)
            scores = products(network.ends(padded, items), items) + network.bias
            scores = without(scores, histories, wanted)
            ranks = ranks_of(scores, wanted).double()
            yield torch.where(ranks <= CUT, 1 / torch.log2(ranks + 1), 0.0)


def without(scores: Tensor, histories: list[Ints], wanted: Tensor) -> Tensor:
    """Return the scores with minus infinity for what was touched, except what is wanted."""
    touched = pad([history[:, ITEM] for history in histories]).to(scores.device)
    everyone = torch.arange(len(scores), device=scores.device)
    rows = everyone[:, None].expand_as(touched)[touched != NOTHING]
    hidden = scores.clone()
    hidden[rows, touched[touched != NOTHING]] = -torch.inf
    hidden[everyone, wanted] = scores[everyone, wanted]
    return hidden


def ranks_of(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the rank of each row's wanted item."""
    mine = scores.gather(1, wanted[:, None])
    places = torch.arange(scores.shape[1], device=scores.device)
    before = (scores > mine) | ((scores == mine) & (places < wanted[:, None]))
    return before.sum(dim=1) + 1


def held_out(known: Known) -> tuple[Known, pl.DataFrame]:
    """Return what is learned, and later interactions to validate on: told, or the last day's.

    Raises:
        ContractViolation: everything happened on one day, so nothing could be held out.
    """
    if known.later is not None:
        return known, known.later
    last_day = known.interactions[c.DT].max()
    last = pl.col(c.DT) == last_day
    learned = known.interactions.filter(~last)
    if learned.is_empty():
        raise ContractViolation("early stopping needs a day to validate on: there is one day only")
    # What was passed over until then: who touches it on the last day must not be told to.
    shown = None if known.shown is None else known.shown.filter(pl.col(c.DT) < last_day)
    return replace(known, interactions=learned, shown=shown), known.interactions.filter(last)


def validation_of(known: Known, later: pl.DataFrame, item_ids: pl.Series, seed: int) -> Validation:
    """Return at most `PAIRS` later items of users with a history, drawn by the seed."""
    everyone = Requests(known.through, known.users, known.interactions)
    histories = sequences(everyone, item_ids)
    pairs = later.select(c.USER_ID, c.ITEM_ID).unique().sort(c.USER_ID, c.ITEM_ID)
    placed = positions(positions(pairs, known.users[c.USER_ID], "row"), item_ids, "item")
    rows, items = (placed[name].to_numpy().astype(np.int64) for name in ("row", "item"))
    lengths = np.array([len(history) for history in histories])
    able = np.flatnonzero(lengths[rows] > 0)
    drawn = np.random.default_rng(seed).permutation(able)[:PAIRS]
    drawn = drawn[np.lexsort((drawn, lengths[rows[drawn]]))]
    if not len(drawn):
        raise ContractViolation("early stopping needs users who come back: there is none")
    return Validation([histories[row] for row in rows[drawn]], items[drawn])
