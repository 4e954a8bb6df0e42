"""`python -m tasks simulate`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from datetime import date, timedelta
from math import exp, log
from pathlib import Path
from textwrap import fill, indent

from tasks.arguments import a_day, whole_number
from tasks.settings import Settings
from tasks.simulator.breaks import NAMES
from tasks.simulator.delivery import simulate
from tasks.simulator.ordered_faults import FAULTS
from tasks.simulator.parameters import DEFAULT, Parameters, world_named

WIDTH = 92
FEWEST, MOST = 300, 5_000_000
FEWEST_ITEMS, MOST_ITEMS = 200, 500_000
MOST_DAYS = 1_000
REPORT_STEM = "shop-"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of the command."""
    _add_shop(parser)
    parser.add_argument(
        "--truth", type=Path, default=None, help="folder of the truth; default: truth below home"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="land nothing; write a page with pictures of both worlds of this seed",
    )
    parser.add_argument(
        "--fault",
        type=_ordered,
        action="append",
        default=[],
        metavar="YYYY-MM-DD=NAME",
        help="what goes wrong with a day's delivery, see below; may be given several times",
    )
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["faults, and what ingest does with them:", *_told()])


def _add_shop(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--days",
        type=whole_number(1, MOST_DAYS, "days"),
        default=30,
        help=f"days to write, 1 to {MOST_DAYS}; 30",
    )
    parser.add_argument("--last-day", type=a_day, required=True, help="YYYY-MM-DD")
    parser.add_argument(
        "--size",
        type=whole_number(FEWEST, MOST, "customers"),
        default=3_000,
        help=f"customers, {FEWEST} to {MOST:,}; 3,000; items, {FEWEST_ITEMS} up, follow",
    )
    parser.add_argument(
        "--items",
        type=whole_number(FEWEST_ITEMS, MOST_ITEMS, "items"),
        help=f"items on the opening day, {FEWEST_ITEMS} to {MOST_ITEMS:,}, if not as many",
    )
    parser.add_argument("--seed", type=int, default=7, help="another number, another shop; 7")
    parser.add_argument(
        "--world",
        type=_world,
        default=DEFAULT,
        help=f"default, lively (buys more), rough, or rough:NAME,... of {', '.join(NAMES)}",
    )


def items_of(customers: int) -> int:
    """Return how many items a shop of that size has: a straight line between logs."""
    share = log(customers / FEWEST) / log(MOST / FEWEST)
    return round(exp(log(FEWEST_ITEMS) + share * log(MOST_ITEMS / FEWEST_ITEMS)))


def _world(name: str) -> Parameters:
    try:
        return world_named(name)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _ordered(text: str) -> tuple[date, str]:
    day, _, name = text.partition("=")
    if name not in FAULTS:
        raise ArgumentTypeError(f"no fault {name!r} in {text!r}; there are {', '.join(FAULTS)}")
    try:
        return date.fromisoformat(day), name
    except ValueError:
        raise ArgumentTypeError(f"no day {day!r} in {text!r}; write YYYY-MM-DD={name}") from None


def _told() -> list[str]:
    told = {name: fill(f"{fault.wrong} {fault.fate}", WIDTH) for name, fault in FAULTS.items()}
    return [f"  {name}\n{indent(text, ' ' * 4)}" for name, text in told.items()]


def run(args: Namespace, settings: Settings) -> int:
    """Simulate into the landing folder of `settings` and print what was written."""
    if args.report:
        return _report(args, settings)
    first_day = args.last_day - timedelta(args.days - 1)
    truth = args.truth or settings.home / "truth"
    faults: dict[date, set[str]] = {}
    for day, name in args.fault:
        faults.setdefault(day, set()).add(name)
    summary = simulate(
        settings.landing, truth, first_day, args.days, args.size,
        args.items or items_of(args.size), args.seed, faults=faults, parameters=args.world,
    )  # fmt: skip
    told = "landing in {}, truth in {}; days delivered before are left alone"
    print(told.format(settings.landing, truth))
    print(
        "\n".join(
            f"{name:12} {value:,}" if isinstance(value, int) else f"{name:12} {value}"
            for name, value in summary.items()
        )
    )
    return 0


def _report(args: Namespace, settings: Settings) -> int:
    # Pictures take seconds to import, which `--help` need not wait for.
    from tasks.report.page import text, write_html
    from tasks.simulator.report import page

    found = page(args.seed, args.last_day, settings)
    print(text(found))
    print(f"The same with pictures: {write_html(found, settings, REPORT_STEM)}")
    return 0
