"""Keep a boost within its bounds: where it moves a top too far, it is halved until it does not."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks import columns as c
from tasks.boost.arithmetic import REQUEST, ranked, scored
from tasks.boost.clauses import weakened
from tasks.boost.request import BASE
from tasks.settings import Boost

STRENGTHS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.0)
BASE_RANK, OVERLAP, STRENGTH = "base_rank", "overlap", "strength"


@dataclass(frozen=True)
class Guarded:
    """What is left of a boost.

    Attributes:
        rows: `scored` rows with `base_rank` and `rank`.
        clauses: the clauses as they may be sent, boosts as the engine holds them.
        report: `request, strength, overlap, full_overlap`; `full_overlap` is that of the whole
            boost, each the share of the unboosted top that stays in the top.
    """

    rows: pl.DataFrame
    clauses: pl.DataFrame
    report: pl.DataFrame


def guarded(
    rows: pl.DataFrame, item_facets: pl.DataFrame, clauses: pl.DataFrame, options: Boost
) -> Guarded:
    """Return the strongest boost of each request whose overlap is at least `min_overlap`.

    Args:
        rows: `request, item_id, base, is_stocked`.
        item_facets: `item_id, facet`.
        clauses: `request, place, facet, boost` and what else they have.
        options: the bounds.
    """
    left = rows.with_columns(ranked(rows, BASE).alias(BASE_RANK))
    done: list[Guarded] = []
    full = pl.DataFrame(schema={REQUEST: rows.schema[REQUEST], "full_overlap": pl.Float64})
    for strength in STRENGTHS:
        tried = _at(strength, left, item_facets, clauses, options)
        if strength == STRENGTHS[0]:
            full = tried.report.select(REQUEST, pl.col(OVERLAP).alias("full_overlap"))
        kept = tried.report.filter((pl.col(OVERLAP) >= options.min_overlap) | (strength == 0))
        done.append(_only(tried, kept[REQUEST]))
        left = left.filter(~pl.col(REQUEST).is_in(kept[REQUEST].implode()))
        if left.is_empty():
            break
    return Guarded(
        pl.concat(part.rows for part in done),
        pl.concat(part.clauses for part in done),
        pl.concat(part.report for part in done).join(full, on=REQUEST).sort(REQUEST),
    )


def _at(
    strength: float,
    rows: pl.DataFrame,
    item_facets: pl.DataFrame,
    clauses: pl.DataFrame,
    options: Boost,
) -> Guarded:
    """Return the boost at one strength, and what each request's overlap then is."""
    weak = weakened(clauses, strength)
    boosted = scored(rows, item_facets, weak, options)
    boosted = boosted.with_columns(ranked(boosted, c.SCORE).alias(c.RANK))
    report = overlaps(boosted, options.top).with_columns(pl.lit(strength).alias(STRENGTH))
    return Guarded(boosted, weak, report)


def overlaps(rows: pl.DataFrame, top: int) -> pl.DataFrame:
    """Return `request, overlap`: the share of the unboosted top that is in the boosted one."""
    stays = (pl.col(c.RANK) <= top) & (pl.col(BASE_RANK) <= top)
    share = stays.sum() / pl.min_horizontal(pl.len(), pl.lit(top))
    return rows.group_by(REQUEST).agg(share.alias(OVERLAP)).sort(REQUEST)


def _only(found: Guarded, requests: pl.Series) -> Guarded:
    mine = pl.col(REQUEST).is_in(requests.implode())
    return Guarded(found.rows.filter(mine), found.clauses.filter(mine), found.report.filter(mine))
