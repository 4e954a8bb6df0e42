"""One list of one customer in the ranker's order, and what put each item where it is.

A score is a constant plus what each feature adds (SHAP, Lundberg and Lee 2017). What all items of a
list have alike moves none of them, so that each part is told against the list's mean: the parts of
an item sum to its score above the mean score.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.errors import WrongCall
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.features import CATEGORIES, FEATURES, NAMES, Rows
from tasks.ranker.measure import ndcg_by_group, ranks

if TYPE_CHECKING:
    from catboost import CatBoost

BEFORE = "rank_before"
FEATURE = "feature"
FAMILY = "family"
ADDS = "adds"
KNOWN = "known"


@dataclass(frozen=True)
class Explanation:
    """A list in the ranker's order.

    Attributes:
        day: whose ranking groups the list is of.
        before: the order it is compared with: `logged`, or `sf_pos` where nothing is shown.
        rows: RANKING_GROUPS rows with `score`, `rank` and `rank_before`, best first.
        parts: `item_id, feature, family, known, adds`, `known` the feature's value; the largest of
            an item first.
        ndcg: NDCG of the ranker's order and of the one before; empty without a cart.
    """

    day: date
    before: str
    rows: pl.DataFrame
    parts: pl.DataFrame
    ndcg: dict[str, float]


def whole_list(groups: Rows, user: str, listing: str | None) -> pl.DataFrame:
    """Return the rows of a customer's listing, or of their newest one.

    Args:
        groups: RANKING_GROUPS rows of a day; lists that may be held out are whole.
        user: whose.
        listing: a `group_id`.

    Raises:
        WrongCall: there is no such whole list; the message names one that there is.
    """
    whole = groups.lazy().filter("is_measured")
    mine = whole.filter(pl.col(c.USER_ID) == user).collect()
    asked = mine if listing is None else mine.filter(pl.col(c.GROUP_ID) == listing)
    if asked.is_empty():
        there = (whole if mine.is_empty() else mine.lazy()).select(c.GROUP_ID, c.USER_ID).collect()
        raise WrongCall(_there_is(there, user, listing))
    newest = asked.sort("listed_at", c.GROUP_ID)[c.GROUP_ID][-1]
    return asked.filter(pl.col(c.GROUP_ID) == newest)


def _there_is(lists: pl.DataFrame, user: str, listing: str | None) -> str:
    asked = f"no whole list of {user}" if listing is None else f"no whole list {listing} of {user}"
    if lists.is_empty():
        return f"{asked}: the day has no whole list at all"
    count, example = lists[c.GROUP_ID].n_unique(), lists.sort(c.GROUP_ID).row(0, named=True)
    return f"{asked}; there are {count:,}, such as {example[c.GROUP_ID]} of {example[c.USER_ID]}"


def explanation(
    day: date, rows: pl.DataFrame, model: CatBoost, cutoff: int, threads: int
) -> Explanation:
    """Return the explanation of one list.

    Args:
        day: of the ranking groups.
        rows: the whole list.
        model: a ranker.
        cutoff: k of NDCG@k.
        threads: of scoring.
    """
    known = ev.with_orders(ranker.in_order(rows))
    before = ev.LOGGED if ev.LOGGED in ev.known_orders(known) else c.SF_POS
    scored = known.with_columns(ranker.score(model, known, threads).alias(c.SCORE))
    ordered = scored.with_columns(ranks(scored, c.SCORE), ranks(scored, before).alias(BEFORE))
    found = ndcg_by_group(ordered, [c.SCORE, before], cutoff)
    ndcg = {name: float(found[name][0]) for name in (c.SCORE, before)} if found.height else {}
    return Explanation(day, before, ordered.sort(c.RANK), parts(ordered, model, threads), ndcg)


def parts(rows: pl.DataFrame, model: CatBoost, threads: int) -> pl.DataFrame:
    """Return what each feature adds to each item of a list, against the list's mean."""
    values = ranker.shap_values(model, rows, threads)
    items = rows.select(c.ITEM_ID)
    added = pl.concat([items, values.select(pl.all() - pl.all().mean())], how="horizontal")
    known = items.hstack(rows.select(_told(name) for name in NAMES))
    keys = pl.DataFrame({FEATURE: NAMES, FAMILY: [feature.family for feature in FEATURES]})
    long = added.unpivot(index=c.ITEM_ID, variable_name=FEATURE, value_name=ADDS)
    told = known.unpivot(index=c.ITEM_ID, variable_name=FEATURE, value_name=KNOWN)
    return (
        long.join(told, on=[c.ITEM_ID, FEATURE])
        .join(keys, on=FEATURE)
        .sort(c.ITEM_ID, pl.col(ADDS).abs(), FEATURE, descending=[False, True, False])
        .select(c.ITEM_ID, FEATURE, FAMILY, KNOWN, ADDS)
    )


def _told(name: str) -> pl.Expr:
    """Return a feature's value as text: four digits, `unknown` for null."""
    column = pl.col(name)
    text = column if name in CATEGORIES else column.round_sig_figs(4).cast(pl.String)
    return text.fill_null("unknown").str.strip_suffix(".0").alias(name)
