"""What `send_audience` and `measure_mailing` write: who chose, who was sent what, the effect."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME, Column, Table

_COUNT = Column(pl.Int64, low=0)
_SHARE = Column(pl.Float64, low=0, high=1)
_NUMBER = Column(pl.Float64, nullable=True)

AUDIENCE_DECISIONS = Table(
    "audience_decisions",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.THRESHOLD: _SHARE,
        "chosen": Column(pl.String, values=("threshold", "audience_size")),
        "chosen_by": Column(pl.String),
        "chosen_at": Column(UTC_TIME),
        "sent": _COUNT,
        "control": _COUNT,
        "control_share": _SHARE,
        # People above the threshold in neither arm, each under the first reason that holds.
        "opted_out": _COUNT,
        "without_consent": _COUNT,
        "already_in_mailing": _COUNT,
        "over_cap": _COUNT,
        # Mean probability of the audience, and the least rise of it that would likely be seen.
        "base_rate": _SHARE,
        "detectable_effect": _NUMBER,
        # file, or the webhook's address; null in rows from before it was kept.
        "deliver_to": Column(pl.String, nullable=True),
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING),
    "send_audience.write_audience",
)
AUDIENCES = Table(
    "audiences",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.USER_ID: Column(pl.String),
        c.ROLE: Column(pl.String, values=("sent", "control")),
        c.PROBABILITY: _SHARE,
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING, c.USER_ID),
    "send_audience.write_audience",
)
AUDIENCE_EXPORTS = Table(
    "audience_exports",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        # The webhook's address, or the file's name.
        "target": Column(pl.String),
        "people": _COUNT,
        "sha256": Column(pl.String),
        "exported_at": Column(UTC_TIME),
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING, "target"),
    "send_audience.export_audience",
)
MAILING_EFFECTS = Table(
    "mailing_effects",
    "historical",
    {
        c.LOOKALIKE_SEGMENT: Column(pl.String),
        c.MAILING: Column(pl.String),
        "audience_day": Column(pl.Date),
        c.METRIC: Column(pl.String),
        "cut": Column(pl.String),
        # People behind the figure, and what each arm did, per person.
        "sent": _COUNT,
        "control": _COUNT,
        "sent_value": _NUMBER,
        "control_value": _NUMBER,
        "effect": _NUMBER,
        c.LOW: _NUMBER,
        c.HIGH: _NUMBER,
    },
    (c.LOOKALIKE_SEGMENT, c.MAILING, "audience_day", c.METRIC, "cut"),
    "measure_mailing.measure",
)
