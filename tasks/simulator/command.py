"""`python -m tasks simulate`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from datetime import date, timedelta
from pathlib import Path
from textwrap import fill, indent

from tasks.settings import Settings
from tasks.simulator.delivery import simulate
from tasks.simulator.ordered_faults import FAULTS

WIDTH = 92


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--days", type=int, default=30, help="days to write, the last one included")
    parser.add_argument("--last-day", type=date.fromisoformat, required=True, help="YYYY-MM-DD")
    parser.add_argument("--customers", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=1_500, help="items on the opening day")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--truth", type=Path, default=None, help="folder of the truth; default: truth below home"
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
    first_day = args.last_day - timedelta(args.days - 1)
    truth = args.truth or settings.home / "truth"
    faults: dict[date, set[str]] = {}
    for day, name in args.fault:
        faults.setdefault(day, set()).add(name)
    summary = simulate(
        settings.landing, truth, first_day, args.days, args.customers, args.items, args.seed,
        faults=faults,
    )  # fmt: skip
    print(
        "\n".join(
            f"{name:12} {value:,}" if isinstance(value, int) else f"{name:12} {value}"
            for name, value in summary.items()
        )
    )
    return 0
