"""`python -m tasks load`: outside data to landing days, with the fate of every line."""

from __future__ import annotations

import argparse
from pathlib import Path

from tasks.arguments import a_day
from tasks.landing.importers import IMPORTERS, load
from tasks.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source, its path, a mapping for the generic one, and the days to land."""
    parser.add_argument("--source", required=True, choices=sorted(IMPORTERS))
    parser.add_argument(
        "--path", type=Path, required=True, help="a CSV or Parquet file, or a folder of them"
    )
    parser.add_argument("--mapping", type=Path, help="TOML file, for --source generic")
    parser.add_argument(
        "--first-day", type=a_day, metavar="DAY", help="default: the source's first"
    )
    parser.add_argument("--last-day", type=a_day, metavar="DAY", help="default: the source's last")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Load the source and print what became of its lines."""
    summary = load(args.source, args.path, settings, args.mapping, args.first_day, args.last_day)
    print(summary.as_text())
    print(f"landed in {settings.landing.resolve()}")
    return 0
