"""A result page: sections of one table, one figure and notes, as text and as HTML.

Absent data are a section too: its notes say what is absent and why, so that a page never hides a
gap and never fails on one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import polars as pl

from tasks.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE_FOLDER = Path(__file__).parent
TEMPLATE = "page.html.j2"
MAX_ROWS = 60
NOTHING = "-"
OF_ITS_OWNER = 0o600
MARKED = ("missing", "failed", "stale", "superseded", "none")
"""Cells that the page colours."""


@dataclass(frozen=True)
class Section:
    """One part of the page; `table` is shown as it is, in its order, at most MAX_ROWS rows.

    `code` keeps its lines and blanks.
    """

    title: str
    table: pl.DataFrame | None = None
    figure: Figure | None = None
    notes: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Page:
    """A day's result; `headline` is what a hurried reader takes away, `subject` whose result."""

    day: date
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    subject: str = "Vitrina"

    @property
    def title(self) -> str:
        """What the browser's tab and the first line say."""
        return f"{self.subject}, {self.day:%d %B %Y}"


def cell(value: object) -> str:
    """Return one value as a person reads it: thousands apart, four significant digits, no nulls.

    >>> cell(1234567), cell(0.123456), cell(None), cell(True)
    ('1,234,567', '0.1235', '-', 'yes')
    """
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return _decimal(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def _decimal(value: float) -> str:
    if value == 0 or 1e-4 <= abs(value) < 1e4:  # noqa: PLR2004 (outside it, exponents read better)
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) < 1e9 and abs(value) >= 1 else f"{value:.2e}"  # noqa: PLR2004


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return `0.312 [0.305, 0.319]`, or the value alone where no interval is known."""
    if value is None:
        return NOTHING
    if low is None or high is None:
        return f"{value:.4f}" if abs(value) < 10 else _decimal(value)  # noqa: PLR2004 (of a rate)
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def with_interval(frame: pl.DataFrame, name: str, value: str, low: str, high: str) -> pl.DataFrame:
    """Return the frame with its three number columns as one text column `name`."""
    texts = [interval(*row) for row in frame.select(value, low, high).iter_rows()]
    column = pl.Series(name, texts, dtype=pl.String)
    return frame.with_columns(column).drop({value, low, high} - {name})


def cells(table: pl.DataFrame) -> list[list[str]]:
    """Return the shown rows as text."""
    return [[cell(value) for value in row] for row in table.head(MAX_ROWS).iter_rows()]


def is_number(dtype: pl.DataType) -> bool:
    """Say whether a column stands flush right."""
    return dtype.is_numeric()


def left_out(table: pl.DataFrame) -> str:
    """Say how many rows are not shown; empty when all are."""
    hidden = table.height - MAX_ROWS
    return f"{hidden:,} more rows are not shown" if hidden > 0 else ""


def text(page: Page) -> str:
    """Return the page for a terminal."""
    parts = [page.title, "=" * len(page.title), *page.headline]
    for section in page.sections:
        parts += ["", section.title, "-" * len(section.title)]
        if section.table is not None and section.table.width:
            parts += _text_table(section.table)
        parts += [*section.code.splitlines(), *section.notes]
    return "\n".join(parts) + "\n"


def _text_table(table: pl.DataFrame) -> list[str]:
    shown = [table.columns, *cells(table)]
    widths = [max(len(row[column]) for row in shown) for column in range(table.width)]
    right = [is_number(dtype) for dtype in table.dtypes]
    lines = [_text_row(row, widths, right) for row in shown]
    rest = left_out(table)
    return [
        lines[0],
        "  ".join("-" * width for width in widths),
        *lines[1:],
        *([rest] if rest else []),
    ]


def _text_row(row: list[str], widths: list[int], right: list[bool]) -> str:
    padded = [
        value.rjust(width) if flush else value.ljust(width)
        for value, width, flush in zip(row, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def html(page: Page) -> str:
    """Return the page as one HTML file without any address outside itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        cells=cells,
        states=MARKED,
        is_number=is_number,
        left_out=left_out,
        picture=data_uri,
        anchor=anchor,
    )
    return environment.get_template(TEMPLATE).render(page=page)


def anchor(title: str) -> str:
    """Return the title as an address within the page."""
    return "-".join("".join(sign if sign.isalnum() else " " for sign in title.lower()).split())


def data_uri(figure: Figure) -> str:
    """Return the figure as PNG in a data URI."""
    from tasks.report.figures import png

    return "data:image/png;base64," + base64.b64encode(png(figure)).decode()


def write_private(page: Page, settings: Settings, kind: str, about: Sequence[str]) -> Path:
    """Write a page about a person, which its owner alone may read, and return where.

    Args:
        page: the page.
        settings: name the folder.
        kind: begins the file's name.
        about: who and what; only a digest of it is in the file's name.
    """
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
    return write_html(page, settings, f"{kind}-{digest}-", OF_ITS_OWNER)


def write_html(page: Page, settings: Settings, stem: str = "", mode: int = 0o666) -> Path:
    """Write `<stem><day>.html` into the reports folder at once, never half, and return where.

    `mode` says who may read it, as far as the process's own mask lets them.
    """
    settings.reports.mkdir(parents=True, exist_ok=True)
    target = settings.reports / f"{stem}{page.day.isoformat()}.html"
    draft = target.with_suffix(".html.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode)
    draft.write_text(html(page), encoding="utf-8")
    return draft.replace(target)
