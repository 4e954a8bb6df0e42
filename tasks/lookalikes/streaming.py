"""One pass over an anchor's counters: everybody's probability, in memory of a frame.

Of `PROFILED` people, evenly spaced in the order of their ids, the counters are kept: they tell what
an audience has that the base has not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.counters import Counters, Places, places_of
from tasks.lookalikes.matrix import KEY, NO_CELLS, Cells, as_matrix, sparse_matrix
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


@dataclass(frozen=True)
class Scorer:
    """Answers counters of whole people by their probabilities, on this machine or a worker's.

    `kept` are the people whose counters come back too.
    """

    model: Calibrated
    rule: Rule | None
    kept: pl.Series

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `user_id, probability, by_rule, column, share`; the last two lists or null."""
        people = frame.select(c.USER_ID).unique().sort(c.USER_ID)
        columns = self.model.model.columns
        answer = people.with_columns(
            pl.Series(c.PROBABILITY, self.model.probability(people, frame)),
            pl.Series("by_rule", _are_among(people, _by_rule(frame, self.rule))),
        )
        mine = frame.filter(pl.col(c.USER_ID).is_in(self.kept.implode())).join(columns, on=KEY)
        cells = mine.group_by(c.USER_ID).agg("column", "share")
        return answer.join(cells, on=c.USER_ID, how="left")


def log_odds_of(model: Model, people: pl.DataFrame, counters: Counters, title: str) -> Array:
    """Return the model's log-odds of each of the people, before calibration."""
    odds = np.full(people.height, model.log_odds(_nothing(model))[0])
    pace = Pace(title, people.height)
    for places, frame in counters.of(people):
        odds[places] = model.log_odds(sparse_matrix(people[places], frame, model.columns))
        pace.done(len(places))
    return odds


def seen(
    model: Calibrated, rule: Rule | None, people: pl.DataFrame, counters: Counters, title: str
) -> Seen:
    """Return everybody's probability and what the card says of them."""
    ids, step = people[c.USER_ID], -(-people.height // PROFILED)
    p = np.full(len(ids), model.probability_of(_nothing(model.model))[0])
    has_features, by_rule = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
    pace, kept = Pace(title, people.height), [NO_CELLS]
    for rows in counters.mapped(Scorer(model, rule, ids.gather_every(step))):
        places, is_there = places_of(rows[c.USER_ID], ids)
        mine = rows.filter(is_there)
        p[places], has_features[places] = mine[c.PROBABILITY].to_numpy(), True
        by_rule[places] = mine["by_rule"].to_numpy()
        kept.append(_cells(mine, places // step))
        pace.done(len(places))
    profiled, width = np.arange(0, len(ids), step), model.model.columns.height
    return Seen(p, has_features, by_rule, profiled, as_matrix(kept, len(profiled), width))


def _cells(rows: pl.DataFrame, places: Places) -> Cells:
    """Return the counters that came back, by the place of their person among the kept."""
    placed = rows.select(pl.Series("row", places.astype(np.int32)), "column", "share").drop_nulls()
    cells = placed.explode("column", "share")
    row, column = (cells[name].cast(pl.Int32).to_numpy() for name in ("row", "column"))
    return row, column, cells["share"].to_numpy()


def _nothing(model: Model) -> csr_matrix:
    """Return one row of who has no counters."""
    return as_matrix([NO_CELLS], 1, model.columns.height)


def _by_rule(frame: pl.DataFrame, rule: Rule | None) -> pl.DataFrame:
    if rule is None:
        return frame.clear()
    is_wanted = pl.col(c.VALUE).is_in(list(rule.values))
    return frame.filter(pl.col(c.ATTRIBUTE) == rule.attribute, is_wanted)


def _are_among(people: pl.DataFrame, rows: pl.DataFrame) -> Flags:
    flags: Flags = people[c.USER_ID].is_in(rows[c.USER_ID].unique().implode()).to_numpy()
    return flags
