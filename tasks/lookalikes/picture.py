"""Pictures of a segment: are its probabilities true, and what does a threshold buy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.lookalikes.card import Judged
from tasks.lookalikes.judgement import wilson
from tasks.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


def reliability_figure(judged: Judged) -> Figure:
    """Draw what happened over what was expected, in tenths of the people, and the gain curve."""
    figure, (left, right) = figures.canvas(3.6, columns=2)
    order = np.argsort(judged.p, kind="stable")
    tenths = [part for part in np.array_split(order, BINS) if len(part)]
    expected = [judged.p[part].mean() for part in tenths]
    hits, people = np.array([judged.y[part].sum() for part in tenths]), [len(p) for p in tenths]
    low, high = wilson(hits.astype(np.int64), np.array(people, np.int64))
    top = max(high.max(), *expected)
    left.plot([0, top], [0, top], color=figures.SOFT, linewidth=1)
    left.vlines(expected, low, high, color=figures.ACCENT, linewidth=2)
    left.plot(expected, hits / people, "o", color=figures.ACCENT, markersize=5)
    left.set_xlabel("expected share, tenths of people", fontsize=9)
    left.set_title("did it, 95% interval", fontsize=9)
    reached = np.cumsum(judged.y[order[::-1]]) / judged.y.sum()
    right.plot(np.arange(1, len(reached) + 1) / len(reached), reached, color=figures.ACCENT)
    right.plot([0, 1], [0, 1], color=figures.SOFT, linewidth=1)
    right.set_xlabel("share of people, most probable first", fontsize=9)
    right.set_title("share of buyers reached", fontsize=9)
    return figure
