"""What `compute_facet_weights` writes."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import Column, Table

USER_FACETS = Table(
    "user_facets",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.CATEGORY_GROUP: Column(pl.String),
        c.ATTRIBUTE: Column(pl.String),
        c.VALUE: Column(pl.String),
        c.PREFERENCE: Column(pl.Float64, low=0, high=1),
    },
    (c.USER_ID, c.CATEGORY_GROUP, c.ATTRIBUTE, c.VALUE),
    "compute_facet_weights.write_user_facets",
    due_hour=5,
)
_ESTIMATE = Column(pl.Float64, nullable=True)
_SIZE = Column(pl.Float64, nullable=True, low=0)

FACET_WEIGHTS = Table(
    "facet_weights",
    "fitted",
    {
        "method": Column(pl.String, values=("logistic", "within-listing")),
        c.CATEGORY_GROUP: Column(pl.String),
        c.ATTRIBUTE: Column(pl.String),
        "coefficient": _ESTIMATE,
        c.LOW: _ESTIMATE,
        c.HIGH: _ESTIMATE,
        c.WEIGHT: _SIZE,
        "weight_low": _SIZE,
        "weight_high": _SIZE,
        "spread": _SIZE,
        "sf_coefficient": _ESTIMATE,
        "sf_low": _ESTIMATE,
        "sf_high": _ESTIMATE,
        "published": Column(pl.Boolean),
        c.REASON: Column(pl.String, nullable=True),
        "rows": Column(pl.Int64, low=0),
        "users": Column(pl.Int64, low=0),
    },
    ("method", c.CATEGORY_GROUP, c.ATTRIBUTE),
    "compute_facet_weights.fit_facet_weights",
    due_hour=5,
)
