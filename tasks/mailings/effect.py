"""What a mailing brought, by intention to treat: those sent the letter against its control group.

Everybody of the audience counts in the arm they were drawn into, opened or not, so that the arms
differ by chance and by the letter alone.

shares   difference of two shares; interval: Newcombe's of two Wilson intervals (1998, no. 10)
means    difference of two means; interval: Welch's, normal, since arms are large
relative (share sent / share control) - 1; interval: Katz's, normal on the logarithm

Over the probability, most probable tenth first, cumulated: `uplift` is the difference of shares
within the top; `qini` the people won per person sent the letter, had only the top been written to:
(c1 - c0 * n1 / n0) / N1 (Radcliffe 2007). `qini_coefficient` is the mean over the ten cuts of qini
above the straight line to its end: positive where the more probable are moved more. Its interval
resamples people within their arm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks import columns as c
from tasks.lake.tables import MAILING_EFFECTS
from tasks.lookalikes.judgement import Z, wilson
from tasks.mailings.audience import CONTROL, SENT

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
CUTS = 10
ALL = "all"
SEED, BUYERS, ORDERS, REVENUE = "seed_thing", "buyers", "orders", "revenue"
SHARES, MEANS = (SEED, BUYERS), (ORDERS, REVENUE)
RELATIVE, UPLIFT, QINI, COEFFICIENT = "seed_thing_relative", "uplift", "qini", "qini_coefficient"
TAIL = 2.5


@dataclass(frozen=True)
class Effect:
    """A difference with its 95% interval; None where it cannot be told."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


UNKNOWN = Effect()


def difference_of_shares(sent: tuple[int, int], control: tuple[int, int]) -> Effect:
    """Return share of `sent` - share of `control`; each is (how many did it, how many)."""
    (c1, n1), (c0, n0) = sent, control
    if not n1 or not n0:
        return UNKNOWN
    (low0, low1), (high0, high1) = wilson(np.array([c0, c1]), np.array([n0, n1]))
    p1, p0 = c1 / n1, c0 / n0
    below = np.hypot(p1 - low1, high0 - p0)
    above = np.hypot(high1 - p1, p0 - low0)
    return Effect(p1 - p0, float(p1 - p0 - below), float(p1 - p0 + above))


def ratio_of_shares(sent: tuple[int, int], control: tuple[int, int]) -> Effect:
    """Return share of `sent` / share of `control` - 1; unknown where an arm did nothing."""
    (c1, n1), (c0, n0) = sent, control
    if not c1 or not c0:
        return UNKNOWN
    ratio = (c1 / n1) / (c0 / n0)
    half = Z * np.sqrt(1 / c1 - 1 / n1 + 1 / c0 - 1 / n0)
    return Effect(ratio - 1, float(ratio * np.exp(-half) - 1), float(ratio * np.exp(half) - 1))


def difference_of_means(sent: pl.Series, control: pl.Series) -> Effect:
    """Return the mean of `sent` - the mean of `control`; unknown below two people an arm."""
    if min(len(sent), len(control)) <= 1:
        return UNKNOWN
    x, y = sent.to_numpy().astype(np.float64), control.to_numpy().astype(np.float64)
    value = float(x.mean() - y.mean())
    half = Z * float(np.sqrt(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)))
    return Effect(value, value - half, value + half)


def effects(people: pl.DataFrame, bootstraps: int, seed: int) -> pl.DataFrame:
    """Return MAILING_EFFECTS rows without whose they are.

    Args:
        people: `user_id, role, probability, orders, revenue`, and `seed_thing`: did it or not.
        bootstraps: resamples behind the interval of the Qini coefficient.
        seed: of these resamples.
    """
    sent, control = (people.filter(pl.col(c.ROLE) == role) for role in (SENT, CONTROL))
    rows = [*_overall(sent, control), *_by_probability(people, bootstraps, seed)]
    own = (c.LOOKALIKE_SEGMENT, c.MAILING, "audience_day")
    schema = {name: kind for name, kind in MAILING_EFFECTS.schema.items() if name not in own}
    return pl.DataFrame(rows, schema=schema)


