"""How good generators are on public data: `make bench-candidates`; reach: SASRec near 0.181.

MovieLens-1M of VITRINA_REAL_DATA, leave-one-out over the whole catalogue, NDCG@10 and recall@10, by
the functions of `python -m tasks evaluate-candidates`. GENERATORS=popular,ease for a quick look;
EPOCHS are SASRec's, which stops by itself when validation no longer rises. RECIPES names what is
compared of SASRec, SEEDS=31,32,33 repeats it; ITEMS=FILE, with the column `movie_id`, tells items'
features. The file tells neither time nor actions: `time`, `actions` and `views` need a shop
(`bench_sasrec`). DATA=beauty takes Amazon's Beauty (S3-Rec) instead, with what is known of each
article.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates import GENERATORS  # noqa: E402
from tasks.candidates.command import (  # noqa: E402
    Result,
    adapted,
    add_arguments,
    evaluated,
    split_of,
)
from tasks.candidates.evaluation import ALL, LEAVE_ONE_OUT, Split  # noqa: E402
from tasks.candidates.fitting import YARDSTICK, fitted, heldout_lists  # noqa: E402
from tasks.candidates.outside import (  # noqa: E402
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    read_table,
)
from tasks.ranker.measure import Interval  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402

FILE = Path("ml1m") / "sequences.parquet"
SHOWN = ("ndcg@10", "recall@10", "mrr@10", "ndcg@20", "ndcg@60")
NAMING = Naming(item="movie_id", order="pos")
BEAUTY = Path("s3rec") / "Beauty_sequences.parquet"
BEAUTY_NAMING = Naming(user="user", item="item", order="pos")
ATTRIBUTES = "Beauty_item_attributes.parquet"
RECIPES: dict[str, dict[str, object]] = {
    "softmax": {},
    "sampled": {"full_softmax_items": 0},
    "sampled_popular": {"full_softmax_items": 0, "negatives_by": "popular"},
    "sampled_mixed": {"full_softmax_items": 0, "negatives_by": "mixed"},
    "gbce": {"loss": "gbce"},
    "gbce_popular": {"loss": "gbce", "negatives_by": "popular"},
    "gbce_mixed": {"loss": "gbce", "negatives_by": "mixed"},
    "bce": {"loss": "gbce", "calibration": 0.0},
    "cosine": {"loss": "cosine"},
    "cosine_popular": {"loss": "cosine", "negatives_by": "popular"},
    "own_only": {"features": False},
    "projected": {"item_vectors": "projected"},
    "frozen": {"item_vectors": "frozen"},
    "actions": {"actions": "input"},
    "views": {"actions": "views"},
    "time": {"time": True},
    "actions_time": {"actions": "input", "time": True},
}
"""SASRec's options, by what they change of the recipe they are compared with."""


def asked(data: Path) -> argparse.Namespace:
    """Return the command's arguments for this file."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    generators = os.environ.get("GENERATORS", ",".join(GENERATORS))
    told = ["--data", str(data), "--protocol", LEAVE_ONE_OUT, "--generators", generators]
    epochs = os.environ.get("EPOCHS")
    items = os.environ.get("ITEMS")
    told += ["--epochs", epochs] if epochs else []
    told += ["--item", NAMING.item, "--items", items] if items else []
    return parser.parse_args(told)


def variants(name: str, settings: Settings) -> Iterator[tuple[str, Settings]]:
    """Yield what to call a generator, and the settings: SASRec by recipe and seed."""
    if name != "sasrec":
        yield name, settings
        return
    options = settings.candidates
    for recipe in os.environ.get("RECIPES", "softmax").split(","):
        sasrec = options.sasrec.model_copy(update=RECIPES[recipe])
        told = options.model_copy(update={"sasrec": sasrec})
        for seed in os.environ.get("SEEDS", str(settings.seed)).split(","):
            changed = {"candidates": told, "seed": int(seed)}
            yield f"sasrec/{recipe}/{seed}", settings.model_copy(update=changed)


def split_for(
    args: argparse.Namespace, naming: Naming, features: pl.DataFrame | None, settings: Settings
) -> Split:
    """Return the file, split."""
    interactions = interactions_of(read_table(args.data), naming)
    return split_of(known_of(interactions, catalogue_of(interactions, features)), args, settings)


def told_of(args: argparse.Namespace) -> pl.DataFrame | None:
    """Return what the file of ITEMS tells of items, None without one."""
    return read_table(args.items).rename({args.item: c.ITEM_ID}) if args.items else None


def attributes(file: Path) -> pl.DataFrame:
    """Return `item_id, attribute_1, attribute_2...`: an item's attributes, the commonest first.

    The commonest are the widest, so that a column holds one level of the shop's tree.
    """
    long = pl.read_parquet(file).unique()
    common = long.with_columns(pl.len().over("attribute").alias("items"))
    ordered = common.sort("item", "items", "attribute", descending=[False, True, False])
    place = pl.format("attribute_{}", pl.int_range(1, pl.len() + 1).over("item"))
    wide = ordered.with_columns(place.alias("name")).pivot("name", index="item", values="attribute")
    return wide.rename({"item": c.ITEM_ID})


def note(bench: Bench, name: str, result: Result) -> None:
    """Record one generator's metrics with intervals, and its seconds."""
    whole = result.metrics.filter(pl.col(c.SLICE) == ALL, pl.col(c.METRIC).is_in(SHOWN))
    for (protocol,), rows in whole.group_by("protocol", maintain_order=True):
        found = {
            row[c.METRIC]: Interval(row[c.VALUE], row[c.LOW], row[c.HIGH])
            for row in rows.to_dicts()
        }
        bench.intervals(name if protocol == LEAVE_ONE_OUT else f"{name}/{protocol}", found)
    cost = result.cost
    figures = {"fit_seconds": cost.fit_seconds, "peak_gb": cost.peak_gb}
    bench.note(**{f"{name}_{what}": round(figure, 2) for what, figure in figures.items()})


def main() -> None:
    """Print what each generator finds again."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    settings, bench = Settings(mlflow_url=""), Bench("candidates")
    is_beauty = os.environ.get("DATA") == "beauty"
    file, naming = (BEAUTY, BEAUTY_NAMING) if is_beauty else (FILE, NAMING)
    data = settings.real_data / file if settings.real_data else None
    if data is None or not data.is_file():
        bench.note(skipped=f"VITRINA_REAL_DATA names no folder with {file}")
        return bench.finish()
    args = asked(data)
    features = attributes(data.with_name(ATTRIBUTES)) if is_beauty else told_of(args)
    settings = adapted(settings, args, features)
    split = split_for(args, naming, features, settings)
    items, users = len(split.known.item_ids()), split.requests.height
    bench.note(items=items, test_users=users, epochs=settings.candidates.sasrec.epochs)
    yardstick = heldout_lists(fitted(YARDSTICK, split.known, settings), split)
    for name in args.generators.split(","):
        for called, told in variants(name, settings):
            note(bench, called, evaluated(name, split, told, yardstick))
    return bench.finish()


if __name__ == "__main__":
    main()
