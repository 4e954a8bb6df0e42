"""What each way out of the bubble costs and brings: `make bench-discovery`.

For each of --seeds and --worlds a shop lives three weeks under its own order. Generators learn from
the first 16 days; whoever comes back in the last 5 is asked for. Each choice changes one thing of a
plain list (EASE, LightFM, SASRec, popular, item neighbours) and is set beside it, per customer,
with 95% bootstrap intervals of the differences.

Accuracy: `ndcg@10` of what was touched later; `e_ndcg@10`, gain = true P(cart | examined) in the
next morning's first request of the customer, ideal over the whole catalogue: what no log shows.
Discovery: `first_categories@10`, of the categories that a customer enters later for the first time,
those among the first 10 items; `stratified_recall@10`, `novelty@10`, `popular_share@10`,
`diversity@10`, `serendipity@10` as `tasks/candidates/beyond.py` says; coverage and Gini of exposure
(means of the shops, without an interval).

To count acts more often is to penalise less, too, so EASE with a third of the penalty stands there.
What was passed over is counted by the lake's own statement, with examination as it is estimated
from the days that are learned from.

A page is 10 places read shelf after shelf (`tasks/candidates/slates.py`). Shelves: the plain list,
item neighbours, popular in the city, trending, new items, and the plain list's items of each of the
customer's three heaviest categories. What they are worth is learned from the last days before the
split, with generators that were fitted without those days.

A choice stands on the front (*) where no other of the same plain list, nor the plain list itself,
has more of both `e_ndcg@10` and the mean rank in four discovery metrics (first categories,
stratified recall, novelty, serendipity). A picture is drawn for each world below the home's
`benchmarks`.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.beyond import beyond_accuracy, coverage, serendipity, stratified  # noqa: E402
from tasks.candidates.blend import interleaved  # noqa: E402
from tasks.candidates.evaluation import Split, time_split, user_metrics  # noqa: E402
from tasks.candidates.fitting import fitted  # noqa: E402
from tasks.candidates.generator import Known  # noqa: E402
from tasks.candidates.interactions import located, weighted  # noqa: E402
from tasks.candidates.interests import in_turns  # noqa: E402
from tasks.candidates.sampling import sampled  # noqa: E402
from tasks.candidates.serving import recommend  # noqa: E402
from tasks.candidates.slates import (  # noqa: E402
    SHELF,
    Page,
    category_shelves,
    learned,
    slates,
)
from tasks.features.calendar import calendar  # noqa: E402
from tasks.lake import engines  # noqa: E402
from tasks.ranker.measure import paired_gains  # noqa: E402
from tasks.segments.examination import enough_chance, examination  # noqa: E402
from tasks.settings import (  # noqa: E402
    Candidates,
    Discovery,
    EaseOptions,
    NeighbourOptions,
    PassedOver,
    PopularOptions,
    SASRecOptions,
    Settings,
)
from tasks.simulator.catalogue import items_frame  # noqa: E402
from tasks.simulator.customers import customers_frame  # noqa: E402
from tasks.simulator.parameters import world_named  # noqa: E402
from tasks.simulator.shop import Shop  # noqa: E402
from tests.benchmarks.measure import Bench, asked  # noqa: E402
from tests.benchmarks.pictures import trade_off  # noqa: E402

FIRST_DAY = date(2026, 9, 1)
CUSTOMERS, ITEMS = 1_500, 1_000
LEARNT_DAYS, LATER_DAYS = 16, 5
K, DEPTH, DRAWS = 10, 60, 400
SHELF_DEPTH, CATEGORIES = 300, 3
FOR_YOU, TRENDING = "for you", "trending"
OTHER_SHELVES = ("item_neighbours", "popular", "new_items")
E_NDCG, FIRST_CATEGORIES = "e_ndcg@10", "first_categories@10"
ACCURACY = ("ndcg@10", E_NDCG)
DISCOVERY = (FIRST_CATEGORIES, "stratified_recall@10", "novelty@10", "serendipity@10")
BESIDE = ("popular_share@10", "diversity@10")
METRICS = (*ACCURACY, *DISCOVERY, *BESIDE)
COVERAGE, GINI = "coverage@10", "gini@10"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """One change of a plain list.

    Attributes:
        plain: the generator whose list is changed.
        changes: of the settings of candidates.
        others: generators that share the list's places, by share; the plain one has the rest.
        surface: the only surface that is learned from, if any.
        is_placed: whether customers' cities are known.
        keeps_bought: whether what was bought may be shown again.
        page: of shelves, the plain list one of them, if it is not one list.
    """

    plain: str
    changes: dict[str, object] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    surface: str | None = None
    is_placed: bool = True
    keeps_bought: bool = False
    page: Page | None = None


def counting(**times: int) -> dict[str, object]:
    """Return the settings in which discovery counts so many times."""
    return {"discovery": Discovery(**times)}


def whole_shelves(shelves: int, items: int) -> Page:
    """Return a page of so many whole shelves."""
    names = FOR_YOU, *OTHER_SHELVES, TRENDING, *(f"category {n + 1}" for n in range(CATEGORIES))
    return Page(names, shelves, items, fewest=items)


NEWEST: dict[str, object] = {"popular": PopularOptions(half_life_days=1.0)}
CHOICES = {
    "ease": Choice("ease"),
    "ease, long views x3": Choice("ease", counting(long_view=3)),
    "ease, favourites x3": Choice("ease", counting(favorite=3)),
    "ease, new categories x3": Choice("ease", counting(new_category=3)),
    "ease, all three x3": Choice("ease", counting(long_view=3, favorite=3, new_category=3)),
    "ease, a third of the penalty": Choice("ease", {"ease": EaseOptions(regularisation=100 / 3)}),
    "ease, debias 0.25": Choice("ease", {"debias": 0.25}),
    "ease, debias 0.5": Choice("ease", {"debias": 0.5}),
    "ease, 10% by chance": Choice("ease", {"sampled_share": 0.1}),
    "ease, 30% by chance": Choice("ease", {"sampled_share": 0.3}),
    "ease, 10% new items": Choice("ease", {}, {"new_items": 0.1}),
    "ease, 30% new items": Choice("ease", {}, {"new_items": 0.3}),
    "ease, 20% popular in city": Choice("ease", {}, {"popular": 0.2}),
    "ease, 20% trending": Choice("ease", NEWEST, {"popular": 0.2}),
    "ease, 3 interests": Choice("ease", {"interests": 3}),
    "ease, page of 2 shelves of 5": Choice("ease", page=whole_shelves(2, 5)),
    "ease, page of 5 shelves of 2": Choice("ease", page=whole_shelves(5, 2)),
    "ease, recommendations only": Choice("ease", surface="recommendations"),
    "ease, bought shown again": Choice("ease", keeps_bought=True),
    "lightfm": Choice("lightfm"),
    "lightfm, debias 0.5": Choice("lightfm", {"debias": 0.5}),
    "lightfm, all three x3": Choice("lightfm", counting(long_view=3, favorite=3, new_category=3)),
    "sasrec": Choice("sasrec"),
    "sasrec, debias 0.25": Choice("sasrec", {"debias": 0.25}),
    "sasrec, debias 0.5": Choice("sasrec", {"debias": 0.5}),
    "sasrec, all three x3": Choice("sasrec", counting(long_view=3, favorite=3, new_category=3)),
    "sasrec, 20% passed over": Choice("sasrec", {"passed_over": PassedOver(share=0.2)}),
    "sasrec, 50% passed over": Choice("sasrec", {"passed_over": PassedOver(share=0.5)}),
    "sasrec, 2 learned interests": Choice("sasrec", {"sasrec": SASRecOptions(interests=2)}),
    "sasrec, 4 learned interests": Choice("sasrec", {"sasrec": SASRecOptions(interests=4)}),
    "popular": Choice("popular"),
    "popular, cities unknown": Choice("popular", is_placed=False),
    "item_neighbours": Choice("item_neighbours"),
    "item_neighbours, of the last item": Choice(
        "item_neighbours", {"item_neighbours": NeighbourOptions(reach=1)}
    ),
}


@dataclass(frozen=True)
class Lived:
    """A shop's three weeks, and the shop on the morning after what is learned."""

    morning: Shop
    events: pl.DataFrame
    shown: pl.DataFrame

    def known(self, options: Candidates, day: date) -> Known:
        """Return what was known through `day`, and everything that happened."""
        items = items_frame(self.morning.world.catalogue, day)
        dated = self.events.with_columns(pl.col(c.TS).dt.date().alias(c.DT))
        users = located(
            dated.filter(pl.col(c.DT) <= day), customers_frame(self.morning.world.customers, day)
        )
        return Known(day, weighted(dated, items, options), items, users, shown=self.shown)

    def split(self, options: Candidates) -> Split:
        """Return the time split of the module's docstring."""
        return self._at(self.morning.next_day - timedelta(days=1), options)

    def held_out(self, options: Candidates) -> Split:
        """Return the time split of the last days of what is learned from."""
        cut = self.morning.next_day - timedelta(days=1)
        known = replace(self, events=self.events.filter(pl.col(c.TS).dt.date() <= cut))
        return known._at(cut - timedelta(days=options.holdout_days), options)

    def _at(self, cut: date, options: Candidates) -> Split:
        known = self.known(options, cut)
        then = known.interactions.filter(pl.col(c.DT) <= cut)
        return time_split(replace(known, interactions=then), known.interactions, options)


