"""`python -m tasks simulate`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date, timedelta
from pathlib import Path

from tasks.settings import Settings
from tasks.simulator.delivery import simulate


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
        "--empty-day",
        type=date.fromisoformat,
        action="append",
        default=[],
        help="a day that delivers no event",
    )


def run(args: Namespace, settings: Settings) -> int:
    """Simulate into the landing folder of `settings` and print what was written."""
    first_day = args.last_day - timedelta(args.days - 1)
    truth = args.truth or settings.home / "truth"
    summary = simulate(
        settings.landing, truth, first_day, args.days, args.customers, args.items, args.seed,
        empty_days=args.empty_day,
    )  # fmt: skip
    print(
        "\n".join(
            f"{name:12} {value:,}" if isinstance(value, int) else f"{name:12} {value}"
            for name, value in summary.items()
        )
    )
    return 0
