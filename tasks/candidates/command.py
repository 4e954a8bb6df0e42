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
from tasks.candidates.evaluation import ALL, LEAVE_ONE_OUT, TIME, Split, time_split
from tasks.candidates.fitting import fitted, heldout_lists, judged
from tasks.candidates.generator import Known
from tasks.candidates.outside import (
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    leave_one_out,
    read_table,
)
from tasks.errors import ContractViolation
from tasks.settings import Settings

SHOWN = ("recall@10", "ndcg@10", "recall@20", "ndcg@20", "recall@60", "ndcg@60")
WITH_INTERVAL = "ndcg@10"


class Result(NamedTuple):
    """One generator's metrics and seconds."""

    name: str
    metrics: pl.DataFrame
    fit_seconds: float
    list_seconds: float


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
        "--learn-penultimate",
        action="store_true",
        help="protocol loo: learn from every item but the last",
    )


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print one row per generator and protocol."""
    names = [*args.generators.split(","), *BASELINES]
    if unknown := [name for name in names if name not in GENERATORS | BASELINES]:
        raise ContractViolation(f"no generator {unknown[0]!r}; there are {', '.join(GENERATORS)}")
    features = read_table(args.items).rename({args.item: c.ITEM_ID}) if args.items else None
    settings = adapted(settings, args, features)
    naming = Naming(args.user, args.item, args.time, args.order)
    interactions = interactions_of(read_table(args.data), naming)
    split = split_of(known_of(interactions, catalogue_of(interactions, features)), args, settings)
    print(heading(split))
    for name in names:
        print(lines(evaluated(name, split, settings)), flush=True)


def adapted(
    settings: Settings, args: argparse.Namespace, features: pl.DataFrame | None
) -> Settings:
    """Return the settings with what the call says: epochs, holdout, the features' columns."""
    options = settings.candidates
    told: dict[str, object] = {}
    if args.epochs:
        told["sasrec"] = options.sasrec.model_copy(update={"epochs": args.epochs})
    if args.holdout_days:
        told["holdout_days"] = args.holdout_days
    if features is not None:
        told["item_features"] = tuple(name for name in features.columns if name != c.ITEM_ID)
    return settings.model_copy(update={"candidates": options.model_copy(update=told)})


def split_of(known: Known, args: argparse.Namespace, settings: Settings) -> Split:
    """Return the split that the call asks for."""
    if args.protocol == LEAVE_ONE_OUT:
        return leave_one_out(known, args.learn_penultimate)
    if not args.time:
        raise ContractViolation("protocol time needs the column of the time (--time)")
    cut = known.through - timedelta(days=settings.candidates.holdout_days)
    learned = known.interactions.filter(pl.col(c.DT) <= cut)
    then = Known(cut, learned, known.items, known.users)
    return time_split(then, known.interactions, settings.candidates)


def evaluated(name: str, split: Split, settings: Settings) -> Result:
    """Fit, list and judge one generator, with the seconds of the first two."""
    started = time.monotonic()
    generator = fitted(name, split.known, settings)
    fit = time.monotonic()
    lists = heldout_lists(generator, split)
    listed = time.monotonic()
    return Result(name, judged(lists, split, settings, None), fit - started, listed - fit)


def heading(split: Split) -> str:
    """Return what was split, and the names of the columns."""
    known = split.known
    told = (
        f"{known.interactions.height:,} interactions learned, {len(known.item_ids()):,} items,"
        f" {split.requests.height:,} test users, {len(split.warm):,} of them with a history"
    )
    columns = "".join(f"{metric:>11}" for metric in SHOWN)
    spread = f"{WITH_INTERVAL} 95%"
    return f"{told}\n{'generator':<12}{'protocol':<10}{columns}  {spread:<16} fit s list s"


def lines(result: Result) -> str:
    """Return the rows of one generator."""
    whole = result.metrics.filter(pl.col(c.SLICE) == ALL)
    rows = []
    for protocol in whole["protocol"].unique(maintain_order=True):
        of = {row[c.METRIC]: row for row in whole.filter(pl.col("protocol") == protocol).to_dicts()}
        values = "".join(f"{of[metric][c.VALUE]:>11.4f}" for metric in SHOWN)
        spread = f"{of[WITH_INTERVAL][c.LOW]:.4f}..{of[WITH_INTERVAL][c.HIGH]:.4f}"
        seconds = f"{result.fit_seconds:>6.1f} {result.list_seconds:>6.1f}"
        rows.append(f"{result.name:<12}{protocol:<10}{values}  {spread:<16}{seconds}")
    return "\n".join(rows)
