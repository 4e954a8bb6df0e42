"""Counters of an anchor, read in frames of whole people: a day of millions need not fit memory.

A partition is sorted by its key, but a parallel write may have put its batches in any order. So a
first look at the ids alone tells who lies in one stretch; the few others come last, together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lake.tables import LOOKALIKE_FEATURES

Places = npt.NDArray[np.int64]
Answer = Callable[[pl.DataFrame], pl.DataFrame]
Frames = Callable[[Sequence[str]], Iterator[pl.DataFrame]]
ALL = tuple(LOOKALIKE_FEATURES.columns)


@dataclass(frozen=True)
class Counters:
    """LOOKALIKE_FEATURES rows of one anchor; `frames` opens columns of them anew."""

    frames: Frames

    @property
    def people(self) -> pl.DataFrame:
        """The `user_id` of everybody who has counters, sorted."""
        return self._stretches.select(c.USER_ID)

    def mapped(self, answer: Answer) -> Iterator[pl.DataFrame]:
        """Yield what a function answers to all counters of some people, of everybody in turn."""
        return (answer(frame) for frame in self._of_whole_people() if frame.height)

    def of(self, people: pl.DataFrame) -> Iterator[tuple[Places, pl.DataFrame]]:
        """Yield some of the people at a time, by their places, with all of their counters.

        Args:
            people: sorted by `user_id`; those without counters are left out.
        """
        for frame in self._of_whole_people():
            found, _ = places_of(frame[c.USER_ID].unique().sort(), people[c.USER_ID])
            if len(found):
                yield found, frame

    @cached_property
    def _stretches(self) -> pl.DataFrame:
        """Return `user_id, stretches`, sorted: in how many stretches of the frames each lies."""
        none = pl.DataFrame(schema={c.USER_ID: pl.String})
        begins = pl.col(c.USER_ID).ne_missing(pl.col(c.USER_ID).shift())
        starts = [frame.filter(begins) for frame in self.frames([c.USER_ID])]
        counted = pl.concat([none, *starts]).group_by(c.USER_ID).len("stretches")
        return counted.sort(c.USER_ID)

    def _of_whole_people(self) -> Iterator[pl.DataFrame]:
        cut = self._stretches.filter(pl.col("stretches") > 1)[c.USER_ID].implode()
        loose = [LOOKALIKE_FEATURES.empty()]
        for frame in self.frames(ALL):
            is_cut = frame[c.USER_ID].is_in(cut)
            loose.append(frame.filter(is_cut))
            yield frame.filter(~is_cut)
        yield pl.concat(loose)


def places_of(asked: pl.Series, ids: pl.Series) -> tuple[Places, pl.Series]:
    """Return where those of `asked` that are among the sorted `ids` lie there, and which are."""
    places = ids.search_sorted(asked).clip(upper_bound=len(ids) - 1)
    is_there = ids.gather(places) == asked
    return places.filter(is_there).cast(pl.Int64).to_numpy(), is_there


def held(rows: pl.DataFrame) -> Counters:
    """Return counters that lie in memory."""
    return Counters(lambda columns: iter([rows.select(columns)]))
