"""The declared rules of segments: gender affinity x lifecycle x platform family.

A segment is one value of each dimension, joined by dots: `women.active.app`. Within a dimension
the first rule that holds names the value and `otherwise` names the rest, so everybody falls into
exactly one segment; a visitor of whom nothing is known falls into the `otherwise` of each.
A new dimension is one entry of `dimensions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks import columns as c
from tasks.settings import Segments

ALL = "all"
"""The segment of everybody, which a segment without scores falls back to."""

GENDERS = {
    "women": ("women", "woman", "female", "girls", "w", "f"),
    "men": ("men", "man", "male", "boys", "m"),
}


@dataclass(frozen=True)
class Rule:
    """A value, and when it holds; an expression over the evidence of `sql/user_segments.sql`."""

    value: str
    holds: pl.Expr


@dataclass(frozen=True)
class Dimension:
    """One dimension of a segment; the first rule that holds counts.

    `shapes_taste` says that its values like different items, not only more or fewer of them.
    """

    column: str
    rules: tuple[Rule, ...]
    otherwise: str
    shapes_taste: bool = False

    def value(self) -> pl.Expr:
        """Return the dimension's value as a column; a rule on unknown evidence does not hold."""
        named = pl.lit(self.otherwise)
        for rule in reversed(self.rules):
            named = pl.when(rule.holds.fill_null(False)).then(pl.lit(rule.value)).otherwise(named)
        return named.alias(self.column)


def dimensions(options: Segments) -> tuple[Dimension, ...]:
    """Return the dimensions in the order in which a segment's name lists them."""
    return (
        Dimension(c.GENDER_AFFINITY, _gender_affinity(options), "unknown", shapes_taste=True),
        Dimension(c.LIFECYCLE, _lifecycle(options), "new"),
        Dimension(c.PLATFORM_FAMILY, _platform_family(), "unknown"),
    )


def _gender_affinity(options: Segments) -> tuple[Rule, ...]:
    """By what they look at; by what the shop was told while that is too little to tell."""
    women, men = pl.col("acts_women_30"), pl.col("acts_men_30")
    told = pl.col("customer_gender")
    enough = women + men >= options.gendered_acts
    return (
        Rule("women", enough & (women >= options.affinity * (women + men))),
        Rule("men", enough & (men >= options.affinity * (women + men))),
        Rule("both", enough),
        Rule("women", told == "women"),
        Rule("men", told == "men"),
    )


def _lifecycle(options: Segments) -> tuple[Rule, ...]:
    """Sleeping: a customer without a recent act; active: has come for long enough, often enough."""
    acts, since = pl.col("acts_30"), pl.col("days_since_event")
    silent = pl.col("is_customer") & (acts == 0)
    first = pl.col("days_since_first_event")
    return (
        Rule("sleeping", silent),
        Rule("sleeping", since >= options.sleeping_days),
        Rule("active", (first >= options.new_days) & (acts >= options.active_acts)),
    )


def _platform_family() -> tuple[Rule, ...]:
    app, web = pl.col("acts_app_30"), pl.col("acts_web_30")
    return (Rule("app", (app > 0) & (app >= web)), Rule("web", web > 0))


def genders() -> pl.DataFrame:
    """Return what shops write for whom an item or a customer is (`value`), and what it means."""
    pairs = [(value, gender) for gender, values in GENDERS.items() for value in values]
    return pl.DataFrame(pairs, schema=["value", "gender"], orient="row")


def user_segments(evidence: pl.DataFrame, options: Segments) -> pl.DataFrame:
    """Return USER_SEGMENTS rows: the evidence, each dimension's value and the segment."""
    declared = dimensions(options)
    names = [dimension.column for dimension in declared]
    segment = pl.concat_str(names, separator=".").alias(c.SEGMENT)
    return evidence.with_columns(d.value() for d in declared).with_columns(segment)


def unknown_segment(options: Segments) -> str:
    """Return the segment of a visitor who has no row in `user_segments`."""
    return ".".join(dimension.otherwise for dimension in dimensions(options))


def taste_of(segment: str, options: Segments) -> str:
    """Return the part of a segment's name that says what its people like."""
    named = zip(dimensions(options), segment.split("."), strict=False)
    return ".".join(value for dimension, value in named if dimension.shapes_taste)
