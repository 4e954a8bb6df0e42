"""Is a feature worth its place, or does it merely mark the active customers?

Four models learn from the same rows with the same seeds and order the same lists: without the
judged features and with them; and both again, told each customer's activity and spend as well.

gain               = NDCG@k(with) - NDCG@k(without), the mean over lists
gain among equals  = the same of the two models that are told, the mean over lists within each
                     stratum of customers, then over strata, each as heavy as any other
lost               = the first difference less the second, both as the mean over strata

Strata alone would not tell. A list belongs to one customer, so that the gain over all lists is a
mean of the strata's; and a feature that only says who is active lets trees order one way for the
active and another way for the rest, which gains within every stratum. Told activity and spend, both
models may do so, and what is left is what the feature knows beyond them (as conditional importance
does; Strobl et al. 2008). Equal weights keep the active, who have most lists, from deciding alone.

activity  views, carts and orders of 30 days; spend: orders of 30 days x the mean price of what the
          customer carted in them. Both as known the day before the listing.
strata    thirds by activity of the judging lists' customers with a cart, each in thirds by spend.
          Equal values stay together, so there may be fewer; a stratum of fewer than
          `LEAST_CUSTOMERS` is left out.

The NDCG of a list is its mean over several seeds of the trees, whose luck would otherwise pass for
a feature's worth. Intervals draw customers anew, within strata where strata count, and seeds too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

import numpy as np
import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import InputNotReady, WrongCall
from tasks.ranker import model as ranker
from tasks.ranker.evaluation import LEAST_CUSTOMERS
from tasks.ranker.features import FEATURES, NAMES, Rows
from tasks.ranker.measure import (
    Interval,
    Numbers,
    interval,
    ndcg_by_group,
    resampled_means,
)
from tasks.ranker.search import Split, split
from tasks.ranker.trial import seed_for
from tasks.settings import Settings

log = logging.getLogger(__name__)

ACTIVITY, SPEND = "activity", "spend"
TOLD = (ACTIVITY, SPEND)
STRATUM = "stratum"
WITHOUT, WITH, WITHOUT_TOLD, WITH_TOLD = ARMS = ("without", "with", "without, told", "with, told")
HELPS, MARKS, HARMS, UNSURE = "helps", "only marks the active", "harms", "not sure"


@dataclass(frozen=True)
class Judgement:
    """What judged features bring.

    Attributes:
        name: of the family, or the features' own.
        gain: over all lists.
        equals: among customers of equal activity and spend.
        lost: of the gain, where both models know activity and spend.
        strata: `stratum, customers, lists, gain, gain low, gain high` of those that count, the
            gain that of the models that are told.
    """

    name: str
    gain: Interval
    equals: Interval
    lost: Interval
    strata: pl.DataFrame

    @property
    def verdict(self) -> str:
        """What to make of it."""
        if self.gain.high < 0:
            return HARMS
        if self.gain.low <= 0:
            return UNSURE
        if self.equals.low > 0:
            return HELPS
        return MARKS if self.lost.low > 0 else UNSURE


@dataclass(frozen=True)
class Judged:
    """All judgements of one listing day's lists."""

    day: date
    customers: int
    judgements: tuple[Judgement, ...]


def sets_of(words: str | None) -> dict[str, tuple[str, ...]]:
    """Return what to judge by name: the features of `a,b` together, or each family of them.

    Raises:
        WrongCall: the ranker does not look at one of them, or at nothing else.
    """
    if words is None:
        families = dict.fromkeys(feature.family for feature in FEATURES)
        return {name: _of_family(name) for name in families}
    names = tuple(dict.fromkeys(word.strip() for word in words.split(",")))
    for name in names:
        if name not in NAMES:
            close = get_close_matches(name, NAMES, 3) or NAMES[:3]
            raise WrongCall(f"no feature {name!r} of {len(NAMES)}; there are {', '.join(close)}")
    if set(names) == set(NAMES):
        raise WrongCall("without all features there is no ranker to compare with: name fewer")
    return {", ".join(names): names}


def _of_family(family: str) -> tuple[str, ...]:
    return tuple(feature.name for feature in FEATURES if feature.family == family)


