"""Random numbers by key: the same (seed, stream, keys) gives the same number, in any order.

bits = mix(... mix(mix(seed) ^ mix(key_1 + c)) ...), mix = the finaliser of SplitMix64 (Steele, Lea
and Flood 2014). No generator is carried, so two policies that show a person the same list meet the
same answer (common random numbers), and days may be replayed or continued to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Key = Ints | int

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_HALF_WORDS = tuple(np.uint64(shift) for shift in (0, 16, 32, 48))


class Stream(IntEnum):
    """What a number decides; numbers of different streams are independent."""

    ITEM_CATEGORY = auto()
    ITEM_VALUE = auto()
    ITEM_MISSING = auto()
    ITEM_PRICE = auto()
    ITEM_APPEAL = auto()
    ITEM_QUALITY = auto()
    ITEM_RATING = auto()
    ITEM_SELLER = auto()
    ITEM_FIRST_SEEN = auto()
    ITEM_STOCK = auto()
    ITEM_CITY_STOCK = auto()
    ITEM_DISCOUNT = auto()
    ROTATION = auto()
    VALUE_VECTOR = auto()
    CUSTOMER = auto()
    CUSTOMER_VECTOR = auto()
    CUSTOMER_SIZE = auto()
    TASTE = auto()
    TRAIT = auto()
    SESSIONS = auto()
    BURST = auto()
    START = auto()
    LENGTH = auto()
    PLATFORM = auto()
    INTENT = auto()
    STYLE = auto()
    REQUEST = auto()
    QUERY = auto()
    ORDERING = auto()
    SHUFFLE = auto()
    EXPLORE = auto()
    EXAMINE = auto()
    VIEW = auto()
    CART = auto()
    FAVORITE = auto()
    ORDER = auto()
    ORDER_DELAY = auto()
    RETURN = auto()
    DWELL = auto()
    MOMENT = auto()
    REVISIT = auto()
    MAILING = auto()
    RECEIPT = auto()
    DUPLICATE = auto()
    ACCOUNT = auto()
    TRUTH_SAMPLE = auto()
    OWN_IMPORTANCE = auto()
    HIDDEN_ITEM = auto()
    HIDDEN_CUSTOMER = auto()
    STOP = auto()
    CHOICE = auto()
    FAULT = auto()
    QUANTITY = auto()


def _mixed(bits: Bits) -> Bits:
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


@dataclass(frozen=True)
class Draws:
    """Numbers of one seed."""

    seed: int

    def bits(self, stream: Stream, *keys: Key) -> Bits:
        """Return 64 random bits per key; keys broadcast against each other."""
        # Arrays, never scalars: numpy warns when a scalar overflows, as this arithmetic must.
        bits = _mixed(
            np.array([self.seed], dtype=np.uint64) + _GOLDEN * np.array([stream], np.uint64)
        )
        for key in keys:
            part = np.atleast_1d(np.asarray(key, dtype=np.int64)).astype(np.uint64)
            bits = _mixed((bits ^ part) + _GOLDEN)
        return bits

    def uniform(self, stream: Stream, *keys: Key) -> Floats:
        """Return numbers in [0, 1)."""
        return (self.bits(stream, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normal(self, stream: Stream, *keys: Key) -> Floats:
        """Return nearly normal numbers of mean 0 and variance 1: four uniforms (Irwin-Hall)."""
        bits = self.bits(stream, *keys)
        total = np.zeros(bits.shape)
        for shift in _HALF_WORDS:
            total += ((bits >> shift) & np.uint64(0xFFFF)) * 2.0**-16
        return (total - 2.0 + 2.0**-15) * float(np.sqrt(3.0))

    def gumbel(self, stream: Stream, *keys: Key) -> Floats:
        """Return Gumbel numbers: added to scores, they draw in proportion to exp(score)."""
        numbers: Floats = -np.log(-np.log(self.uniform(stream, *keys) + 2.0**-54))
        return numbers

    def choice(self, cumulative: Floats, stream: Stream, *keys: Key) -> Ints:
        """Return an index per key, drawn by `cumulative`, the running sum of a distribution."""
        drawn = np.searchsorted(cumulative, self.uniform(stream, *keys), side="right")
        return np.minimum(drawn, len(cumulative) - 1).astype(np.int64)


def logistic(log_odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-log_odds))


def zipf_cumulative(count: int, exponent: float) -> Floats:
    """Return the running sum of shares in proportion to rank ** -exponent."""
    shares = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return np.cumsum(shares / shares.sum())
