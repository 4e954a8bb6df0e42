"""Which attributes the rows of a category group can tell apart, and why the others have no weight.

constant     what was shown has it alike: nothing to learn
rare         fewer than `MIN_OWNERS` blocks of customers prefer it
separated    (almost) all carts lie on one side of what was shown: the likelihood has no maximum,
             a ridge would make up the size, and resampling does not see the end of the interval
collinear    the other columns explain 90% of it (variance inflation 10, Marquardt 1970): a brand
             that is nearly a category. Fitted together the two would get opposite signs, and with
             the negative one cut to 0 the engine would count their common effect twice. Of those
             the one stays by which carted items differ most from what was shown; it stands for both
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks import columns as c
from tasks.facets.design import Array, Design, starts_of, with_columns

MIN_OWNERS = 20
"""Blocks of customers that an attribute needs; with few customers a block is one of them."""
MIN_AGAINST = 3
"""Carts that have to lie on either side of what was shown."""
CONSTANT = 1e-9
"""A spread below this is no spread: the attribute says nothing between the items shown."""
MAX_INFLATION = 10.0
SINGULAR = 1e-9

FEW = "too few customers' preferences for it differ among what was shown"
SEPARATED = "separated: all but {} of {} carts lie on one side of what was shown"
COLLINEAR = "cannot be told from {}, which stands for both"

Flags = npt.NDArray[np.bool_]


def identified(design: Design, around: Array) -> tuple[Design, dict[str, str]]:
    """Return the design without the columns that cannot be told, and why by their name.

    Args:
        design: of one category group.
        around: its `x` around what the method compares an item with, rows by columns.
    """
    few = zip(design.names, _few(design, around).tolist(), strict=True)
    reasons = dict.fromkeys((name for name, is_few in few if is_few), FEW)
    reasons |= _separated(design, around, reasons)
    kept = [place for place, name in enumerate(design.names) if name not in reasons]
    twins = _collinear(design, around, kept)
    kept = [place for place in kept if design.names[place] not in twins]
    return with_columns(design, kept), reasons | twins


def _few(design: Design, around: Array) -> Flags:
    owners = np.add.reduceat(design.x != 0, starts_of(design.block), axis=0) > 0
    few: Flags = (spread_of(around) <= CONSTANT) | (owners.sum(axis=0) < MIN_OWNERS)
    return few


def spread_of(around: Array) -> Array:
    """Return the standard deviation of each column of deviations."""
    spread: Array = np.sqrt(np.mean(around**2, axis=0))
    return spread


def _separated(design: Design, around: Array, known: dict[str, str]) -> dict[str, str]:
    carted = around[design.y > 0]
    above, below = (carted > CONSTANT).sum(axis=0), (carted < -CONSTANT).sum(axis=0)
    counts = zip(design.names, above.tolist(), below.tolist(), strict=True)
    return {
        name: SEPARATED.format(min(up, down), up + down)
        for name, up, down in counts
        if name not in known and name != c.SF_POS and min(up, down) < MIN_AGAINST
    }


def _collinear(design: Design, around: Array, kept: list[int]) -> dict[str, str]:
    """Return the columns to leave out and, in the reason, which of the others stands for each."""
    kept, reasons = list(kept), {}
    unit = around / np.maximum(spread_of(around), CONSTANT)
    correlation = unit.T @ unit / len(unit)
    strength = np.abs(unit[design.y > 0].sum(axis=0))
    while inflated := _inflated(correlation, kept, design.names):
        weakest = min(inflated, key=lambda place: (strength[place], design.names[place]))
        kept.remove(weakest)
        twin = max(kept, key=lambda place: abs(correlation[weakest, place]))
        reasons[design.names[weakest]] = COLLINEAR.format(design.names[twin])
    return reasons


def _inflated(correlation: Array, kept: list[int], names: tuple[str, ...]) -> list[int]:
    """Return the attributes whose variance the other columns inflate too much."""
    among = correlation[np.ix_(kept, kept)] + SINGULAR * np.eye(len(kept))
    inflation = np.diag(np.linalg.inv(among)).tolist()
    return [
        place
        for place, factor in zip(kept, inflation, strict=True)
        if factor >= MAX_INFLATION and names[place] != c.SF_POS
    ]
