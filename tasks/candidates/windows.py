"""Histories as sequences of item places, cut into windows and put into batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tasks.candidates.generator import Ints, Requests

NOTHING = -1


def sequences(requests: Requests, item_ids: pl.Series) -> list[Ints]:
    """Return each user's items in order; the same item in a row counts once."""
    rows, items, *_ = requests.encoded(item_ids)
    repeated = (rows[1:] == rows[:-1]) & (items[1:] == items[:-1])
    fresh = np.concatenate([np.ones(min(1, len(rows)), np.bool_), ~repeated])
    starts = np.searchsorted(rows[fresh], np.arange(1, requests.height))
    return np.split(items[fresh], starts)


def cut(histories: list[Ints], size: int) -> list[Ints]:
    """Return windows of at most `size` items from the newest back; each starts on the next's end.

    The shared item is input in one window and target in the other, so every item but a user's
    first is a target once.
    """
    windows = []
    for history in histories:
        for end in range(len(history), 1, 1 - size):
            windows.append(history[max(0, end - size) : end])
    return windows


def later(targets: Tensor, horizon: int) -> Tensor:
    """Return for each place one of the next `horizon` targets of its row, by chance."""
    if horizon == 1:
        return targets
    real = targets != NOTHING
    places = torch.arange(targets.shape[1]).expand_as(targets)
    reach = (real.sum(dim=1, keepdim=True) - places).clamp(1, horizon)
    steps = (torch.rand(targets.shape) * reach).long()
    return targets.gather(1, (places + steps).clamp(max=targets.shape[1] - 1)).masked_fill(
        ~real, NOTHING
    )


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
    padded = np.full((len(histories), longest), NOTHING, dtype=np.int64)
    for row, history in enumerate(histories):
        padded[row, : len(history)] = history
    return torch.from_numpy(padded)
