"""Summary of a load: the fate of every line, and what the source does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tasks import columns as c
from tasks.landing.importers.lines import FATES, OUTSIDE


@dataclass(frozen=True)
class Summary:
    """What became of a source; `fates` add up to `lines`."""

    source: str
    files: tuple[str, ...]
    lines: int
    fates: dict[str, int]
    first: date
    last: date
    days: int
    empty_days: int
    unchanged_days: int
    corrected_days: int
    items: int
    items_not_in_catalogue: int
    customers: int
    identical_lines: int
    ignored_columns: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def imported(self) -> int:
        """Lines that became events."""
        return sum(count for fate, count in self.fates.items() if fate in c.EVENT_TYPES)

    @property
    def dropped(self) -> int:
        """Lines that became nothing, each counted under its reason."""
        return self.lines - self.imported

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (what, count, why) in the order that a person reads them."""
        kept = [
            (f"  {name}", _count(self.fates[name]), "")
            for name in c.EVENT_TYPES
            if name in self.fates
        ]
        reasons = {**FATES, OUTSIDE: "told the catalogue what the shop knew, if earlier"}
        lost = [
            (f"  {name}", _count(self.fates[name]), why)
            for name, why in reasons.items()
            if name in self.fates
        ]
        return [
            ("lines read", _count(self.lines), f"{len(self.files)} files"),
            ("imported", _count(self.imported), ""),
            *kept,
            ("not imported", _count(self.dropped), ""),
            *lost,
            (
                "identical lines",
                _count(self.identical_lines),
                "imported like any other; one event_id = a duplicate",
            ),
            ("days", _count(self.days), f"{self.first} to {self.last}"),
            ("  empty", _count(self.empty_days), "a manifest without events"),
            (
                "  unchanged",
                _count(self.unchanged_days),
                "landed before with the same rows, left alone",
            ),
            (
                "  corrected",
                _count(self.corrected_days),
                "landed before with other rows: next manifest version",
            ),
            ("items", _count(self.items), ""),
            (
                "  without catalogue row",
                _count(self.items_not_in_catalogue),
                "category unknown, no attributes",
            ),
            ("customers", _count(self.customers), ""),
            ("ignored columns", _count(len(self.ignored_columns)), ", ".join(self.ignored_columns)),
        ]

    def as_text(self) -> str:
        """Return the summary as a table, then what the source does not tell."""
        rows = self.rows()
        wide, count = (max(len(row[i]) for row in rows) for i in (0, 1))
        table = [f"{what:<{wide}}  {number:>{count}}  {why}".rstrip() for what, number, why in rows]
        return "\n".join(
            [f"source {self.source}", *table, *(f"note: {note}" for note in self.notes)]
        )


def _count(number: int) -> str:
    return f"{number:,}"
