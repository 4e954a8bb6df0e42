"""What `send_audience` and `measure_mailing` write: who chose, who was sent what, the effect."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME, Column, Table

AUDIENCE_DECISIONS = Table(
    "audience_decisions",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.THRESHOLD: Column(pl.Float64, low=0, high=1),
        "chosen_by": Column(pl.String),
        "chosen_at": Column(UTC_TIME),
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING),
    "send_audience",
)
AUDIENCES = Table(
    "audiences",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.USER_ID: Column(pl.String),
        c.ROLE: Column(pl.String, values=("sent", "control")),
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING, c.USER_ID),
    "send_audience",
)
MAILING_EFFECTS = Table(
    "mailing_effects",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.METRIC: Column(pl.String),
        "cut": Column(pl.String),
        "effect": Column(pl.Float64),
        c.LOW: Column(pl.Float64, nullable=True),
        c.HIGH: Column(pl.Float64, nullable=True),
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING, c.METRIC, "cut"),
    "measure_mailing",
)
