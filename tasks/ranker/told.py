"""A gate decision told to people: its verdict, its sentence, and every number it rests on.

All is taken from the GATE_DECISIONS row, so `decision.md`, the run's note and MLflow say what is
recorded.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks import columns as c
from tasks.ranker.history import comparisons_of

NOTE_LENGTH = 900
"""Airflow keeps 1,000 characters of a run; what is left is `promote`'s and people's own."""
COUNTED = ("customers", "lists", "held_out_days")
MEASURED = ("top_share", "diversity_ratio", "price_ratio", "refit_correlation")


def page(decision: pl.DataFrame) -> str:
    """Return the decision as Markdown: verdict, sentence, one line a number."""
    row = decision.row(0, named=True)
    lines = "".join(f"- {line}\n" for line in number_lines(row))
    return f"# {row['decision']}\n\n{row[c.REASON]}\n\n{lines}"


def note(decision: pl.DataFrame) -> str:
    """Return the decision in at most `NOTE_LENGTH` characters; what the sentence tells, once."""
    row = decision.row(0, named=True)
    more = [line for line in number_lines(row) if line not in row[c.REASON]]
    told = f"{row['decision']}: {row[c.REASON]} Numbers: {'; '.join(more)}."
    return told if len(told) <= NOTE_LENGTH else f"{told[: NOTE_LENGTH - 3]}..."


def number_lines(row: dict[str, Any]) -> list[str]:
    """Return a line for each number of the row that is known."""
    told = {
        "refit_correlation": "rank correlation of the refit {:.3f}",
        "diversity_ratio": "diversity of the top {:.2f} of the base order's",
        "price_ratio": "price of the top {:.2f} of the base order's",
        "top_feature": f"top feature {{}} gives {row['top_share'] or 0:.0%}",
        "incumbent": "incumbent version {}",
        "trained_through": "trained through {}",
    }
    known = [words.format(row[name]) for name, words in told.items() if row[name] is not None]
    return [*map(str, comparisons_of(row["comparisons"])), _counts(row), *known]


def _counts(row: dict[str, Any]) -> str:
    days = f"{row['held_out_days']} held out"
    since = f" from {row['held_out_from']}" if row["held_out_from"] else ""
    return (
        f"customers with a cart {row['customers']}, lists {row['lists'] or 0}, days {days}{since}"
    )


def numbers(decision: pl.DataFrame) -> dict[str, float]:
    """Return every known number by its name in MLflow."""
    row = decision.row(0, named=True)
    found = {name: row[name] for name in (*COUNTED, *MEASURED)}
    for one in comparisons_of(row["comparisons"]):
        gain = one.gain
        parts = {"gain": gain.value, "low": gain.low, "high": gain.high, "bound": one.bound}
        found |= {f"against {one.against}/{name}": value for name, value in parts.items()}
    return {f"gate/{name}": float(value) for name, value in found.items() if value is not None}
