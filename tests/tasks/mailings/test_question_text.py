"""The words of the question: shown as they are, and thresholds that take whom they promise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.mailings.question import plain, shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("[free](http://x) *bags* a|b", r"\[free\]\(http://x\) \*bags\* a\|b"),
        ("{{ 1 + 1 }}\n# head", r"\{\{ 1 + 1 \}\} # head"),
    ],
)
def test_words_from_a_file_are_shown_and_do_nothing(text: str, escaped: str) -> None:
    assert plain(text) == escaped


@pytest.mark.parametrize(
    ("threshold", "as_shown"), [(0.34129, 0.3412), (0.00012349, 0.0001234), (1.0, 1.0), (0.0, 0.0)]
)
def test_a_threshold_is_shown_in_four_digits(threshold: float, as_shown: float) -> None:
    assert shown(threshold) == as_shown


@given(st.floats(1e-9, 1))
def test_a_threshold_as_shown_leaves_nobody_out_whom_the_true_one_takes(threshold: float) -> None:
    assert 0.998 * threshold <= shown(threshold) <= threshold
