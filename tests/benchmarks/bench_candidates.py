"""How good generators are on public data: `make bench-candidates`; reach: SASRec near 0.181.

MovieLens-1M of VITRINA_REAL_DATA, leave-one-out over the whole catalogue, NDCG@10 and recall@10, by
the functions of `python -m tasks evaluate-candidates`. GENERATORS=popular,ease for a quick look;
EPOCHS are SASRec's.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
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
SHOWN = ("ndcg@10", "recall@10")
NAMING = Naming(item="movie_id", order="pos")
SASREC = {
    "width": 64,
    "length": 100,
    "batch": 64,
    "blocks": 2,
    "dropout": 0.2,
    "horizon": 1,
    "learning_rate": 0.002,
}
"""The defaults are a shop's; these are for long histories whose next item is asked for."""


def asked(data: Path) -> argparse.Namespace:
    """Return the command's arguments for this file."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    generators = os.environ.get("GENERATORS", ",".join(GENERATORS))
    told = ["--data", str(data), "--protocol", LEAVE_ONE_OUT, "--generators", generators]
    return parser.parse_args([*told, "--epochs", os.environ.get("EPOCHS", "3")])


def for_long_histories(settings: Settings) -> Settings:
    """Return the settings with SASRec's for this data."""
    options = settings.candidates
    sasrec = options.sasrec.model_copy(update=SASREC)
    return settings.model_copy(update={"candidates": options.model_copy(update={"sasrec": sasrec})})


def split_for(args: argparse.Namespace, settings: Settings) -> Split:
    """Return the file, split."""
    interactions = interactions_of(read_table(args.data), NAMING)
    return split_of(known_of(interactions, catalogue_of(interactions, None)), args, settings)


def note(bench: Bench, result: Result) -> None:
    """Record one generator's metrics with intervals, and its seconds."""
    whole = result.metrics.filter(pl.col(c.SLICE) == ALL, pl.col(c.METRIC).is_in(SHOWN))
    found = {
        row[c.METRIC]: Interval(row[c.VALUE], row[c.LOW], row[c.HIGH]) for row in whole.to_dicts()
    }
    bench.intervals(result.name, found)
    bench.note(**{f"{result.name}_fit_seconds": round(result.fit_seconds, 2)})


def main() -> None:
    """Print what each generator finds again of MovieLens-1M."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    settings, bench = for_long_histories(Settings(mlflow_url="")), Bench("candidates")
    data = settings.real_data / FILE if settings.real_data else None
    if data is None or not data.is_file():
        bench.note(skipped=f"VITRINA_REAL_DATA names no folder with {FILE}")
        return bench.finish()
    args = asked(data)
    settings = adapted(settings, args, None)
    split = split_for(args, settings)
    items, users = len(split.known.item_ids()), split.requests.height
    bench.note(items=items, test_users=users, epochs=args.epochs)
    for name in args.generators.split(","):
        note(bench, evaluated(name, split, settings))
    return bench.finish()


if __name__ == "__main__":
    main()
