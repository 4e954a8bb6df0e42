"""What every generator learns from, is asked, and answers.

A generator scores the whole of its catalogue for each request; lists are cut from the scores in
one place (`serving`), so that filters, ties and ranks are the same for all. A score is comparable
only inside one generator; minus infinity means "no opinion" and never enters a list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks import columns as c
from tasks.settings import Candidates

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
NO_OPINION = np.float32(-np.inf)
Curves = dict[str, list[float]]


@dataclass(frozen=True)
class Known:
    """Everything known on a day that a generator may learn from.

    `interactions`: `user_id, item_id, event_type, ts, dt, times, weight`, oldest first within a
    user; `weight` has `times` in it.
    `items`: the catalogue's snapshot. `users`: `user_id` with city and whatever else is known.
    `later`: interactions that a training may end by but never learn from; None: it holds out some
    of its own where it needs any.
    `shown`: `user_id, item_id, dt, examined_ppm, is_touched`, what users were shown and touched by
    day of receipt (`passed_over`); None: not asked for, or not known.
    """

    through: date
    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    later: pl.DataFrame | None = None
    shown: pl.DataFrame | None = None

    def item_ids(self) -> pl.Series:
        """Return every item on sale or touched, sorted."""
        both = pl.concat([self.items[c.ITEM_ID], self.interactions[c.ITEM_ID]])
        return both.unique().sort()


class Run(NamedTuple):
    """How a generator is fitted, beside its settings.

    `threads` is for generators whose libraries may use several; some fix their own. `checkpoints`
    is a folder where a long training keeps how far it is. `parent` is what training starts from.
    """

    seed: int
    threads: int
    checkpoints: Path | None = None
    parent: Generator | None = None


class Encoded(NamedTuple):
    """Histories as positions: row of the user, column of the item; oldest first within a user.

    `times` is for who counts acts of all types alike: how many times discovery counts each.
    """

    rows: Ints
    items: Ints
    weights: Floats
    age_days: Floats
    times: Floats


@dataclass(frozen=True)
class Requests:
    """Whom to recommend to.

    `users`: `user_id, city`..., unique and sorted. `histories`: their interactions, sorted by user,
    oldest first within one.
    """

    through: date
    users: pl.DataFrame
    histories: pl.DataFrame

    @property
    def height(self) -> int:
        """How many users ask."""
        return self.users.height

    def batches(self, size: int) -> Iterator[Requests]:
        """Yield the same requests, `size` users at a time."""
        for start in range(0, self.height, size):
            users = self.users.slice(start, size)
            # Both are sorted by user, so a batch is a slice, however many batches there are.
            whose = self.histories[c.USER_ID]
            first = whose.search_sorted(users[c.USER_ID][0], "left")
            end = whose.search_sorted(users[c.USER_ID][-1], "right")
            yield Requests(self.through, users, self.histories.slice(first, end - first))

    def encoded(self, item_ids: pl.Series) -> Encoded:
        """Return the histories of these users over these items; other items are left out."""
        age = (pl.lit(self.through) - pl.col(c.TS).dt.date()).dt.total_days()
        found = positions(
            positions(self.histories, self.users[c.USER_ID], "row"), item_ids, "item"
        ).with_columns(age.clip(0).cast(pl.Float32).alias("age"))
        return Encoded(
            found["row"].to_numpy().astype(np.int64),
            found["item"].to_numpy().astype(np.int64),
            found[c.WEIGHT].to_numpy().astype(np.float32),
            found["age"].to_numpy().astype(np.float32),
            found[c.TIMES].to_numpy().astype(np.float32),
        )


def positions(frame: pl.DataFrame, ids: pl.Series, name: str) -> pl.DataFrame:
    """Return the frame's rows whose id is among `ids`, with its place there as column `name`."""
    places = pl.DataFrame({ids.name: ids}).with_row_index(name)
    return frame.join(places, on=ids.name, how="inner", maintain_order="left")


class Generator(ABC):
    """A fitted candidate generator."""

    name: ClassVar[str]
    floor: ClassVar[float] = 0.5
    """Below this many times the NDCG@10 of the week's popular items it writes nothing."""
    reads_history: ClassVar[bool] = True
    """Whether a request is answered from its history: a part of one then asks for an interest."""
    reads_shown: ClassVar[bool] = False
    """Whether it learns from what was shown, where the settings ask for that."""
    item_ids: pl.Series

    @classmethod
    @abstractmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Learn from what was known; the same arguments give the same bits."""

    @classmethod
    def parent_version(cls, options: Candidates) -> str:
        """Return the registered version of it that training starts from; empty: from nothing."""
        return ""

    @abstractmethod
    def scores(self, requests: Requests) -> Floats:
        """Return (users, items) scores, `NO_OPINION` where there is nothing to say."""

    @abstractmethod
    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return what `restore` needs: numeric arrays, and facts that JSON can hold."""

    @classmethod
    @abstractmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""

    def curves(self) -> Curves:
        """Return what training came to, epoch by epoch, by name; nothing of a restored one."""
        return {}

    def item_vectors(self) -> Floats | None:
        """Return one vector per item whose product with a user's vector is the score, if any."""
        return None

    def user_vectors(self, requests: Requests) -> Floats | None:
        """Return one vector per request, NaN in the rows of users it has no opinion on, if any."""
        return None


class VectorGenerator(Generator):
    """A generator whose score is the product of a user's and an item's vector."""

    @abstractmethod
    def item_vectors(self) -> Floats:
        """Return one vector per item; its last number is the item's bias."""

    @abstractmethod
    def user_vectors(self, requests: Requests) -> Floats:
        """Return one vector per request, its last number 1; NaN where there is no opinion."""

    def scores(self, requests: Requests) -> Floats:
        """Return products of the vectors."""
        return opinions(self.user_vectors(requests) @ self.item_vectors().T)


def opinions(products: Floats) -> Floats:
    """Return the products as scores, `NO_OPINION` where they are NaN."""
    return np.where(np.isnan(products), NO_OPINION, products).astype(np.float32)
