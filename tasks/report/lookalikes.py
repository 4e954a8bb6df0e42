"""Sections: look-alikes beside the day before, and one threshold card per segment."""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.report import figures
from tasks.report.gaps import Gap, Rows, gap_section
from tasks.report.page import Section, interval, with_interval

TITLE = "Look-alike threshold cards"
MOVED = "Look-alikes beside the day before"
BRIEF = ("verdict", "auc", "base_rate", "sure", "wide")
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


def lookalike_sections(cards: Rows, before: Rows) -> tuple[Section, ...]:
    """Return one section per segment of THRESHOLD_CARDS rows, and how they moved.

    Args:
        cards: of the page's day.
        before: of the day before.
    """
    if isinstance(cards, Gap):
        return (gap_section(TITLE, cards),)
    if cards.is_empty():
        return (Section(TITLE, notes=("No segment has a card for this day.",)),)
    sections = tuple(_card(name, card) for name, card in _by_segment(cards))
    return sections if isinstance(before, Gap) else (_moved(cards, before), *sections)


def _moved(cards: pl.DataFrame, before: pl.DataFrame) -> Section:
    """Return verdicts, AUC, base rates and sizes of suggestions of both days."""
    both = _brief(cards).join(
        _brief(before), on=c.LOOKALIKE_SEGMENT, how="full", coalesce=True, suffix=" before"
    )
    pairs = [name for one in BRIEF for name in (one, f"{one} before")]
    note = "sure, wide: people of the suggested audiences. base_rate: of the later window."
    return Section(
        MOVED, both.sort(c.LOOKALIKE_SEGMENT).select(c.LOOKALIKE_SEGMENT, *pairs), notes=(note,)
    )


def _brief(cards: pl.DataFrame) -> pl.DataFrame:
    sizes = [
        pl.col("audience_size").filter(pl.col("suggestion") == name).first().alias(name)
        for name in ("sure", "wide")
    ]
    same = pl.col("verdict", "auc", "base_rate").first()
    return cards.group_by(c.LOOKALIKE_SEGMENT).agg(same, *sizes)


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
