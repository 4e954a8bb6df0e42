"""Importers: outside data mapped to landing days by declared mappings."""

from __future__ import annotations

from tasks.landing.importers.load import load
from tasks.landing.importers.registry import IMPORTERS

__all__ = ["IMPORTERS", "load"]
