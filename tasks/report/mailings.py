"""Sections: the mailings of the last weeks, and what the newest measured ones brought."""

from __future__ import annotations

from datetime import date

import polars as pl

from tasks import columns as c
from tasks.lake.lake import Lake, Window
from tasks.lake.tables import AUDIENCE_DECISIONS, MAILING_EFFECTS
from tasks.mailings.effect import ALL, COEFFICIENT, REVENUE, SEED
from tasks.mailings.picture import effect_figure
from tasks.report.page import Section, interval, with_interval

TITLE = "Mailings"
DAYS = 60
SHOWN = 3
"""Mailings of which a page has the picture, the last measured."""
OWN = (c.LOOKALIKE_SEGMENT, c.MAILING, "audience_day")


def recent_mailings(lake: Lake, day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return AUDIENCE_DECISIONS and MAILING_EFFECTS rows of the `DAYS` that end on `day`."""
    window = Window(DAYS, optional=True)
    decisions, effects = (
        lake.read_window(table, day, window) for table in (AUDIENCE_DECISIONS, MAILING_EFFECTS)
    )
    return decisions, effects


def mailing_sections(decisions: pl.DataFrame, effects: pl.DataFrame) -> tuple[Section, ...]:
    """Return one section of all decisions and one per newly measured mailing.

    Args:
        decisions: AUDIENCE_DECISIONS rows of the last `DAYS`.
        effects: MAILING_EFFECTS rows of the last `DAYS`.
    """
    if decisions.is_empty() and effects.is_empty():
        return (Section(TITLE, notes=(f"No audience was chosen in the last {DAYS} days.",)),)
    newest = effects.sort("dt", *OWN, descending=True).select(OWN).unique(maintain_order=True)
    measured = [_measured(own, effects) for own in newest.head(SHOWN).iter_rows()]
    return (_decided(decisions, effects), *measured)


def _decided(decisions: pl.DataFrame, effects: pl.DataFrame) -> Section:
    main = effects.filter(pl.col(c.METRIC) == SEED).select(*OWN, "effect", c.LOW, c.HIGH)
    both = decisions.join(main.rename({"audience_day": "dt"}), on=[*OWN[:2], "dt"], how="left")
    shown = with_interval(both.sort("dt", *OWN[:2]), "effect", "effect", c.LOW, c.HIGH)
    columns = ("dt", *OWN[:2], "chosen_by", c.THRESHOLD, "sent", "control", "detectable_effect")
    note = "effect: rise of the share who did the segment's thing, 95% interval; - until measured."
    return Section(TITLE, shown.select(*columns, "effect"), notes=(note,))


def _measured(own: tuple[str, str, date], effects: pl.DataFrame) -> Section:
    segment, mailing, day = own
    rows = effects.filter(pl.all_horizontal(pl.col(n) == v for n, v in zip(OWN, own, strict=True)))
    whole = rows.filter(pl.col("cut") == ALL)
    shown = with_interval(whole, "effect", "effect", c.LOW, c.HIGH)
    columns = (c.METRIC, "sent", "control", "sent_value", "control_value", "effect")
    return Section(
        f"Mailing: {mailing}, {segment}, {day}",
        shown.select(columns),
        effect_figure(rows),
        (_qini(whole), f"{REVENUE} is in minor units per person; everybody counts as drawn."),
    )


def _qini(whole: pl.DataFrame) -> str:
    row = whole.filter(pl.col(c.METRIC) == COEFFICIENT).row(0, named=True)
    if row["effect"] is None:
        return f"Qini coefficient over the probability: unknown, since {_unknown(row)}."
    known = interval(row["effect"], row[c.LOW], row[c.HIGH])
    return f"Qini coefficient over the probability: {known}; above 0 it finds who is moved."


def _unknown(row: dict[str, int]) -> str:
    """Return why: the coefficient compares two arms, from the first tenth on."""
    if not row["sent"]:
        return "nobody was sent the letter"
    if not row["control"]:
        return "nobody is control"
    return f"none of the {row['control']:,} control people is in the most probable tenth"
