"""Which past days a segment learns from, is calibrated on and is judged on.

anchor A: features end gap_days before A, the label is the seed thing in (A, A + horizon]

card         D - horizon      the newest anchor whose label is known on D
calibration  one horizon before it
training     the anchors before that, a horizon apart, as far as history reaches and events are kept

Label windows do not overlap, so the calibrator never saw what the card judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from tasks.lake.tables import EVENTS
from tasks.lookalikes.registry import WINDOWS, Segment


@dataclass(frozen=True)
class Plan:
    """The anchors of one segment and day; `training` is newest first, empty if history is short."""

    segment: Segment
    day: date
    calibration: date
    card: date
    training: tuple[date, ...]
    begins: date
    """The last day on which history may begin for one anchor to train on."""

    @property
    def anchors(self) -> tuple[date, ...]:
        """Every anchor that needs features, the scored day first."""
        return (self.day, self.card, self.calibration, *self.training)

    @property
    def first_seed_day(self) -> date:
        """The first day whose seed acts can matter."""
        return min(self.anchors) - timedelta(days=self.segment.window_days - 1)

    def feature_day(self, anchor: date) -> date:
        """Return the partition of `lookalike_features` for an anchor: D holds days up to D - 1."""
        return anchor - timedelta(days=self.segment.gap_days - 1)


def plan_of(
    segment: Segment, day: date, first_day: date, history_days: int, training_anchors: int
) -> Plan:
    """Return the anchors of a day.

    Args:
        segment: gives gap and horizon.
        day: the day whose people are scored.
        first_day: the first landing day.
        history_days: days of events that an anchor's features need at least.
        training_anchors: how many anchors are trained on at most.
    """
    horizon = timedelta(days=segment.horizon_days)
    candidates = [day - horizon * step for step in range(WINDOWS, WINDOWS + training_anchors)]
    needed = timedelta(days=segment.gap_days + history_days - 1)
    oldest = day - timedelta(days=EVENTS.keep_days - segment.window_days)
    kept = tuple(anchor for anchor in candidates if anchor >= max(oldest, first_day + needed))
    begins = day - horizon * WINDOWS - needed
    return Plan(segment, day, day - horizon * 2, day - horizon, kept, begins)
