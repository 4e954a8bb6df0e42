"""The note of a run: ours is renewed, what people wrote stays."""

from __future__ import annotations

import pytest

from vitrina_airflow.note import LONGEST, noted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "Vitrina: pass: better."),
        ("Asked Ann.\nShe knows.", "Asked Ann.\nShe knows.\nVitrina: pass: better."),
        ("Vitrina: refused: worse.\nAsked Ann.", "Asked Ann.\nVitrina: pass: better."),
    ],
)
def test_new_words_replace_ours_and_no_one_elses(before: str | None, after: str) -> None:
    assert noted(before, ["pass:\n better."]) == after


def test_a_note_is_no_longer_than_the_database_takes() -> None:
    assert len(noted("x" * 600, ["y" * 600])) == LONGEST
