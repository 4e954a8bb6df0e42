"""What `train_candidates` writes: one part a generator."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import Column, Table

_WRITER = "train_candidates.train_generator"
_EMBEDDING = Column(pl.List(pl.Float32))

CANDIDATES = Table(
    "candidates",
    "fitted",
    {
        c.USER_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        c.SCORE: Column(pl.Float64),
        c.RANK: Column(pl.Int32, low=1),
        c.PROPENSITY: Column(pl.Float64, nullable=True, low=0, high=1),
    },
    (c.USER_ID, c.ITEM_ID),
    _WRITER,
    part=c.GENERATOR,
    due_hour=7,
)
"""`rank` is the place in the list; `propensity` the chance with which an item got into a place that
chance filled, null where the place went by score."""

HELDOUT_CANDIDATES = Table(
    "heldout_candidates",
    "fitted",
    {
        c.USER_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        c.SCORE: Column(pl.Float64),
        c.RANK: Column(pl.Int32, low=1),
    },
    (c.USER_ID, c.ITEM_ID),
    _WRITER,
    part=c.GENERATOR,
    keep_days=60,
)
"""Lists for the test users of the time split, from the fit that ends before the holdout."""

HELDOUT_RANKS = Table(
    "heldout_ranks",
    "fitted",
    {
        c.USER_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        "first_day": Column(pl.Date),
        c.RANK: Column(pl.Int32, nullable=True, low=1),
    },
    (c.USER_ID, c.ITEM_ID),
    _WRITER,
    part=c.GENERATOR,
    keep_days=60,
)
"""Where the generator has each item that a test user touched after the split, however far down;
`first_day` is when that was."""

CANDIDATE_BLEND = Table(
    "candidate_blend",
    "fitted",
    {
        "budget": Column(pl.Int64, low=1),
        "source": Column(pl.String),
        "quota": Column(pl.Int64, low=0),
        "recall": Column(pl.Float64, low=0, high=1),
        c.LOW: Column(pl.Float64, low=0, high=1),
        c.HIGH: Column(pl.Float64, low=0, high=1),
        "unique_recall": Column(pl.Float64, nullable=True, low=0, high=1),
    },
    ("budget", "source"),
    "train_candidates.publish_candidates",
    due_hour=7,
)
"""Recall of each source at so many items, of what it alone finds, and of the sources blended."""

CANDIDATE_METRICS = Table(
    "candidate_metrics",
    "fitted",
    {
        "protocol": Column(pl.String),
        c.SLICE: Column(pl.String),
        c.METRIC: Column(pl.String),
        c.VALUE: Column(pl.Float64),
        c.LOW: Column(pl.Float64, nullable=True),
        c.HIGH: Column(pl.Float64, nullable=True),
        c.REASON: Column(pl.String, nullable=True),
    },
    ("protocol", c.SLICE, c.METRIC),
    _WRITER,
    part=c.GENERATOR,
    due_hour=7,
)
"""A generator that could not be measured has one row: no test users, and the reason."""

ITEM_EMBEDDINGS = Table(
    "item_embeddings",
    "fitted",
    {c.ITEM_ID: Column(pl.String), c.EMBEDDING: _EMBEDDING},
    (c.ITEM_ID,),
    _WRITER,
    part=c.GENERATOR,
    due_hour=7,
)
USER_EMBEDDINGS = Table(
    "user_embeddings",
    "fitted",
    {c.USER_ID: Column(pl.String), c.EMBEDDING: _EMBEDDING},
    (c.USER_ID,),
    _WRITER,
    part=c.GENERATOR,
    due_hour=7,
)
ITEM_INDEX = Table(
    "item_index",
    "fitted",
    {
        "embeddings_hash": Column(pl.String),
        "items": Column(pl.Int64, low=1),
        "width": Column(pl.Int64, low=1),
        "built_by": Column(pl.String),
        "graph": Column(pl.Binary),
    },
    ("embeddings_hash",),
    _WRITER,
    part=c.GENERATOR,
)
"""Nearest neighbours among a generator's ITEM_EMBEDDINGS of the day; none where it has none."""
