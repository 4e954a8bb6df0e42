"""What `build_features` writes: events and snapshots as received, counters, segments and scores."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME, Column, Table

WINDOWS = (1, 7, 30)
COUNTED = ("impressions", "views", "favorites", "carts", "orders", "returns")
LAGS = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)


def counters(names: tuple[str, ...] = COUNTED) -> dict[str, Column]:
    """Columns `views_1`, `views_7`...: events of the last 1, 7 and 30 days, D included."""
    return {f"{name}_{days}": Column(pl.Int64, low=0) for name in names for days in WINDOWS}


_EVENT = {
    c.EVENT_ID: Column(pl.String),
    c.TS: Column(UTC_TIME),
    c.RECEIVED_AT: Column(UTC_TIME),
    c.USER_ID: Column(pl.String),
    c.SESSION_ID: Column(pl.String, nullable=True),
    c.EVENT_TYPE: Column(pl.String, values=c.EVENT_TYPES),
    c.ITEM_ID: Column(pl.String),
    c.PLATFORM: Column(pl.String, values=c.PLATFORMS),
    c.SURFACE: Column(pl.String, values=c.SURFACES),
    c.LISTING_ID: Column(pl.String, nullable=True),
    c.LISTING_KIND: Column(pl.String, nullable=True),
    c.LISTING_CATEGORY: Column(pl.String, nullable=True),
    c.QUERY: Column(pl.String, nullable=True),
    c.POSITION: Column(pl.Int32, nullable=True, low=1),
    c.IS_EXPLORED: Column(pl.Boolean, nullable=True),
    c.PROPENSITY: Column(pl.Float64, nullable=True, low=0, high=1),
    c.VARIANT: Column(pl.String, nullable=True),
    c.DWELL_SECONDS: Column(pl.Int32, nullable=True, low=0),
    c.PRICE: Column(pl.Int64, nullable=True, low=0),
    c.QUANTITY: Column(pl.Int32, nullable=True, low=1),
    c.CITY: Column(pl.String, nullable=True),
}
_WRITER = "build_features.ingest"
# Half of a catalogue does not leave overnight; a young shop's customers double in a week.
_SNAPSHOT = (0.5, 3.0)

EVENTS = Table("events", "pure", _EVENT, (c.EVENT_ID,), _WRITER, due_hour=3)
SET_ASIDE_EVENTS = Table(
    "set_aside_events",
    "pure",
    {**_EVENT, c.REASON: Column(pl.String)},
    (c.EVENT_ID,),
    _WRITER,
    due_hour=3,
)
ITEMS = Table(
    "items",
    "pure",
    {
        c.ITEM_ID: Column(pl.String),
        c.CATEGORY_GROUP: Column(pl.String),
        c.CATEGORY: Column(pl.String),
        c.BRAND: Column(pl.String, nullable=True),
        c.COLOUR: Column(pl.String, nullable=True),
        c.SIZE: Column(pl.String, nullable=True),
        c.PRICE: Column(pl.Int64, low=0),
        c.RATING: Column(pl.Float64, nullable=True, low=0, high=5),
        c.SELLER_ID: Column(pl.String, nullable=True),
        c.IN_STOCK: Column(pl.Boolean),
        c.STOCK_CITIES: Column(pl.String, nullable=True),
        c.FIRST_SEEN: Column(pl.Date),
    },
    (c.ITEM_ID,),
    _WRITER,
    rows_to_median=_SNAPSHOT,
    due_hour=3,
)
ITEM_ATTRIBUTES = Table(
    "item_attributes",
    "pure",
    {c.ITEM_ID: Column(pl.String), c.ATTRIBUTE: Column(pl.String), c.VALUE: Column(pl.String)},
    (c.ITEM_ID, c.ATTRIBUTE, c.VALUE),
    _WRITER,
    rows_to_median=_SNAPSHOT,
    due_hour=3,
)
CUSTOMERS = Table(
    "customers",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.GENDER: Column(pl.String, nullable=True),
        c.BIRTH_YEAR: Column(pl.Int32, nullable=True, low=1900, high=2100),
        c.CITY: Column(pl.String, nullable=True),
        c.CONSENT: Column(pl.Boolean),
    },
    (c.USER_ID,),
    _WRITER,
    rows_to_median=_SNAPSHOT,
    due_hour=3,
)
CONTACTS = Table(
    "contacts",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.CHANNEL: Column(pl.String),
        c.MAILING: Column(pl.String),
        c.SENT_AT: Column(UTC_TIME),
        c.OPTED_OUT: Column(pl.Boolean),
    },
    (c.USER_ID, c.CHANNEL, c.MAILING, c.SENT_AT),
    _WRITER,
    # Who has opted out stays opted out.
    keep_days=3660,
    due_hour=3,
)

_HAPPENED = {
    c.EVENT_TYPE: Column(pl.String, values=c.EVENT_TYPES),
    "happened_on": Column(pl.Date),
}
_COUNT = Column(pl.Int64, low=1)

# Kept as long as the events, from which a day that is run again after years counts anew.
DAILY_ACTS = Table(
    "daily_acts",
    "pure",
    {
        **{
            name: _EVENT[name]
            for name in (
                c.EVENT_ID,
                c.TS,
                c.USER_ID,
                c.SESSION_ID,
                c.ITEM_ID,
                c.PLATFORM,
                c.CITY,
                c.PRICE,
                c.QUANTITY,
                c.DWELL_SECONDS,
            )
        },
        **_HAPPENED,
    },
    (c.EVENT_ID,),
    _WRITER,
    due_hour=3,
)
DAILY_ITEM_COUNTS = Table(
    "daily_item_counts",
    "pure",
    {c.ITEM_ID: Column(pl.String), **_HAPPENED, "n": _COUNT},
    (c.ITEM_ID, c.EVENT_TYPE, "happened_on"),
    _WRITER,
    due_hour=3,
)
DAILY_USER_COUNTS = Table(
    "daily_user_counts",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        **_HAPPENED,
        "n": _COUNT,
        **{name: Column(pl.Int64, low=0) for name in ("price_sum", "prices", "paid")},
    },
    (c.USER_ID, c.EVENT_TYPE, "happened_on"),
    _WRITER,
    due_hour=3,
)

_WRITER = "build_features.count_interactions"
_RECENCY = Column(pl.Int64, nullable=True, low=0)
_RECENCIES = {f"days_since_{event_type}": _RECENCY for event_type in c.EVENT_TYPES}
# Null where nothing was counted to take a share of; above 1 where events come without their base.
_RATE = Column(pl.Float64, nullable=True, low=0)
_RATES = {
    **{
        f"{name}_{days}": _RATE
        for name in ("view_rate", "cart_rate", "impression_cart_rate", "order_rate")
        for days in WINDOWS[1:]
    },
    "return_rate_30": _RATE,
}
_MEAN_PRICE = Column(pl.Float64, nullable=True, low=0)

ITEM_FEATURES = Table(
    "item_features",
    "pure",
    {
        c.ITEM_ID: Column(pl.String),
        c.CATEGORY_GROUP: Column(pl.String, nullable=True),
        c.CATEGORY: Column(pl.String, nullable=True),
        **counters(),
        **_RATES,
        c.PRICE: Column(pl.Int64, nullable=True, low=0),
        "price_to_category": Column(pl.Float64, nullable=True, low=0),
        "age_days": Column(pl.Int64, nullable=True, low=0),
        **_RECENCIES,
    },
    (c.ITEM_ID,),
    _WRITER,
    rows_to_median=_SNAPSHOT,
    due_hour=4,
)
USER_FEATURES = Table(
    "user_features",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        **counters(),
        **_RATES,
        "sessions_30": Column(pl.Int64, low=0),
        "active_days_30": Column(pl.Int64, low=0),
        "distinct_items_30": Column(pl.Int64, low=0),
        "spent_30": Column(pl.Int64, low=0),
        "mean_viewed_price_30": _MEAN_PRICE,
        "mean_carted_price_30": _MEAN_PRICE,
        "mean_ordered_price_30": _MEAN_PRICE,
        "days_since_event": _RECENCY,
        **_RECENCIES,
    },
    (c.USER_ID,),
    _WRITER,
    due_hour=4,
)
USER_ITEM_FEATURES = Table(
    "user_item_features",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        **counters(),
        "dwell_seconds_30": Column(pl.Int64, low=0),
        **_RECENCIES,
    },
    (c.USER_ID, c.ITEM_ID),
    _WRITER,
    due_hour=4,
)
DEMAND_LAGS = Table(
    "demand_lags",
    "pure",
    {
        c.ITEM_ID: Column(pl.String),
        c.CITY: Column(pl.String),
        **{f"lag_{lag}": Column(pl.Int64, low=0) for lag in LAGS},
        "mean_week": Column(pl.Float64, low=0),
        "mean_same_weekday": Column(pl.Float64, low=0),
    },
    (c.ITEM_ID, c.CITY),
    _WRITER,
    due_hour=4,
)
USER_SEQUENCES = Table(
    "user_sequences",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.POSITION: Column(pl.Int32, low=1),
        c.ITEM_ID: Column(pl.String),
        c.EVENT_TYPE: Column(pl.String, values=c.EVENT_TYPES),
        c.TS: Column(UTC_TIME),
    },
    (c.USER_ID, c.POSITION),
    _WRITER,
    due_hour=4,
)
USER_SEGMENTS = Table(
    "user_segments",
    "pure",
    {
        c.USER_ID: Column(pl.String),
        c.SEGMENT: Column(pl.String),
        c.GENDER_AFFINITY: Column(pl.String),
        c.LIFECYCLE: Column(pl.String),
        c.PLATFORM_FAMILY: Column(pl.String),
        "customer_gender": Column(pl.String, nullable=True, values=("women", "men")),
        "is_customer": Column(pl.Boolean),
        **{
            f"acts{kind}_30": Column(pl.Int64, low=0)
            for kind in ("", "_women", "_men", "_web", "_app")
        },
        "days_since_event": _RECENCY,
        "days_since_first_event": _RECENCY,
    },
    (c.USER_ID,),
    _WRITER,
    due_hour=4,
)

_WRITER = "build_features.rank_segments"

SEGMENT_ITEM_FEATURES = Table(
    "segment_item_features",
    "pure",
    {c.SEGMENT: Column(pl.String), c.ITEM_ID: Column(pl.String), **counters(), **_RECENCIES},
    (c.SEGMENT, c.ITEM_ID),
    _WRITER,
    due_hour=4,
)
EXAMINATION = Table(
    "examination",
    "fitted",
    {
        c.PLATFORM: Column(pl.String, values=c.PLATFORMS),
        c.SURFACE: Column(pl.String, values=c.SURFACES),
        c.POSITION: Column(pl.Int32, low=1),
        c.P_EXAMINED: Column(pl.Float64, low=1e-6, high=1),
        c.BASIS: Column(pl.String, values=("explored", "ranked")),
        "impressions": Column(pl.Int64, low=0),
        "clicks": Column(pl.Int64, low=0),
    },
    (c.PLATFORM, c.SURFACE, c.POSITION),
    _WRITER,
    due_hour=4,
)
SEGMENT_SCORES = Table(
    "segment_scores",
    "fitted",
    {
        c.SEGMENT: Column(pl.String),
        c.ITEM_ID: Column(pl.String),
        c.P_CART: Column(pl.Float64, low=0, high=1),
        c.SUPPORT: Column(pl.Float64, low=0),
        c.SF_POS: Column(pl.Float32, low=1e-12, high=1),
        c.BASIS: Column(pl.String, values=("examined", "share")),
        c.IN_STOCK: Column(pl.Boolean, nullable=True),
    },
    (c.SEGMENT, c.ITEM_ID),
    _WRITER,
    due_hour=4,
)
DATA_CHECKS = Table(
    "data_checks",
    "historical",
    {
        "table": Column(pl.String),
        "column": Column(pl.String),
        "check": Column(pl.String),
        "version": Column(pl.Int64, low=1),
        c.VALUE: Column(pl.Float64),
        c.LOW: Column(pl.Float64, nullable=True),
        c.HIGH: Column(pl.Float64, nullable=True),
        "verdict": Column(pl.String, values=("ok", "warned", "broken", "accepted", "counted")),
    },
    ("table", "column", "check", "version"),
    "build_features",
)
