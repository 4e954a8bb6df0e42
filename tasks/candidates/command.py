"""`evaluate-candidates`: judge generators on any interactions file, over its whole catalogue."""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from tasks import columns as c
from tasks.candidates import BASELINES, GENERATORS
from tasks.candidates.beyond import (
    COVERAGE,
    DIVERSITY,
    NOVELTY,
    POPULAR_SHARE,
    SERENDIPITY,
    STRATIFIED_NDCG,
)
from tasks.candidates.evaluation import ALL, LEAVE_ONE_OUT, TIME, Split, time_split
from tasks.candidates.fitting import YARDSTICK, Lists, fitted, heldout_lists, judged
from tasks.candidates.generator import Known
from tasks.candidates.memory import forget_peak, peak_gb
from tasks.candidates.outside import (
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    leave_one_out,
    read_table,
)
from tasks.errors import ContractViolation
from tasks.settings import SASRecOptions, Settings

SHOWN = (
    *("recall@10", "hit_rate@10", "ndcg@10", "mrr@10", "ndcg@20", "recall@60", "ndcg@60"),
    *(COVERAGE, NOVELTY, DIVERSITY, POPULAR_SHARE, SERENDIPITY, STRATIFIED_NDCG),
)
WITH_INTERVAL = "ndcg@10"
NEXT_ITEM: dict[str, object] = {
    "width": 128,
    "length": 100,
    "horizon": 1,
    "blocks": 2,
    "heads": 2,
    "dropout": 0.3,
    "epochs": 60,
    "patience": 5,
    "min_steps": 1,
    "batch": 128,
    "learning_rate": 0.001,
}
"""SASRec's settings where leave-one-out asks for the next item of a long history: the defaults are
a shop's, whose lists are for days. What somebody has set stays as it is set."""


class Cost(NamedTuple):
    """What a generator took; the peak is that of the whole process meanwhile."""

    fit_seconds: float
    list_seconds: float
    peak_gb: float


class Result(NamedTuple):
    """One generator's lists by protocol, its metrics, and what it took."""

    name: str
    lists: Lists
    metrics: pl.DataFrame
    cost: Cost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--data", type=Path, required=True, help="interactions: .parquet or .csv")
    parser.add_argument("--protocol", choices=(LEAVE_ONE_OUT, TIME), required=True)
    parser.add_argument("--generators", default=",".join(GENERATORS), help="default: all")
    parser.add_argument("--user", default=c.USER_ID, help="column of the user")
    parser.add_argument("--item", default=c.ITEM_ID, help="column of the item")
    parser.add_argument("--time", help="column of the time: a timestamp, text, or epoch seconds")
    parser.add_argument("--order", help="column of the position within a user; breaks ties of time")
    parser.add_argument("--items", type=Path, help="file of item features, with the column --item")
    parser.add_argument("--epochs", type=int, help="epochs of SASRec")
    parser.add_argument("--holdout-days", type=int, help="protocol time: last days to predict")
    parser.add_argument(
        "--save-lists", type=Path, help="file for the ranked lists: .parquet or .csv"
    )
    parser.add_argument(
        "--validation-users",
        type=int,
        help="protocol loo: hold the item before the last out for so many users; default: all",
    )


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print one row per generator and protocol; save the whole table, and the lists if asked."""
    names = [*args.generators.split(","), *BASELINES]
    if unknown := [name for name in names if name not in GENERATORS | BASELINES]:
        raise ContractViolation(f"no generator {unknown[0]!r}; there are {', '.join(GENERATORS)}")
    features = read_table(args.items).rename({args.item: c.ITEM_ID}) if args.items else None
    settings = adapted(settings, args, features)
    naming = Naming(args.user, args.item, args.time, args.order)
    interactions = interactions_of(read_table(args.data), naming)
    split = split_of(known_of(interactions, catalogue_of(interactions, features)), args, settings)
    print(heading(split))
    yardstick = heldout_lists(fitted(YARDSTICK, split.known, settings), split)
    table = settings.home / "evaluations" / f"{args.data.stem}-{args.protocol}.csv"
    results = []
    for name in names:
        results.append(evaluated(name, split, settings, yardstick))
        print(lines(results[-1]), flush=True)
        # After each, so that hours of training are not lost with what comes after.
        write_table(table, table_of(results))
        if args.save_lists:
            write_table(args.save_lists, ranked_lists(results))
    print(f"every metric and slice: {table}")
    if args.save_lists:
        beside = args.save_lists.with_name(f"truth-{args.save_lists.name}")
        write_table(beside, truth_of(split))
        print(f"ranked lists: {args.save_lists}; what they are judged by: {beside}")


def adapted(
    settings: Settings, args: argparse.Namespace, features: pl.DataFrame | None
) -> Settings:
    """Return the settings with what the call says: epochs, holdout, the features' columns."""
    options = settings.candidates
    sasrec = for_protocol(options.sasrec, args.protocol)
    told: dict[str, object] = {"sasrec": sasrec}
    if args.epochs:
        told["sasrec"] = sasrec.model_copy(update={"epochs": args.epochs})
    if args.holdout_days:
        told["holdout_days"] = args.holdout_days
    if features is not None:
        told["item_features"] = tuple(name for name in features.columns if name != c.ITEM_ID)
    return settings.model_copy(update={"candidates": options.model_copy(update=told)})


