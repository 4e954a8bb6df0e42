"""What `score_lookalikes` writes."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import Column, Table

_SHARE = Column(pl.Float64, nullable=True, low=0, high=1)

LOOKALIKE_FEATURES = Table(
    "lookalike_features",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.ATTRIBUTE: Column(pl.String),
        c.VALUE: Column(pl.String),
        "share": Column(pl.Float64, low=0, high=1),
    },
    (c.USER_ID, c.ATTRIBUTE, c.VALUE),
    "score_lookalikes.list_segments",
    due_hour=6,
)
LOOKALIKE_SCORES = Table(
    "lookalike_scores",
    "fitted",
    {c.USER_ID: Column(pl.String), c.PROBABILITY: Column(pl.Float64, low=0, high=1)},
    (c.USER_ID,),
    "score_lookalikes.score_segment",
    part=c.LOOKALIKE_SEGMENT,
    due_hour=6,
)
_SIZE = Column(pl.Float64, nullable=True, low=0)

THRESHOLD_CARDS = Table(
    "threshold_cards",
    "fitted",
    {
        c.THRESHOLD: Column(pl.Float64, low=0, high=1),
        "audience_size": Column(pl.Int64, low=0),
        "precision": _SHARE,
        "precision_low": _SHARE,
        "precision_high": _SHARE,
        "recall": _SHARE,
        "recall_low": _SHARE,
        "recall_high": _SHARE,
        "lift": _SIZE,
        "lift_low": _SIZE,
        "lift_high": _SIZE,
        "expected_buyers": _SIZE,
        "expected_low": _SIZE,
        "expected_high": _SIZE,
        "base_rate": _SHARE,
        "suggestion": Column(pl.String, nullable=True, values=("sure", "wide")),
        "verdict": Column(pl.String, values=("ok", "no signal", "too few")),
        c.REASON: Column(pl.String, nullable=True),
        "auc": _SHARE,
        "auc_low": _SHARE,
        "auc_high": _SHARE,
        "cost_per_buyer": _SIZE,
        "cost_per_buyer_low": _SIZE,
        "cost_per_buyer_high": _SIZE,
        "shown_share": _SHARE,
        "trait_share": _SHARE,
        "trait_share_low": _SHARE,
        "trait_share_high": _SHARE,
        "rule_size": Column(pl.Int64, nullable=True, low=0),
        "rule_precision": _SHARE,
        "rule_precision_low": _SHARE,
        "rule_precision_high": _SHARE,
        "rule_recall": _SHARE,
        "rule_matched_precision": _SHARE,
        "rule_matched_precision_low": _SHARE,
        "rule_matched_precision_high": _SHARE,
        "rule_matched_recall": _SHARE,
    },
    (c.THRESHOLD,),
    "score_lookalikes.score_segment",
    part=c.LOOKALIKE_SEGMENT,
    due_hour=6,
)
_SUGGESTION = Column(pl.String, values=("sure", "wide"))

AUDIENCE_PROFILES = Table(
    "audience_profiles",
    "fitted",
    {
        "suggestion": _SUGGESTION,
        c.ATTRIBUTE: Column(pl.String),
        c.VALUE: Column(pl.String),
        "audience_share": Column(pl.Float64, low=0, high=1),
        "base_share": Column(pl.Float64, low=0, high=1),
        "ratio": Column(pl.Float64, nullable=True, low=0),
        c.RANK: Column(pl.Int64, low=1),
    },
    ("suggestion", c.ATTRIBUTE, c.VALUE),
    "score_lookalikes.score_segment",
    part=c.LOOKALIKE_SEGMENT,
    due_hour=6,
)
AUDIENCE_OVERLAPS = Table(
    "audience_overlaps",
    "fitted",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        "suggestion": _SUGGESTION,
        "other": Column(pl.String),
        "audience_size": Column(pl.Int64, low=0),
        "shared": Column(pl.Int64, low=0),
        "shared_share": Column(pl.Float64, low=0, high=1),
    },
    (c.LOOKALIKE_SEGMENT, "suggestion", "other"),
    "score_lookalikes.publish_lookalikes",
    due_hour=6,
)
