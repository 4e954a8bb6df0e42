"""A trial: days held out, a model fitted to what is older, every order judged, the gate asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.ranker import drift
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.features import Rows
from tasks.ranker.gate import Comparison, Decision, Evidence, Limits, confirm_refit, decide
from tasks.ranker.measure import Interval, ndcg_by_group, paired_gains
from tasks.ranker.registry import Version
from tasks.seeds import seed_of
from tasks.settings import Ranker, Settings

if TYPE_CHECKING:
    from catboost import CatBoost

log = logging.getLogger(__name__)

REFIT = "refit"


@dataclass(frozen=True)
class Rival:
    """A registered model that the new one is compared with: its order's name and its version."""

    order: str
    version: Version
    model: CatBoost


@dataclass(frozen=True)
class Known:
    """What the gate looks at besides a trial's own lists; see `Evidence`."""

    past_gains: tuple[float, ...] = ()
    lost: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """A model with what SHAP says about it."""

    model: CatBoost
    shares: pl.DataFrame
    values: pl.DataFrame


@dataclass(frozen=True)
class Trial:
    """What one choice of held-out days gave; without `fitted` there was nothing to train on.

    `trained_through` is the last listing day that the judged model has seen.
    """

    days: tuple[date, ...]
    lists: pl.DataFrame
    metrics: pl.DataFrame
    evidence: Evidence
    decision: Decision
    fitted: Fitted | None = None
    trained_through: date | None = None

    @property
    def first_day(self) -> date:
        """The first held-out listing day."""
        return min(self.days)


def limits_of(options: Ranker) -> Limits:
    """Return what the gate tolerates."""
    return Limits(
        margin=options.margin,
        min_customers=options.min_customers,
        mads=options.too_good_mads,
        share=options.too_good_share,
        diversity_low=options.diversity_low,
        price_low=options.price_low,
        price_high=options.price_high,
        refit_correlation=options.refit_correlation,
    )


def seed_for(settings: Settings, what: str) -> int:
    """Return the seed of one part of training."""
    return seed_of(settings, "ranker_metrics", what)


def trained_rows(groups: Rows, before: date | None = None) -> Rows:
    """Return the rows to train on: all of them, or those of listings before a day."""
    rows = groups.filter("is_trained")
    return rows if before is None else rows.filter(pl.col(c.LISTING_DAY) < before)


def last_day(rows: pl.LazyFrame) -> date | None:
    """Return the last listing day of the rows, None without any."""
    last = rows.select(pl.col(c.LISTING_DAY).max()).collect().item()
    return last if isinstance(last, date) else None


def fitted(rows: pl.DataFrame | pl.LazyFrame, settings: Settings) -> CatBoost:
    """Return a model of training rows."""
    count = pl.len().alias("rows"), pl.col(c.GROUP_ID).n_unique()
    log.info("training on %d rows, %d groups", *rows.lazy().select(count).collect().row(0))
    return ranker.fit(rows, settings.ranker, seed_for(settings, "trees"), settings.threads)


def carts(rows: pl.LazyFrame) -> int:
    """Return how many rows have a label of 1."""
    return int(rows.select(pl.col(c.LABEL).sum()).collect().item())


def tried(
    groups: pl.LazyFrame,
    days: Sequence[date],
    rivals: Sequence[Rival],
    known: Known,
    settings: Settings,
) -> Trial:
    """Return the trial of holding these days out.

    Memory holds the whole lists of the days that may be held out, and what training takes.

    Args:
        groups: RANKING_GROUPS rows of one day.
        days: listing days to hold out, the newest ones.
        rivals: live models that have not seen those days.
        known: what the gate looks at besides these lists.
        settings: of the ranker, seeds and threads.
    """
    rows, held_out = trained_rows(groups, min(days)), ev.held_out(groups, days)
    lists = _ordered(held_out.collect())
    if carts(rows) == 0:
        return _untrainable(tuple(days), lists)
    model = fitted(rows, settings)
    models = {ev.RANKER: model} | {rival.order: rival.model for rival in rivals}
    lists = _scored(lists, models, settings)
    explained = explain(model, lists, settings)
    shares = {ev.RANKER: explained.shares} | _shares_before(rivals, lists, settings)
    metrics = _measured(groups, min(days), lists, models, shares, settings)
    orders = [*models, *ev.known_orders(lists)]
    evidence = evidence_of(lists, orders, metrics, explained.shares, known, settings)
    decision = decide(evidence, limits_of(settings.ranker), settings.ranker.accept_reason)
    log.info("held out %s: %s: %s", ", ".join(map(str, days)), decision.verdict, decision.reason)
    through = last_day(rows)
    return Trial(tuple(days), lists, metrics, evidence, decision, explained, through)