def lived(world: str, seed: int, settings: Settings) -> Lived:
    """Return a shop's days under its own order."""
    shop = Shop.opened(seed, FIRST_DAY, CUSTOMERS, ITEMS, world_named(world))
    days = []
    for number in range(LEARNT_DAYS + LATER_DAYS):
        if number == LEARNT_DAYS:
            morning = shop.copy()
        days.append(shop.live_day(shop.next_day, shop.present_lists(shop.next_day)))
    learned = pl.concat(days[:LEARNT_DAYS])
    return Lived(morning, pl.concat(days), shown_in(learned, morning, settings))


def shown_in(events: pl.DataFrame, morning: Shop, settings: Settings) -> pl.DataFrame:
    """Return what was shown and touched by day, as the lake counts it for `Known.shown`."""
    day, least = morning.next_day - timedelta(days=1), PassedOver().least_examined
    dated = events.with_columns(pl.col(c.TS).dt.date().alias(c.DT))
    chance, everything = (clicks_in(dated, day, ranked, settings) for ranked in (False, True))
    options = settings.segments
    curve = examination(chance if enough_chance(chance, options) else everything, options)
    curves = dated.select(c.DT).unique().join(curve, how="cross")
    return engines.select(
        engines.sql_text("candidate_shown"),
        {"events": dated, "examination": curves},
        {"day": day, "least_examined": least},
        settings,
    ).sort(c.USER_ID, c.ITEM_ID, c.DT)


