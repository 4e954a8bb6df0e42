from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.lookalikes.card import refusing_card, threshold_card
from tasks.lookalikes.people import Shown
from tasks.report.card import card_page
from tasks.report.page import html, text
from tasks.settings import Lookalikes
from tests.cards import DAY, MAILINGS, SEGMENT, judged, overlaps, profiles


def test_a_page_tells_what_a_marketer_needs_to_choose() -> None:
    options = Lookalikes(contact_price=0.4)
    card = threshold_card(judged().p, judged(), options, rule_size=34)
    page = card_page(DAY, SEGMENT, card, profiles(), overlaps(), MAILINGS)
    said = text(page)
    assert "of those who ordered a hat?" in said
    # Of the upper ten 8 did it, at 0.4 each: half a coin for one.
    assert "0.50 [0.4" in said
    assert "8 [5, 9] are expected to do it" in said
    # 8 of the 10 who did it, in a tenth of the people: Wilson's 0.490 to 0.943, times ten.
    assert "80.0% [49.0%, 94.3%]" in said
    assert "8.00 [4.90, 9.43]" in said
    # Of the 34 whom the rule takes, 81, 90, 93 and 96 did it: 4 of 10.
    assert "11.8% [" in said
    assert "40.0%" in said
    # The most probable 34, places 66 to 99, hold all who did it: 10 of 34, Wilson's interval.
    matched = next(one for one in said.splitlines() if one.startswith("as many of the most"))
    assert matched.split()[6:] == ["34", "29.4%", "[16.8%,", "46.2%]", "100.0%"]
    assert "bags" in said
    assert "only its control group tells" in said
    assert "a rise of 2 points" in said
    assert "Have it, shown or not" not in said


def test_a_threshold_above_everybody_of_the_later_window_tells_nothing() -> None:
    today = np.append(judged().p, 0.9)
    card = threshold_card(today, judged(), Lookalikes(contact_price=1), rule_size=34)
    said = text(card_page(DAY, SEGMENT, card, profiles(), overlaps(), MAILINGS))
    (line,) = (line for line in said.splitlines() if line.startswith("0.9000"))
    # Nobody of 10 who did it: Wilson's upper bound is 1.96^2 / (10 + 1.96^2).
    assert line.split() == ["0.9000", "1", "-", "0.0%", "[0.0%,", "27.8%]", "-", "-", "-"]


def test_a_rule_without_anybody_of_the_later_window_says_so_beside_its_people_of_today() -> None:
    nobody = replace(judged(), by_rule=np.zeros(100, bool))
    card = threshold_card(nobody.p, nobody, Lookalikes(), rule_size=34)
    said = text(card_page(DAY, SEGMENT, card, profiles(), overlaps(), MAILINGS))
    (line,) = (one for one in said.splitlines() if one.startswith("looked at category hats"))
    assert line.removeprefix("looked at category hats or <b>caps").split() == ["34", "-", "0.0%"]
    assert "Nobody on the later window looked at category hats" in said


def test_a_name_out_of_the_data_is_shown_and_not_run() -> None:
    card = threshold_card(judged().p, judged(), Lookalikes(), rule_size=34)
    shown = html(card_page(DAY, SEGMENT, card, profiles(), overlaps(), MAILINGS))
    assert "&lt;script&gt;document.title=1" in shown
    assert "&lt;b&gt;caps" in shown
    assert "<script>" not in shown
    assert "price of one" not in shown


def test_a_lasting_trait_says_how_many_have_it_and_what_is_assumed() -> None:
    lasting = replace(judged(), shown=Shown(50, 200))
    card = threshold_card(lasting.p, lasting, Lookalikes())
    said = text(
        card_page(DAY, replace(SEGMENT, lasting_trait=True), card, profiles(), overlaps(), MAILINGS)
    )
    assert "25.0% of those who had shown the trait" in said
    assert "shows it as often as who has" in said


def test_a_card_that_refuses_says_why_and_shows_no_threshold() -> None:
    card = refusing_card("too few", "3 people to learn from, 50 are needed", None)
    said = text(card_page(DAY, SEGMENT, card, profiles().clear(), overlaps().clear(), MAILINGS))
    assert "No threshold is offered: too few." in said
    assert "3 people to learn from" in said
    assert "What a threshold buys" not in said
