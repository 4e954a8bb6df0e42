"""What a section gets when the lake has no rows for it: the reason, in words."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks.report.page import Section


@dataclass(frozen=True)
class Gap:
    """Why a table has no rows for the day."""

    reason: str


Rows = pl.DataFrame | Gap


def gap_section(title: str, rows: Gap) -> Section:
    """Return the section that says what is absent."""
    return Section(title, notes=(rows.reason,))
