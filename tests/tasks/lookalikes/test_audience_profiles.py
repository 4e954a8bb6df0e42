from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from tasks import columns as c
from tasks.lake.contracts import conform
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.profiles import audience_overlaps, audience_profiles
from tasks.lookalikes.streaming import Seen

COLUMNS = pl.DataFrame(
    {"column": range(3), c.ATTRIBUTE: ["colour"] * 3, c.VALUE: ["blue", "green", "red"]},
    schema_overrides={"column": pl.UInt32},
)
CARD = pl.DataFrame({c.THRESHOLD: [0.1, 0.5, 0.8], "suggestion": ["wide", None, "sure"]})


def test_a_profile_says_what_an_audience_has_more_of() -> None:
    # The first two are the sure audience; the third joins them in the wide one.
    shares = np.array([[0, 0, 1], [0.5, 0, 0.5], [0, 1, 0], [1, 0, 0]])
    flags = np.ones(4, bool)
    found = Seen(np.array([0.9, 0.8, 0.2, 0.05]), flags, ~flags, np.arange(4), csr_matrix(shares))
    rows = conform(AUDIENCE_PROFILES, audience_profiles(CARD, found, COLUMNS))
    sure = rows.filter(suggestion="sure")
    assert sure[c.VALUE].to_list() == ["red"]
    red = sure.row(0, named=True)
    assert red["audience_share"] == pytest.approx((1 + 0.5) / 2)
    assert red["base_share"] == pytest.approx((1 + 0.5) / 4)
    assert red["ratio"] == pytest.approx(2)
    wide = rows.filter(suggestion="wide").sort(c.RANK)
    # Red: a half times log 4/3; green: a third times log 4/3. Blue they have less than the base.
    assert wide[c.VALUE].to_list() == ["red", "green"]
    assert wide["ratio"].to_list() == pytest.approx([4 / 3, 4 / 3])


def scores(segment: str, **people: float) -> pl.DataFrame:
    return pl.DataFrame(
        {c.USER_ID: list(people), c.PROBABILITY: list(people.values())}
    ).with_columns(pl.lit(segment).alias(c.LOOKALIKE_SEGMENT))


def test_an_overlap_counts_whom_two_audiences_of_a_kind_share() -> None:
    cards = pl.concat(
        CARD.with_columns(pl.lit(name).alias(c.LOOKALIKE_SEGMENT)) for name in ("bags", "hats")
    )
    rows = pl.concat(
        [scores("bags", u=0.9, v=0.3, w=0.2, x=0.01), scores("hats", u=0.85, v=0.05, w=0.1)]
    )
    found = conform(AUDIENCE_OVERLAPS, audience_overlaps(cards, rows))
    wide = found.filter(suggestion="wide", lookalike_segment="bags").row(0, named=True)
    # Bags: u, v, w; of them u and w are among hats' u and w.
    assert (wide["other"], wide["audience_size"], wide["shared"]) == ("hats", 3, 2)
    assert wide["shared_share"] == pytest.approx(2 / 3)
    back = found.filter(suggestion="wide", lookalike_segment="hats").row(0, named=True)
    assert back["shared_share"] == 1
    assert found.filter(suggestion="sure")["shared"].to_list() == [1, 1]


def test_cards_that_refuse_share_nobody() -> None:
    refusing = CARD.with_columns(
        pl.lit(None, pl.String).alias("suggestion"), pl.lit("bags").alias(c.LOOKALIKE_SEGMENT)
    )
    assert conform(AUDIENCE_OVERLAPS, audience_overlaps(refusing, scores("bags", u=1.0))).is_empty()