def judged(
    groups: pl.LazyFrame, sets: Mapping[str, Sequence[str]], settings: Settings, fits: int
) -> Judged:
    """Return the judgement of each set of features over RANKING_GROUPS rows of one day.

    Args:
        groups: as `build_groups` writes them.
        sets: features by name, as `sets_of` gives them.
        settings: trees, cutoff, bootstraps, seeds and threads.
        fits: models of each arm, each with a seed of its own.

    Raises:
        InputNotReady: no day can judge (as in `searched`), or too few customers have a cart.
    """
    parts = split(groups, settings.ranker)
    # Each fit reads them again: in memory that costs little.
    data = Split(parts.day, with_told(parts.rows).collect().lazy(), with_told(parts.lists))
    customers = enough(strata(data.lists))
    done = tuple(_logged(_each(data, sets, customers, settings, fits), len(sets)))
    return Judged(data.day, customers.height, done)


def _each(
    data: Split,
    sets: Mapping[str, Sequence[str]],
    customers: pl.DataFrame,
    settings: Settings,
    fits: int,
) -> Iterator[Judgement]:
    """Yield each set's judgement; the models of every feature serve all of them."""
    whole = _pair(data, NAMES, (WITH, WITH_TOLD), settings, fits)
    for name, features in sets.items():
        kept = [other for other in NAMES if other not in features]
        bare = _pair(data, kept, (WITHOUT, WITHOUT_TOLD), settings, fits)
        ndcg = whole.join(bare, on=[c.GROUP_ID, c.USER_ID]).join(customers, on=c.USER_ID)
        seed = seed_for(settings, f"judgement of {name}")
        yield judgement(name, ndcg, fits, settings.ranker.bootstraps, seed)


def _logged(judgements: Iterator[Judgement], sets: int) -> Iterator[Judgement]:
    """Yield them, each logged, as points of MLflow's curves too."""
    for number, one in enumerate(judgements):
        tracking.metric("gain", one.gain.value, step=number)
        tracking.metric("gain_among_equals", one.equals.value, step=number)
        gains = (one.gain.value, one.equals.value, one.verdict)
        log.info("%d of %d: %s: %+.4f, among equals %+.4f: %s", number + 1, sets, one.name, *gains)
        yield one


def with_told(rows: Rows) -> Rows:
    """Return the rows with their customer's `activity` and `spend`; nothing known is 0."""
    acts = pl.sum_horizontal("user_views_30", "user_carts_30", "user_orders_30")
    # The item's price over its ratio to the customer's mean. An item of price 0 tells nothing, and
    # 32-bit prices differ in their last digits.
    mean_price = (pl.col("item_price") / pl.col("price_to_user")).fill_nan(None)
    spend = pl.col("user_orders_30") * mean_price.median().over(c.GROUP_ID)
    return rows.with_columns(acts.alias(ACTIVITY), spend.fill_null(0).round().alias(SPEND))


