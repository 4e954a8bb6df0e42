"""A segment's threshold card as a page of its own: what a marketer reads before choosing."""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks import columns as c
from tasks.lookalikes.registry import Segment
from tasks.report import figures
from tasks.report.page import NOTHING, Page, Section

COST = "cost_per_buyer"
SUGGESTED = {"sure": "sure: precision first", "wide": "wide: recall first"}


def card_page(
    day: date,
    segment: Segment,
    card: pl.DataFrame,
    profiles: pl.DataFrame,
    overlaps: pl.DataFrame,
    mailings: tuple[Section, ...],
) -> Page:
    """Return the page of one segment's card.

    Args:
        day: the scored day.
        segment: as its file declares it.
        card: its THRESHOLD_CARDS rows.
        profiles: its AUDIENCE_PROFILES rows.
        overlaps: the AUDIENCE_OVERLAPS rows of the day.
        mailings: what earlier mailings to this segment brought.
    """
    first = card.row(0, named=True)
    subject = f"Audience {segment.name}"
    if first["verdict"] != "ok":
        why = str(first["reason"])
        refused = Section("No threshold", notes=(f"{why[:1].upper()}{why[1:]}.",))
        return Page(day, (_asked(segment), *_refusal(first)), (refused, *mailings), subject)
    sections = (
        _thresholds(card),
        *_rule(segment, card),
        *_trait(card),
        *(_profile(name, profiles) for name in SUGGESTED if name in profiles["suggestion"]),
        _overlap(overlaps.filter(pl.col(c.LOOKALIKE_SEGMENT) == segment.name)),
        *mailings,
        _assumptions(segment, first),
    )
    headline = (_asked(segment), *_suggestions(card), _order(first))
    return Page(day, headline, sections, subject)


def _asked(segment: Segment) -> str:
    return (
        f"Asked by {segment.owner}: who is next within {segment.horizon_days} days of those who"
        f" {segment.seed}?"
    )


def _refusal(first: dict[str, object]) -> tuple[str, ...]:
    return (f"No threshold is offered: {first['verdict']}.",)


def _suggestions(card: pl.DataFrame) -> list[str]:
    chosen = card.filter(pl.col("suggestion").is_not_null()).sort("audience_size")
    return [
        f"{SUGGESTED[row['suggestion']].capitalize()}: {row['audience_size']:,} people above"
        f" {row[c.THRESHOLD]:.4f}, of whom {_between(row, 'expected', 'expected_buyers')} are"
        f" expected to do it, {row['lift']:.1f} times as many as of anybody."
        for row in chosen.iter_rows(named=True)
    ]


def _order(first: dict[str, float]) -> str:
    auc, low, high = first["auc"], first["auc_low"], first["auc_high"]
    return (
        f"Of two people of whom one does it, the order picks the right one {auc:.0%} of the time"
        f" [{low:.0%}, {high:.0%}]; a coin would half of the time."
    )


def told(value: float | None, form: str) -> str:
    """Return a number; nothing where it is not known."""
    return NOTHING if value is None else format(value, form)


def with_bounds(row: dict[str, float | None], name: str, value: str, form: str) -> str:
    """Return a number with its interval; nothing where nobody was as probable back then."""
    if row[value] is None:
        return NOTHING
    low, high = (told(row[f"{name}_{side}"], form) for side in ("low", "high"))
    return f"{told(row[value], form)} [{low}, {high}]"


def _between(row: dict[str, float | None], name: str, value: str) -> str:
    return with_bounds(row, name, value, ",.0f")


def _percent(row: dict[str, float | None], name: str) -> str:
    return with_bounds(row, name, name, ".1%")


