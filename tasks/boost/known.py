"""What is known on a day of items and customers, as far as a search needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks import columns as c
from tasks.boost.clauses import clauses, published_weights
from tasks.boost.documents import FACETS, base_field, documents, words
from tasks.boost.request import Request
from tasks.candidates.interactions import snapshot
from tasks.errors import WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import (
    CUSTOMERS,
    FACET_WEIGHTS,
    ITEM_ATTRIBUTES,
    ITEMS,
    SEGMENT_SCORES,
    USER_FACETS,
    USER_SEGMENTS,
)
from tasks.segments.rules import ALL, unknown_segment
from tasks.settings import Boost, Settings


@dataclass(frozen=True)
class Known:
    """A day's documents, and what each customer brings to a search.

    Attributes:
        day: as known on.
        documents: what the index holds.
        segments: USER_SEGMENTS rows.
        customers: CUSTOMERS rows.
        preferences: USER_FACETS rows.
        weights: FACET_WEIGHTS rows of every method.
        unknown: the segment of somebody nobody knows.
    """

    day: date
    documents: pl.DataFrame
    segments: pl.DataFrame
    customers: pl.DataFrame
    preferences: pl.DataFrame
    weights: pl.DataFrame
    unknown: str

    def request(self, user: str, query: str, scope: str | None) -> Request:
        """Return a customer's search; `scope` is a category, else a category group.

        Raises:
            WrongCall: no item is in such a category.
        """
        group = self._group_of(scope)
        return Request(
            segment=self.base_segment(self.segment(user)),
            words=words(query),
            category=None if group == scope else scope,
            category_group=group,
            city=_one(self.customers, user, c.CITY),
        )

    def segment(self, user: str) -> str:
        """Return the customer's segment; a stranger's is the unknown one."""
        return _one(self.segments, user, c.SEGMENT) or self.unknown

    def base_segment(self, segment: str) -> str:
        """Return the segment whose scores are used: its own, else those of `all`."""
        return segment if base_field(segment) in self.documents.columns else ALL

    def clauses(self, user: str, group: str | None, options: Boost) -> pl.DataFrame:
        """Return the customer's clauses; none for a cold one."""
        mine = self.preferences.filter(pl.col(c.USER_ID) == user)
        return clauses(mine, published_weights(self.weights, options), options, group)

    def item_facets(self) -> pl.DataFrame:
        """Return `item_id, facet`."""
        long = self.documents.select(c.ITEM_ID, pl.col(FACETS).alias("facet")).explode("facet")
        return long.drop_nulls()

    def _group_of(self, scope: str | None) -> str | None:
        if scope is None:
            return None
        places = self.documents.select(c.CATEGORY, c.CATEGORY_GROUP).unique()
        if scope in places[c.CATEGORY_GROUP]:
            return scope
        found = places.filter(pl.col(c.CATEGORY) == scope)[c.CATEGORY_GROUP].sort()
        if found.is_empty():
            some = ", ".join(places[c.CATEGORY].sort().head(5))
            raise WrongCall(f"no item of {self.day} is in {scope!r}; there are {some}...")
        # A category of two groups is searched whole.
        return str(found[0]) if found.len() == 1 else None


def _one(rows: pl.DataFrame, user: str, column: str) -> str | None:
    found = rows.filter(pl.col(c.USER_ID) == user)[column]
    return None if found.is_empty() else found[0]


def documents_on(lake: Lake, day: date) -> pl.DataFrame:
    """Return the documents of the newest catalogue with the day's scores.

    Raises:
        InputNotReady: a table has no such day.
    """
    items, attributes = snapshot(lake, ITEMS, day), snapshot(lake, ITEM_ATTRIBUTES, day)
    return documents(items, attributes, lake.read_day(SEGMENT_SCORES, day))


def known_on(lake: Lake, day: date, settings: Settings) -> Known:
    """Return what is known on a day.

    Raises:
        InputNotReady: a table has no such day.
    """
    return Known(
        day,
        documents_on(lake, day),
        lake.read_day(USER_SEGMENTS, day),
        snapshot(lake, CUSTOMERS, day),
        lake.read_day(USER_FACETS, day),
        lake.read_day(FACET_WEIGHTS, day),
        unknown_segment(settings.segments),
    )
