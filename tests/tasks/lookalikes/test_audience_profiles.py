from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from tasks import columns as c
from tasks.lake.contracts import conform
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.profiles import audience_overlaps, audience_profiles, members
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


def test_an_audience_that_looks_more_has_not_more_of_everything() -> None:
    """One of 45 looks, two in three of them red, and one of a single look at green."""
    columns = pl.concat(
        [
            COLUMNS,
            pl.DataFrame(
                {"column": [3], c.ATTRIBUTE: ["activity_grade"], c.VALUE: ["about 5 and more"]},
                schema_overrides={"column": pl.UInt32},
            ),
        ]
    )
    shares = np.array([[15 / 50, 0, 30 / 50, 45 / 50], [0, 1 / 6, 0, 1 / 6]])
    flags = np.ones(2, bool)
    found = Seen(np.array([0.9, 0.1]), flags, ~flags, np.arange(2), csr_matrix(shares))
    rows = audience_profiles(CARD.filter(suggestion="sure"), found, columns).sort(c.VALUE)
    assert rows[c.VALUE].to_list() == ["blue", "red"]
    assert rows["audience_share"].to_list() == pytest.approx([1 / 3, 2 / 3])
    everything = 45 / 50 + 1 / 6
    assert rows["base_share"].to_list() == pytest.approx([0.3 / everything, 0.6 / everything])


def test_an_overlap_counts_whom_two_audiences_of_a_kind_share() -> None:
    probabilities = {
        "bags": {"u": 0.9, "v": 0.3, "w": 0.2, "x": 0.01},
        "hats": {"u": 0.85, "v": 0.05, "w": 0.1},
    }
    audiences = {
        (segment, suggestion): users
        for segment, of in probabilities.items()
        for suggestion, users in members(CARD, scores(of)).items()
    }
    found = conform(AUDIENCE_OVERLAPS, audience_overlaps(audiences))
    wide = found.filter(suggestion="wide", lookalike_segment="bags").row(0, named=True)
    # Bags: u, v, w; of them u and w are among hats' u and w.
    assert (wide["other"], wide["audience_size"], wide["shared"]) == ("hats", 3, 2)
    assert wide["shared_share"] == pytest.approx(2 / 3)
    back = found.filter(suggestion="wide", lookalike_segment="hats").row(0, named=True)
    assert back["shared_share"] == 1
    assert found.filter(suggestion="sure")["shared"].to_list() == [1, 1]


def scores(of: dict[str, float]) -> pl.DataFrame:
    return pl.DataFrame({c.USER_ID: list(of), c.PROBABILITY: list(of.values())})


def test_a_card_that_refuses_has_no_audience_and_shares_nobody() -> None:
    refusing = CARD.with_columns(pl.lit(None, pl.String).alias("suggestion"))
    assert members(refusing, scores({"u": 1.0})) == {}
    assert conform(AUDIENCE_OVERLAPS, audience_overlaps({})).is_empty()