def clicks_in(
    dated: pl.DataFrame, day: date, with_ranked: bool, settings: Settings
) -> pl.DataFrame:
    """Return impressions and clicks by position."""
    return engines.select(
        engines.sql_text("examination"),
        {"events": dated, "calendar": calendar(day, LEARNT_DAYS)},
        {"max_position": settings.segments.max_position, "with_ranked": int(with_ranked)},
        settings,
    )


def lists_of(choice: Choice, of: Lived, settings: Settings) -> tuple[pl.DataFrame, Split]:
    """Return a choice's first 10 for the customers who come back, and what it learned from."""
    told = settings.candidates.model_copy(update=choice.changes)
    settings = settings.model_copy(update={"candidates": told})
    split = of.split(told)
    if choice.page:
        return page_of(choice.page, choice.plain, of.held_out(told), split, settings), split
    known, requests = split.known, split.requests
    if choice.surface:
        kept = pl.col(c.SURFACE) == choice.surface
        known = replace(known, interactions=known.interactions.filter(kept))
    if not choice.is_placed:
        nowhere = pl.lit(None, pl.String).alias(c.CITY)
        known = replace(known, users=known.users.with_columns(nowhere))
        requests = replace(requests, users=requests.users.with_columns(nowhere))
    blocked = split.protocols[0].blocked
    blocked = blocked.clear() if choice.keeps_bought else blocked
    ranked = {
        name: in_turns(
            fitted(name, known, settings), requests, DEPTH, known.items, blocked, told.interests
        )
        for name in (choice.plain, *choice.others)
    }
    plain = ranked[choice.plain]
    if not choice.others:
        return sampled(plain, told.model_copy(update={"sampled_depth": DEPTH}), K, seed=0), split
    named = [rows.with_columns(pl.lit(name).alias(c.GENERATOR)) for name, rows in ranked.items()]
    shares = {choice.plain: 1 - sum(choice.others.values())} | choice.others
    return interleaved(pl.concat(named), shares, K), split


