"""The page of one customer's search: preferences, weights, body, order, scores taken apart."""

from __future__ import annotations

import json

import polars as pl

from tasks import columns as c
from tasks.boost.arithmetic import FACET_SUM, share_factor
from tasks.boost.clauses import BOOST
from tasks.boost.explanation import Explanation, first
from tasks.boost.guards import BASE_RANK, OVERLAP, STRENGTH
from tasks.boost.picture import scores_figure
from tasks.boost.request import BASE, IS_STOCKED
from tasks.report.page import Page, Section

SHOWN = 20
NAMED = 3
"""Clauses of an item that are named; the others are added up."""
LINE = 110


def boost_page(explained: Explanation, engines: tuple[Section, ...] = ()) -> Page:
    """Return the page; `engines` is what a search engine answered."""
    sections = (
        preferences_section(explained),
        with_section(explained),
        apart_section(explained),
        without_section(explained),
        body_section(explained),
        *engines,
    )
    asked = f"{explained.query or 'anything'} in {explained.scope or 'the whole catalogue'}"
    subject = f"Search of {explained.user}: {asked}"
    return Page(explained.day, headline(explained), sections, subject)


def headline(explained: Explanation) -> tuple[str, ...]:
    """Return who asks what, and what the boost does to it."""
    return (_who(explained), _what(explained), *_effect(explained))


def _who(explained: Explanation) -> str:
    base = explained.request.segment
    known = "" if explained.is_known else " (nobody knows this customer)"
    return (
        f"{explained.user} is in segment {explained.segment}{known}; base scores are those of"
        f" {base}; stock is that of {explained.request.city or 'any city'}."
    )


def _what(explained: Explanation) -> str:
    words = " ".join(explained.request.words) or "any words"
    scope = explained.scope or "the whole catalogue"
    return f"Asked: {words}, in {scope}; {explained.found.rows.height:,} items match."


def _effect(explained: Explanation) -> list[str]:
    used, rows = explained.found.clauses, explained.found.rows
    if rows.is_empty():
        return ["Nothing matches: there is nothing to order."]
    if used.is_empty():
        return ["Cold, as far as this search goes: the base alone, nothing is boosted."]
    report = explained.found.report.row(0, named=True)
    top = min(explained.options.top, rows.height)
    moved = rows.filter(pl.col(c.RANK) <= SHOWN, pl.col(BASE_RANK) > SHOWN).height
    return [
        f"{used.height} clauses at strength {report[STRENGTH]:g}: {report[OVERLAP]:.0%} of the"
        f" first {top} stay among them (at full strength {report['full_overlap']:.0%}, at least"
        f" {explained.options.min_overlap:.0%} have to).",
        f"{moved} of the first {min(SHOWN, rows.height)} were not among them without the boost.",
    ]


def preferences_section(explained: Explanation) -> Section:
    """Return what the customer prefers, how much each attribute counts, and the product."""
    rows = explained.preferences
    if rows.is_empty():
        return Section("Preferences and weights", notes=("No preference is known here.",))
    cut = rows.drop_nulls(BOOST).filter(pl.col(BOOST) > 0).height - explained.options.max_clauses
    told = f"boost = weight x preference, before the guards; method {explained.options.method}."
    notes = (told, f"{cut} lighter ones are beyond the cap on clauses.") if cut > 0 else (told,)
    return Section("Preferences and weights", rows, notes=notes)


def with_section(explained: Explanation) -> Section:
    """Return the first items with the boost, and how far each moved."""
    rows = first(explained, SHOWN)
    table = rows.select(
        c.RANK,
        c.ITEM_ID,
        c.SCORE,
        BASE,
        pl.col(FACET_SUM).alias("facets"),
        pl.col(BASE_RANK).alias("rank without"),
        (pl.col(BASE_RANK).cast(pl.Int64) - pl.col(c.RANK).cast(pl.Int64)).alias("rises by"),
        pl.col(IS_STOCKED).alias("in stock"),
    )
    return Section(f"First {SHOWN} with the boost", table)


def without_section(explained: Explanation) -> Section:
    """Return the first items of the base alone, and where each is with the boost."""
    rows = first(explained, SHOWN, BASE_RANK)
    table = rows.select(
        pl.col(BASE_RANK).alias(c.RANK),
        c.ITEM_ID,
        BASE,
        pl.col(c.RANK).alias("rank with"),
        pl.col(IS_STOCKED).alias("in stock"),
    )
    return Section(f"First {SHOWN} without", table)


def apart_section(explained: Explanation) -> Section:
    """Return each item's score as a sum, and what the guards cut of it."""
    rows = first(explained, SHOWN)
    if rows.is_empty():
        return Section("Scores taken apart", notes=("Nothing matches.",))
    shown = explained.parts.join(rows.select(c.ITEM_ID), on=c.ITEM_ID, how="semi")
    table = rows.join(_sums(shown), on=c.ITEM_ID, how="left", maintain_order="left").select(
        c.RANK,
        c.ITEM_ID,
        c.SCORE,
        BASE,
        _cut(explained).alias("guard"),
        pl.col("adds").fill_null("nothing"),
    )
    return Section("Scores taken apart", table, scores_figure(rows, shown))


def _sums(parts: pl.DataFrame) -> pl.DataFrame:
    """Return `item_id, adds`: what the heaviest clauses add, and the others together."""
    rows = [
        (item, _told(mine[:NAMED]) + _rest(mine[NAMED:]))
        for (item,), group in parts.group_by(c.ITEM_ID, maintain_order=True)
        if (mine := group.select(c.ATTRIBUTE, c.VALUE, BOOST).rows())
    ]
    return pl.DataFrame(rows, schema={c.ITEM_ID: pl.String, "adds": pl.String}, orient="row")


def _told(parts: list[tuple[str, str, float]]) -> str:
    return ", ".join(f"{attribute} {value} +{boost:.4f}" for attribute, value, boost in parts)


def _rest(parts: list[tuple[str, str, float]]) -> str:
    return f", {len(parts)} more +{sum(part[2] for part in parts):.4f}" if parts else ""


def _cut(explained: Explanation) -> pl.Expr:
    most = pl.col(BASE) * share_factor(explained.options)
    is_cut = pl.col(BASE) + pl.col(FACET_SUM) > most
    return (
        pl.when(~pl.col(IS_STOCKED))
        .then(pl.lit("out of stock: the base alone"))
        .when(is_cut)
        .then(pl.lit(f"facets cut to {explained.options.max_share:.0%}"))
        .otherwise(pl.lit(""))
    )


def body_section(explained: Explanation) -> Section:
    """Return the query body as it is sent."""
    return Section("Query body", code=written(explained.body))


def written(value: object, indent: int = 0) -> str:
    """Return JSON in which what fits into a line stands on one."""
    whole = json.dumps(value, ensure_ascii=False)
    if indent + len(whole) <= LINE or not isinstance(value, dict | list):
        return whole
    start, pad = " " * (indent + 1), " " * indent
    if isinstance(value, list):
        return "[\n" + ",\n".join(start + written(one, indent + 1) for one in value) + f"\n{pad}]"
    pairs = [f"{start}{json.dumps(k)}: {written(v, indent + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(pairs) + f"\n{pad}}}"