def _overall(sent: pl.DataFrame, control: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for metric in SHARES:
        ones = _did(sent, metric), _did(control, metric)
        yield _row(metric, ALL, ones, difference_of_shares(*ones))
        if metric == SEED:
            yield _row(RELATIVE, ALL, ones, ratio_of_shares(*ones))
    for metric in MEANS:
        totals = (
            (int(sent[metric].sum()), sent.height),
            (int(control[metric].sum()), control.height),
        )
        yield _row(metric, ALL, totals, difference_of_means(sent[metric], control[metric]))


def _did(arm: pl.DataFrame, metric: str) -> tuple[int, int]:
    did = arm[SEED] if metric == SEED else arm[ORDERS] > 0
    return int(did.sum()), arm.height


def _row(
    metric: str, cut: str, totals: tuple[tuple[int, int], tuple[int, int]], effect: Effect
) -> dict[str, Any]:
    (c1, n1), (c0, n0) = totals
    return {
        c.METRIC: metric,
        "cut": cut,
        "sent": n1,
        "control": n0,
        "sent_value": c1 / n1 if n1 else None,
        "control_value": c0 / n0 if n0 else None,
        "effect": effect.value,
        c.LOW: effect.low,
        c.HIGH: effect.high,
    }


def _by_probability(people: pl.DataFrame, bootstraps: int, seed: int) -> Iterator[dict[str, Any]]:
    cells = counts_by_tenth(people)
    top = cells.cumsum(axis=0)
    curve = qini(cells[None])[0]
    for number in range(CUTS):
        (others0, did0), (others1, did1) = top[number]
        totals = (int(did1), int(did1 + others1)), (int(did0), int(did0 + others0))
        cut = f"top {100 * (number + 1) // CUTS}%"
        yield _row(UPLIFT, cut, totals, difference_of_shares(*totals))
        yield _row(QINI, cut, totals, Effect(_known(curve[number])))
    whole = cells.sum(axis=0)
    totals = (int(whole[1, 1]), int(whole[1].sum())), (int(whole[0, 1]), int(whole[0].sum()))
    yield _row(COEFFICIENT, ALL, totals, _coefficient(cells, bootstraps, seed))


def counts_by_tenth(people: pl.DataFrame) -> Counts:
    """Return how many people, [tenth, arm, did it]: most probable first, control before sent."""
    ordered = people.sort(c.PROBABILITY, c.USER_ID, descending=[True, False])
    tenth = np.arange(ordered.height) * CUTS // max(ordered.height, 1)
    arm = (ordered[c.ROLE] == SENT).to_numpy().astype(np.int64)
    did = ordered[SEED].cast(pl.Int64).to_numpy()
    flat = np.bincount((tenth * 2 + arm) * 2 + did, minlength=CUTS * 4)
    return flat.astype(np.int64).reshape(CUTS, 2, 2)


def qini(cells: Counts) -> Floats:
    """Return the ten values of each of several curves; NaN where the top has no control.

    Args:
        cells: [curve, tenth, arm, did it].
    """
    top = cells.cumsum(axis=1)
    people, did = top.sum(axis=3), top[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        won = did[..., 1] - did[..., 0] * people[..., 1] / people[..., 0]
        curve: Floats = won / people[:, -1:, 1]
    return curve


def coefficient(curves: Floats) -> Floats:
    """Return the mean height of each curve above the straight line to its end."""
    line = np.arange(1, CUTS + 1) / CUTS
    heights: Floats = (curves - curves[:, -1:] * line).mean(axis=1)
    return heights


def _coefficient(cells: Counts, bootstraps: int, seed: int) -> Effect:
    value = _known(coefficient(qini(cells[None]))[0])
    if value is None:
        return UNKNOWN
    drawn = coefficient(qini(_resampled(cells, bootstraps, seed)))
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [TAIL, 100 - TAIL])
    return Effect(value, float(low), float(high))


def _resampled(cells: Counts, bootstraps: int, seed: int) -> Counts:
    """Return [resample, tenth, arm, did it]: each arm keeps its number of people."""
    random = np.random.default_rng(seed)
    drawn = np.empty((bootstraps, *cells.shape), np.int64)
    for arm in range(2):
        there = cells[:, arm].ravel()
        counts = random.multinomial(there.sum(), there / there.sum(), bootstraps)
        drawn[:, :, arm] = counts.reshape(bootstraps, CUTS, 2)
    return drawn


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
