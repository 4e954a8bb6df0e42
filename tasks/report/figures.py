"""The page's plots, each on a figure of its own: no window system, no global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from tasks import columns as c

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, ACCENT, WARM, ALARM = "#1c2330", "#9aa4b5", "#0b6e6e", "#c8641b", "#a3122b"
WIDTH_INCHES = 8.4
DPI = 110


def png(figure: Figure) -> bytes:
    """Return the picture's bytes, the same for the same figure (no date inside)."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=DPI, metadata={"Software": None})
    return target.getvalue()


def canvas(height_inches: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with `columns` plain axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK, labelsize=9)
        axis.grid(axis="x", color="#e6e9ee", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, axes


def row_height(rows: int) -> float:
    """Return the figure height that keeps labelled rows readable."""
    return 0.9 + 0.3 * max(rows, 2)


def intervals(rows: pl.DataFrame, label: str, unit: str, marked: Sequence[str] = ()) -> Figure:
    """Draw one value with its interval per row, first row on top.

    Args:
        rows: columns `label`, `value`, `low`, `high` (the last two may be null).
        label: the column that names a row.
        unit: what the horizontal axis says.
        marked: labels drawn in the accent colour; all when empty.
    """
    figure, (axis,) = canvas(row_height(rows.height))
    for height, (name, value, low, high) in enumerate(
        rows.select(label, c.VALUE, c.LOW, c.HIGH).iter_rows()
    ):
        colour = ACCENT if not marked or name in marked else SOFT
        if low is not None and high is not None:
            axis.plot(
                [low, high], [height, height], color=colour, linewidth=2.2, solid_capstyle="round"
            )
        axis.plot([value], [height], "o", color=colour, markersize=6)
    axis.set_yticks(range(rows.height), rows[label].to_list())
    axis.invert_yaxis()
    axis.set_xlabel(unit, color=INK, fontsize=9)
    return figure


def durations(runs: pl.DataFrame) -> Figure:
    """Draw minutes per DAG, one dot a run; `runs` has `dag_id` and `seconds`."""
    figure, (axis,) = canvas(row_height(runs["dag_id"].n_unique()))
    names = runs["dag_id"].unique(maintain_order=True).to_list()
    heights = [names.index(name) for name in runs["dag_id"]]
    axis.plot(runs["seconds"].to_list(), heights, "o", color=ACCENT, alpha=0.65, markersize=7)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("seconds", color=INK, fontsize=9)
    return figure


def threshold_card(card: pl.DataFrame) -> Figure:
    """Draw precision and recall, and the audience's size, over the threshold."""
    figure, (quality, size) = canvas(3.2, columns=2)
    points = card.sort(c.THRESHOLD)
    thresholds = points[c.THRESHOLD].to_list()
    if points["precision_low"].null_count() == 0:
        low, high = points["precision_low"].to_list(), points["precision_high"].to_list()
        quality.fill_between(thresholds, low, high, color=ACCENT, alpha=0.18, linewidth=0)
    quality.plot(thresholds, points["precision"].to_list(), color=ACCENT, label="precision")
    quality.plot(thresholds, points["recall"].to_list(), color=WARM, label="recall")
    quality.legend(frameon=False, fontsize=9)
    size.plot(thresholds, points["audience_size"].to_list(), color=INK)
    size.set_ylabel("audience size", fontsize=9)
    for axis in (quality, size):
        axis.set_ylim(bottom=0)
        axis.set_xlabel("threshold", fontsize=9)
        for threshold in points.filter(pl.col("suggestion").is_not_null())[c.THRESHOLD]:
            axis.axvline(threshold, color=SOFT, linestyle=":", linewidth=1.4)
    return figure


def bands(places: pl.DataFrame) -> Figure:
    """Draw where in its bands each check lies: `check`, `place` (1 and 2 are edges), `verdict`."""
    colours = {"ok": ACCENT, "warned": WARM, "accepted": WARM, "broken": ALARM}
    figure, (axis,) = canvas(row_height(places.height))
    for height, (_, place, verdict) in enumerate(places.iter_rows()):
        axis.plot([place], [height], "o", color=colours[verdict], markersize=6)
    for edge, name in ((1, "usual"), (2, "hard")):
        axis.axvline(edge, color=SOFT, linestyle=":", linewidth=1.4)
        axis.annotate(name, (edge, -0.8), color=INK, fontsize=8, ha="center")
    axis.set_yticks(range(places.height), places["check"].to_list())
    axis.set_ylim(places.height - 0.5, -1.2)
    axis.set_xlim(-0.1, 3.1)
    axis.set_xlabel("place in the band", color=INK, fontsize=9)
    return figure


def rows_by_day(rows: pl.DataFrame) -> Figure:
    """Draw the row count of `events` per day; `rows` has `day` and `rows`."""
    figure, (axis,) = canvas(2.4)
    axis.grid(axis="x", visible=False)
    places = range(rows.height)
    axis.bar(places, rows["rows"].to_list(), color=ACCENT, width=0.6)
    axis.set_xticks(places, [f"{day:%d %b}" for day in rows["day"]])
    axis.set_ylabel("events", fontsize=9)
    return figure
