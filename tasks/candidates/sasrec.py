"""SASRec: the next item from the sequence so far (Kang and McAuley, ICDM 2018), in plain torch.

embedding(i) = own(i) + sum of the embeddings of the item's features
h            = causal transformer of embedding + position, pre-norm blocks, at the last place
logit(i)     = <h, embedding(i)> + bias(i)

Target: the next item (`horizon` 1), or one of the next `horizon` items by chance. The next item
belongs to the same visit; what a list is for is the next days, and targets from there measured far
better on a time split (PinnerFormer's dense all-action loss; Pancha et al., KDD 2022).

Loss: cross-entropy over the whole catalogue; over the target and `negatives` uniform items shared
by the batch once the catalogue exceeds `full_softmax_items` (their logits corrected by the log of
how often each is drawn). Histories are cut into windows of `length`, none is thrown away; the same
item in a row counts once. Biases start at log popularity, and what sells now may differ from what
sold on average, so serving adds

shift x log(share of the last 7 days / share of all days), each item with one interaction more.

Users are served from their sequence, also those who came after training.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tasks import columns as c
from tasks.candidates.features import Vocabulary
from tasks.candidates.generator import Floats, Ints, Known, Requests, VectorGenerator
from tasks.settings import Candidates, SASRecOptions

log = logging.getLogger(__name__)
WEEK_DAYS = 7
NOTHING = -1
BETAS = (0.9, 0.98)


class Block(nn.Module):
    """One pre-norm transformer block: causal attention, then a feed-forward layer."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make a block of this width."""
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.before_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return x after attention to earlier places and the feed-forward layer."""
        x = x + self.dropout(self.project(self.attention(self.before_attention(x))))
        return x + self.dropout(self.feed(self.before_feed(x)))

    def attention(self, x: Tensor) -> Tensor:
        """Return each place's mean of earlier values, heads side by side."""
        batch, length, width = x.shape
        split = (batch, length, 3, self.heads, width // self.heads)
        query, key, value = self.attend(x).view(split).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, length, width)


