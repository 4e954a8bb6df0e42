"""SASRec: the next item from the sequence so far (Kang and McAuley, ICDM 2018), in plain torch.

embedding(i) = own(i) + sum of the embeddings of the item's features; or made of its content alone,
               as it is or projected (`item_vectors`)
h            = causal transformer of embedding + position, pre-norm blocks, at the last place
logit(i)     = <h, embedding(i)> + bias(i), with several `interests` h for each item the best

Target: the next item (`horizon` 1), or one of the next `horizon` items by chance. The next item
belongs to the same visit; what a list is for is the next days, and targets from there measured far
better on a time split (PinnerFormer's dense all-action loss; Pancha et al., KDD 2022). Of several
interests the one nearest to the target learns from it (ComiRec; Cen et al., KDD 2020).

Losses are those of `losses`, over windows of whole histories: none is thrown away, the same item in
a row counts once. One model learns from all actions, told apart at the input or not, or from views
alone (`actions`); attention may know the time between steps (`time`). Targets count as often as
discovery counts them; what a user was shown, examined and passed over may be a negative of the
user's own (`passed_over`). `epochs` says when training ends, `checkpoints` how a killed one goes
on. Biases start at log popularity, and what sells now may differ from what sold on average, so
serving adds (not to cosines)

shift x log(share of the last 7 days / share of all days) - debias x log(share of all days),

each item with one interaction more (the second is logit adjustment; Menon et al., ICLR 2021).

Users are served from their sequence, also those who came after training. With a parent training
starts from its weights; items and features that it does not know start as in a fresh one, and as
nothing where vectors are made of content: they would lie along other axes than the parent's.

The same arguments give the same bits on one kind of machine. `device` says what trains: on CUDA,
torch refuses whatever would not repeat, chance is drawn on the CPU (dropout is not), and the
weights differ from the CPU's. The CPU serves in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks import columns as c
from tasks.candidates.checkpoints import Checkpoint, digest
from tasks.candidates.content import words
from tasks.candidates.epochs import Epoch, Training
from tasks.candidates.features import Vocabulary
from tasks.candidates.generator import (
    Curves,
    Floats,
    Generator,
    Ints,
    Known,
    Requests,
    Run,
    VectorGenerator,
    opinions,
)
from tasks.candidates.losses import loss_of
from tasks.candidates.passed_over import Drawn, drawn_by
from tasks.candidates.transformer import Network
from tasks.candidates.validation import held_out, validation_of
from tasks.candidates.windows import batches_by_length, cut, owners, pad, sequences
from tasks.errors import ContractViolation
from tasks.settings import Candidates, SASRecOptions

WEEK_DAYS = 7
SHAPE = (
    "width", "length", "blocks", "heads", "item_vectors", "actions", "time", "interests", "loss",
)  # fmt: skip
"""What the network is made by; a parent must have been made by the same."""
CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it cuBLAS does not repeat its sums, and torch refuses to call it."""