def page_of(
    page: Page, plain: str, before: Split, split: Split, settings: Settings
) -> pl.DataFrame:
    """Return the pages of the customers who come back, by what those of `before` found."""
    worth = learned(shelves(plain, before, settings), before.protocols[0].truth, page)
    return slates(shelves(plain, split, settings), worth, page)


def shelves(plain: str, split: Split, settings: Settings) -> pl.DataFrame:
    """Return `shelf, user_id, item_id, rank` of every shelf for the customers who come back."""
    known, requests, blocked = split.known, split.requests, split.protocols[0].blocked
    newest = settings.candidates.model_copy(update=NEWEST)
    trending = settings.model_copy(update={"candidates": newest})
    sources = {FOR_YOU: (plain, settings), TRENDING: ("popular", trending)}
    sources |= {name: (name, settings) for name in OTHER_SHELVES}
    listed = {
        shelf: recommend(fitted(name, known, told), requests, SHELF_DEPTH, known.items, blocked)
        for shelf, (name, told) in sources.items()
    }
    named = [
        rows.select(pl.lit(shelf).alias(SHELF), c.USER_ID, c.ITEM_ID, c.RANK)
        for shelf, rows in listed.items()
    ]
    kinds = category_shelves(listed[FOR_YOU], requests, known.items, CATEGORIES)
    return pl.concat([*named, kinds])


def true_worth(of: Lived, users: pl.Series) -> pl.DataFrame:
    """Return `user_id, item_id, worth` of the catalogue in the next morning's first requests."""
    shop = of.morning
    first = (
        shop.requests(shop.next_day)
        .filter(pl.col(c.USER_ID).is_in(users.implode()))
        .sort(c.USER_ID, c.TS, c.LISTING_ID)
        .unique(c.USER_ID, keep="first", maintain_order=True)
    )
    items = items_frame(shop.world.catalogue, shop.next_day).filter(c.IN_STOCK).select(c.ITEM_ID)
    place = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(c.LISTING_ID).alias(c.POSITION)
    rows = first.select(c.LISTING_ID).join(items, how="cross").with_columns(place)
    truth = shop.truth(shop.next_day, rows)
    return truth.select(c.USER_ID, c.ITEM_ID, pl.col("p_cart_if_examined").alias("worth"))


