"""What a marketer is asked: the card as Markdown, with what each threshold would come to.

Words that come from data or from a segment's file are escaped: a page shows them and runs none.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from tasks import columns as c
from tasks.lookalikes.registry import Segment
from tasks.mailings.audience import REASONS, SENT, arms
from tasks.mailings.power import detectable_effect
from tasks.report.page import cell, interval
from tasks.settings import Mailings

HEAD = (
    "threshold",
    "people",
    "left out",
    "get a letter",
    "control",
    "do it without a letter",
    "precision",
    "detectable rise",
    "suggestion",
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
        "people": inside.height,
        "left out": reached - inside.height,
        "get a letter": sent,
        "control": control,
        "do it without a letter": round(expected, 1),
        "precision": interval(row["precision"], row["precision_low"], row["precision_high"]),
        "detectable rise": _rise(detectable_effect(rate, sent, control)),
        "suggestion": row["suggestion"],
    }


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
    segment: Segment, mailing: str, people: pl.DataFrame, card: pl.DataFrame, options: Mailings
) -> str:
    """Return the Markdown that the marketer reads before choosing."""
    offers = offered(people, card, mailing, options.control_share)
    left = ", ".join(
        f"{int((people[c.REASON] == name).sum()):,} {name.replace('_', ' ')}" for name in REASONS
    )
    return "\n\n".join(
        [
            f"Mailing **{plain(mailing)}**, people like those who {plain(segment.seed)}"
            f" ({plain(segment.name)}). The probability is that of doing it within"
            f" {segment.horizon_days} days.",
            f"{people.height:,} people are scored. Left out: {left}.",
            table(HEAD, offers),
            f"Type a **threshold** (the least probability) or an **audience size** (the most"
            f" probable people who may be written to), one of the two. {options.control_share:.0%}"
            " of the audience get no letter, so that its effect can be told; a rise smaller than"
            " the *detectable* one is seen less than four times out of five. The question comes"
            " again after an answer out of range; the task's log says what was wrong.",
        ]
    )


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
