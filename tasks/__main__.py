"""The command line: everything that Airflow runs, without it.

`python -m tasks` lists the DAGs and their tasks. Exit codes: 0 done, 1 a known error (its message,
no traceback), 2 a wrong call, 3 done, but a quality gate refused a model.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from datetime import date
from importlib import import_module

from tasks.arguments import a_day
from tasks.errors import PartsMissing, QualityGateFailed, VitrinaError, WrongCall
from tasks.lake.ledger import asked_days
from tasks.settings import Settings, shown_default, variables
from tasks.steps import CHAIN, ENDS, dags, run_dag, steps_of

DONE, FAILED, WRONG_CALL, REFUSED = range(4)

COMMANDS = {
    "simulate": "tasks.simulator.command",
    "load": "tasks.landing.command",
    "status": "tasks.status",
    "report": "tasks.report.command",
    "evaluate-candidates": "tasks.candidates.command",
    "inspect-embeddings": "tasks.candidates.embeddings_command",
    "index-items": "tasks.boost.index_command",
    "explain-boost": "tasks.boost.explain_command",
    "explain-ranking": "tasks.ranker.explain_command",
    "tune-ranker": "tasks.ranker.search_command",
    "judge-features": "tasks.ranker.judge_command",
}
"""Sub-commands whose modules bring `add_arguments(parser)` and `run(args, settings)`."""


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser(words if words is not None else sys.argv[1:]).parse_args(words)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    try:
        done: int | None = args.command(args, Settings())
    except VitrinaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED
    return done or DONE


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks", description=(__doc__ or "").splitlines()[0]
    )
    parser.set_defaults(command=list_dags)
    commands = parser.add_subparsers(metavar="COMMAND")
    _run_parser(
        commands.add_parser("run", help="run a DAG, or one task of it, for a day or several")
    )
    _command(commands.add_parser("settings", help="list the VITRINA_* variables"), list_settings)
    for name, module in COMMANDS.items():
        sub = commands.add_parser(name, help=f"see {name} --help")
        # Only the command that was typed is imported: some pull heavy libraries.
        if name in words:
            found = import_module(module)
            found.add_arguments(sub)
            _command(sub, found.run)
    return parser


def _command(parser: argparse.ArgumentParser, run: Callable[..., int | None]) -> None:
    parser.set_defaults(command=run)


def _run_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a DAG, or DAG.task; `chain` for the nightly DAGs in order")
    parser.add_argument("--day", type=a_day, required=True, help="YYYY-MM-DD, the partition key")
    parser.add_argument("--to", type=a_day, help="last day of a range; each day in order")
    parser.add_argument(
        "--force", action="store_true", help="train days that a newer one supersedes"
    )
    _command(parser, run)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run a DAG, one task of it or the chain, day by day."""
    if args.force:
        settings = settings.model_copy(
            update={"training": settings.training.model_copy(update={"force": True})}
        )
    dag, _, step = args.name.partition(".")
    refusals = [
        f"refused: {name} {day}: {refusal}"
        for day in asked_days(args.day, args.to or args.day)
        for name in (CHAIN if dag == "chain" else (dag,))
        if (refusal := _refusal(name, day, settings, step or None))
    ]
    for line in refusals:
        print(line)
    return REFUSED if refusals else DONE


def _refusal(dag: str, day: date, settings: Settings, step: str | None) -> str | None:
    """Run a DAG and return what its gate refused, or which parts it lacks: neither stops others."""
    try:
        run_dag(dag, day, settings, step)
    except (QualityGateFailed, PartsMissing) as error:
        if dag not in ENDS and not isinstance(error, PartsMissing):
            raise
        return str(error)
    return None


def list_dags(args: argparse.Namespace, settings: Settings) -> int:
    """Print every DAG and its tasks."""
    for dag in dags():
        print(dag)
        for step in steps_of(dag):
            mapped = " (mapped)" if step.mapped_over else ""
            print(
                f"  {dag}.{step.name}{mapped}: {(step.run.__doc__ or '').strip().splitlines()[0]}"
            )
    return 0


def list_settings(args: argparse.Namespace, settings: Settings) -> int:
    """Print every variable with its default and what it means."""
    for name, field in variables().items():
        print(f"{name}={shown_default(field)}  {field.description}")
    return 0


def piped() -> int:
    """Run `main`; whoever reads may stop early, as `| head` does."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # At its end Python flushes again, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code


if __name__ == "__main__":
    sys.exit(piped())
