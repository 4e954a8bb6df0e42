"""A bounded search for better trees: settings drawn at random, judged on a day the gate never sees.

Bergstra and Bengio (2012). Models learn from listings before a day that could be held out but is
not the newest, and are judged on the whole lists of that day: the newest, on which the gate
decides, stays unseen. A draw is better only where its paired gain over the present settings is
surely above 0; of many draws the best looks better than it is, so the gate has the last word.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from tasks import columns as c
from tasks import tracking
from tasks.errors import InputNotReady
from tasks.ranker import evaluation as ev
from tasks.ranker import model as ranker
from tasks.ranker.groups import held_out_days
from tasks.ranker.measure import Interval, intervals, ndcg_by_group, paired_gains
from tasks.ranker.trial import carts, seed_for, trained_rows
from tasks.settings import Ranker, Settings

log = logging.getLogger(__name__)

SPACE = {
    "iterations": (60, 600),
    "depth": (3, 8),
    "learning_rate": (0.02, 0.3),
    "permutations": (2, 10),
}
"""The least and the greatest of each setting that is searched; drawn evenly in logarithms."""
PRESENT = "0"


@dataclass(frozen=True)
class Split:
    """What to learn from, and what judges that the gate will not decide on.

    Attributes:
        day: the listing day that judges.
        rows: of training, all of listings before it.
        lists: its whole lists, with the orders that need no model.
    """

    day: date
    rows: pl.LazyFrame
    lists: pl.DataFrame


@dataclass(frozen=True)
class Try:
    """One draw: its options, the scores that its model gives to the lists, what it took."""

    options: Ranker
    scores: pl.Series
    seconds: float


@dataclass(frozen=True)
class Searched:
    """What a search found.

    Attributes:
        day: the listing day that judged.
        tries: `name`, the settings of `SPACE`, `ndcg`, `low`, `high`, `gain`, `gain_low`,
            `gain_high` over the present settings, `seconds`; the present ones first.
    """

    day: date
    tries: pl.DataFrame

    @property
    def better(self) -> dict[str, object] | None:
        """The settings with the highest NDCG among those surely better than the present ones."""
        sure = self.tries.filter(pl.col("gain_low") > 0).sort("ndcg", descending=True)
        return sure.select(*SPACE).row(0, named=True) if sure.height else None


def searched(groups: pl.LazyFrame, settings: Settings, tries: int, minutes: float) -> Searched:
    """Return the search over RANKING_GROUPS rows of one day.

    Args:
        groups: as `build_groups` writes them.
        settings: the present ones, seeds and threads.
        tries: draws beside the present settings.
        minutes: after which no further draw is tried.

    Raises:
        InputNotReady: fewer than two days could be held out, or there is no cart to learn from or
            to judge by.
    """
    parts = split(groups, settings.ranker)
    rows, lists = parts.rows, parts.lists
    done: list[Try] = []
    ends = time.monotonic() + 60 * minutes
    for options in [settings.ranker, *draws(settings, tries)]:
        if done and time.monotonic() > ends:
            log.info("%d of %d tries in %.0f minutes: the budget", len(done) - 1, tries, minutes)
            break
        done.append(tried(rows, lists, options, settings))
        told(done, tries, lists, settings.ranker.cutoff)
    return Searched(parts.day, _table(with_scores(lists, done), done, settings))


def split(groups: pl.LazyFrame, options: Ranker) -> Split:
    """Return the split of RANKING_GROUPS rows of one day.

    Raises:
        InputNotReady: as `searched` does.
    """
    day = judging_day(groups, options)
    rows, held_out = trained_rows(groups, day), ev.held_out(groups, [day])
    _refuse_no_cart(rows, f"training listing before {day}")
    _refuse_no_cart(held_out, f"whole list of {day}, the day that judges,")
    return Split(day, rows, ev.with_orders(ranker.in_order(held_out.collect())))


def tried(rows: pl.LazyFrame, lists: pl.DataFrame, options: Ranker, settings: Settings) -> Try:
    """Return one try of these options: fitted to the rows, asked about the lists."""
    started = time.monotonic()
    model = ranker.fit(rows, options, seed_for(settings, "trees"), settings.threads)
    scores = ranker.score(model, lists, settings.threads)
    return Try(options, scores, time.monotonic() - started)


def with_scores(lists: pl.DataFrame, done: list[Try]) -> pl.DataFrame:
    """Return the lists with a score column per try, named by its number."""
    return lists.with_columns(one.scores.alias(str(n)) for n, one in enumerate(done))


def judging_day(groups: pl.LazyFrame, options: Ranker) -> date:
    """Return the newest listing day with whole lists but for the gate's own."""
    days = held_out_days(groups, options)
    if not days[1:]:
        raise InputNotReady(
            f"{len(days)} listing days have whole lists; judging needs one beside the newest,"
            " which is the gate's"
        )
    return days[1]


def _refuse_no_cart(rows: pl.LazyFrame, what: str) -> None:
    if not carts(rows):
        raise InputNotReady(f"no {what} has a cart: a later day's groups may have one")


def draws(settings: Settings, tries: int) -> Iterator[Ranker]:
    """Yield the present settings with those of `SPACE` drawn anew."""
    from scipy.stats import loguniform
    from sklearn.model_selection import ParameterSampler

    space = {name: loguniform(*bounds) for name, bounds in SPACE.items()}
    seed = seed_for(settings, "search") % 2**32
    for drawn in ParameterSampler(space, tries, random_state=seed):
        whole = {name: value for name, value in drawn.items() if name != "learning_rate"}
        rounded = {name: round(value) for name, value in whole.items()}
        rate = round(drawn["learning_rate"], 3)
        yield settings.ranker.model_copy(update={**rounded, "learning_rate": rate})


def told(done: list[Try], tries: int, lists: pl.DataFrame, cutoff: int) -> None:
    """Log the last try, as a point of MLflow's curve too."""
    number, last = len(done) - 1, done[-1]
    ndcg = ndcg_by_group(with_scores(lists, [last]), [PRESENT], cutoff)[PRESENT].mean()
    value = float(ndcg) if isinstance(ndcg, float) else 0.0
    tracking.metric(f"ndcg_at_{cutoff}", value, step=number)
    words = ", ".join(f"{name} {getattr(last.options, name)}" for name in SPACE)
    log.info("try %d of %d: NDCG@%d %.4f: %s", number, tries, cutoff, value, words)


def _table(lists: pl.DataFrame, done: list[Try], settings: Settings) -> pl.DataFrame:
    options, names = settings.ranker, [str(number) for number in range(len(done))]
    ndcg = ndcg_by_group(lists, names, options.cutoff)
    seed = seed_for(settings, "bootstrap")
    values = intervals(ndcg, names, options.bootstraps, seed)
    over = paired_gains(ndcg, PRESENT, names[1:], options.bootstraps, seed)
    rows = [
        {
            "name": name,
            **{setting: getattr(one.options, setting) for setting in SPACE},
            "ndcg": values[name].value,
            c.LOW: values[name].low,
            c.HIGH: values[name].high,
            **_gain(over.get(name)),
            "seconds": one.seconds,
        }
        for name, one in zip(names, done, strict=True)
    ]
    return pl.DataFrame(rows)


def _gain(under: Interval | None) -> dict[str, float]:
    """Return the gain of a try from the present settings' gain over it."""
    if under is None:
        return {"gain": 0.0, "gain_low": 0.0, "gain_high": 0.0}
    return {"gain": -under.value, "gain_low": -under.high, "gain_high": -under.low}