def _thresholds(card: pl.DataFrame) -> Section:
    priced = card["cost_per_buyer"].null_count() < card.height
    rows = [
        {
            c.THRESHOLD: f"{row[c.THRESHOLD]:.4f}",
            "people": row["audience_size"],
            "": row["suggestion"] or "",
            "do it": _percent(row, "precision"),
            "of all": _percent(row, "recall"),
            "lift": with_bounds(row, "lift", "lift", ".2f"),
            "expected": _between(row, "expected", "expected_buyers"),
            **({"price of one": with_bounds(row, COST, COST, ",.2f")} if priced else {}),
        }
        for row in card.sort("audience_size").iter_rows(named=True)
    ]
    told = (
        "do it: of 100 people of the audience. of all: of 100 who do it, how many are among them."
        " lift: how many more do it than of anybody. expected: how many will do it.",
    )
    return Section("What a threshold buys", pl.DataFrame(rows), figures.threshold_card(card), told)


def _rule(segment: Segment, card: pl.DataFrame) -> tuple[Section, ...]:
    """Return what a marketer without a model would get."""
    row = card.row(0, named=True)
    title = "Beside the simple rule"
    if segment.rule is None:
        return ()
    reached = ("rule", "rule_matched")
    table = pl.DataFrame(
        {
            "audience": [str(segment.rule), "as many of the most probable"],
            "people today": [row["rule_size"]] * 2,
            "did it on the later window": [_percent(row, f"{of}_precision") for of in reached],
            "of all who did": [told(row[f"{of}_recall"], ".1%") for of in reached],
        }
    )
    nobody = f"Nobody on the later window {segment.rule}: what it is worth is not known."
    notes = (nobody,) if row["rule_precision"] is None else ()
    return (Section(title, table, notes=notes),)


def _trait(card: pl.DataFrame) -> tuple[Section, ...]:
    if card["trait_share"].null_count() == card.height:
        return ()
    shown = card["shown_share"][0]
    rows = [
        {"people": row["audience_size"], "have the trait": _percent(row, "trait_share")}
        for row in card.sort("audience_size").iter_rows(named=True)
    ]
    note = f"{shown:.1%} of those who had shown the trait showed it again in the later window."
    return (Section("Have it, shown or not", pl.DataFrame(rows), notes=(note,)),)


def _profile(name: str, profiles: pl.DataFrame) -> Section:
    mine = profiles.filter(pl.col("suggestion") == name).sort(c.RANK)
    table = mine.select(
        c.ATTRIBUTE,
        c.VALUE,
        *(
            pl.Series(title, [f"{share:.1%}" for share in mine[column]], dtype=pl.String)
            for title, column in (("audience", "audience_share"), ("everybody", "base_share"))
        ),
        pl.Series("times", [f"{ratio:.1f}" for ratio in mine["ratio"]], dtype=pl.String),
    )
    note = (
        "Shares of what people looked at, who looked a lot counting somewhat more; for activity,"
        " orders and recency shares of people."
    )
    return Section(f"Who they are ({SUGGESTED[name]})", table, notes=(note,))


def _overlap(overlaps: pl.DataFrame) -> Section:
    title = "Shared with other audiences"
    if overlaps.is_empty():
        return Section(title, notes=("No other audience of the day offers a threshold.",))
    rows = overlaps.sort("suggestion", "shared_share", "other", descending=[False, True, False])
    shares = pl.Series("share", [f"{share:.0%}" for share in rows["shared_share"]])
    return Section(title, rows.select("suggestion", "other", "shared", shares))


def _assumptions(segment: Segment, first: dict[str, object]) -> Section:
    told = [
        "The coming days are like those of the later window, the last whose outcome is known.",
        f"Base rate there: {first['base_rate']:.2%} of everybody eligible.",
        f"Eligible is who is known and has not done it in {segment.window_days} days.",
        "Intervals are 95%: how far the later window can be off by chance, not by change.",
        "What people do anyway counts too: what a mailing adds, only its control group tells.",
    ]
    if segment.lasting_trait:
        told.append(
            "Who has not shown the trait yet shows it as often as who has. Who has comes more"
            " often, so that the share that has it is rather too low."
        )
    if first["cost_per_buyer"] is not None:
        told.append("Reaching one person costs the same whoever it is.")
    return Section("What is assumed", notes=tuple(told))
