"""Lines: source rows parsed to event columns, each with its fate.

A fate is either an event_type (the line is imported as that event) or the reason it is not. The
first rule of `FATES` that applies decides, so that the counts of a load add up to its lines.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.tables import EVENTS
from tasks.landing.importers.mapping import EPOCHS, Mapping

FATE = "fate"
DAY = "day"
DOCUMENT = "document"
EVENT_NAME = "event_name"
LINE = "line"
SOURCE = "source:"
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
TRADES = (c.CART, c.ORDER, c.RETURN)

FATES = {
    "unparsable time": "the time is absent or in none of the time formats",
    "missing user": "nobody is named, so no history can own it",
    "missing item": "no item is named",
    "unknown event": "the mapping names no event_type for it",
    "not an item": "the item id is declared to be no goods (postage, fees)",
    "unparsable price": "the price is no number",
    "negative price": "the price is below zero",
    "unparsable quantity": "the quantity is no whole number",
    "zero quantity": "nothing changed hands",
    "negative quantity": "below zero, and the mapping does not call that a return",
    "unparsable number": "another mapped number is none, or out of its range",
}
OUTSIDE = "outside the asked days"


def parsed_lines(lines: pl.LazyFrame, mapping: Mapping) -> pl.LazyFrame:
    """Return event columns, `document`, `line`, `day`, `fate`, and source columns as `source:NAME`.

    Args:
        lines: the source's columns as read, in file order.
        mapping: what they mean.
    """
    dtypes = lines.collect_schema()
    source = lines.rename({name: SOURCE + name for name in dtypes})
    parsed = source.with_columns(
        _parsed(name, dtypes, mapping) for name in EVENTS.columns if name != c.EVENT_ID
    )
    numbered = parsed.with_columns(_document(mapping, dtypes).alias(DOCUMENT)).with_columns(
        _line(mapping).alias(LINE), _named_event(mapping)
    )
    received = pl.coalesce(c.RECEIVED_AT, c.TS)
    traded = pl.when(pl.col(EVENT_NAME).is_in(TRADES)).then(pl.col(c.QUANTITY).abs())
    return numbered.with_columns(_fate(mapping)).with_columns(
        traded.alias(c.QUANTITY), received.alias(c.RECEIVED_AT), received.dt.date().alias(DAY)
    )


def _parsed(name: str, dtypes: pl.Schema, mapping: Mapping) -> pl.Expr:
    dtype = EVENTS.columns[name].dtype
    column = mapping.columns.get(name)
    if column is None:
        return (
            pl.lit(mapping.constants.get(name), dtype if name in mapping.constants else None)
            .cast(dtype)
            .alias(name)
        )
    return _cell(name, pl.col(SOURCE + column), dtypes[column], mapping).alias(name)


def _cell(name: str, cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    dtype = EVENTS.columns[name].dtype
    if name in (c.TS, c.RECEIVED_AT):
        return parsed_time(cell, found, mapping)
    if name == c.PRICE:
        return (
            (parsed_number(cell, found, mapping) * mapping.minor_units)
            .round()
            .cast(pl.Int64, strict=False)
        )
    if name in (c.PLATFORM, c.SURFACE):
        known, other = (c.PLATFORMS, "unknown") if name == c.PLATFORM else (c.SURFACES, "other")
        lowered = cell.cast(pl.String).str.to_lowercase()
        return pl.when(lowered.is_in(known)).then(lowered).otherwise(pl.lit(other))
    if dtype == pl.Boolean:
        return (
            cell.cast(pl.String)
            .str.to_lowercase()
            .replace_strict(TRUTHS, default=None, return_dtype=pl.Boolean)
        )
    if dtype == pl.String:
        return parsed_id(cell, found)
    number = parsed_number(cell, found, mapping)
    whole = pl.when(number == number.round()).then(number) if dtype != pl.Float64 else number
    return whole.cast(dtype, strict=False)


def parsed_id(cell: pl.Expr, found: pl.DataType) -> pl.Expr:
    """Return trimmed text; `17850.0`, as a spreadsheet writes the id 17850, becomes `17850`."""
    text = (cell.cast(pl.Int64, strict=False) if found.is_float() else cell).cast(pl.String)
    trimmed = text.str.strip_chars().str.replace(r"^(\d+)\.0$", "$1")
    return pl.when(trimmed != "").then(trimmed)


def parsed_number(cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    """Return a float; null where the cell is no finite number."""
    if found.is_numeric() or found.is_decimal():
        number = cell.cast(pl.Float64)
    else:
        thousands, point = (".", ",") if mapping.decimal_comma else (",", ".")
        text = cell.cast(pl.String).str.strip_chars().str.replace_all(thousands, "", literal=True)
        number = text.str.replace(point, ".", literal=True).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def parsed_time(cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    """Return a UTC time; null where no format fits, or where clocks skipped that hour."""
    if isinstance(found, pl.Datetime):
        return _utc(
            cell.cast(pl.Datetime("us", found.time_zone)), found.time_zone is not None, mapping
        )
    if found == pl.Date:
        return _utc(cell.cast(pl.Datetime("us")), False, mapping)
    return pl.coalesce([_formatted(cell, form, mapping) for form in mapping.time_formats])


def _formatted(cell: pl.Expr, form: str, mapping: Mapping) -> pl.Expr:
    if form in EPOCHS:
        since = cell.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        return (
            pl.from_epoch(since, EPOCHS[form]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        )
    text = cell.cast(pl.String).str.strip_chars()
    aware = "%z" in form or "%#z" in form
    dtype = pl.Datetime("us", "UTC") if aware else pl.Datetime("us")
    return _utc(text.str.strptime(dtype, form, strict=False), aware, mapping)


def _utc(time: pl.Expr, aware: bool, mapping: Mapping) -> pl.Expr:
    if aware:
        return time.dt.convert_time_zone("UTC")
    local = time.dt.replace_time_zone(mapping.zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _document(mapping: Mapping, dtypes: pl.Schema) -> pl.Expr:
    named = mapping.event_id or tuple(sorted(dtypes))
    cells = [pl.col(SOURCE + name).cast(pl.String).fill_null("") for name in named]
    return pl.concat_str([pl.lit(mapping.source), *cells], separator="\x1f")


def _line(mapping: Mapping) -> pl.Expr:
    if not mapping.number_lines:
        return pl.lit(0, pl.Int64)
    return pl.int_range(pl.len(), dtype=pl.Int64).over(DOCUMENT)


def _named_event(mapping: Mapping) -> pl.Expr:
    names = mapping.events or {name: name for name in c.EVENT_TYPES}
    named = pl.col(c.EVENT_TYPE).replace_strict(names, default=None, return_dtype=pl.String)
    kept = pl.col(c.EVENT_TYPE) if c.EVENT_TYPE not in mapping.columns else named
    if mapping.negative_quantity == "return":
        kept = (
            pl.when((pl.col(c.QUANTITY) < 0) & kept.is_in([c.ORDER]))
            .then(pl.lit(c.RETURN))
            .otherwise(kept)
        )
    return kept.alias(EVENT_NAME)


def _fate(mapping: Mapping) -> pl.Expr:
    quantity = pl.col(c.QUANTITY)
    taken_back = (pl.col(EVENT_NAME) == c.RETURN) & (mapping.negative_quantity == "return")
    rules = {
        "unparsable time": pl.col(c.TS).is_null() | _lost(c.RECEIVED_AT, mapping),
        "missing user": pl.col(c.USER_ID).is_null(),
        "missing item": pl.col(c.ITEM_ID).is_null(),
        "unknown event": pl.col(EVENT_NAME).is_null(),
        "not an item": pl.col(c.ITEM_ID).str.contains(mapping.not_items)
        if mapping.not_items
        else pl.lit(False),
        "unparsable price": _lost(c.PRICE, mapping),
        "negative price": pl.col(c.PRICE) < 0,
        "unparsable quantity": _lost(c.QUANTITY, mapping),
        "zero quantity": quantity == 0,
        "negative quantity": (quantity < 0) & ~taken_back,
        "unparsable number": pl.any_horizontal(
            _out_of_range(name, mapping) for name in _other_numbers()
        ),
    }
    return pl.coalesce(
        [pl.when(rules[fate]).then(pl.lit(fate)) for fate in FATES] + [pl.col(EVENT_NAME)]
    ).alias(FATE)


def _lost(name: str, mapping: Mapping) -> pl.Expr:
    """A cell that says something, and parsed to nothing."""
    column = mapping.columns.get(name)
    return (
        pl.col(SOURCE + column).is_not_null() & pl.col(name).is_null() if column else pl.lit(False)
    )


def _other_numbers() -> list[str]:
    done = (c.PRICE, c.QUANTITY)
    return [
        name
        for name, column in EVENTS.columns.items()
        if column.dtype.is_numeric() and name not in done
    ]


def _out_of_range(name: str, mapping: Mapping) -> pl.Expr:
    column = EVENTS.columns[name]
    low = pl.lit(False) if column.low is None else pl.col(name) < column.low
    high = pl.lit(False) if column.high is None else pl.col(name) > column.high
    return _lost(name, mapping) | low | high
