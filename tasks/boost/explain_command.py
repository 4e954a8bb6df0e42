"""`explain-boost`: one customer's search, printed and as HTML, and what the engine says to it."""

from __future__ import annotations

import argparse

from tasks import columns as c
from tasks.arguments import a_day
from tasks.boost.engine import Engine
from tasks.boost.explanation import Explanation, explanation, first
from tasks.boost.index import aliased
from tasks.boost.known import known_on
from tasks.boost.page import boost_page
from tasks.errors import VitrinaError
from tasks.lake.lake import Lake
from tasks.report.page import Section, text, write_private
from tasks.settings import Settings

TITLE = "The search engine's answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare who searches for what, where and when."""
    parser.add_argument("--user", required=True, help="user_id")
    parser.add_argument("--query", required=True, help='words, all of which match; "" for any')
    parser.add_argument("--category", help="a category or a category group; default: all")
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD: as known on")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print the page and say where its HTML is."""
    known = known_on(Lake(settings), args.day, settings)
    explained = explanation(known, args.user, args.query, args.category, settings)
    engines = (answer_section(explained, settings),) if settings.search.url else ()
    page = boost_page(explained, engines)
    print(text(page))
    about = (args.user, args.query, str(args.category))
    print(f"The same as a page: {write_private(page, settings, 'boost', about)}")


def answer_section(explained: Explanation, settings: Settings) -> Section:
    """Ask the engine and say whether its order is ours; one that fails is told, not hidden."""
    engine = Engine(settings.search)
    try:
        index = " and ".join(aliased(engine))
        found = engine.search(settings.search.alias, explained.body)
    except VitrinaError as error:
        return Section(TITLE, notes=(str(error),))
    ours = first(explained, settings.search.size)
    same = found[c.ITEM_ID].to_list() == ours[c.ITEM_ID].to_list()
    told = "the order above" if same and found[c.SCORE].equals(ours[c.SCORE]) else "another order"
    return Section(
        TITLE, notes=(f"{index} gives {told}, {found.height:,} items of {ours.height:,}.",)
    )
