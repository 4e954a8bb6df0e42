"""The effect that a mailing of this size can show: 80% power at 5%, two-sided.

The least d with d = z_alpha * sqrt(2 m (1 - m) / h) + z_power * sqrt(p(1 - p) / n0 + q(1 - q) / n1)
where q = p + d, m = (p + q) / 2 and h is the harmonic mean of the arms' sizes n0 and n1
(Fleiss, Levin and Paik 2003, chapter 4).
"""

from __future__ import annotations

import math

Z_ALPHA = 1.959964
Z_POWER = 0.841621
STEPS = 60


def detectable_effect(base_rate: float, sent: int, control: int) -> float | None:
    """Return the rise of the share of buyers that is seen four times out of five.

    None where no rise can be seen: an arm is empty, or even everybody buying would not do.
    """
    if not sent or not control:
        return None
    rise = 0.0
    for _ in range(STEPS):
        rise = _needed(base_rate, min(base_rate + rise, 1.0), sent, control)
    return rise if base_rate + rise <= 1 else None


def _needed(p: float, q: float, sent: int, control: int) -> float:
    mean, shares = (p + q) / 2, 1 / sent + 1 / control
    alike = math.sqrt(mean * (1 - mean) * shares)
    apart = math.sqrt(p * (1 - p) / control + q * (1 - q) / sent)
    return Z_ALPHA * alike + Z_POWER * apart
