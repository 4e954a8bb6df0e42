"""Summary of a load: the fate of every line, and what the source does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tasks import columns as c
from tasks.landing.importers.lines import FATES, OUTSIDE

Row = tuple[str, int, str]


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

    def rows(self) -> list[Row]:
        """Return (what, how many, why) in the order that a person reads them."""
        return [*self._line_rows(), *self._day_rows(), *self._catalogue_rows()]

    def _line_rows(self) -> list[Row]:
        reasons = {**FATES, OUTSIDE: "earlier ones still tell the catalogue what the shop knew"}
        return [
            ("lines read", self.lines, f"{len(self.files)} files"),
            ("imported", self.imported, ""),
            *self._fate_rows(dict.fromkeys(c.EVENT_TYPES, "")),
            ("not imported", self.dropped, ""),
            *self._fate_rows(reasons),
            ("identical lines", self.identical_lines, "imported; ingest counts equal event_ids"),
        ]

    def _fate_rows(self, reasons: dict[str, str]) -> list[Row]:
        found = [(name, why) for name, why in reasons.items() if name in self.fates]
        return [(f"  {name}", self.fates[name], why) for name, why in found]

    def _day_rows(self) -> list[Row]:
        return [
            ("days", self.days, f"{self.first} to {self.last}"),
            ("  empty", self.empty_days, "a manifest without events"),
            ("  unchanged", self.unchanged_days, "landed before with the same rows, left alone"),
            ("  corrected", self.corrected_days, "landed before with others: next version"),
        ]

    def _catalogue_rows(self) -> list[Row]:
        ignored = ", ".join(self.ignored_columns)
        return [
            ("items", self.items, ""),
            ("  not in catalogue", self.items_not_in_catalogue, "category unknown, no attributes"),
            ("customers", self.customers, ""),
            ("ignored columns", len(self.ignored_columns), ignored),
        ]

    def as_text(self) -> str:
        """Return the summary as a table, then what the source does not tell."""
        rows = [(what, f"{number:,}", why) for what, number, why in self.rows()]
        wide, count = (max(len(row[i]) for row in rows) for i in (0, 1))
        table = [f"{what:<{wide}}  {number:>{count}}  {why}".rstrip() for what, number, why in rows]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([f"source {self.source}", *table, *notes])