class Network(nn.Module):
    """Item embeddings, positions, blocks; scores are products with the same item embeddings."""

    def __init__(self, codes: Tensor, code_count: int, options: SASRecOptions) -> None:
        """Make the layers for a catalogue with these feature codes (items, columns), 0: none."""
        super().__init__()
        self.register_buffer("codes", codes)
        self.own = nn.Embedding(len(codes), options.width)
        self.features = nn.Embedding(code_count, options.width, padding_idx=0)
        self.places = nn.Embedding(options.length, options.width)
        self.bias = nn.Parameter(torch.zeros(len(codes)))
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.ModuleList(
            Block(options.width, options.heads, options.dropout) for _ in range(options.blocks)
        )
        self.norm = nn.LayerNorm(options.width)
        for table in (self.own, self.features, self.places):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.features.weight[0])

    def items(self) -> Tensor:
        """Return the embeddings of the whole catalogue."""
        return self.own.weight + self.features(self.codes).sum(dim=1)

    def forward(self, sequences: Tensor, items: Tensor) -> Tensor:
        """Return the state after each place of right-padded sequences of item places."""
        x = items[sequences.clamp(min=0)] * items.shape[1] ** 0.5
        x = self.dropout(x + self.places.weight[: sequences.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Adam:
    """Adam (Kingma and Ba, 2015) with SASRec's betas.

    torch's own imports its compiler at the first step: 3 CPU seconds, as much as a small epoch.
    """

    def __init__(self, parameters: list[Tensor], learning_rate: float) -> None:
        """Start both moments at 0."""
        self._parameters = parameters
        self._learning_rate = learning_rate
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient and forget the gradients."""
        self._steps += 1
        gradients = [parameter.grad for parameter in self._parameters]
        torch._foreach_lerp_(self._means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(self._squares, BETAS[1])
        torch._foreach_addcmul_(self._squares, gradients, gradients, 1 - BETAS[1])
        scales = torch._foreach_div(self._squares, 1 - BETAS[1] ** self._steps)
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, 1e-8)
        step = -self._learning_rate / (1 - BETAS[0] ** self._steps)
        torch._foreach_addcdiv_(self._parameters, self._means, scales, step)
        for parameter in self._parameters:
            parameter.grad = None


class SASRec(VectorGenerator):
    """What comes next after what the customer just did."""

    name: ClassVar[str] = "sasrec"

    def __init__(self, item_ids: pl.Series, network: Network, shift: Floats, threads: int) -> None:
        """Keep the trained network and what serving adds to its biases."""
        self.item_ids = item_ids
        self._network = network.eval()
        self._shift = shift
        self._threads = threads

    @classmethod
    def fit(cls, known: Known, options: Candidates, seed: int, threads: int) -> Self:
        """Train from scratch on every user's whole history, on `sasrec.threads` threads."""
        item_ids = known.item_ids()
        kinds = Vocabulary.of(known.items, options.item_features if options.sasrec.features else ())
        codes = torch.from_numpy(kinds.codes(known.items, item_ids))
        everyone = Requests(known.through, known.users, known.interactions)
        windows = cut(sequences(everyone, item_ids), options.sasrec.length + 1)
        popular, shift = popularity(everyone, item_ids)
        with reproducible(seed, options.sasrec.threads):
            network = Network(codes, kinds.size, options.sasrec)
            network.bias.data = torch.from_numpy(popular)
            train(network, windows, options.sasrec, seed)
        return cls(item_ids, network, options.sasrec.shift * shift, options.sasrec.threads)

    def item_vectors(self) -> Floats:
        """Return the items' embeddings and shifted biases."""
        with torch.inference_mode():
            items = self._network.items().numpy()
        return np.hstack([items, (self._network.bias.detach().numpy() + self._shift)[:, None]])

    def user_vectors(self, requests: Requests) -> Floats:
        """Return the state after each user's last item; NaN without a known item."""
        length = self._network.places.num_embeddings
        last = [history[-length:] for history in sequences(requests, self.item_ids)]
        vectors = np.full(
            (requests.height, self._network.own.embedding_dim + 1), np.nan, np.float32
        )
        with torch.inference_mode(), reproducible(0, self._threads):
            items = self._network.items()
            for rows in batches_by_length(last, 256):
                padded = pad([last[row] for row in rows])
                states = self._network(padded, items)
                ends = (padded != NOTHING).sum(dim=1) - 1
                vectors[rows, :-1] = states[torch.arange(len(rows)), ends].numpy()
                vectors[rows, -1] = 1.0
        return vectors

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the network's weights and what its shape and rows are."""
        weights = {name: value.numpy() for name, value in self._network.state_dict().items()}
        blocks = self._network.blocks
        facts = {
            "item_ids": self.item_ids.to_list(),
            "threads": self._threads,
            "width": self._network.own.embedding_dim,
            "length": self._network.places.num_embeddings,
            "blocks": len(blocks),
            "heads": blocks[0].heads,
        }
        return weights | {"shift": self._shift}, facts

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        shape = {name: facts[name] for name in ("width", "length", "blocks", "heads")}
        weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
        shift = weights.pop("shift").numpy()
        features = weights["features.weight"].shape[0]
        network = Network(weights["codes"], features, SASRecOptions(**shape))
        network.load_state_dict(weights)
        return cls(pl.Series(c.ITEM_ID, facts["item_ids"]), network, shift, facts["threads"])


def sequences(requests: Requests, item_ids: pl.Series) -> list[Ints]:
    """Return each user's items in order; the same item in a row counts once."""
    rows, items, _, _ = requests.encoded(item_ids)
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


def popularity(requests: Requests, item_ids: pl.Series) -> tuple[Floats, Floats]:
    """Return the items' log shares of all days, and how much the last 7 days differ."""
    _, items, _, age_days = requests.encoded(item_ids)
    always = np.bincount(items, minlength=len(item_ids)) + 1.0
    week = np.bincount(items[age_days < WEEK_DAYS], minlength=len(item_ids)) + 1.0
    log_share = np.log(always / always.sum())
    shift = np.log(week / week.sum()) - log_share
    return log_share.astype(np.float32), shift.astype(np.float32)


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seed torch, fix its threads and its algorithms, and put everything back.

    `use_deterministic_algorithms` sets the same flag, but imports torch's compiler: 10 CPU seconds.
    """
    threads_before, mode_before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    # Nothing here reads memory before writing it; filling it first costs 7% of an epoch.
    torch.utils.deterministic.fill_uninitialized_memory = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("error")
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.set_deterministic_debug_mode(mode_before)


def train(network: Network, windows: list[Ints], options: SASRecOptions, seed: int) -> None:
    """Fit the network in place by Adam, logging each epoch with its pace and expected end."""
    optimizer = Adam(list(network.parameters()), options.learning_rate)
    chance = np.random.default_rng(seed)
    epochs = max(options.epochs, -(-options.min_steps // group_count(windows, options.batch)))
    started = time.monotonic()
    network.train()
    for epoch in range(1, epochs + 1):
        loss = mean_loss(network, windows, options, optimizer, chance)
        pace = (time.monotonic() - started) / epoch
        log.info(
            "sasrec: epoch %d of %d, loss %.4f, %.1f s each, %.0f s to go",
            *(epoch, epochs, loss, pace, pace * (epochs - epoch)),
        )


def mean_loss(
    network: Network,
    windows: list[Ints],
    options: SASRecOptions,
    optimizer: Adam,
    chance: np.random.Generator,
) -> float:
    """Return the mean loss of one epoch, whose steps it takes."""
    losses = []
    for rows in shuffled_batches(windows, options.batch, chance):
        padded = pad([windows[row] for row in rows])
        loss = batch_loss(network, padded, options)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses)) if losses else 0.0


def batch_loss(network: Network, padded: Tensor, options: SASRecOptions) -> Tensor:
    """Return the mean cross-entropy of the later items of a batch."""
    items = network.items()
    inputs, targets = padded[:, :-1], later(padded[:, 1:], options.horizon)
    real = targets != NOTHING
    states, wanted = network(inputs, items)[real], targets[real]
    if len(items) <= options.full_softmax_items:
        return functional.cross_entropy(states @ items.T + network.bias, wanted)
    return sampled_loss(states, wanted, items, network.bias, options.negatives)


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


def sampled_loss(states: Tensor, wanted: Tensor, items: Tensor, bias: Tensor, count: int) -> Tensor:
    """Return cross-entropy over the target and `count` uniform items that the batch shares."""
    drawn = torch.randint(len(items), (count,))
    positive = (states * items[wanted]).sum(dim=1) + bias[wanted]
    negative = states @ items[drawn].T + bias[drawn] + np.log(len(items) / count)
    negative = negative.masked_fill(drawn == wanted[:, None], -torch.inf)
    return (torch.logsumexp(torch.hstack([positive[:, None], negative]), dim=1) - positive).mean()


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
