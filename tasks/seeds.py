"""Seeds of fitted tables, from (`settings.seed`, table, part)."""

from __future__ import annotations

import hashlib

from tasks.settings import Settings


def seed_of(settings: Settings, table: str, part: str = "") -> int:
    """Return a seed in [0, 2**31), the same in every process and on every machine."""
    text = f"{settings.seed}:{table}:{part}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
