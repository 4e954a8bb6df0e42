"""Gate decisions and alias moves: what was decided, why, and what was live when.

Both tables are historical: a row records an act, so it carries the time of the act; nothing that
is computed for a day reads that time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

import polars as pl

from tasks.lake.lake import Lake, Window
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS
from tasks.ranker.gate import Comparison
from tasks.ranker.measure import Interval
from tasks.training import EPOCH

UNREGISTERED = "unregistered"
LIVE_AGO = timedelta(days=14)

Named = tuple[str, date]
"""A version's number and the last listing day it has seen, as they were recorded."""


def now() -> datetime:
    """Return the time of an act that is being recorded."""
    return datetime.now(UTC)


def decisions_before(lake: Lake, day: date, including: bool = False) -> pl.DataFrame:
    """Return the gate's decisions of the days before `day`, oldest first."""
    last = 0 if including else -1
    window = Window(GATE_DECISIONS.keep_days + last, ends=last, optional=True)
    return lake.read_window(GATE_DECISIONS, day, window).sort("dt", "decided_at")


def moves_until(lake: Lake, day: date) -> pl.DataFrame:
    """Return the moves of the alias up to the logical day, oldest first."""
    window = Window(ALIAS_MOVES.keep_days, optional=True)
    return lake.read_window(ALIAS_MOVES, day, window).sort("moved_at")


def all_moves(lake: Lake) -> pl.DataFrame:
    """Return every move of the alias, oldest first: a rollback of today is of no earlier day."""
    days = [day for day, _ in lake.ledger.written(ALIAS_MOVES)]
    return moves_until(lake, max(days, default=EPOCH))


def standing(decisions: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Return the decisions whose version was not rolled back from afterwards.

    A rollback from before the decision was from another version of that number, of a registry that
    is gone.
    """
    back = moves.filter(pl.col("moved_by") == "rollback")
    left = back.group_by(pl.col("from_version").alias("model_version")).agg(
        pl.col("moved_at").max()
    )
    known = decisions.join(left, on="model_version", how="left", maintain_order="left")
    is_left = (pl.col("moved_at") > pl.col("decided_at")).fill_null(value=False)
    return known.filter(~is_left).select(decisions.columns)


def accepted_before(
    decisions: pl.DataFrame, moves: pl.DataFrame, first_held_out: date
) -> list[Named]:
    """Return the accepted versions that have not seen the held-out days, the newest first.

    Accepted: passed, registered, and not rolled back from.
    """
    return (
        standing(decisions, moves)
        .filter(
            pl.col("decision") == "pass",
            pl.col("is_registered"),
            pl.col("trained_through") < first_held_out,
        )
        .sort("trained_through", "decided_at", descending=True)
        .select("model_version", "trained_through")
        .rows()
    )


def live_before(moves: pl.DataFrame, day: date, first_held_out: date) -> list[Named]:
    """Return what was live 14 days before `day`; nothing if it has seen the held-out days."""
    then = moves.filter(pl.col("dt") <= day - LIVE_AGO).tail(1)
    unseen = then.filter(pl.col("trained_through") < first_held_out)
    return unseen.select("to_version", "trained_through").rows()


def past_gains(decisions: pl.DataFrame, last: int, least: int) -> tuple[float, ...]:
    """Return each past day's newest gain, oldest first, at most `last`.

    Left out are suspect days and those of fewer than `least` customers, and all before the newest
    day on which a person accepted what was too good: what is usual has changed there.
    """
    accepted = decisions.filter(pl.col("accept_reason").is_not_null())["dt"].max()
    usual = pl.lit(value=True) if accepted is None else pl.col("dt") >= accepted
    known = decisions.filter(
        usual,
        pl.col("gain").is_not_null(),
        pl.col("decision") != "too good",
        pl.col("customers") >= least,
    )
    by_day = known.group_by("dt", maintain_order=True).agg(pl.col("gain").last()).sort("dt")
    return tuple(by_day["gain"].tail(last).to_list())


def comparisons_text(comparisons: Iterable[Comparison]) -> str:
    """Return every comparison as JSON."""
    return json.dumps([asdict(one) for one in comparisons])


def comparisons_of(text: str) -> list[Comparison]:
    """Return the comparisons that `comparisons_text` wrote."""
    return [Comparison(**one | {"gain": Interval(**one["gain"])}) for one in json.loads(text)]