def e_ndcg(lists: pl.DataFrame, worth: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, e_ndcg@10` of the customers with a request next morning."""
    best = pl.int_range(1, pl.len() + 1).over(c.USER_ID).alias("best")
    ideal = worth.sort(c.USER_ID, "worth", c.ITEM_ID, descending=[False, True, False])
    ideal = ideal.with_columns(best).filter(pl.col("best") <= K)
    sums = ideal.group_by(c.USER_ID, maintain_order=True).agg(discounted("best").alias("ideal"))
    shown = worth.join(lists.filter(pl.col(c.RANK) <= K), on=[c.USER_ID, c.ITEM_ID])
    found = (
        shown.sort(c.USER_ID, c.RANK)
        .group_by(c.USER_ID, maintain_order=True)
        .agg(discounted(c.RANK).alias("found"))
    )
    both = sums.join(found, on=c.USER_ID, how="left").with_columns(pl.col("found").fill_null(0.0))
    return both.select(c.USER_ID, (pl.col("found") / pl.col("ideal")).alias(E_NDCG))


def discounted(rank: str) -> pl.Expr:
    """Return the discounted sum of worth by rank."""
    return (pl.col("worth") / (pl.col(rank) + 1).log(2)).sum()


def first_categories(lists: pl.DataFrame, split: Split, truth: pl.DataFrame) -> pl.DataFrame:
    """Return `user_id, first_categories@10` of customers who enter a category."""
    kinds = split.known.items.select(c.ITEM_ID, c.CATEGORY)
    pair = [c.USER_ID, c.CATEGORY]
    before = split.requests.histories.join(kinds, on=c.ITEM_ID).select(pair).unique()
    entered = (
        truth.join(kinds, on=c.ITEM_ID).select(pair).unique().join(before, on=pair, how="anti")
    )
    shown = lists.filter(pl.col(c.RANK) <= K).join(kinds, on=c.ITEM_ID).select(pair).unique()
    found = entered.join(shown.with_columns(pl.lit(1.0).alias("found")), on=pair, how="left")
    share = pl.col("found").fill_null(0.0).mean().alias(FIRST_CATEGORIES)
    return found.group_by(c.USER_ID).agg(share)


def measured(
    lists: pl.DataFrame, split: Split, yardstick: pl.DataFrame, worth: pl.DataFrame
) -> pl.DataFrame:
    """Return a row a customer who comes back with every metric; null where it has none."""
    truth = split.protocols[0].truth
    users = user_metrics(lists, truth, split.warm).select(c.USER_ID, "ndcg@10")
    users = stratified(users, lists, truth, split.known, power=0.5)
    users = serendipity(users, lists, yardstick, truth)
    beyond = beyond_accuracy(lists, split.known, ("category", "brand", "colour")).drop(c.SLICE)
    for part in (beyond, e_ndcg(lists, worth), first_categories(lists, split, truth)):
        users = users.join(part, on=c.USER_ID, how="left")
    return users.select(c.USER_ID, *METRICS)


def gini(lists: pl.DataFrame, items: pl.DataFrame) -> float:
    """Return Gini of places in lists over items in stock: 0 all alike, 1 all on one."""
    shown = lists.group_by(c.ITEM_ID).len("n")
    counts = items.filter(c.IN_STOCK).join(shown, on=c.ITEM_ID, how="left")["n"].fill_null(0)
    ordered = np.sort(counts.to_numpy().astype(float))
    place = np.arange(1, len(ordered) + 1)
    return float((2 * place - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


Wholes = dict[str, dict[str, float]]
"""Coverage and Gini by choice."""


def tried(world: str, seed: int, settings: Settings) -> tuple[pl.DataFrame, Wholes]:
    """Return one shop's metrics by customer as `choice/metric`, and those of the whole lists."""
    of = lived(world, seed, settings)
    yardstick, split = lists_of(Choice("popular_7d"), of, settings)
    worth = true_worth(of, split.requests.users[c.USER_ID])
    rows, wholes = split.requests.users.select(c.USER_ID), {}
    for name, choice in CHOICES.items():
        lists, _ = lists_of(choice, of, settings)
        found = measured(lists, split, yardstick, worth)
        rows = rows.join(
            found.rename({metric: f"{name}/{metric}" for metric in METRICS}), on=c.USER_ID
        )
        items = split.known.items
        wholes[name] = {COVERAGE: coverage(lists, items), GINI: gini(lists, items)}
        log.info("seed %d, %s: %s", seed, world, name)
    ids = pl.format(f"{seed}/{{}}", c.USER_ID)
    return rows.with_columns(ids.alias(c.USER_ID), ids.alias(c.GROUP_ID)), wholes


def table(rows: pl.DataFrame, wholes: list[Wholes]) -> pl.DataFrame:
    """Return `choice, plain, metric, value, gain, low, high`; gains are over the plain list."""
    found: list[tuple[object, ...]] = []
    for name, choice in CHOICES.items():
        for metric in METRICS:
            mine, plain = f"{name}/{metric}", f"{choice.plain}/{metric}"
            there = rows.drop_nulls(sorted({mine, plain}))
            found.append(
                (name, choice.plain, metric, there[mine].mean(), *gain(there, mine, plain))
            )
        for metric in (COVERAGE, GINI):
            mean, usual = (
                float(np.mean([of[who][metric] for of in wholes])) for who in (name, choice.plain)
            )
            found.append((name, choice.plain, metric, mean, mean - usual, None, None))
    names = ["choice", "plain", "metric", c.VALUE, "gain", c.LOW, c.HIGH]
    return pl.DataFrame(found, schema=names, orient="row", infer_schema_length=None)


def gain(rows: pl.DataFrame, mine: str, plain: str) -> tuple[float, float, float]:
    """Return how far a choice's metric lies above the plain list's, and the interval."""
    if mine == plain:
        return 0.0, 0.0, 0.0
    found = paired_gains(rows, mine, [plain], DRAWS, seed=0)[plain]
    return found.value, found.low, found.high


def front(told: pl.DataFrame) -> pl.DataFrame:
    """Return `choice, plain, accuracy, discovery, is_best`: the module's front."""
    wide = told.pivot("metric", index=["choice", "plain"], values="value", maintain_order=True)
    ranks = pl.mean_horizontal(pl.col(metric).rank().over("plain") for metric in DISCOVERY)
    rows = wide.select(
        "choice", "plain", pl.col(E_NDCG).alias("accuracy"), ranks.alias("discovery")
    )
    better = rows.join(rows, on="plain", suffix="_other").filter(
        (pl.col("accuracy_other") > pl.col("accuracy"))
        & (pl.col("discovery_other") > pl.col("discovery"))
    )
    return rows.with_columns(~pl.col("choice").is_in(better["choice"].implode()).alias("is_best"))


def shown(told: pl.DataFrame, best: pl.DataFrame) -> str:
    """Return the table to print: plain lists as they are, choices as gains, + or - where sure."""
    metrics = (*METRICS, COVERAGE, GINI)
    head = f"{'':36}" + "".join(f"{metric.split('@')[0][:17]:>18}" for metric in metrics)
    lines = [head]
    is_best = dict(best.select("choice", "is_best").iter_rows())
    for (name,), rows in told.group_by("choice", maintain_order=True):
        cells = {row["metric"]: cell(row) for row in rows.to_dicts()}
        mark = "*" if is_best[name] else " "
        lines.append(f"{mark} {name:34}" + "".join(f"{cells[metric]:>18}" for metric in metrics))
    return "\n".join(lines)


def cell(row: dict[str, object]) -> str:
    """Return one number: the plain list's value, or a choice's gain and whether it is sure."""
    if row["choice"] == row["plain"]:
        return f"{row['value']:.4f}"
    low, high = row["low"], row["high"]
    if low is None or high is None:
        return f"{row['gain']:+.4f} "
    sure = "+" if float(str(low)) > 0 else "-" if float(str(high)) < 0 else " "
    return f"{row['gain']:+.4f}{sure}"


def note(bench: Bench, world: str, told: pl.DataFrame) -> None:
    """Record every value, and each choice's gain with its interval."""
    for row in told.to_dicts():
        name = f"{world}/{row['choice']}/{row['metric']}"
        if row["choice"] == row["plain"]:
            bench.note(**{name: f"{row['value']:.4f}"})
        elif row["low"] is None:
            bench.note(**{name: f"{row['gain']:+.4f}"})
        else:
            bench.note(**{name: f"{row['gain']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"})


def main() -> None:
    """Print the table of every world, draw its picture, and record the figures."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    wanted, bench = asked("56,57", "default,rough"), Bench("discovery")
    settings = Settings(mlflow_url="")
    bench.note(seeds=str(wanted.seeds), customers=CUSTOMERS, items=ITEMS)
    for world in wanted.worlds:
        bench.world(world_named(world))
        with bench.timed(world):
            found = [tried(world, seed, settings) for seed in wanted.seeds]
        told = table(pl.concat(rows for rows, _ in found), [wholes for _, wholes in found])
        best = front(told)
        print(f"{world}: plain lists, and each choice's difference (+, -: surely)")
        print(shown(told, best))
        picture = trade_off(f"discovery-{world}", told, E_NDCG, DISCOVERY)
        bench.note(**{f"{world}/picture": str(picture)})
        note(bench, world, told)
    bench.finish()


if __name__ == "__main__":
    main()
