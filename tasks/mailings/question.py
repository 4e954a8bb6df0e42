"""What a marketer is asked: the card as Markdown, with what each threshold would come to.

Two numbers of a threshold are alike and not the same. The card's expected buyers are its audience,
whoever may be written to, times the precision that the later window showed. Who does it without a
letter is the sum of the calibrated probabilities of the two arms: of fewer people, and known from
the model instead of from a count.

Words that come from data or from a segment's file are escaped: a page shows them and runs none.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import polars as pl

from tasks import columns as c
from tasks.lookalikes.registry import Segment
from tasks.mailings.audience import REASONS, SENT, arms
from tasks.mailings.power import detectable_effect
from tasks.report.card import told, with_bounds
from tasks.report.page import cell
from tasks.settings import Mailings

PRICE = "price of one"
HEAD = (
    "threshold",
    "left out",
    "get a letter",
    "control",
    "do it without a letter",
    "expected buyers",
    "precision",
    "of all who do it",
    "lift",
    PRICE,
    "detectable rise",
    "suggestion",
)
MEANING = (
    "*do it without a letter*: the sum of the probabilities of those who get one or are control."
    " *expected buyers*: of everybody above the threshold, those left out too, by the share of such"
    " people who did it on the later window, which is the *precision*; so the two differ. *lift*:"
    " how many times as many as of anybody."
)
ANSWER = (
    "Type a **threshold** (the least probability) or an **audience size** (the most probable people"
    " who may be written to), one of the two. {share:.0%} of the audience get no letter, so that"
    " its effect can be told; a rise smaller than the *detectable* one is seen less than four times"
    " out of five. The question comes again after an answer out of range; the task's log says what"
    " was wrong."
)
SIGNS = re.compile(r"([\\`*_{}\[\]()|~])")


def offered(
    people: pl.DataFrame, card: pl.DataFrame, mailing: str, share: float
) -> list[dict[str, Any]]:
    """Return what each threshold of the card comes to, the highest first.

    Args:
        people: scored people with the reason to leave them out, or null.
        card: THRESHOLD_CARDS rows of the segment.
        mailing: whose arms are counted.
        share: of the people, that is control.
    """
    allowed = people.filter(pl.col(c.REASON).is_null())
    armed = allowed.with_columns(arms(mailing, allowed[c.USER_ID], share))
    rows = card.sort(c.THRESHOLD, descending=True).iter_rows(named=True)
    return [_offer(row, people, armed) for row in rows]


def _offer(row: dict[str, Any], people: pl.DataFrame, armed: pl.DataFrame) -> dict[str, Any]:
    threshold = shown(row[c.THRESHOLD])
    above = pl.col(c.PROBABILITY) >= threshold
    inside, reached = armed.filter(above), people.filter(above).height
    sent = int((inside[c.ROLE] == SENT).sum())
    control, expected = inside.height - sent, sum(inside[c.PROBABILITY])
    rate = expected / inside.height if inside.height else 0.0
    return {
        "threshold": threshold,
        "left out": reached - inside.height,
        "get a letter": sent,
        "control": control,
        "do it without a letter": round(expected, 1),
        "expected buyers": with_bounds(row, "expected", "expected_buyers", ",.0f"),
        "precision": _bounded(row, "precision", ".2%"),
        "of all who do it": _bounded(row, "recall", ".1%"),
        "lift": _bounded(row, "lift", ".2f"),
        PRICE: _bounded(row, "cost_per_buyer", ",.2f"),
        "detectable rise": _rise(detectable_effect(rate, sent, control)),
        "suggestion": row["suggestion"],
    }


def _bounded(row: dict[str, Any], name: str, form: str) -> str:
    return with_bounds(row, name, name, form)


def shown(threshold: float) -> float:
    """Return a threshold as it is shown, in four digits; never above the true one.

    >>> shown(0.34129), shown(0.00012349), shown(1.0), shown(0.0)
    (0.3412, 0.0001234, 1.0, 0.0)
    """
    if threshold <= 0:
        return 0.0
    unit = 10.0 ** (3 - math.floor(math.log10(threshold)))
    return math.floor(threshold * unit) / unit


def _rise(effect: float | None) -> str:
    return "none" if effect is None else f"{100 * effect:.2f} points"


def question(
    whose: tuple[Segment, str, date],
    people: pl.DataFrame,
    card: pl.DataFrame,
    known_to: date,
    options: Mailings,
) -> str:
    """Return the Markdown that the marketer reads before choosing.

    Args:
        whose: segment, mailing and the scored day.
        people: scored people with the reason to leave them out, or null.
        card: THRESHOLD_CARDS rows of the segment.
        known_to: the last day whose opt-outs count.
        options: share of control.
    """
    segment, mailing, day = whose
    is_priced = card["cost_per_buyer"].null_count() < card.height
    head = [name for name in HEAD if is_priced or name != PRICE]
    return "\n\n".join(
        [
            f"Mailing **{plain(mailing)}**, people like those who {plain(segment.seed)}"
            f" ({plain(segment.name)}). The probability is that of doing it within"
            f" {segment.horizon_days} days.",
            f"{people.height:,} people are scored. Left out: {_left_out(people)}. Opt-outs are"
            f" known to {known_to}.",
            table(head, offered(people, card, mailing, options.control_share)),
            *_about(segment, day, card.row(0, named=True)),
            ANSWER.format(share=options.control_share),
        ]
    )


def _about(segment: Segment, day: date, first: dict[str, Any]) -> list[str]:
    """Return what the numbers of the card mean, and where it is."""
    rate = told(first["base_rate"], ".2%")
    return [
        MEANING,
        *_rule(segment, first),
        f"Assumed: the coming days are like those of the later window, where {rate} of everybody"
        " eligible did it. Intervals are 95%: of chance, not of change.",
        f"Who they are, and what earlier mailings brought: `audience-{segment.name}-{day}.html` in"
        " the reports folder.",
    ]


def _rule(segment: Segment, first: dict[str, Any]) -> list[str]:
    """Return what a marketer without a model would get; nothing where the segment has no rule."""
    if segment.rule is None:
        return []
    did, would = (
        f"{_bounded(first, f'{of}_precision', '.2%')} did it,"
        f" {told(first[f'{of}_recall'], '.1%')} of all who did"
        for of in ("rule", "rule_matched")
    )
    return [
        f"The simple rule, who {plain(str(segment.rule))}, takes {cell(first['rule_size'])} people"
        f" today. Of such people on the later window {did}; of as many of the most probable"
        f" {would}."
    ]


def _left_out(people: pl.DataFrame) -> str:
    counts = {name: int((people[c.REASON] == name).sum()) for name in REASONS}
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


def table(head: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a Markdown table of the named columns, whose cells are ours."""
    names = list(head)
    lines = [names, ["---"] * len(names)]
    lines += [[cell(row[name]) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    r"""Return text that Markdown and HTML show as it is, inside a line.

    >>> print(plain("<b> [x](y)"))
    &lt;b&gt; \[x\]\(y\)
    """
    return SIGNS.sub(r"\\\1", html.escape(text, quote=False)).replace("\n", " ")