class SASRec(VectorGenerator):
    """What comes next after what the customer just did."""

    name: ClassVar[str] = "sasrec"
    reads_shown: ClassVar[bool] = True

    def __init__(
        self, item_ids: pl.Series, kinds: Vocabulary, network: Network, facts: dict[str, Any]
    ) -> None:
        """Keep the trained network, and facts: threads, shape, through, parent."""
        self.item_ids = item_ids
        self.kinds = kinds
        self.network = network.eval()
        self.facts = facts
        self.shift = np.zeros(len(item_ids), dtype=np.float32)
        self.epochs: list[Epoch] = []

    @classmethod
    def parent_version(cls, options: Candidates) -> str:
        """Return the registered version that training starts from."""
        return options.sasrec.parent

    @classmethod
    def fit(cls, known: Known, options: Candidates, run: Run) -> Self:
        """Train on every user's whole history, on `sasrec.threads` threads."""
        told = options.sasrec
        refuse_absent(told.device)
        known = replace(known, interactions=heard(known.interactions, told.actions))
        learned, later = held_out(known) if told.patience else (known, None)
        later = None if later is None else heard(later, told.actions)
        everyone, item_ids = (
            Requests(known.through, known.users, learned.interactions),
            known.item_ids(),
        )
        histories = sequences(everyone, item_ids)
        windows = cut(histories, told.length + 1)
        whose = owners(histories, told.length + 1)
        passed = drawn_by(learned, whose, item_ids, options.passed_over)
        popular, shift = popularity(everyone, item_ids)
        # Taken before training, which moves the biases in place.
        adjusted = told.shift * shift - np.float32(options.debias) * popular
        judge = None if later is None else validation_of(learned, later, item_ids, run.seed).ndcg
        with repeating(told.device), reproducible(run.seed, told.threads):
            found = cls.begun(known, options, popular)
            found.start_from(run.parent)
            name = name_of(windows, found.network.codes, told, run.seed, passed)
            loss = loss_of(told, torch.from_numpy(popular).to(told.device))
            training = Training(found.network.to(told.device), loss, told, run.seed, passed)
            training.run(windows, judge, Checkpoint(run.checkpoints and run.checkpoints / name))
        found.network.to("cpu").eval()
        found.epochs = training.epochs
        if not found.network.cosine:
            found.shift = adjusted
        return found

    @classmethod
    def begun(cls, known: Known, options: Candidates, popular: Floats) -> Self:
        """Return it untrained; `popular` are the items' log shares."""
        told, item_ids = options.sasrec, known.item_ids()
        free = told.item_vectors == "free"
        described = told.features or not free
        kinds = Vocabulary.of(known.items, options.item_features if described else ())
        codes = kinds.codes(known.items, item_ids)
        network = Network(torch.from_numpy(codes), kinds.size, told)
        if not free:
            vectors = words(codes, kinds.size, told.width)
            network.features.weight.data = torch.from_numpy(vectors)
        if not network.cosine:
            # A copy: a parent's biases are put in place, and the loss reads these shares.
            network.bias.data = torch.from_numpy(popular.copy())
        return cls(item_ids, kinds, network, facts_of(told, known.through))

    def item_vectors(self) -> Floats:
        """Return the items' embeddings and shifted biases."""
        with torch.inference_mode():
            items = self.network.items().numpy()
        return np.hstack([items, (self.network.bias.detach().numpy() + self.shift)[:, None]])

    def scores(self, requests: Requests) -> Floats:
        """Return products of the vectors, of several interests the largest."""
        interests, items = self.interest_vectors(requests), self.item_vectors().T
        products = interests[:, 0] @ items
        for number in range(1, interests.shape[1]):
            np.maximum(products, interests[:, number] @ items, out=products)
        return opinions(products)

    def user_vectors(self, requests: Requests) -> Floats:
        """Return the state after each user's last item, or the mean of the interests there.

        NaN without a known item. A mean is for pictures and classifiers: it gives no score.
        """
        mean: Floats = self.interest_vectors(requests).mean(axis=1)
        return mean

    def interest_vectors(self, requests: Requests) -> Floats:
        """Return (users, interests, width): what `user_vectors` is the mean of."""
        length = self.network.places.num_embeddings
        told = replace(requests, histories=heard(requests.histories, self.facts["actions"]))
        last = [history[-length:] for history in sequences(told, self.item_ids)]
        shape = (self.facts["interests"], self.network.places.embedding_dim)
        vectors = np.full((requests.height, shape[0], shape[1] + 1), np.nan, np.float32)
        with torch.inference_mode(), reproducible(0, self.facts["threads"]):
            items = self.network.items()
            for rows in batches_by_length(last, 256):
                padded = pad([last[row] for row in rows])
                ends = self.network.ends(padded, items).numpy()
                vectors[rows, :, :-1] = ends.reshape(len(rows), *shape)
                vectors[rows, :, -1] = 1.0
        return vectors

    def curves(self) -> Curves:
        """Return loss, pace and validation by epoch."""
        told = {
            "loss": [epoch.loss for epoch in self.epochs],
            "windows_per_second": [epoch.windows_per_second for epoch in self.epochs],
            "validation_ndcg_at_10": [
                epoch.validation for epoch in self.epochs if epoch.validation is not None
            ],
        }
        return {name: values for name, values in told.items() if values}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the network's weights, its shape, and what its rows and codes are."""
        weights = {name: value.numpy() for name, value in self.network.state_dict().items()}
        facts = {
            "item_ids": self.item_ids.to_list(),
            "columns": self.kinds.columns,
            "labels": self.kinds.labels,
        }
        return weights | {"shift": self.shift}, self.facts | facts

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Self:
        """Return the generator that gave this state."""
        weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
        shift = weights.pop("shift").numpy()
        kinds = Vocabulary(tuple(facts.pop("columns")), tuple(facts.pop("labels")))
        item_ids = pl.Series(c.ITEM_ID, facts.pop("item_ids"))
        # What was stored before an option existed was made by its default.
        shape = SASRecOptions(**{name: facts[name] for name in SHAPE if name in facts})
        facts = shape.model_dump(include=set(SHAPE)) | facts
        network = Network(weights["codes"], kinds.size, shape)
        network.load_state_dict(weights)
        found = cls(item_ids, kinds, network, facts)
        found.shift = shift
        return found

    def start_from(self, parent: Generator | None) -> None:
        """Copy a parent's weights into the untrained network.

        Raises:
            ContractViolation: the parent is no SASRec of this shape, or has learned from days after
                those that are learned from now.
        """
        if parent is None:
            return
        refuse_misfit(parent, self.facts)
        assert isinstance(parent, SASRec)
        weights = parent.network.state_dict()
        mine = self.network.state_dict()
        items = self.item_ids, parent.item_ids
        labels = [pl.Series(("", *kinds.labels)) for kinds in (self.kinds, parent.kinds)]
        unknown = mine["features.weight"] * self.network.features.weight.requires_grad
        weights["features.weight"] = inherited(unknown, weights["features.weight"], *labels)
        weights["bias"] = inherited(mine["bias"], weights["bias"], *items)
        if "own.weight" in mine:
            weights["own.weight"] = inherited(mine["own.weight"], weights["own.weight"], *items)
        self.network.load_state_dict(weights | {"codes": mine["codes"]})


