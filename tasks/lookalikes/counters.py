"""Counters of an anchor, read in frames of whole people: a day of millions need not fit memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.lake.tables import LOOKALIKE_FEATURES


@dataclass(frozen=True)
class Counters:
    """LOOKALIKE_FEATURES rows of one anchor; `frames` opens them anew, in the order of the key."""

    frames: Callable[[], Iterator[pl.DataFrame]]

    def people(self) -> pl.DataFrame:
        """Return `user_id` of everybody who has counters, sorted."""
        none = pl.DataFrame(schema={c.USER_ID: pl.String})
        parts = [frame.select(pl.col(c.USER_ID).unique()) for frame in self.frames()]
        return pl.concat([none, *parts]).unique().sort(c.USER_ID)


def held(rows: pl.DataFrame) -> Counters:
    """Return counters that lie in memory."""
    ordered = rows.sort(LOOKALIKE_FEATURES.key)
    return Counters(lambda: iter([ordered] if ordered.height else []))


def parts(
    people: pl.DataFrame, frames: Iterable[pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the people in their order, some at a time, each with all of their counters.

    Args:
        people: sorted by `user_id`; those without counters are somewhere too.
        frames: rows in the order of `user_id`, in frames of any size.

    Raises:
        ContractViolation: the frames are not in that order.
    """
    ids, start = people[c.USER_ID], 0
    kept = LOOKALIKE_FEATURES.empty()
    for frame in frames:
        together = pl.concat([kept, frame.select(kept.columns)])
        _refuse_disorder(together)
        last = together[c.USER_ID][-1]
        stop = int(ids.search_sorted(last))
        is_last = pl.col(c.USER_ID) == last
        if stop > start:
            yield people[start:stop], together.filter(~is_last)
        start, kept = stop, together.filter(is_last)
    if start < people.height:
        yield people[start:], kept


def _refuse_disorder(rows: pl.DataFrame) -> None:
    if not rows[c.USER_ID].is_sorted():
        raise ContractViolation(
            f"{LOOKALIKE_FEATURES.name}: rows are not in the order of {c.USER_ID}, so that nobody"
            " is known to be whole"
        )
