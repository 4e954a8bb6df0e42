"""`index-items`: load a day's items into the search engine and switch its alias to them."""

from __future__ import annotations

import argparse

from tasks.arguments import a_day
from tasks.boost.engine import Engine
from tasks.boost.index import load
from tasks.boost.known import documents_on
from tasks.lake.lake import Lake
from tasks.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the day."""
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD: whose items")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Load, and say what the alias names now and named before."""
    engine = Engine(settings.search)
    done = load(engine, args.day, documents_on(Lake(settings), args.day))
    before = f", before it {', '.join(done.before)}" if done.before else ""
    print(f"{settings.search.alias} is {done.index} with {done.items:,} items{before}")
