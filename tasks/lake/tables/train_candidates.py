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
    },
    (c.USER_ID, c.ITEM_ID),
    _WRITER,
    part=c.GENERATOR,
    due_hour=7,
)
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
