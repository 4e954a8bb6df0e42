"""A picture of scores taken apart: the base, and what each attribute adds."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c
from tasks.boost.clauses import BOOST
from tasks.boost.request import BASE
from tasks.report.figures import ACCENT, INK, SOFT, WARM, canvas, row_height

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (ACCENT, WARM, "#4a6fa5", "#9a4f7f", "#7a9e3f", "#c9a227")
OTHERS = "#dfe3ea"


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
    axis.plot(
        rows[c.SCORE].to_list(), range(len(items)), "|", color=INK, markersize=17, markeredgewidth=2
    )
    axis.set_yticks(range(len(items)), items)
    axis.invert_yaxis()
    # What differs lies at the right end: the common part of the bases would hide it.
    axis.set_xlim(left=0.9 * min(rows[BASE].to_list()))
    axis.set_xlabel("base (grey), attributes, score after the cap (mark)", color=INK, fontsize=9)
    _legend(axis, shades)
    return figure


def _shades(parts: pl.DataFrame) -> dict[str, str]:
    """Return the colour of each attribute, those that add most first; the rest share the last."""
    added = parts.group_by(c.ATTRIBUTE).agg(pl.col(BOOST).sum())
    names = added.sort(BOOST, c.ATTRIBUTE, descending=[True, False])[c.ATTRIBUTE].to_list()
    return dict(zip_longest(names, COLOURS[: len(names)], fillvalue=OTHERS))


def _legend(axis: Axes, shades: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    named = {name: shade for name, shade in shades.items() if shade != OTHERS}
    if len(named) < len(shades):
        named["other"] = OTHERS
    if named:
        patches = [Patch(color=shade, label=name) for name, shade in named.items()]
        axis.legend(handles=patches, frameon=False, fontsize=8, loc="lower right")
