"""One pass over an anchor's counters: everybody's probability, in memory of a frame.

Of `PROFILED` people, evenly spaced in the order of their ids, the counters are kept: they tell what
an audience has that the base has not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.counters import Counters, Places
from tasks.lookalikes.matrix import NO_CELLS, as_matrix, sparse_matrix
from tasks.lookalikes.model import Calibrated, Model
from tasks.lookalikes.registry import Rule
from tasks.progress import Pace

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

PROFILED = 50_000
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """What a pass found of the people, in their order.

    Attributes:
        p: their probabilities.
        has_features: who has counters.
        by_rule: whom the simple rule takes; nobody without a rule.
        places: those of `people` whose counters are kept.
        kept: these, by the model's columns.
    """

    p: Array
    has_features: Flags
    by_rule: Flags
    places: Places
    kept: csr_matrix


def log_odds_of(model: Model, people: pl.DataFrame, counters: Counters, title: str) -> Array:
    """Return the model's log-odds of each of the people, before calibration."""
    odds = np.full(people.height, model.log_odds(_nothing(model))[0])
    for places, _, x in _read(model, people, counters, title):
        odds[places] = model.log_odds(x)
    return odds


def seen(
    model: Calibrated, rule: Rule | None, people: pl.DataFrame, counters: Counters, title: str
) -> Seen:
    """Return everybody's probability and what the card says of them."""
    count, step = people.height, -(-people.height // PROFILED)
    p = np.full(count, model.probability_of(_nothing(model.model))[0])
    has_features, by_rule, kept = np.zeros(count, bool), np.zeros(count, bool), [NO_CELLS]
    for places, frame, x in _read(model.model, people, counters, title):
        p[places], has_features[places] = model.probability_of(x), True
        by_rule[places] = _are_among(people[places], _by_rule(frame, rule))
        mine = x[places % step == 0].tocoo()
        kept.append((places[places % step == 0][mine.row] // step, mine.col, mine.data))
    profiled = np.arange(0, count, step)
    return Seen(
        p,
        has_features,
        by_rule,
        profiled,
        as_matrix(kept, len(profiled), model.model.columns.height),
    )


def _nothing(model: Model) -> csr_matrix:
    """Return one row of who has no counters."""
    return as_matrix([NO_CELLS], 1, model.columns.height)


def _read(
    model: Model, people: pl.DataFrame, counters: Counters, title: str
) -> Iterator[tuple[Places, pl.DataFrame, csr_matrix]]:
    pace, found = Pace(title, people.height), 0
    for places, frame in counters.of(people):
        yield places, frame, sparse_matrix(people[places], frame, model.columns)
        pace.done(len(places))
        found += len(places)
    if found < people.height:
        pace.done(people.height - found)


def _by_rule(frame: pl.DataFrame, rule: Rule | None) -> pl.DataFrame:
    if rule is None:
        return frame.clear()
    is_wanted = pl.col(c.VALUE).is_in(list(rule.values))
    return frame.filter(pl.col(c.ATTRIBUTE) == rule.attribute, is_wanted)


def _are_among(people: pl.DataFrame, rows: pl.DataFrame) -> Flags:
    flags: Flags = people[c.USER_ID].is_in(rows[c.USER_ID].unique().implode()).to_numpy()
    return flags
