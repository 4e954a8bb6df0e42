"""Who is in a suggested audience, against the base, and whom two audiences share.

share  mean over people of the share of a value among what they looked at
rank   by share in the audience * log of ratio, ratio = share in the audience / share in the base:
       what an audience has more of, and enough of to say so
"""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.classifier import Array
from tasks.lookalikes.matrix import KEY
from tasks.lookalikes.streaming import Seen

TOP = 12
SUGGESTION = "suggestion"


def audience_profiles(card: pl.DataFrame, found: Seen, columns: pl.DataFrame) -> pl.DataFrame:
    """Return AUDIENCE_PROFILES rows of both suggestions of a THRESHOLD_CARDS card.

    Args:
        card: as `threshold_card` makes it.
        found: today's people, of whom some have their counters kept.
        columns: `attribute, value, column` of those.
    """
    p, base = found.p[found.places], _mean_shares(found, np.ones(len(found.places), bool))
    rows = [
        _profile(str(name), columns, _mean_shares(found, p >= threshold), base)
        for name, threshold in suggestions(card).items()
        if (p >= threshold).any()
    ]
    return pl.concat([AUDIENCE_PROFILES.empty(), *rows])


def suggestions(card: pl.DataFrame) -> dict[str, float]:
    """Return the threshold of each suggestion of a card."""
    named = card.filter(pl.col(SUGGESTION).is_not_null())
    return dict(named.select(SUGGESTION, c.THRESHOLD).iter_rows())


def _mean_shares(found: Seen, members: np.ndarray) -> Array:
    # Rounding may leave a share a last bit above 1.
    means: Array = np.minimum(np.asarray(found.kept[members].mean(axis=0)).ravel(), 1.0)
    return means


def _profile(name: str, columns: pl.DataFrame, audience: Array, base: Array) -> pl.DataFrame:
    shares = columns.select(
        pl.lit(name).alias(SUGGESTION),
        *KEY,
        pl.Series("audience_share", audience),
        pl.Series("base_share", base),
    ).filter(pl.col("audience_share") > pl.col("base_share"), pl.col("base_share") > 0)
    ratio = pl.col("audience_share") / pl.col("base_share")
    weight = pl.col("audience_share") * ratio.log()
    ordered = shares.with_columns(ratio.alias("ratio")).sort(
        weight, *KEY, descending=[True, False, False]
    )
    ranked = ordered.head(TOP).with_columns(pl.int_range(1, pl.len() + 1).alias(c.RANK))
    return ranked.select(pl.col(name).cast(kind) for name, kind in AUDIENCE_PROFILES.schema.items())


def audience_overlaps(cards: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Return AUDIENCE_OVERLAPS rows: of a segment's audience, how many another's takes too.

    Args:
        cards: THRESHOLD_CARDS rows of several segments; those that refuse have no audience.
        scores: LOOKALIKE_SCORES rows of these.
    """
    chosen = cards.filter(pl.col(SUGGESTION).is_not_null()).select(
        c.LOOKALIKE_SEGMENT, SUGGESTION, c.THRESHOLD
    )
    members = {
        (segment, name): _members(scores, segment, threshold)
        for segment, name, threshold in chosen.iter_rows()
    }
    rows = [
        (segment, name, other, len(mine), int(mine.is_in(members[other, name].implode()).sum()))
        for (segment, name), other in product(members, sorted({key[0] for key in members}))
        if other != segment and (other, name) in members
        for mine in [members[segment, name]]
    ]
    names = [c.LOOKALIKE_SEGMENT, SUGGESTION, "other", "audience_size", "shared"]
    kinds = {name: AUDIENCE_OVERLAPS.schema[name] for name in names}
    found = pl.DataFrame(rows, schema=kinds, orient="row")
    return found.with_columns((pl.col("shared") / pl.col("audience_size")).alias("shared_share"))


def _members(scores: pl.DataFrame, segment: str, threshold: float) -> pl.Series:
    mine = scores.filter(pl.col(c.LOOKALIKE_SEGMENT) == segment)
    return mine.filter(pl.col(c.PROBABILITY) >= threshold)[c.USER_ID]
