"""How deep each source is read for a blend of so many items: chosen by marginal recall.

recall of a set of pairs = mean over users of their later items in it / their later items
quota: from 0 for every source, again and again the longest run of places with the highest gain in
recall a place goes to its source, until the budget is spent or nothing more is found; of equal
gains to the source that comes first, then the shorter run. Runs are whole steps of budget / 20.
Where one source alone does better, it has the whole budget. Then places move from one source to
another, the best move first, until no move finds more.

Quotas are chosen on the first held-out day and measured on the later ones (one held-out day: on
the same). Sources are beside it in `candidate_blend`: each one alone at the whole budget, and what
none of the others finds there; `union` is all of them at the whole budget, `equal` the budget
shared equally, `blend` by quotas.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.candidates.evaluation import bootstrap

BUDGETS = (300, 1000)
STEPS = 20
NOT_FOUND = np.iinfo(np.int32).max
UNION, EQUAL, BLEND = "union", "equal", "blend"
SCHEMA = pl.Schema(
    {
        "budget": pl.Int64(),
        "source": pl.String(),
        "quota": pl.Int64(),
        "recall": pl.Float64(),
        c.LOW: pl.Float64(),
        c.HIGH: pl.Float64(),
        "unique_recall": pl.Float64(),
    }
)

Ranks = NDArray[np.int32]
Bools = NDArray[np.bool_]
Quotas = NDArray[np.int64]
LEAST_GAIN = 1e-9
"""Less is the rounding of a sum."""


class Pairs(NamedTuple):
    """Later items of test users, and where each source has them.

    Attributes:
        users: the user's place, one a pair, 0 and up.
        ranks: (pairs, sources), `NOT_FOUND` where the source does not have the item.
    """

    users: NDArray[np.int64]
    ranks: Ranks

    def recall(self, found: Bools) -> NDArray[np.float64]:
        """Return each user's share of later items that are found."""
        hits = np.bincount(self.users, weights=found)
        share: NDArray[np.float64] = hits / np.bincount(self.users)
        return share

    def found(self, chosen: Quotas) -> float:
        """Return the recall of sources that are read so deep."""
        return float(self.weights()[np.any(self.ranks <= chosen, axis=1)].sum())

    def weights(self) -> NDArray[np.float64]:
        """Return what finding each pair adds to recall."""
        later = np.bincount(self.users)
        share: NDArray[np.float64] = 1.0 / (later[self.users] * len(later))
        return share


def pairs_of(ranks: pl.DataFrame, sources: list[str]) -> Pairs:
    """Return rows `generator, user_id, item_id, rank` (null: not found) as pairs."""
    wide = ranks.pivot(
        c.GENERATOR, index=[c.USER_ID, c.ITEM_ID], values=c.RANK, maintain_order=True
    ).sort(c.USER_ID, c.ITEM_ID)
    users = wide[c.USER_ID].rle_id().to_numpy().astype(np.int64)
    return Pairs(users, wide.select(sources).fill_null(NOT_FOUND).to_numpy().astype(np.int32))


def blend(ranks: pl.DataFrame, sources: list[str], bootstraps: int, seed: int) -> pl.DataFrame:
    """Return `candidate_blend` rows of both budgets.

    Args:
        ranks: `generator, user_id, item_id, first_day, rank`: each test user's later items.
        sources: generators, in the order in which ties are settled.
        bootstraps: resamples of users behind an interval.
        seed: of the resamples.
    """
    first = pl.col("first_day") == ranks["first_day"].min()
    chosen_on, measured_on = ranks.filter(first), ranks.filter(~first)
    known = pairs_of(chosen_on, sources)
    judged = known if measured_on.is_empty() else pairs_of(measured_on, sources)
    rows = [
        row
        for budget in BUDGETS
        for row in _rows(judged, sources, quotas(known, budget), budget, bootstraps, seed)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _rows(
    pairs: Pairs,
    sources: list[str],
    chosen: Quotas,
    budget: int,
    bootstraps: int,
    seed: int,
) -> Iterator[tuple[object, ...]]:
    within = pairs.ranks <= budget
    alone = within & (within.sum(axis=1, keepdims=True) == 1)
    equal = pairs.ranks <= budget // len(sources)
    told = [
        *((name, chosen[place], within[:, place]) for place, name in enumerate(sources)),
        (UNION, budget * len(sources), within.any(axis=1)),
        (EQUAL, budget // len(sources) * len(sources), equal.any(axis=1)),
        (BLEND, chosen.sum(), np.any(pairs.ranks <= chosen, axis=1)),
    ]
    users = np.stack([pairs.recall(found) for _, _, found in told], axis=1)
    low, high = bootstrap(users, bootstraps, seed)
    unique = [float(pairs.recall(alone[:, place]).mean()) for place in range(len(sources))]
    for place, (name, quota, _) in enumerate(told):
        mine = unique[place] if place < len(sources) else None
        interval = float(low[place]), float(high[place])
        yield budget, name, int(quota), float(users[:, place].mean()), *interval, mine


def quotas(pairs: Pairs, budget: int) -> Quotas:
    """Return how many places each source gets."""
    step, sources = max(1, budget // STEPS), pairs.ranks.shape[1]
    alone = np.eye(sources, dtype=np.int64) * (budget // step * step)
    # Of equal ones the first: greedy spends no place for nothing.
    begun = max((greedy(pairs, budget, step), *alone), key=pairs.found)
    return exchanged(pairs, begun, step)


def exchanged(pairs: Pairs, chosen: Quotas, step: int) -> Quotas:
    """Return the quotas after moves of places between sources, as long as one finds more."""
    while True:
        better = max(_moves(chosen, step), key=pairs.found, default=chosen)
        if pairs.found(better) <= pairs.found(chosen) + LEAST_GAIN:
            return chosen
        chosen = better


def _moves(chosen: Quotas, step: int) -> Iterator[Quotas]:
    for giver, taker in permutations(range(len(chosen)), 2):
        for places in range(step, int(chosen[giver]) + 1, step):
            moved = chosen.copy()
            moved[giver] -= places
            moved[taker] += places
            yield moved


def greedy(pairs: Pairs, budget: int, step: int) -> Quotas:
    """Return the quotas that always take the highest gain a place."""
    weights, chosen = pairs.weights(), np.zeros(pairs.ranks.shape[1], dtype=np.int64)
    while left := (budget - int(chosen.sum())) // step:
        missed = ~(pairs.ranks <= chosen).any(axis=1)
        gains = np.stack(
            [
                _gains(pairs.ranks[missed, place] - quota, weights[missed], step, left)
                for place, quota in enumerate(chosen)
            ]
        )
        per_place = gains / np.arange(1, left + 1)
        source, run = np.unravel_index(int(np.argmax(per_place)), per_place.shape)
        if gains[source, run] <= 0:
            break
        chosen[source] += (int(run) + 1) * step
    return chosen


def _gains(
    behind: Ranks, weights: NDArray[np.float64], step: int, left: int
) -> NDArray[np.float64]:
    """Return the gain of 1, 2... `left` further steps of a source."""
    runs = (behind - 1) // step
    there = runs < left
    gained = np.bincount(runs[there], weights=weights[there], minlength=left)
    total: NDArray[np.float64] = np.cumsum(gained)
    return total