def _ordered(lists: pl.DataFrame) -> pl.DataFrame:
    """Return lists with the orders that need no model, in one order of rows.

    Sums of floats then do not depend on how the rows came.
    """
    return ev.with_orders(ranker.in_order(lists))


def _measured(
    groups: pl.LazyFrame,
    first_day: date,
    lists: pl.DataFrame,
    models: Mapping[str, CatBoost],
    shares: Mapping[str, pl.DataFrame],
    settings: Settings,
) -> pl.DataFrame:
    """Return metric rows of scored lists and of the shuffled ones, and how far they drifted."""
    shuffled = _scored(_ordered(ev.shuffled_lists(groups)), models, settings)
    orders = [*models, *ev.known_orders(lists)]
    seed = seed_for(settings, "bootstrap")
    metrics = ev.measured(lists, shuffled, orders, settings.ranker, seed)
    earlier = ev.before(groups, first_day).collect()
    return pl.concat([metrics, drift.measured(earlier, lists, shares)])


def _shares_before(
    rivals: Sequence[Rival], lists: pl.DataFrame, settings: Settings
) -> dict[str, pl.DataFrame]:
    """Return what the incumbent goes by on the same lists; nothing without one."""
    live = (rival for rival in rivals if rival.order == ev.INCUMBENT)
    return {rival.order: explain(rival.model, lists, settings).shares for rival in live}


def _untrainable(days: tuple[date, ...], lists: pl.DataFrame) -> Trial:
    reason = "no training listing has a cart: nothing to learn from. The live model stays."
    metrics = pl.DataFrame(schema=ev.METRICS)
    return Trial(days, lists, metrics, Evidence(0, (), 0.0), Decision("undecided", reason))


def _scored(
    lists: pl.DataFrame, models: Mapping[str, CatBoost], settings: Settings
) -> pl.DataFrame:
    """Return the lists with a score column per order."""
    columns = [
        ranker.score(model, lists, settings.threads).alias(order) for order, model in models.items()
    ]
    return lists.with_columns(columns)


def explain(model: CatBoost, lists: pl.DataFrame, settings: Settings) -> Fitted:
    """Return the model with SHAP values of a sample of the held-out rows."""
    size = min(settings.ranker.shap_rows, lists.height)
    sample = lists.sample(size, seed=seed_for(settings, "shap"))
    values = ranker.shap_values(model, sample, settings.threads)
    return Fitted(model, ranker.shap_shares(values), values)


def evidence_of(
    lists: pl.DataFrame,
    orders: Sequence[str],
    metrics: pl.DataFrame,
    shares: pl.DataFrame,
    known: Known,
    settings: Settings,
) -> Evidence:
    """Return what the gate looks at."""
    options = settings.ranker
    base = ev.base_orders(orders)
    bounds = dict.fromkeys(set(orders) & set(ev.LIVE), -options.margin)
    bounds |= dict.fromkeys(base, 0.0)
    ndcg = ndcg_by_group(lists, orders, options.cutoff)
    gains = _gains(ndcg, [name for name in orders if name in bounds], settings)
    compared = [Comparison(name, gain, bounds[name]) for name, gain in gains.items()]
    diversity, price = f"diversity@{ev.TOP}", f"price@{ev.TOP}"
    return Evidence(
        customers=ndcg[c.USER_ID].n_unique(),
        lists=ndcg.height,
        comparisons=(*compared, *known.comparisons),
        gain=gains[base[0]].value if gains and base else 0.0,
        past_gains=known.past_gains,
        lost=known.lost,
        absent=tuple(name for name in ev.BASES if name not in base),
        top_feature=str(shares["feature"][0]),
        top_share=float(shares["share"][0]),
        diversity_ratio=ev.ratio_of(metrics, ev.RANKER, base[0], diversity) if base else None,
        price_ratio=ev.ratio_of(metrics, ev.RANKER, base[0], price) if base else None,
    )


def _gains(ndcg: pl.DataFrame, others: list[str], settings: Settings) -> dict[str, Interval]:
    if ndcg.is_empty():
        return {}
    seed = seed_for(settings, "bootstrap")
    return paired_gains(ndcg, ev.RANKER, others, settings.ranker.bootstraps, seed)


def confirmed(trial: Trial, refit: CatBoost, settings: Settings) -> tuple[Decision, float]:
    """Return the decision after the refit, and how alike both models order the held-out lists."""
    lists = _scored(trial.lists, {REFIT: refit}, settings)
    correlation = ranker.rank_correlation(lists, ev.RANKER, REFIT)
    return confirm_refit(trial.decision, correlation, limits_of(settings.ranker)), correlation
