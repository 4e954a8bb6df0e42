"""`tune-ranker`: search settings of the ranker's trees on a day's groups; nothing is changed."""

from __future__ import annotations

import argparse

import polars as pl

from tasks import tracking
from tasks.arguments import a_day, whole_number
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker.search import Searched, searched
from tasks.settings import Settings

MOST_TRIES = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the day and the budget."""
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD, of ranking_groups")
    parser.add_argument("--tries", type=whole_number(1, MOST_TRIES, "tries"), default=20)
    parser.add_argument(
        "--minutes",
        type=whole_number(1, 24 * 60, "minutes"),
        default=30,
        help="no further try after these",
    )


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print every try, and the variables that would choose the best one."""
    groups = Lake(settings).scan_day(RANKING_GROUPS, args.day)
    title, tags = f"tune-ranker {args.day}", {"day": str(args.day)}
    with tracking.task_run(settings, "tune_ranker", title, tags):
        tracking.params({"tries": args.tries, "minutes": args.minutes})
        found = searched(groups, settings, args.tries, args.minutes)
        tracking.text("tries.csv", found.tries.write_csv())
        tracking.text("words.txt", "\n".join(words(found)))
    print("\n".join(words(found)))


def words(found: Searched) -> list[str]:
    """Return the search for a person: every try, best first, and what to set."""
    best_first = found.tries.sort("ndcg", descending=True)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, float_precision=4,
                   tbl_hide_column_data_types=True, tbl_width_chars=200):  # fmt: skip
        table = str(best_first)
    head = f"Judged on the lists of {found.day}; try 0 has the present settings."
    if found.better is None:
        return [head, table, "No try is surely better than the present settings: keep them."]
    variables = [f"VITRINA_RANKER__{name.upper()}={value}" for name, value in found.better.items()]
    return [head, table, "Surely better; the gate judges it as any model:", *variables]
