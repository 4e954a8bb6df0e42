"""Who is in a suggested audience, against the base, and whom two audiences share.

share  of a value among all of its attribute: sums over people of their `lookalike_features` shares,
       in which n looks count n / (n + 5); so an audience that looks more has not more of everything
rank   by share in the audience * log of ratio, ratio = share in the audience / share in the base:
       what an audience has more of, and enough of to say so
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.matrix import KEY
from tasks.lookalikes.streaming import Seen
from tasks.lookalikes.training import GRADES

TOP = 12
SUGGESTION = "suggestion"


def audience_profiles(card: pl.DataFrame, found: Seen, columns: pl.DataFrame) -> pl.DataFrame:
    """Return AUDIENCE_PROFILES rows of both suggestions of a THRESHOLD_CARDS card.

    Args:
        card: as `threshold_card` makes it.
        found: today's people, of whom some have their counters kept.
        columns: `attribute, value, column` of those.
    """
    p, base = found.p[found.places], _sums(found, np.ones(len(found.places), bool))
    rows = [
        _profile(str(name), columns, _sums(found, p >= threshold), base)
        for name, threshold in suggestions(card).items()
        if (p >= threshold).any()
    ]
    return pl.concat([AUDIENCE_PROFILES.empty(), *rows])


def suggestions(card: pl.DataFrame) -> dict[str, float]:
    """Return the threshold of each suggestion of a card."""
    named = card.filter(pl.col(SUGGESTION).is_not_null())
    return dict(named.select(SUGGESTION, c.THRESHOLD).iter_rows())


def _sums(found: Seen, members: np.ndarray) -> Array:
    sums: Array = np.asarray(found.kept[members].sum(axis=0)).ravel()
    return sums


def _profile(name: str, columns: pl.DataFrame, audience: Array, base: Array) -> pl.DataFrame:
    sums = columns.select(
        pl.lit(name).alias(SUGGESTION),
        *KEY,
        pl.Series("audience_share", audience),
        pl.Series("base_share", base),
    ).filter(~pl.col(c.ATTRIBUTE).is_in(GRADES))
    both = pl.col("audience_share", "base_share")
    # Of an attribute that nobody of the audience has looked at, 0 of 0.
    shares = sums.with_columns((both / both.sum().over(c.ATTRIBUTE)).fill_nan(0)).filter(
        pl.col("audience_share") > pl.col("base_share"), pl.col("base_share") > 0
    )
    ratio = pl.col("audience_share") / pl.col("base_share")
    weight = pl.col("audience_share") * ratio.log()
    ordered = shares.with_columns(ratio.alias("ratio")).sort(
        weight, *KEY, descending=[True, False, False]
    )
    ranked = ordered.head(TOP).with_columns(pl.int_range(1, pl.len() + 1).alias(c.RANK))
    return ranked.select(pl.col(name).cast(kind) for name, kind in AUDIENCE_PROFILES.schema.items())


def members(card: pl.DataFrame, scores: pl.DataFrame) -> dict[str, pl.Series]:
    """Return the `user_id` of each suggested audience of a card; none where it refuses.

    Args:
        card: THRESHOLD_CARDS rows of a segment.
        scores: its LOOKALIKE_SCORES rows.
    """
    return {
        name: scores.filter(pl.col(c.PROBABILITY) >= threshold)[c.USER_ID]
        for name, threshold in suggestions(card).items()
    }


def audience_overlaps(audiences: Mapping[tuple[str, str], pl.Series]) -> pl.DataFrame:
    """Return AUDIENCE_OVERLAPS rows: of a segment's audience, how many another's takes too.

    Args:
        audiences: `user_id` by segment and suggestion.
    """
    rows = [
        (segment, name, other, len(mine), int(mine.is_in(theirs.implode()).sum()))
        for ((segment, name), mine), ((other, like), theirs) in permutations(audiences.items(), 2)
        if name == like
    ]
    names = [c.LOOKALIKE_SEGMENT, SUGGESTION, "other", "audience_size", "shared"]
    kinds = {name: AUDIENCE_OVERLAPS.schema[name] for name in names}
    found = pl.DataFrame(rows, schema=kinds, orient="row")
    return found.with_columns((pl.col("shared") / pl.col("audience_size")).alias("shared_share"))
