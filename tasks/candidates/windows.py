"""Histories as sequences of steps, cut into windows and put into batches.

A step is four whole numbers: `ITEM` its place, `ACTION` what was done (a place in `ACTIONS` plus
1, 0 where that is not told), `SECONDS` when, since 1970, `TIMES` how often discovery counts it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tasks import columns as c
from tasks.candidates.generator import Ints, Requests, positions

NOTHING = -1
ITEM, ACTION, SECONDS, TIMES = range(4)
ACTIONS = (c.VIEW, c.FAVORITE, c.CART, c.ORDER)
"""What is done to an item, the stronger the later."""


def sequences(requests: Requests, item_ids: pl.Series) -> list[Ints]:
    """Return each user's steps in order, one a row; other items are left out.

    The same item in a row is one step: the strongest of its actions, as often as the most counted,
    when the first happened.
    """
    users = positions(requests.histories, requests.users[c.USER_ID], "row")
    found = positions(users, item_ids, "item").select(
        "row", "item", _action(users), pl.col(c.TS).dt.epoch("s"), c.TIMES
    )
    table = found.cast(pl.Int64).to_numpy()
    repeated = (table[1:, :2] == table[:-1, :2]).all(axis=1)
    fresh = np.flatnonzero(np.concatenate([np.ones(min(1, len(table)), np.bool_), ~repeated]))
    rows, steps = table[fresh, 0], table[fresh, 1:]
    if len(fresh):
        for kind in (ACTION, TIMES):
            steps[:, kind] = np.maximum.reduceat(table[:, 1 + kind], fresh)
    return np.split(steps, np.searchsorted(rows, np.arange(1, requests.height)))


def _action(histories: pl.DataFrame) -> pl.Expr:
    if c.EVENT_TYPE not in histories.columns:
        return pl.lit(0).alias("action")
    codes = {name: place + 1 for place, name in enumerate(ACTIONS)}
    return pl.col(c.EVENT_TYPE).replace_strict(codes, default=0).alias("action")


def cut(histories: list[Ints], size: int) -> list[Ints]:
    """Return windows of at most `size` steps from the newest back; each starts on the next's end.

    The shared step is input in one window and target in the other, so the item of every step but a
    user's first is a target once.
    """
    windows = []
    for history in histories:
        for end in range(len(history), 1, 1 - size):
            windows.append(history[max(0, end - size) : end])
    return windows


def owners(histories: list[Ints], size: int) -> Ints:
    """Return the place of the history that each window of `cut` is of."""
    counts = [len(range(len(history), 1, 1 - size)) for history in histories]
    return np.repeat(np.arange(len(histories)), np.array(counts, dtype=np.int64))


def usual_times(windows: list[Ints]) -> float:
    """Return how many times a step that can be a target counts in the mean; 1 without any."""
    times = [window[1:, TIMES] for window in windows]
    return float(np.concatenate(times).mean()) if times else 1.0


def later(steps: Tensor, horizon: int) -> Tensor:
    """Return for each place one of the next `horizon` steps of its row, by chance."""
    if horizon == 1:
        return steps
    real = steps[..., ITEM] != NOTHING
    places = torch.arange(steps.shape[1]).expand_as(real)
    reach = (real.sum(dim=1, keepdim=True) - places).clamp(1, horizon)
    ahead = (torch.rand(real.shape) * reach).long()
    at = (places + ahead).clamp(max=steps.shape[1] - 1)
    found = steps.gather(1, at[..., None].expand_as(steps))
    return found.masked_fill(~real[..., None], NOTHING)


def shuffled_batches(windows: list[Ints], size: int, chance: np.random.Generator) -> Iterator[Ints]:
    """Yield batches of windows of similar length, which windows and in which order by chance."""
    # Noise of a few places mixes neighbours in length; padding stays small.
    lengths = np.array([len(window) for window in windows]) + chance.uniform(0, 4, len(windows))
    order = np.argsort(lengths, kind="stable")
    groups = np.array_split(order, group_count(windows, size))
    for place in chance.permutation(len(groups)):
        if len(groups[place]):
            yield groups[place]


def group_count(windows: list[Ints], size: int) -> int:
    """Return how many batches of about `size` windows there are."""
    return max(1, round(len(windows) / size))


def batches_by_length(histories: list[Ints], size: int) -> Iterator[Ints]:
    """Yield rows of non-empty histories, shortest first, so that little is padding."""
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    for start in range(0, len(order), size):
        yield order[start : start + size]


def pad(histories: list[Ints]) -> Tensor:
    """Return the histories as one tensor, filled with `NOTHING` on the right."""
    longest = max(len(history) for history in histories)
    padded = np.full((len(histories), longest, *histories[0].shape[1:]), NOTHING, dtype=np.int64)
    for row, history in enumerate(histories):
        padded[row, : len(history)] = history
    return torch.from_numpy(padded)
