"""A picture of scores taken apart: the base, and what each attribute adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.boost.clauses import BOOST
from tasks.boost.request import BASE
from tasks.report.figures import ACCENT, INK, SOFT, canvas, row_height

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CUT = "#c8641b"


def scores_figure(rows: pl.DataFrame, parts: pl.DataFrame) -> Figure:
    """Draw each item's base, what its facets add, and a mark where the score ends.

    Args:
        rows: `item_id, base, score`, the best on top.
        parts: `item_id, attribute, boost`, in the order in which they are added up.
    """
    figure, (axis,) = canvas(row_height(rows.height))
    items = rows[c.ITEM_ID].to_list()
    axis.barh(range(len(items)), rows[BASE].to_list(), color=SOFT, height=0.62)
    shades = _shades(parts)
    for height, (item, base) in enumerate(rows.select(c.ITEM_ID, BASE).iter_rows()):
        left = base
        mine = parts.filter(pl.col(c.ITEM_ID) == item)
        for attribute, boost in mine.select(c.ATTRIBUTE, BOOST).iter_rows():
            axis.barh(height, boost, left=left, color=shades[attribute], height=0.62)
            left += boost
    axis.plot(rows[c.SCORE].to_list(), range(len(items)), "|", color=CUT, markersize=13)
    axis.set_yticks(range(len(items)), items)
    axis.invert_yaxis()
    # What differs lies at the right end: the common part of the bases would hide it.
    axis.set_xlim(left=0.9 * min(rows[BASE].to_list()))
    axis.set_xlabel("base (grey), attributes, score after the cap (mark)", color=INK, fontsize=9)
    _legend(axis, shades)
    return figure


def _shades(parts: pl.DataFrame) -> dict[str, tuple[float, float, float]]:
    from matplotlib.colors import to_rgb

    names = parts[c.ATTRIBUTE].unique().sort().to_list()
    base = to_rgb(ACCENT)
    steps = [place / max(1, len(names)) for place in range(len(names))]
    return {
        name: (base[0] + (0.85 - base[0]) * s, base[1] + (0.9 - base[1]) * s, base[2])
        for name, s in zip(names, steps, strict=True)
    }


def _legend(axis: object, shades: dict[str, tuple[float, float, float]]) -> None:
    from matplotlib.patches import Patch

    if shades:
        patches = [Patch(color=shade, label=name) for name, shade in shades.items()]
        axis.legend(handles=patches, frameon=False, fontsize=8, loc="lower right")  # type: ignore[attr-defined]
