"""A segment's card, worked by hand: a hundred people, of whom ten do it."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.card import Judged
from tasks.lookalikes.judgement import auc_of
from tasks.lookalikes.registry import Rule, Segment
from tasks.report.page import Section
from tests.rows import rows

DAY = date(2026, 3, 31)
SEGMENT = Segment(
    "hats", "marketing", "ordered a hat", 14, 1, 7, False, Rule("category", ("hats", "<b>caps"))
)

MAILINGS = (Section("Mailing: spring, hats, 2026-03-01", notes=("a rise of 2 points",)),)


def judged() -> Judged:
    """Of a hundred people 8 of the upper ten did it, 2 of the next; the rule takes every third."""
    p, y = np.linspace(0.001, 0.1, 100), np.zeros(100)
    y[90:98] = y[80:82] = 1
    return Judged(p, y, auc_of(p, y), np.arange(100) % 3 == 0)


def profiles() -> pl.DataFrame:
    sure = {"suggestion": "sure", "audience_share": 0.5, "base_share": 0.1, "ratio": 5.0, "rank": 1}
    told = rows(
        AUDIENCE_PROFILES,
        sure | {c.ATTRIBUTE: "brand", c.VALUE: "<script>document.title=1</script>"},
    )
    return told.with_columns(pl.lit("hats").alias(c.LOOKALIKE_SEGMENT))


def overlaps() -> pl.DataFrame:
    shared = {"suggestion": "sure", "other": "bags", "shared": 3, "shared_share": 0.3}
    return rows(AUDIENCE_OVERLAPS, shared | {c.LOOKALIKE_SEGMENT: "hats", "audience_size": 10})
