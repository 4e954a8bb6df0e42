"""The training of SASRec, epoch by epoch: early stopping, checkpoints, pace.

With `patience` p the training ends p epochs after the best validation, and the weights of the best
epoch stay; with 0 it takes all its epochs and keeps the last.

Targets count as often as discovery says, and each window may have negatives of its own, which its
user passed over; where neither is asked for, nothing more is drawn or computed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.candidates.adam import Adam
from tasks.candidates.checkpoints import Arrays, Checkpoint
from tasks.candidates.generator import Ints
from tasks.candidates.losses import NOTHING_BESIDE, Beside, Loss
from tasks.candidates.passed_over import Drawn
from tasks.candidates.transformer import Network, nearest
from tasks.candidates.windows import (
    ITEM,
    NOTHING,
    TIMES,
    group_count,
    later,
    pad,
    shuffled_batches,
    usual_times,
)
from tasks.settings import SASRecOptions

log = logging.getLogger(__name__)

Judge = Callable[[Network], float]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; `validation` is NDCG@10 of held-out items, if any are held out."""

    number: int
    loss: float
    seconds: float
    windows_per_second: float
    validation: float | None = None


class Training:
    """A network, its optimiser and chance, and what its epochs came to."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        options: SASRecOptions,
        seed: int,
        passed: Drawn | None = None,
    ) -> None:
        """Start before the first epoch; `passed` is what windows' users passed over."""
        self.network = network
        self._passed = passed
        self.epochs: list[Epoch] = []
        self._loss = loss
        self._options = options
        learned = [each for each in network.parameters() if each.requires_grad]
        self._adam = Adam(learned, options.learning_rate)
        self._chance = np.random.default_rng(seed)
        self._on_gpu = network.bias.is_cuda
        self._best = self._weights()

    def run(self, windows: list[Ints], judge: Judge | None, checkpoint: Checkpoint) -> None:
        """Train to the end, or from the checkpoint to the same end."""
        if stored := checkpoint.read():
            self._restore(*stored)
        total = epoch_count(windows, self._options)
        while len(self.epochs) < total and not self._is_over():
            self._one_epoch(windows, judge)
            log.info("%s", told(self.epochs, total))
            checkpoint.write(*self._state())
        if judge:
            self.network.load_state_dict(self._best)
        checkpoint.remove()

    def _one_epoch(self, windows: list[Ints], judge: Judge | None) -> None:
        started = time.monotonic()
        loss = self._mean_loss(windows)
        trained = max(time.monotonic() - started, 1e-9)
        validation = judge(self.network.eval()) if judge else None
        seconds, pace = time.monotonic() - started, len(windows) / trained
        self.epochs.append(Epoch(len(self.epochs) + 1, loss, seconds, pace, validation))
        if judge and self.epochs[-1] == best(self.epochs):
            self._best = self._weights()

    def _mean_loss(self, windows: list[Ints]) -> float:
        losses, usual = [], usual_times(windows)
        self.network.train()
        for rows in shuffled_batches(windows, self._options.batch, self._chance):
            padded = pad([windows[row] for row in rows])
            by = self._passed
            passed = (by.draw(rows), by.weight) if by else None
            horizon = self._options.horizon
            loss = batch_loss(self.network, padded, self._loss, horizon, usual, passed)
            loss.backward()
            self._adam.step()
            losses.append(loss.item())
        return float(np.mean(losses)) if losses else 0.0

    def _is_over(self) -> bool:
        since = len(self.epochs) - (best(self.epochs).number if self.epochs else 0)
        return 0 < self._options.patience <= since

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.network.state_dict().items()}

    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        tensors = {f"now.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors |= {f"adam.{place}": value for place, value in enumerate(self._adam.state())}
        tensors["chance"] = torch.get_rng_state()
        if self._on_gpu:
            tensors["dropout"] = torch.cuda.get_rng_state()
        facts = {
            "chance": self._chance.bit_generator.state,
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }
        return {name: value.cpu().numpy() for name, value in tensors.items()}, facts

    def _restore(self, arrays: Arrays, facts: dict[str, Any]) -> None:
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        self.network.load_state_dict(_named(tensors, "now."))
        self._best = _named(tensors, "best.")
        adam = _named(tensors, "adam.")
        self._adam.restore([adam[str(place)] for place in range(len(adam))])
        torch.set_rng_state(tensors["chance"])
        if self._on_gpu:
            torch.cuda.set_rng_state(tensors["dropout"])
        self._chance.bit_generator.state = facts["chance"]
        self.epochs = [Epoch(**epoch) for epoch in facts["epochs"]]


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def epoch_count(windows: list[Ints], options: SASRecOptions) -> int:
    """Return how many epochs there are at most: a small shop gets as many as `min_steps` asks."""
    return max(options.epochs, -(-options.min_steps // group_count(windows, options.batch)))


def best(epochs: list[Epoch]) -> Epoch:
    """Return the epoch with the best validation, of equal ones the first; without any, the last."""
    if epochs[-1].validation is None:
        return epochs[-1]
    return max(epochs, key=lambda epoch: (epoch.validation or 0.0, -epoch.number))


def told(epochs: list[Epoch], total: int) -> str:
    """Return what the log says after an epoch: loss, validation, pace and expected end."""
    last = epochs[-1]
    pace = sum(epoch.seconds for epoch in epochs) / len(epochs)
    judged = "" if last.validation is None else f", validation NDCG@10 {last.validation:.4f}"
    return (
        f"sasrec: epoch {last.number} of {total}, loss {last.loss:.4f}{judged},"
        f" {last.windows_per_second:,.0f} windows a second, {pace:.1f} s each,"
        f" {pace * (total - last.number):.0f} s to go"
    )


def batch_loss(
    network: Network,
    padded: Tensor,
    loss: Loss,
    horizon: int,
    usual: float = 1.0,
    passed: tuple[Tensor, float] | None = None,
) -> Tensor:
    """Return the mean loss of the later items of a batch, each by the interest nearest to it.

    Args:
        network: what is trained.
        padded: the batch's windows.
        loss: of states and targets.
        horizon: how far ahead a target may lie.
        usual: how many times a target counts in the mean; 1: all count once.
        passed: (windows, drawn) places of what was passed over, and what they weigh.
    """
    items, device = network.items(), network.bias.device
    # What is drawn by chance is drawn on the CPU, so that it is the same on every device.
    wanted = later(padded[:, 1:], horizon)
    targets = wanted[..., ITEM].to(device)
    real = targets != NOTHING
    states, sought = network(padded[:, :-1].to(device), items)[real], targets[real]
    if network.interests is not None:
        states = nearest(states, items[sought])
    beside = beside_of(wanted, usual, passed, device)
    return loss(states, sought, items, network.bias, beside=beside)


def beside_of(
    wanted: Tensor, usual: float, passed: tuple[Tensor, float] | None, device: torch.device
) -> Beside:
    """Return what is known of a batch's targets beside them, a row each."""
    if usual == 1 and passed is None:
        return NOTHING_BESIDE
    real = wanted[..., ITEM] != NOTHING
    counts = (wanted[..., TIMES][real] / usual).to(device) if usual != 1 else None
    if passed is None:
        return Beside(counts)
    places, weight = passed
    # Each target of a window has the window's draws.
    rows = torch.arange(len(wanted))[:, None].expand_as(real)[real]
    return Beside(counts, places[rows].to(device), weight)
