"""A decision in words: every number once, within what Airflow keeps of a run."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from tasks.lake.tables import GATE_DECISIONS
from tasks.ranker import evaluation as ev
from tasks.ranker import told
from tasks.ranker.gate import Comparison
from tasks.ranker.history import comparisons_of, comparisons_text
from tasks.ranker.measure import Interval
from tasks.ranker.verdict import decision_row
from tests.rows import rows

LOST = Comparison(ev.INCUMBENT, Interval(-0.02, -0.03, -0.01), -0.005)
WON = Comparison("sf_pos", Interval(0.04, 0.02, 0.06), 0.0)
ALONE = Comparison(ev.NEWEST_ALONE, Interval(0.001, -0.02, 0.022), -0.005, by_value=True)


def refused(reason: str = f"{LOST}. The live model stays; look at the data.") -> pl.DataFrame:
    row = {
        "decision": "refused",
        "reason": reason,
        "incumbent": "6",
        "trained_through": date(2026, 3, 5),
        "held_out_from": date(2026, 3, 6),
        "held_out_days": 4,
        "customers": 412,
        "lists": 530,
        "top_feature": "sf_pos",
        "top_share": 0.31,
        "diversity_ratio": 0.95,
        "price_ratio": 1.02,
        "refit_correlation": 0.987,
        "comparisons": comparisons_text([LOST, WON, ALONE]),
    }
    return rows(GATE_DECISIONS, row)


def test_the_page_has_the_sentence_and_a_line_for_every_number() -> None:
    assert told.page(refused()).splitlines() == [
        "# refused",
        "",
        "-0.0200 [-0.0300, -0.0100] against incumbent (needs > -0.0050)."
        " The live model stays; look at the data.",
        "",
        "- -0.0200 [-0.0300, -0.0100] against incumbent (needs > -0.0050)",
        "- +0.0400 [+0.0200, +0.0600] against sf_pos (needs > +0.0000)",
        "- +0.0010 [-0.0200, +0.0220] against incumbent on the newest day"
        " (needs itself >= -0.0050)",
        "- customers with a cart 412, lists 530, days 4 held out from 2026-03-06",
        "- rank correlation of the refit 0.987",
        "- diversity of the top 0.95 of the base order's",
        "- price of the top 1.02 of the base order's",
        "- top feature sf_pos gives 31%",
        "- incumbent version 6",
        "- trained through 2026-03-05",
    ]


def test_the_note_tells_each_number_once() -> None:
    note = told.note(refused())
    assert note.startswith(f"refused: {LOST}. The live model stays")
    assert note.count(str(LOST)) == note.count(str(WON)) == 1
    assert note.endswith("; incumbent version 6; trained through 2026-03-05.")
    assert len(note) <= told.NOTE_LENGTH


def test_a_note_too_long_for_airflow_loses_its_end() -> None:
    note = told.note(refused("x" * 2000))
    assert len(note) == told.NOTE_LENGTH
    assert note.startswith("refused: xxx")
    assert note.endswith("x...")


def test_a_day_that_nothing_could_be_judged_on_has_few_numbers() -> None:
    lines = told.page(decision_row(None)).splitlines()[4:]
    assert lines == ["- customers with a cart 0, lists 0, days 0 held out"]


def test_every_number_has_a_name_in_mlflow() -> None:
    numbers = told.numbers(refused())
    assert numbers["gate/against incumbent/low"] == -0.03
    assert numbers["gate/against incumbent on the newest day/gain"] == 0.001
    assert (numbers["gate/lists"], numbers["gate/refit_correlation"]) == (530.0, 0.987)
    assert len(numbers) == 3 + 4 + 3 * 4
    unjudged = told.numbers(decision_row(None))
    assert set(unjudged) == {"gate/customers", "gate/lists", "gate/held_out_days"}


@pytest.mark.parametrize("one", [LOST, ALONE])
def test_a_comparison_is_read_as_it_was_written(one: Comparison) -> None:
    assert comparisons_of(comparisons_text([one])) == [one]


def test_a_comparison_of_before_days_were_compared_alone_is_read() -> None:
    text = '[{"against": "sf_pos", "gain": {"value": 0.04, "low": 0.02, "high": 0.06}, "bound": 0}]'
    assert comparisons_of(text) == [WON]
