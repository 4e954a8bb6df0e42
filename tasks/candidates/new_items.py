"""New items: what hardly anybody has touched yet, by what it is.

content(i)  = what `content` says of it
taste(u)    = sum over the user's interactions of weight x 0.5 ** (age / half-life) x content(item)
score(u, i) = cosine of taste(u) and content(i), of items with fewer than `max_touches` interactions

Everything else has no score, nor has an item without features or a user without a history.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks import columns as c
from tasks.candidates.content import content, unit
from tasks.candidates.features import Vocabulary
from tasks.candidates.generator import NO_OPINION, Floats, Generator, Ints, Known, Requests, Run
from tasks.settings import Candidates


class NewItems(Generator):
    """Items that nobody knows yet and that are like what the customer touched."""

    name: ClassVar[str] = "new_items"
    floor: ClassVar[float] = 0.0
    """Few of its items are found at once, and none of them is popular."""

    def __init__(
        self, item_ids: pl.Series, content: sparse.csr_matrix, cold: Ints, half_life_days: float
    ) -> None:
        """Keep the content of all items and the places of the new ones."""
        self.item_ids = item_ids
        self._content = content
        self._cold = cold
        self._half_life_days = half_life_days

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Read what items are, and which of them are new."""
        item_ids, told = known.item_ids(), options.new_items
        kinds = Vocabulary.of(known.items, options.item_features)
        touches = known.interactions.group_by(c.ITEM_ID).len()
        warm = touches.filter(pl.col("len") >= told.max_touches)[c.ITEM_ID]
        cold = np.flatnonzero(~item_ids.is_in(warm.implode()).to_numpy())
        found = content(kinds.codes(known.items, item_ids), kinds.size)
        return cls(item_ids, found, cold, told.half_life_days)

    def scores(self, requests: Requests) -> Floats:
        """Return cosines to the new items."""
        rows, items, weights, age_days, _ = requests.encoded(self.item_ids)
        decayed = weights * 0.5 ** (age_days.astype(np.float64) / self._half_life_days)
        shape = (requests.height, len(self.item_ids))
        touched = sparse.csr_matrix((decayed, (rows, items)), shape)
        taste = unit(touched @ self._content)
        scores = np.full(shape, NO_OPINION)
        products = np.asarray((taste @ self._content[self._cold].T).toarray(), dtype=np.float32)
        scores[:, self._cold] = np.where(products > 0, products, NO_OPINION)
        return scores

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return content, new items and half-life."""
        arrays = {name: getattr(self._content, name) for name in ("data", "indices", "indptr")}
        facts = {"item_ids": self.item_ids.to_list(), "half_life_days": self._half_life_days}
        return arrays | {"cold": self._cold}, facts | {"values": self._content.shape[1]}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        item_ids = pl.Series(c.ITEM_ID, facts["item_ids"])
        stored = (arrays["data"], arrays["indices"], arrays["indptr"])
        found = sparse.csr_matrix(stored, (len(item_ids), facts["values"]))
        return cls(item_ids, found, arrays["cold"], facts["half_life_days"])
