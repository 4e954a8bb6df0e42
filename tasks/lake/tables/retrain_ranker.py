"""What `retrain_ranker` and `rollback_ranker` write."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME, Column, Table
from tasks.ranker.features import NUMBERS

_NUMBER = Column(pl.Float64, nullable=True)
_COUNT = Column(pl.Int64, low=0)
_TEXT = Column(pl.String, nullable=True)
_FEATURE = Column(pl.Float32, nullable=True)

RANKING_GROUPS = Table(
    "ranking_groups",
    "fitted",
    {
        c.GROUP_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        c.LISTING_DAY: Column(pl.Date),
        # train: a sampled row; holdout: the held-out day, whole; spare: whole lists of the days
        # before it, used when those days are held out with it, and of shuffled ones always.
        c.ROLE: Column(pl.String, values=("train", "holdout", "spare")),
        "is_trained": Column(pl.Boolean),
        "is_measured": Column(pl.Boolean),
        "is_shuffled": Column(pl.Boolean),
        "listed_at": Column(UTC_TIME),
        c.USER_ID: Column(pl.String),
        c.SEGMENT: Column(pl.String),
        c.PLATFORM: Column(pl.String, values=c.PLATFORMS),
        c.SURFACE: Column(pl.String, values=c.SURFACES),
        c.LISTING_KIND: _TEXT,
        c.POSITION: Column(pl.Int32, nullable=True, low=1),
        c.LABEL: Column(pl.Int64, low=0, high=1),
        "log_examination": Column(pl.Float64, high=0),
        c.CATEGORY_GROUP: _TEXT,
        c.CATEGORY: _TEXT,
        c.SELLER_ID: _TEXT,
        **dict.fromkeys(NUMBERS, _FEATURE),
    },
    (c.GROUP_ID, c.ITEM_ID),
    "retrain_ranker.build_groups",
    keep_days=60,
    due_hour=8,
)
RANKING_DAYS = Table(
    "ranking_days",
    "fitted",
    {
        c.LISTING_DAY: Column(pl.Date),
        c.ROLE: Column(pl.String, values=("train", "holdout", "empty", "dropped")),
        "source": Column(pl.String, values=("impressions", "candidates")),
        "listings": _COUNT,
        "carts": _COUNT,
        "carts_without_session": _COUNT,
        "buyers": _COUNT,
        "train_groups": _COUNT,
        "measured_groups": _COUNT,
        "measured_groups_with_label": _COUNT,
        c.REASON: _TEXT,
    },
    (c.LISTING_DAY,),
    "retrain_ranker.build_groups",
    due_hour=8,
)
RANKER_METRICS = Table(
    "ranker_metrics",
    "fitted",
    {
        "model": Column(pl.String),
        c.SLICE: Column(pl.String),
        c.METRIC: Column(pl.String),
        c.VALUE: Column(pl.Float64),
        c.LOW: _NUMBER,
        c.HIGH: _NUMBER,
    },
    ("model", c.SLICE, c.METRIC),
    "retrain_ranker.train_ranker",
    due_hour=8,
)
GATE_DECISIONS = Table(
    "gate_decisions",
    "historical",
    {
        "model_version": Column(pl.String),
        "decided_at": Column(UTC_TIME),
        "decision": Column(pl.String, values=("pass", "refused", "undecided", "too good")),
        c.REASON: Column(pl.String),
        "is_registered": Column(pl.Boolean),
        "incumbent": _TEXT,
        "trained_through": Column(pl.Date, nullable=True),
        "held_out_from": Column(pl.Date, nullable=True),
        "held_out_days": _COUNT,
        # Of held-out lists with a cart; how many lists was not recorded at first.
        "customers": _COUNT,
        "lists": Column(pl.Int64, nullable=True, low=0),
        # Over the base order (sf_pos; popularity where there is none), whatever the incumbent.
        "gain": _NUMBER,
        "gain_low": _NUMBER,
        "gain_high": _NUMBER,
        "top_feature": _TEXT,
        "top_share": _NUMBER,
        "diversity_ratio": _NUMBER,
        "price_ratio": _NUMBER,
        "refit_correlation": _NUMBER,
        "accept_reason": _TEXT,
        # JSON: every comparison with its gain, interval and bound.
        "comparisons": Column(pl.String),
    },
    ("model_version", "decided_at"),
    "retrain_ranker.train_ranker",
)
ALIAS_MOVES = Table(
    "alias_moves",
    "historical",
    {
        "model": Column(pl.String),
        "moved_at": Column(UTC_TIME),
        "from_version": _TEXT,
        "to_version": Column(pl.String),
        "trained_through": Column(pl.Date),
        "moved_by": Column(pl.String, values=("promote", "rollback")),
        c.REASON: Column(pl.String),
    },
    ("model", "moved_at"),
    "retrain_ranker.promote",
)
