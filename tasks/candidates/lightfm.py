"""LightFM: a hybrid matrix factorisation (Kula 2015) with the loss WARP, and beside it with BPR.

vector(item) = own embedding + mean of its features' embeddings, bias alike; users likewise.
score(u, i)  = <vector(u), vector(i)> + bias(i)

Trained on distinct pairs weighted by their strongest interaction over (the item's pairs) ** debias
(Steck, RecSys 2011), on one thread, since two threads write into each other's rows and no two runs
agree. A user who came after training has the vector
of the features that are known, else of none: then the biases of the items decide.

WARP: Weston et al. 2011; BPR: Rendle et al. 2009.
"""

from __future__ import annotations

import logging
import time
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks import columns as c
from tasks.candidates.features import Vocabulary
from tasks.candidates.generator import (
    Floats,
    Ints,
    Known,
    Requests,
    Run,
    VectorGenerator,
    positions,
)
from tasks.settings import Candidates, LightFMOptions

log = logging.getLogger(__name__)


class Side(NamedTuple):
    """What LightFM learned about one side: vectors of ids, and of features alone; bias last."""

    ids: Floats
    features: Floats


class LightFM(VectorGenerator):
    """What customers alike in taste and traits touched."""

    name: ClassVar[str] = "lightfm"
    loss: ClassVar[str] = "warp"
    reads_history: ClassVar[bool] = False

    def __init__(
        self,
        item_ids: pl.Series,
        user_ids: pl.Series,
        traits: Vocabulary,
        items: Floats,
        users: Side,
    ) -> None:
        """Keep the finished vectors; features of items are summed into them."""
        self.item_ids = item_ids
        self._user_ids = user_ids
        self._traits = traits
        self._items = items
        self._users = users

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Train on distinct pairs, on one thread whatever `run` says."""
        item_ids, user_ids = known.item_ids(), known.interactions[c.USER_ID].unique().sort()
        kinds = Vocabulary.of(known.items, options.item_features)
        traits = Vocabulary.of(known.users, options.user_features)
        item_features = feature_matrix(kinds, kinds.codes(known.items, item_ids))
        user_features = feature_matrix(traits, traits.codes(known.users, user_ids))
        pairs = debiased(distinct_pairs(known.interactions, user_ids, item_ids), options.debias)
        trainer = train(pairs, (user_features, item_features), cls.loss, options.lightfm, run.seed)
        items = side(item_features, trainer.item_embeddings, trainer.item_biases)
        users = side(user_features, trainer.user_embeddings, trainer.user_biases)
        return cls(item_ids, user_ids, traits, items.ids, users)

    def item_vectors(self) -> Floats:
        """Return the items' embeddings and biases."""
        return self._items

    def user_vectors(self, requests: Requests) -> Floats:
        """Return the users' embeddings; of later users, what their traits say."""
        asked = requests.users[c.USER_ID]
        codes = self._traits.codes(requests.users, asked)
        vectors: Floats = self._users.features[codes].sum(axis=1) / max(1, codes.shape[1])
        known = positions(
            pl.DataFrame({c.USER_ID: asked}).with_row_index("row"), self._user_ids, "user"
        )
        vectors[known["row"].to_numpy()] = self._users.ids[known["user"].to_numpy()]
        # A user's own bias moves all of the user's scores alike: it is replaced by the item's 1.
        vectors[:, -1] = 1.0
        return vectors.astype(np.float32)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return vectors of items, users and traits, and what their rows are called."""
        facts = {
            "item_ids": self.item_ids.to_list(),
            "user_ids": self._user_ids.to_list(),
            "columns": self._traits.columns,
            "labels": self._traits.labels,
        }
        arrays = {"items": self._items, "users": self._users.ids, "traits": self._users.features}
        return arrays, facts

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        return cls(
            pl.Series(c.ITEM_ID, facts["item_ids"]),
            pl.Series(c.USER_ID, facts["user_ids"]),
            Vocabulary(tuple(facts["columns"]), tuple(facts["labels"])),
            arrays["items"],
            Side(arrays["users"], arrays["traits"]),
        )


class LightFMBPR(LightFM):
    """The same with BPR: every pair of a touched and another item counts alike."""

    name: ClassVar[str] = "lightfm_bpr"
    loss: ClassVar[str] = "bpr"


def feature_matrix(vocabulary: Vocabulary, codes: Ints) -> sparse.csr_matrix:
    """Return (ids, ids + codes): 1 for the id itself, 1 / columns for each feature it has."""
    rows, columns = np.nonzero(codes)
    shape = (len(codes), vocabulary.size)
    share = np.full(len(rows), 1.0 / max(1, codes.shape[1]), dtype=np.float32)
    features = sparse.coo_matrix((share, (rows, codes[rows, columns])), shape=shape)
    own = sparse.identity(len(codes), dtype=np.float32)
    return sparse.hstack([own, features], format="csr", dtype=np.float32)


def distinct_pairs(
    interactions: pl.DataFrame, user_ids: pl.Series, item_ids: pl.Series
) -> sparse.coo_matrix:
    """Return one entry per (user, item): the weight of their strongest interaction."""
    key = (c.USER_ID, c.ITEM_ID)
    strongest = interactions.group_by(key).agg(pl.col(c.WEIGHT).max()).sort(key)
    pairs = positions(positions(strongest, user_ids, "user"), item_ids, "item")
    cells = (pairs["user"].to_numpy().astype(np.int32), pairs["item"].to_numpy().astype(np.int32))
    weights = pairs[c.WEIGHT].to_numpy().astype(np.float32)
    return sparse.coo_matrix((weights, cells), shape=(len(user_ids), len(item_ids)))


def debiased(pairs: sparse.coo_matrix, power: float) -> sparse.coo_matrix:
    """Return the pairs, each weight over the number of the item's pairs to a power."""
    often = np.bincount(pairs.col, minlength=pairs.shape[1]).astype(np.float32)
    weights = pairs.data * often[pairs.col] ** -np.float32(power)
    return sparse.coo_matrix((weights, (pairs.row, pairs.col)), pairs.shape)


