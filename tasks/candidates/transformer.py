"""The network of SASRec: item embeddings, positions, pre-norm blocks of causal attention.

Four parts are there only where the settings ask for them:

actions   an embedding of what was done, added to the item's (`actions` = input)
gaps      b(head, floor(log2(1 + seconds between two steps))), added to what each head's attention
          weighs the earlier step by (`time`): the relative time bias of HSTU (Zhai et al., ICML
          2024); one table for all blocks, and how long ago the last step was is not told
content   an item is the sum of its features' embeddings, which are given and never move, scaled to
          length 1, through a learned matrix (`item_vectors` = projected) or as it is (frozen)
interests several vectors after each step instead of one state (`interests` above 1): means of the
          states so far, each weighted in its own way, whatever the place (ComiRec-SA; Cen et al.,
          KDD 2020, which weighs the items' embeddings; here it is what the blocks made of them)

Actions and gaps begin at 0: before training they change nothing. Under the cosine loss items and
states have length 1, so that the product of the two is their cosine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.candidates.windows import ACTION, ACTIONS, ITEM, NOTHING, SECONDS
from tasks.settings import SASRecOptions

GAPS = 32
"""The last one begins at 68 years."""


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

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return x after attention to earlier places and the feed-forward layer."""
        x = x + self.dropout(self.project(self.attention(self.before_attention(x), bias)))
        return x + self.dropout(self.feed(self.before_feed(x)))

    def attention(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return each place's mean of earlier values, heads side by side.

        A bias (batch, heads, places, places) is added to the attention; it must hide later places.
        """
        batch, length, width = x.shape
        split = (batch, length, 3, self.heads, width // self.heads)
        query, key, value = self.attend(x).view(split).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, is_causal=bias is None
        )
        return mixed.transpose(1, 2).reshape(batch, length, width)


class Interests(nn.Module):
    """Means of the states so far: weights are a softmax of <w(interest), tanh(W state)>."""

    def __init__(self, width: int, count: int) -> None:
        """Make the layers of `count` interests."""
        super().__init__()
        self.read = nn.Linear(width, 4 * width, bias=False)
        self.weigh = nn.Linear(4 * width, count, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Return (batch, places, interests, width) of (batch, places, width)."""
        told = self.weigh(torch.tanh(self.read(states))).transpose(1, 2)[:, :, None]
        places = states.shape[1]
        later = torch.ones(places, places, dtype=torch.bool, device=states.device).triu(1)
        weights = told.expand(-1, -1, places, -1).masked_fill(later, -torch.inf).softmax(dim=3)
        return (weights @ states[:, None]).transpose(1, 2)


class Network(nn.Module):
    """Item embeddings, positions, blocks; scores are products with the same item embeddings."""

    codes: Tensor

    def __init__(self, codes: Tensor, code_count: int, options: SASRecOptions) -> None:
        """Make the layers for a catalogue with these feature codes (items, columns), 0: none."""
        super().__init__()
        width, free = options.width, options.item_vectors == "free"
        self.register_buffer("codes", codes)
        self.own = nn.Embedding(len(codes), width) if free else None
        self.features = nn.Embedding(code_count, width, padding_idx=0)
        self.places = nn.Embedding(options.length, width)
        self.bias = nn.Parameter(torch.zeros(len(codes)))
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.ModuleList(
            Block(width, options.heads, options.dropout) for _ in range(options.blocks)
        )
        self.norm = nn.LayerNorm(width)
        for table in (self.own, self.features, self.places):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.features.weight[0])
        projected = options.item_vectors == "projected"
        self.project = nn.Linear(width, width, bias=False) if projected else nn.Identity()
        self.actions = zeros(1 + len(ACTIONS), width) if options.actions == "input" else None
        self.gaps = zeros(GAPS, options.heads) if options.time else None
        self.interests = Interests(width, options.interests) if options.interests > 1 else None
        self.cosine = options.loss == "cosine"
        self.features.weight.requires_grad_(free)
        self.bias.requires_grad_(not self.cosine)

    def items(self) -> Tensor:
        """Return the embeddings of the whole catalogue."""
        told = self.features(self.codes).sum(dim=1)
        if self.own is None:
            items = self.project(functional.normalize(told, dim=1))
        else:
            items = self.own.weight + told
        return functional.normalize(items, dim=1) if self.cosine else items

    def forward(self, steps: Tensor, items: Tensor) -> Tensor:
        """Return the state after each place of right-padded sequences of steps, or its interests.

        They are (batch, places, width), or (batch, places, interests, width).
        """
        places = steps[..., ITEM].clamp(min=0)
        x = items[places] * items.shape[1] ** 0.5
        if self.actions is not None:
            x = x + functional.embedding(steps[..., ACTION].clamp(min=0), self.actions)
        x = self.dropout(x + self.places.weight[: places.shape[1]])
        bias = None if self.gaps is None else time_bias(steps[..., SECONDS], self.gaps)
        for block in self.blocks:
            x = block(x, bias)
        states: Tensor = self.norm(x)
        if self.interests is not None:
            states = self.interests(states)
        return functional.normalize(states, dim=-1) if self.cosine else states

    def ends(self, padded: Tensor, items: Tensor) -> Tensor:
        """Return the state, or interests, after the last step of each right-padded sequence."""
        last = (padded[..., ITEM] != NOTHING).sum(dim=1) - 1
        ends: Tensor = self(padded, items)[torch.arange(len(padded), device=last.device), last]
        return ends


def products(states: Tensor, items: Tensor) -> Tensor:
    """Return (users, items): of a user's several interests the largest product."""
    found = states @ items.T
    return found if states.dim() == 2 else found.amax(dim=1)  # noqa: PLR2004 (users, width)


def nearest(interests: Tensor, targets: Tensor) -> Tensor:
    """Return of each row the interest whose product with the row's target is the largest."""
    chosen = (interests * targets[:, None]).sum(dim=2).argmax(dim=1)
    return interests[torch.arange(len(chosen), device=chosen.device), chosen]


def zeros(rows: int, width: int) -> nn.Parameter:
    """Return a table to be learned that says nothing yet; it draws nothing by chance."""
    return nn.Parameter(torch.zeros(rows, width))


def time_bias(seconds: Tensor, gaps: Tensor) -> Tensor:
    """Return what each head (batch, heads, places, places) adds to its attention; later: never."""
    apart = (seconds[:, :, None] - seconds[:, None, :]).clamp(min=0)
    bucket = (apart.double() + 1).log2().long().clamp(max=len(gaps) - 1)
    bias = functional.embedding(bucket, gaps).permute(0, 3, 1, 2)
    return bias.masked_fill(torch.ones_like(bucket[0], dtype=torch.bool).triu(1), -torch.inf)
