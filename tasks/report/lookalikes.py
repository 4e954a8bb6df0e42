"""Sections: one threshold card per look-alike segment."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, interval, with_interval

TITLE = "Look-alike threshold cards"
CARD = (
    c.THRESHOLD,
    "audience_size",
    "precision",
    "recall",
    "lift",
    "expected_buyers",
    "suggestion",
)
WITHOUT_THRESHOLD = {
    "no signal": "The interval of AUC covers 0.5: no threshold is offered.",
    "too few": "There is too little to learn from: no threshold is offered.",
}


def lookalike_sections(cards: Rows) -> tuple[Section, ...]:
    """Return one section per segment of THRESHOLD_CARDS rows."""
    if isinstance(cards, Gap):
        return (gap_section(TITLE, cards),)
    if cards.is_empty():
        return (Section(TITLE, notes=("No segment has a card for this day.",)),)
    return tuple(_card(name, card) for name, card in _by_segment(cards))


def _by_segment(cards: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    names = sorted(cards[c.LOOKALIKE_SEGMENT].unique())
    return [
        (name, cards.filter(pl.col(c.LOOKALIKE_SEGMENT) == name).sort(c.THRESHOLD))
        for name in names
    ]


def _card(name: str, card: pl.DataFrame) -> Section:
    title = f"Look-alike: {name}"
    verdict = card["verdict"][0]
    if verdict in WITHOUT_THRESHOLD:
        return Section(title, notes=(WITHOUT_THRESHOLD[verdict], *_why(card), *_auc(card)))
    precise = with_interval(card, "precision", "precision", "precision_low", "precision_high")
    return Section(
        title, precise.select(CARD), figures.threshold_card(card), (*_auc(card), *_suggested(card))
    )


def _why(card: pl.DataFrame) -> list[str]:
    return [f"Why: {card[c.REASON][0]}."] if card[c.REASON][0] else []


def _auc(card: pl.DataFrame) -> list[str]:
    if card["auc"][0] is None:
        return []
    known = interval(*card.select("auc", "auc_low", "auc_high").row(0))
    return [f"AUC on the later window: {known}."]


def _suggested(card: pl.DataFrame) -> list[str]:
    rows = card.filter(pl.col("suggestion").is_not_null()).sort(c.THRESHOLD, descending=True)
    chosen = rows.select("suggestion", c.THRESHOLD, "audience_size", "expected_buyers")
    return [
        f"Suggested, {kind}: {threshold:.4f}, {size:,} people, {_buyers(buyers)}."
        for kind, threshold, size, buyers in chosen.iter_rows()
    ]


def _buyers(expected: float | None) -> str:
    return "buyers not estimated" if expected is None else f"{expected:,.0f} expected buyers"


def lookalikes_headline(cards: Rows) -> str | None:
    """Say each segment's verdict in one line."""
    if isinstance(cards, Gap) or cards.is_empty():
        return None
    said = [
        ", ".join([f"{name}: {card['verdict'][0]}", *(known[:-1] for known in _auc(card))])
        for name, card in _by_segment(cards)
    ]
    return f"Look-alikes: {'; '.join(said)}."