def for_protocol(sasrec: SASRecOptions, protocol: str) -> SASRecOptions:
    """Return SASRec's settings for what the protocol asks."""
    if protocol != LEAVE_ONE_OUT:
        return sasrec
    unset = {name: told for name, told in NEXT_ITEM.items() if name not in sasrec.model_fields_set}
    return sasrec.model_copy(update=unset)


def split_of(known: Known, args: argparse.Namespace, settings: Settings) -> Split:
    """Return the split that the call asks for."""
    if args.protocol == LEAVE_ONE_OUT:
        return leave_one_out(known, args.validation_users)
    if not args.time:
        raise ContractViolation("protocol time needs the column of the time (--time)")
    cut = known.through - timedelta(days=settings.candidates.holdout_days)
    learned = known.interactions.filter(pl.col(c.DT) <= cut)
    then = Known(cut, learned, known.items, known.users)
    return time_split(then, known.interactions, settings.candidates)


def evaluated(name: str, split: Split, settings: Settings, yardstick: Lists) -> Result:
    """Fit, list and judge one generator, with the seconds and the peak memory of the first two."""
    forget_peak()
    started = time.monotonic()
    generator = fitted(name, split.known, settings)
    fit = time.monotonic()
    lists = heldout_lists(generator, split)
    cost = Cost(fit - started, time.monotonic() - fit, peak_gb())
    return Result(name, lists, judged(lists, split, settings, yardstick), cost)


def heading(split: Split) -> str:
    """Return what was split, how ties are broken, and the names of the columns."""
    known = split.known
    told = (
        f"{known.interactions.height:,} interactions learned, {len(known.item_ids()):,} items,"
        f" {split.requests.height:,} test users, {len(split.warm):,} of them with a history"
    )
    ties = "equal scores: the smaller item id first; equal times: the order of the file"
    columns = "".join(f"{metric:>{width(metric)}}" for metric in SHOWN)
    spread = f"{WITH_INTERVAL} 95%"
    costs = f"{'fit s':>8}{'list s':>8}{'peak GB':>8}"
    return f"{told}\n{ties}\n{'generator':<17}{'protocol':<10}{columns}  {spread:<16}{costs}"


def width(metric: str) -> int:
    """Return how wide the metric's column is."""
    return max(10, len(metric) + 2)


def lines(result: Result) -> str:
    """Return the rows of one generator."""
    whole = result.metrics.filter(pl.col(c.SLICE) == ALL)
    rows = []
    for protocol in whole["protocol"].unique(maintain_order=True):
        of = {row[c.METRIC]: row for row in whole.filter(pl.col("protocol") == protocol).to_dicts()}
        values = "".join(
            f"{of[metric][c.VALUE] if metric in of else float('nan'):>{width(metric)}.4f}"
            for metric in SHOWN
        )
        spread = f"{of[WITH_INTERVAL][c.LOW]:.4f}..{of[WITH_INTERVAL][c.HIGH]:.4f}"
        cost = result.cost
        costs = f"{cost.fit_seconds:>8.1f}{cost.list_seconds:>8.1f}{cost.peak_gb:>8.2f}"
        rows.append(f"{result.name:<17}{protocol:<10}{values}  {spread:<16}{costs}")
    return "\n".join(rows)


def table_of(results: list[Result]) -> pl.DataFrame:
    """Return every metric of every slice, with what the generator cost."""
    return pl.concat(
        result.metrics.select(
            pl.lit(result.name).alias(c.GENERATOR),
            pl.all(),
            *(pl.lit(value).alias(name) for name, value in result.cost._asdict().items()),
        )
        for result in results
    )


def ranked_lists(results: list[Result]) -> pl.DataFrame:
    """Return `generator, protocol, user_id, item_id, score, rank` of everything that was judged."""
    key = (c.USER_ID, c.ITEM_ID, c.SCORE, c.RANK)
    return pl.concat(
        lists.select(
            pl.lit(result.name).alias(c.GENERATOR), pl.lit(protocol).alias("protocol"), *key
        )
        for result in results
        for protocol, lists in result.lists.items()
    )


def truth_of(split: Split) -> pl.DataFrame:
    """Return `protocol, user_id, item_id`: what the lists are judged by."""
    return pl.concat(
        protocol.truth.select(pl.lit(protocol.name).alias("protocol"), c.USER_ID, c.ITEM_ID)
        for protocol in split.protocols
    )


def write_table(path: Path, rows: pl.DataFrame) -> None:
    """Write a Parquet file, or CSV where the name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        rows.write_csv(path)
    else:
        rows.write_parquet(path)
