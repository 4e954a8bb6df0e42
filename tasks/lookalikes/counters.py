"""Counters of an anchor, read in frames of whole people: a day of millions need not fit memory.

A partition is sorted by its key in long runs, which a parallel write may have put in any order; so
may the frames be. Whoever stands at the edge of a run may go on in another: all those come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lake.tables import LOOKALIKE_FEATURES

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counters:
    """LOOKALIKE_FEATURES rows of one anchor; `frames` opens them anew."""

    frames: Callable[[], Iterator[pl.DataFrame]]

    def people(self) -> pl.DataFrame:
        """Return `user_id` of everybody who has counters, sorted."""
        none = pl.DataFrame(schema={c.USER_ID: pl.String})
        parts = [frame.select(pl.col(c.USER_ID).unique()) for frame in self.frames()]
        return pl.concat([none, *parts]).unique().sort(c.USER_ID)

    def of(self, people: pl.DataFrame) -> Iterator[tuple[Places, pl.DataFrame]]:
        """Yield some of the people at a time, by their places, with all of their counters.

        Args:
            people: sorted by `user_id`; those without counters are left out.
        """
        ids = people[c.USER_ID]
        for frame in self._of_whole_people():
            users = frame[c.USER_ID].unique().sort()
            places = ids.search_sorted(users).clip(upper_bound=max(len(ids) - 1, 0))
            found = places.filter(ids.gather(places) == users).cast(pl.Int64).to_numpy()
            if len(found):
                yield found, frame

    def _of_whole_people(self) -> Iterator[pl.DataFrame]:
        loose = [LOOKALIKE_FEATURES.empty()]
        for run in (run for frame in self.frames() for run in _runs(frame)):
            user = run[c.USER_ID]
            is_edge = (user == user[0]) | (user == user[-1])
            loose.append(run.filter(is_edge).select(loose[0].columns))
            if not is_edge.all():
                yield run.filter(~is_edge)
        if (rest := pl.concat(loose).sort(LOOKALIKE_FEATURES.key)).height:
            yield rest


def held(rows: pl.DataFrame) -> Counters:
    """Return counters that lie in memory."""
    ordered = rows.sort(LOOKALIKE_FEATURES.key)
    return Counters(lambda: iter([ordered] if ordered.height else []))


def _runs(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the parts of a frame within which `user_id` never falls."""
    falls = frame.select((pl.col(c.USER_ID) < pl.col(c.USER_ID).shift()).arg_true()).to_series()
    starts = [0, *falls, frame.height]
    return (frame[start:stop] for start, stop in pairwise(starts))