def heard(interactions: pl.DataFrame, actions: str) -> pl.DataFrame:
    """Return the interactions that are read, all where their actions are not told."""
    if actions != "views" or c.EVENT_TYPE not in interactions.columns:
        return interactions
    return interactions.filter(pl.col(c.EVENT_TYPE) == c.VIEW)


def refuse_absent(device: str) -> None:
    """Refuse a device that this machine does not have."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ContractViolation("VITRINA_CANDIDATES__SASREC__DEVICE is cuda: torch finds none here")


def facts_of(options: SASRecOptions, through: date) -> dict[str, Any]:
    """Return what a stored SASRec says of itself."""
    shape = {name: getattr(options, name) for name in SHAPE}
    return {
        **shape,
        "threads": options.threads,
        "device": options.device,
        "through": str(through),
        "parent": options.parent,
    }


def name_of(
    windows: list[Ints], codes: Tensor, options: SASRecOptions, seed: int, passed: Drawn | None
) -> str:
    """Return the name of a training's checkpoint: all that its result depends on."""
    lengths = np.array([len(window) for window in windows], dtype=np.int64)
    steps = np.concatenate([*windows, np.zeros((0, 4), dtype=np.int64)])
    data = (array.tobytes() for array in (lengths, steps, codes.numpy()))
    told = f"{options.model_dump_json()} {seed}".encode()
    drawn = passed.content() if passed else ()
    return f"sasrec-{digest(*data, told, *drawn)}.safetensors"


def refuse_misfit(parent: Generator, facts: dict[str, Any]) -> None:
    """Refuse a parent of another shape, or one that knows what is to be foretold."""
    if not isinstance(parent, SASRec):
        raise ContractViolation(f"sasrec cannot start from {parent.name}")
    if wrong := [name for name in SHAPE if parent.facts[name] != facts[name]]:
        theirs, ours = (", ".join(f"{n} {of[n]}" for n in wrong) for of in (parent.facts, facts))
        raise ContractViolation(f"the parent of sasrec has {theirs}; the settings say {ours}")
    if parent.facts["through"] > facts["through"]:
        raise ContractViolation(
            f"the parent of sasrec learned through {parent.facts['through']}, what is fitted now"
            f" ends with {facts['through']}: it would be judged by what it has seen"
        )


def inherited(mine: Tensor, theirs: Tensor, names: pl.Series, parents: pl.Series) -> Tensor:
    """Return rows of `mine`, those that the parent has too as the parent has them."""
    place = {name: row for row, name in enumerate(parents)}
    both = [(row, place[name]) for row, name in enumerate(names) if name in place]
    found = mine.clone()
    found[[row for row, _ in both]] = theirs[[row for _, row in both]]
    return found


def popularity(requests: Requests, item_ids: pl.Series) -> tuple[Floats, Floats]:
    """Return the items' log shares of all days, and how much the last 7 days differ."""
    _, items, _, age_days, _ = requests.encoded(item_ids)
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


@contextmanager
def repeating(device: str) -> Iterator[None]:
    """Let CUDA repeat what it computes, where it is what trains, and put everything back."""
    if device != "cuda":
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    os.environ.setdefault(*CUBLAS)
    # Fused attention adds its gradients up in any order.
    with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
        yield
