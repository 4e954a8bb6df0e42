"""The network of SASRec: item embeddings, positions, pre-norm blocks of causal attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.candidates.windows import NOTHING
from tasks.settings import SASRecOptions


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

    def ends(self, padded: Tensor, items: Tensor) -> Tensor:
        """Return the state after the last item of each right-padded sequence."""
        last = (padded != NOTHING).sum(dim=1) - 1
        ends: Tensor = self(padded, items)[torch.arange(len(padded)), last]
        return ends
