from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lake.tables import AUDIENCE_OVERLAPS, AUDIENCE_PROFILES
from tasks.lookalikes.card import Judged, refusing_card, threshold_card
from tasks.lookalikes.judgement import auc_of
from tasks.lookalikes.people import Shown
from tasks.lookalikes.registry import Rule, Segment
from tasks.report.card import card_page
from tasks.report.page import html, text
from tasks.settings import Lookalikes
from tests.rows import rows

DAY = date(2026, 3, 31)
SEGMENT = Segment(
    "hats", "marketing", "ordered a hat", 14, 1, 7, False, Rule("category", ("hats", "<b>caps"))
)


def judged() -> Judged:
    """Of a hundred people 8 of the upper ten did it, 2 of the next; the rule takes every third."""
    p, y = np.linspace(0.001, 0.1, 100), np.zeros(100)
    y[90:98] = y[80:82] = 1
    return Judged(p, y, auc_of(p, y), np.arange(100) % 3 == 0)


def profiles() -> pl.DataFrame:
    sure = {"suggestion": "sure", "audience_share": 0.5, "base_share": 0.1, "ratio": 5.0, "rank": 1}
    told = rows(AUDIENCE_PROFILES, sure | {c.ATTRIBUTE: "brand", c.VALUE: "<script>x</script>"})
    return told.with_columns(pl.lit("hats").alias(c.LOOKALIKE_SEGMENT))


def overlaps() -> pl.DataFrame:
    shared = {"suggestion": "sure", "other": "bags", "shared": 3, "shared_share": 0.3}
    return rows(AUDIENCE_OVERLAPS, shared | {c.LOOKALIKE_SEGMENT: "hats", "audience_size": 10})


def test_a_page_tells_what_a_marketer_needs_to_choose() -> None:
    options = Lookalikes(contact_price=0.4)
    card = threshold_card(judged().p, judged(), options, rule_size=34)
    page = card_page(DAY, SEGMENT, card, profiles(), overlaps())
    said = text(page)
    assert "of those who ordered a hat?" in said
    # Of the upper ten 8 did it, at 0.4 each: half a coin for one.
    assert "0.50 [0.4" in said
    assert "8 [5, 9] are expected to do it" in said
    # Of the 34 whom the rule takes, 81, 90, 93 and 96 did it: 4 of 10.
    assert "11.8% [" in said
    assert "40.0%" in said
    assert "bags" in said
    assert "only its control group tells" in said
    assert "Have it, shown or not" not in said


def test_a_threshold_above_everybody_of_the_later_window_tells_nothing() -> None:
    today = np.append(judged().p, 0.9)
    card = threshold_card(today, judged(), Lookalikes(contact_price=1), rule_size=34)
    said = text(card_page(DAY, SEGMENT, card, profiles(), overlaps()))
    (line,) = (line for line in said.splitlines() if line.startswith("0.9000"))
    assert line.split() == ["0.9000", "1", "-", "0.0%", "-", "-", "-"]


def test_a_name_out_of_the_data_is_shown_and_not_run() -> None:
    card = threshold_card(judged().p, judged(), Lookalikes(), rule_size=34)
    shown = html(card_page(DAY, SEGMENT, card, profiles(), overlaps()))
    assert "&lt;script&gt;x" in shown
    assert "&lt;b&gt;caps" in shown
    assert "<script>" not in shown
    assert "price of one" not in shown


def test_a_lasting_trait_says_how_many_have_it_and_what_is_assumed() -> None:
    lasting = replace(judged(), shown=Shown(50, 200))
    card = threshold_card(lasting.p, lasting, Lookalikes())
    said = text(card_page(DAY, replace(SEGMENT, lasting_trait=True), card, profiles(), overlaps()))
    assert "25.0% of those who had shown the trait" in said
    assert "shows it as often as who has" in said


def test_a_card_that_refuses_says_why_and_shows_no_threshold() -> None:
    card = refusing_card("too few", "3 people to learn from, 50 are needed", None)
    said = text(card_page(DAY, SEGMENT, card, profiles().clear(), overlaps().clear()))
    assert "No threshold is offered: too few." in said
    assert "3 people to learn from" in said
    assert "What a threshold buys" not in said
