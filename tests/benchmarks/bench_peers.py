"""Our generators beside RecTools' SASRec and LightFM, on one split in one run: `make bench-peers`.

RecTools has an environment of its own, made once from `peers/requirements.lock`. It reads the split
as Parquet and writes ranked lists (`peers/rectools_lists.py`); all lists are judged here, by the
same metrics, and none may hold what its protocol hides. Widths, epochs, steps, batches, threads and
seed are the same on both sides, and nobody stops early; all else is each side's own.

MovieLens-1M of VITRINA_REAL_DATA, leave-one-out, or any file: --data and what else
`evaluate-candidates` takes. --every 8 takes each eighth user for a quick look, --epochs is SASRec's
on both sides, --peers lightfm leaves the long training out.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from tasks import columns as c  # noqa: E402
from tasks.candidates.command import (  # noqa: E402
    Cost,
    Result,
    adapted,
    add_arguments,
    evaluated,
    heading,
    lines,
    split_of,
)
from tasks.candidates.evaluation import CUTS, LEAVE_ONE_OUT, Protocol, Split, user_metrics  # noqa: E402
from tasks.candidates.fitting import YARDSTICK, Lists, fitted, heldout_lists, judged  # noqa: E402
from tasks.candidates.outside import (  # noqa: E402
    Naming,
    catalogue_of,
    interactions_of,
    known_of,
    read_table,
)
from tasks.errors import ContractViolation  # noqa: E402
from tasks.ranker.measure import Interval, paired_gains  # noqa: E402
from tasks.seeds import seed_of  # noqa: E402
from tasks.settings import Settings  # noqa: E402
from tests.benchmarks.bench_candidates import FILE, NAMING, note  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402

PYTHON = ROOT / ".cache" / "peers" / "bin" / "python"
SCRIPT = Path(__file__).with_name("peers") / "rectools_lists.py"
OURS, PEERS = "popular,ease,lightfm,sasrec", "lightfm,sasrec"
PAIR = (c.USER_ID, c.ITEM_ID)
COMPARED = "ndcg@10"
DRAWS = 1_000


class Ran(NamedTuple):
    """What a model came to, and the CPU seconds of fitting and listing (of ours, judging too).

    Seconds by the clock tell little where others keep the machine busy.
    """

    result: Result
    cpu_seconds: float


def wanted(words: list[str], real_data: Path) -> argparse.Namespace:
    """Return the command line: MovieLens-1M where it names no file."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--every", type=int, default=1, help="take each so many-th user only")
    parser.add_argument("--peers", default=PEERS, help="models of RecTools; default: both")
    films = ["--data", str(real_data / FILE), "--item", str(NAMING.item), "--order", "pos"]
    told = ["--protocol", LEAVE_ONE_OUT, "--generators", OURS, "--epochs", "10"]
    return parser.parse_args([*told, *([] if names_data(words) else films), *words])


def names_data(words: list[str]) -> bool:
    """Return whether the words name a file."""
    return any(word.partition("=")[0] == "--data" for word in words)


def some_users(interactions: pl.DataFrame, every: int) -> pl.DataFrame:
    """Return the interactions of each `every`-th user."""
    ids = interactions[c.USER_ID].unique().sort().gather_every(every)
    return interactions.filter(pl.col(c.USER_ID).is_in(ids.implode()))


def untimely(settings: Settings, home: Path) -> Settings:
    """Return the settings without early stopping, and with nothing to resume a training from."""
    options = settings.candidates
    sasrec = options.sasrec.model_copy(update={"patience": 0})
    candidates = options.model_copy(update={"sasrec": sasrec})
    return settings.model_copy(update={"candidates": candidates, "home": home})


def write_split(split: Split, settings: Settings, folder: Path) -> None:
    """Write what a peer learns from, is asked and told: the files of `rectools_lists`."""
    place = pl.int_range(pl.len()).over(c.USER_ID).alias("place")
    learned, histories = split.known.interactions, split.requests.histories
    learned.select(*PAIR, place).write_parquet(folder / "learned.parquet")
    histories.select(*PAIR, place).write_parquet(folder / "histories.parquet")
    split.requests.users.select(c.USER_ID).write_parquet(folder / "asked.parquet")
    options = settings.candidates
    recipe = {
        "sasrec": options.sasrec.model_dump(),
        "lightfm": options.lightfm.model_dump(),
        "protocols": {one.name: not one.blocked.is_empty() for one in split.protocols},
        "k": max(CUTS),
        "threads": options.sasrec.threads,
        "seed": seed_of(settings, "candidates", "peers") % (1 << 32),
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))


def read_lists(split: Split, folder: Path, name: str) -> Lists:
    """Return a peer's lists by protocol.

    Raises:
        ContractViolation: one is not a list that may be judged.
    """
    lists = {}
    for protocol in split.protocols:
        found = pl.read_parquet(folder / f"{name}-{protocol.name}.parquet")
        refuse_wrong(found, protocol, split, f"{name}, {protocol.name}")
        lists[protocol.name] = found.with_columns(pl.col(c.RANK).cast(pl.Int32))
    return lists