def train(
    pairs: sparse.coo_matrix,
    sides: tuple[sparse.csr_matrix, sparse.csr_matrix],
    loss: str,
    options: LightFMOptions,
    seed: int,
) -> Any:  # noqa: ANN401 (the package has no types)
    """Return a fitted `lightfm.LightFM`; `sides` are the features of users and items."""
    from lightfm import LightFM as Trainer

    trainer = Trainer(
        no_components=options.width,
        loss=loss,
        learning_rate=options.learning_rate,
        item_alpha=options.item_alpha,
        max_sampled=options.max_sampled,
        random_state=seed,
    )
    weights = sparse.coo_matrix(
        (pairs.data / pairs.data.max(), (pairs.row, pairs.col)), pairs.shape
    )
    ones = sparse.coo_matrix((np.ones_like(pairs.data), (pairs.row, pairs.col)), pairs.shape)
    started = time.monotonic()
    for epoch in range(1, options.epochs + 1):
        trainer.fit_partial(ones, *sides, sample_weight=weights, epochs=1, num_threads=1)
        pace = (time.monotonic() - started) / epoch
        log.info("lightfm: epoch %d of %d, %.2f s each", epoch, options.epochs, pace)
    return trainer


def side(features: sparse.csr_matrix, embeddings: Floats, biases: Floats) -> Side:
    """Return finished vectors of the ids, and of feature codes (0: none of them)."""
    columns = np.hstack([embeddings, biases[:, None]]).astype(np.float32)
    by_code = columns[features.shape[0] :].copy()
    by_code[0] = 0.0
    return Side(np.asarray(features @ columns, dtype=np.float32), by_code)
