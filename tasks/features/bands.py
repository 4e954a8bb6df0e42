"""Bands: what is usual for a value and what no value may pass, and where in them one lies."""

from __future__ import annotations

Limits = tuple[float | None, float | None]
OPEN: Limits = (None, None)
FARTHEST = 3.0


def verdict(value: float, usual: Limits, hard: Limits) -> tuple[str, Limits]:
    """Return `broken`, `warned`, `ok` or, without a usual band, `counted`, and the band meant."""
    if not within(value, hard):
        return "broken", hard
    if not within(value, usual):
        return "warned", usual
    return ("counted" if usual == OPEN else "ok"), usual


def within(value: float, limits: Limits) -> bool:
    """Return whether the value lies in the band, its edges included."""
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


def place(value: float, usual: Limits, hard: Limits) -> float:
    """Return 0 in the middle of the usual band, 1 at its edge, 2 at that of the hard band.

    Outside the usual band of a side that has no hard one it is 1.5.
    """
    (low, high), (hard_low, hard_high) = usual, hard
    if high is not None and value > high:
        return _beyond(value - high, None if hard_high is None else hard_high - high)
    if low is not None and value < low:
        return _beyond(low - value, None if hard_low is None else low - hard_low)
    middle = 0.0 if low is None or high is None else (low + high) / 2
    edge = high if high is not None else low
    return abs(value - middle) / abs(edge - middle) if edge else 0.0


def _beyond(distance: float, room: float | None) -> float:
    return min(1 + distance / room, FARTHEST) if room else 1.5