def refuse_wrong(found: pl.DataFrame, protocol: Protocol, split: Split, whose: str) -> None:
    """Refuse lists that would flatter, or that cannot be read.

    Raises:
        ContractViolation: an item is unknown or hidden by the protocol, an item or a rank stands
            twice in a list, or a rank is not among those that were asked for.
    """
    wrong = {
        "of an unknown item": found.filter(
            ~pl.col(c.ITEM_ID).is_in(split.known.item_ids().implode())
        ),
        "that the protocol hides": found.join(protocol.blocked, on=PAIR, how="semi"),
        "with an item named twice": found.filter(pl.struct(PAIR).is_duplicated()),
        "with a rank given twice": found.filter(pl.struct(c.USER_ID, c.RANK).is_duplicated()),
        f"with a rank outside 1..{max(CUTS)}": found.filter(
            ~pl.col(c.RANK).is_between(1, max(CUTS))
        ),
    }
    for what, rows in wrong.items():
        if rows.height:
            raise ContractViolation(f"{whose}: {rows.height} rows {what}, such as {rows.row(0)}")


def peer(name: str, split: Split, settings: Settings, yardstick: Lists, folder: Path) -> Ran:
    """Let a peer fit and list in its environment, and judge its lists."""
    subprocess.run([PYTHON, SCRIPT, folder, name], check=True)
    told = json.loads((folder / f"{name}.json").read_text())
    worked = told.pop("cpu_seconds")
    lists = read_lists(split, folder, name)
    metrics = judged(lists, split, settings, yardstick)
    return Ran(Result(f"rectools_{name}", lists, metrics, Cost(**told)), worked)


def ours(name: str, split: Split, settings: Settings, yardstick: Lists) -> Ran:
    """Fit, list and judge a generator of ours."""
    worked = time.process_time()
    result = evaluated(name, split, settings, yardstick)
    return Ran(result, time.process_time() - worked)


def gains(mine: Result, theirs: Result, split: Split) -> dict[str, Interval]:
    """Return by protocol how far our NDCG@10 lies above theirs, of the same users."""
    found = {}
    for protocol in split.protocols:
        rows = protocol.truth.select(c.USER_ID, pl.col(c.USER_ID).alias(c.GROUP_ID)).unique()
        for name, result in (("ours", mine), ("theirs", theirs)):
            users = user_metrics(result.lists[protocol.name], protocol.truth, split.warm)
            rows = rows.join(users.select(c.USER_ID, pl.col(COMPARED).alias(name)), on=c.USER_ID)
        gain = paired_gains(rows, "ours", ["theirs"], DRAWS, seed=0)
        found[f"{protocol.name}/{COMPARED}"] = gain["theirs"]
    return found


def split_asked(args: argparse.Namespace, settings: Settings) -> tuple[Split, Settings]:
    """Return the split that the call asks for, and the settings that hold for it."""
    features = read_table(args.items).rename({args.item: c.ITEM_ID}) if args.items else None
    settings = adapted(settings, args, features)
    naming = Naming(args.user, args.item, args.time, args.order)
    some = some_users(interactions_of(read_table(args.data), naming), args.every)
    return split_of(known_of(some, catalogue_of(some, features)), args, settings), settings


def compared(args: argparse.Namespace, settings: Settings, home: Path, bench: Bench) -> None:
    """Print a row per model, ours and theirs, and record figures and differences."""
    split, settings = split_asked(args, settings)
    settings = untimely(settings, home)
    options = settings.candidates
    epochs = {"sasrec_epochs": options.sasrec.epochs, "lightfm_epochs": options.lightfm.epochs}
    bench.note(items=len(split.known.item_ids()), test_users=split.requests.height, **epochs)
    print(heading(split))
    yardstick = heldout_lists(fitted(YARDSTICK, split.known, settings), split)
    found = {
        name: told(bench, ours(name, split, settings, yardstick))
        for name in args.generators.split(",")
    }
    write_split(split, settings, home)
    for name in args.peers.split(","):
        theirs = told(bench, peer(name, split, settings, yardstick, home))
        if name in found:
            above = gains(found[name], theirs, split)
            bench.intervals(f"{name} above {theirs.name}", above, "+.4f")


def told(bench: Bench, ran: Ran) -> Result:
    """Print a model's row, record its figures and return it."""
    print(lines(ran.result), flush=True)
    note(bench, ran.result.name, ran.result)
    bench.note(**{f"{ran.result.name}_cpu_seconds": round(ran.cpu_seconds, 1)})
    return ran.result


def main() -> None:
    """Print what each model finds again, and what it took."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    settings, bench = Settings(mlflow_url=""), Bench("peers")
    args = wanted(sys.argv[1:], settings.real_data or Path())
    if not args.data.is_file():
        bench.note(skipped=f"no file {args.data}; VITRINA_REAL_DATA names the folder of {FILE}")
        return bench.finish()
    if not PYTHON.is_file():
        raise SystemExit(f"no environment of RecTools at {PYTHON}: make bench-peers makes it")
    with tempfile.TemporaryDirectory() as folder:
        compared(args, settings, Path(folder), bench)
    return bench.finish()


if __name__ == "__main__":
    main()