def strata(lists: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, stratum` of the customers with a cart."""
    customers = (
        lists.filter(pl.col(c.LABEL).max().over(c.GROUP_ID) > 0)
        .group_by(c.USER_ID)
        .agg(pl.col(TOLD).max())
        .with_columns(_third(ACTIVITY))
        .with_columns(_third(SPEND).over(ACTIVITY))
    )
    return customers.select(c.USER_ID, pl.concat_str(TOLD, separator=", ").alias(STRATUM)).sort(
        c.USER_ID
    )


def enough(customers: pl.DataFrame) -> pl.DataFrame:
    """Return the customers, if any stratum of them counts.

    Raises:
        InputNotReady: none has enough of them.
    """
    sizes = customers.group_by(STRATUM).len()["len"]
    if max(sizes, default=0) < LEAST_CUSTOMERS:
        raise InputNotReady(
            f"none of {len(sizes)} strata has {LEAST_CUSTOMERS} customers with a cart,"
            f" {customers.height} in all: a later day's lists may have more"
        )
    return customers


def _third(told: str) -> pl.Expr:
    """Return in which third of the customers a value lies, such as `activity 1 of 3`."""
    # Equal values share their middle rank, and so a third.
    place = ((pl.col(told).rank("average") - 0.5) * 3 / pl.len()).floor()
    return pl.format(f"{told} {{}} of {{}}", place.rank("dense"), place.n_unique()).alias(told)


def _pair(
    data: Split, names: Sequence[str], arms: tuple[str, str], settings: Settings, fits: int
) -> pl.DataFrame:
    """Return `ndcg_of` the models of these features, and of those that are told as well."""
    untold = ndcg_of(data, names, arms[0], settings, fits)
    told = ndcg_of(data, (*names, *TOLD), arms[1], settings, fits)
    return untold.join(told, on=[c.GROUP_ID, c.USER_ID])


def ndcg_of(
    data: Split, names: Sequence[str], arm: str, settings: Settings, fits: int
) -> pl.DataFrame:
    """Return `group_id, user_id` of the lists with a cart, and each fit's NDCG in its `column`."""
    scores = []
    for number in range(fits):
        seed = seed_for(settings, f"trees {number}")
        model = ranker.fit(data.rows, settings.ranker, seed, settings.threads, names=names)
        score = ranker.score(model, data.lists, settings.threads)
        scores.append(score.alias(column(arm, number)))
    lists = data.lists.with_columns(scores)
    return ndcg_by_group(lists, [score.name for score in scores], settings.ranker.cutoff)


def column(arm: str, fit: int) -> str:
    """Return the name of the column that holds the NDCG by one fit of an arm."""
    return f"{arm} {fit}"


def judgement(name: str, ndcg: pl.DataFrame, fits: int, draws: int, seed: int) -> Judgement:
    """Return the judgement of what the models made of the same lists.

    Args:
        name: of what is judged.
        ndcg: `group_id, user_id, stratum` and a `column` for each fit of each arm; `enough` of
            them.
        fits: of an arm.
        draws: resamples of customers and fits.
        seed: of the draws.
    """
    parts = list(_strata_that_count(ndcg))
    weights = _fit_weights(fits, draws, seed)
    gain, _, _ = _differences(ndcg, weights, seed)
    found = [_differences(part, weights, seed + place) for place, part in enumerate(parts, start=1)]
    _, equals, lost = np.mean(found, axis=0)
    rows = [_of_stratum(part, own[1]) for part, own in zip(parts, found, strict=True)]
    return Judgement(name, _interval(gain), _interval(equals), _interval(lost), pl.DataFrame(rows))


def _strata_that_count(ndcg: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for part in ndcg.sort(STRATUM, c.GROUP_ID).partition_by(STRATUM, maintain_order=True):
        if part[c.USER_ID].n_unique() >= LEAST_CUSTOMERS:
            yield part


def _fit_weights(fits: int, draws: int, seed: int) -> Numbers:
    """Return what each fit weighs: first alike, then as often as a draw has it."""
    alike = np.full(fits, 1 / fits)
    drawn = np.random.default_rng(seed).multinomial(fits, alike, draws) / fits
    return np.concatenate([alike[None], drawn])


def _differences(ndcg: pl.DataFrame, weights: Numbers, seed: int) -> Numbers:
    """Return gain, gain among equals and lost: each as found, then by draws of customers."""
    fits = weights.shape[1]
    columns = [column(arm, fit) for arm in ARMS for fit in range(fits)]
    mean, drawn = resampled_means(ndcg, columns, len(weights) - 1, seed)
    every = np.concatenate([mean[None], drawn]).reshape(-1, len(ARMS), fits)
    without, with_, without_told, with_told = np.einsum("daf,df->ad", every, weights)
    gain, equals = with_ - without, with_told - without_told
    return np.stack([gain, equals, gain - equals])


def _interval(found: Numbers) -> Interval:
    return interval(found[0], found[1:])


def _of_stratum(part: pl.DataFrame, gain: Numbers) -> dict[str, object]:
    return {
        STRATUM: part[STRATUM][0],
        "customers": part[c.USER_ID].n_unique(),
        "lists": part.height,
        **bounds("gain", _interval(gain)),
    }


def bounds(name: str, found: Interval) -> dict[str, float]:
    """Return an interval as cells: the estimate by its name, then its bounds."""
    return {name: found.value, f"{name} low": found.low, f"{name} high": found.high}
