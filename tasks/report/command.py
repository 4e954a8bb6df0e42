"""`python -m tasks report --day D`: print the result page and write it as HTML."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.arguments import a_day
from tasks.errors import VitrinaError
from tasks.report.build import build
from tasks.report.page import text, write_html
from tasks.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the day, how many days of tables to judge, and where Airflow's runs are."""
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD")
    parser.add_argument(
        "--days", type=int, help="days of tables to judge, the last is --day; default: a week"
    )
    parser.add_argument(
        "--runs", type=Path, help="JSON with `dag_runs`, as Airflow's REST API answers"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print the page and say where its HTML is."""
    page = build(args.day, settings, read_runs(args.runs) if args.runs else None, args.days)
    print(text(page))
    print(f"The same with plots: {write_html(page, settings)}")
    return 0


def read_runs(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the runs of a file that holds an answer of Airflow's REST API, or its list alone.

    Raises:
        VitrinaError: the file is absent or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VitrinaError(f"{path} cannot be read as JSON: {error}") from None
    runs = found.get("dag_runs") if isinstance(found, dict) else found
    if not isinstance(runs, list):
        raise VitrinaError(f"{path} holds neither a list of runs nor `dag_runs`")
    return runs
