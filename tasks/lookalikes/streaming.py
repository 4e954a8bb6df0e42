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
from tasks.lookalikes.counters import Counters, parts
from tasks.lookalikes.matrix import sparse_matrix
from tasks.lookalikes.model import Calibrated, Model
from tasks.lookalikes.registry import Rule
from tasks.progress import Pace

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

log = logging.getLogger(__name__)

PROFILED = 50_000
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Some people in their order: who has counters, whom the simple rule takes, the matrix."""

    has_features: Flags
    by_rule: Flags
    x: csr_matrix


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
    places: npt.NDArray[np.int64]
    kept: csr_matrix


def log_odds_of(model: Model, people: pl.DataFrame, counters: Counters, title: str) -> Array:
    """Return the model's log-odds of each of the people, before calibration."""
    found = [model.log_odds(part.x) for part in _read(model, None, people, counters, title)]
    return np.concatenate(found)


def seen(
    model: Calibrated, rule: Rule | None, people: pl.DataFrame, counters: Counters, title: str
) -> Seen:
    """Return everybody's probability and what the card says of them."""
    from scipy.sparse import vstack

    step = -(-people.height // PROFILED)
    done, found, kept = 0, [], []
    for part in _read(model.model, rule, people, counters, title):
        found.append((model.probability_of(part.x), part.has_features, part.by_rule))
        kept.append(part.x[-done % step :: step])
        done += part.x.shape[0]
    p, has_features, by_rule = (np.concatenate(column) for column in zip(*found, strict=True))
    return Seen(p, has_features, by_rule, np.arange(0, done, step), vstack(kept).tocsr())


def _read(
    model: Model, rule: Rule | None, people: pl.DataFrame, counters: Counters, title: str
) -> Iterator[Part]:
    pace = Pace(title, people.height)
    for some, frame in parts(people, counters.frames()):
        x = sparse_matrix(some, frame, model.columns)
        yield Part(_are_among(some, frame), _are_among(some, _by_rule(frame, rule)), x)
        pace.done(some.height)


def _by_rule(frame: pl.DataFrame, rule: Rule | None) -> pl.DataFrame:
    if rule is None:
        return frame.clear()
    is_wanted = pl.col(c.VALUE).is_in(list(rule.values))
    return frame.filter(pl.col(c.ATTRIBUTE) == rule.attribute, is_wanted)


def _are_among(people: pl.DataFrame, rows: pl.DataFrame) -> Flags:
    flags: Flags = people[c.USER_ID].is_in(rows[c.USER_ID].unique().implode()).to_numpy()
    return flags
