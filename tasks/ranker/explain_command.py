"""`explain-ranking`: one listing of one customer in a ranker's order, printed and as HTML."""

from __future__ import annotations

import argparse

from tasks import columns as c
from tasks.arguments import a_day
from tasks.errors import WrongCall
from tasks.lake.lake import Lake
from tasks.lake.tables import RANKING_GROUPS
from tasks.ranker.explanation import explanation, whole_list
from tasks.ranker.page import ranking_page
from tasks.ranker.registry import Registry, Version, registry_of
from tasks.report.page import text, write_private
from tasks.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whose list of which day, and by which model."""
    parser.add_argument("--user", required=True, help="user_id")
    parser.add_argument("--listing", help="listing_id; default: the newest whole list there is")
    parser.add_argument(
        "--day", type=a_day, required=True, help="YYYY-MM-DD, whose ranking groups hold the list"
    )
    parser.add_argument("--version", help="of the model; default: the live one")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print the page and say where its HTML is."""
    groups = Lake(settings).scan_day(RANKING_GROUPS, args.day)
    rows = whole_list(groups, args.user, args.listing)
    registry = registry_of(settings)
    version = asked_version(registry, args.version)
    model = registry.load(version.number)
    found = explanation(args.day, rows, model, settings.ranker.cutoff, settings.threads)
    page = ranking_page(found, version)
    print(text(page))
    about = (args.user, rows[c.GROUP_ID][0], version.number)
    print(f"The same as a page: {write_private(page, settings, 'ranking', about)}")


def asked_version(registry: Registry, number: str | None) -> Version:
    """Return the version of a number, or the live one.

    Raises:
        WrongCall: there is none.
    """
    found = registry.serving() if number is None else registry.version(number)
    if found is None:
        asked = "no model is live: name one by --version" if number is None else None
        raise WrongCall(asked or f"the registry has no version {number}")
    return found
