"""What `retrain_ranker` and `rollback_ranker` write."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME, Column, Table

_NUMBER = Column(pl.Float64, nullable=True)

RANKING_GROUPS = Table(
    "ranking_groups",
    "fitted",
    {
        c.GROUP_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        c.LISTING_DAY: Column(pl.Date),
        c.ROLE: Column(pl.String, values=("train", "holdout")),
        c.USER_ID: Column(pl.String),
        c.PLATFORM: Column(pl.String, values=c.PLATFORMS),
        c.SURFACE: Column(pl.String, values=c.SURFACES),
        c.LISTING_KIND: Column(pl.String, nullable=True),
        c.POSITION: Column(pl.Int32, nullable=True, low=1),
        c.LABEL: Column(pl.Int64, low=0, high=1),
    },
    (c.GROUP_ID, c.ITEM_ID),
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
        "incumbent": Column(pl.String, nullable=True),
        "trained_through": Column(pl.Date),
        "held_out_from": Column(pl.Date),
        "gain": _NUMBER,
        "gain_low": _NUMBER,
        "gain_high": _NUMBER,
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
        "from_version": Column(pl.String, nullable=True),
        "to_version": Column(pl.String),
        c.REASON: Column(pl.String),
    },
    ("model", "moved_at"),
    "retrain_ranker.promote",
)
