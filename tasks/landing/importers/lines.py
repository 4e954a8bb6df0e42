"""Lines: source rows parsed to event columns, each with its fate.

A fate is either an event_type (the line is imported as that event) or the reason it is not. The
first rule of `FATES` that applies decides, so that the counts of a load add up to its lines.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.lake.contracts import UTC_TIME
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
KNOWN = {c.PLATFORM: (c.PLATFORMS, "unknown"), c.SURFACE: (c.SURFACES, "other")}
UNTOLD = {name: other for name, (_, other) in KNOWN.items()}
NEVER = pl.lit(False)
ColumnType = pl.DataType | type[pl.DataType]

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
    numbered = parsed.with_columns(_document(mapping)).with_columns(
        _line(mapping), _named_event(mapping)
    )
    received = pl.coalesce(c.RECEIVED_AT, c.TS)
    # A constant quantity is about what changes hands, not about views.
    traded = pl.when(pl.col(EVENT_NAME).is_in(TRADES)).then(pl.col(c.QUANTITY).abs())
    return numbered.with_columns(_fate(mapping)).with_columns(
        traded.alias(c.QUANTITY), received.alias(c.RECEIVED_AT), received.dt.date().alias(DAY)
    )


def _parsed(name: str, dtypes: pl.Schema, mapping: Mapping) -> pl.Expr:
    column = mapping.columns.get(name)
    if column is None:
        constant = pl.lit(mapping.constants.get(name, UNTOLD.get(name)))
        return constant.cast(EVENTS.columns[name].dtype).alias(name)
    return _cell(name, pl.col(SOURCE + column), dtypes[column], mapping).alias(name)


def _cell(name: str, cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    dtype = EVENTS.columns[name].dtype
    if dtype.is_temporal():
        return parsed_time(cell, found, mapping)
    if dtype.is_numeric():
        scale = mapping.minor_units if name == c.PRICE else 1
        return _number(parsed_number(cell, found, mapping), scale, dtype)
    if dtype == pl.Boolean:
        lowered = cell.cast(pl.String).str.to_lowercase()
        return lowered.replace_strict(TRUTHS, default=None, return_dtype=pl.Boolean)
    text = parsed_id(cell, found)
    return _known(text, *KNOWN[name]) if name in KNOWN else text


def _number(number: pl.Expr, scale: int, dtype: ColumnType) -> pl.Expr:
    """Money is rounded to its minor units; half a piece or half a position is no number."""
    if dtype == pl.Float64:
        return number
    scaled = (number * scale).round()
    whole = scaled if scale > 1 else pl.when(number == scaled).then(scaled)
    return whole.cast(dtype, strict=False)


def _known(text: pl.Expr, names: tuple[str, ...], other: str) -> pl.Expr:
    lowered = text.str.to_lowercase()
    return pl.when(lowered.is_in(names)).then(lowered).otherwise(pl.lit(other))


def parsed_id(cell: pl.Expr, found: pl.DataType) -> pl.Expr:
    """Return trimmed text; `17850.0`, as a spreadsheet writes the id 17850, becomes `17850`."""
    text = cell.cast(pl.String)
    if found.is_float():
        whole = cell.cast(pl.Int64, strict=False)
        text = pl.when(whole == cell).then(whole.cast(pl.String)).otherwise(text)
    trimmed = text.str.strip_chars().str.replace(r"^(\d+)\.0$", "$1")
    return pl.when(trimmed != "").then(trimmed)


def parsed_number(cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    """Return a float; null where the cell is no finite number.

    `2,55` is refused unless the mapping declares the decimal comma: read as 255 it would pass.
    """
    if found.is_numeric():
        number = cell.cast(pl.Float64)
    else:
        thousands, point = (r"\.", ",") if mapping.decimal_comma else (",", r"\.")
        text = cell.cast(pl.String).str.strip_chars()
        grouped = text.str.contains(rf"^-?\d{{1,3}}({thousands}\d{{3}})+({point}\d+)?$")
        plain = pl.when(grouped).then(text.str.replace_all(thousands, "")).otherwise(text)
        dotted = plain.str.replace(",", ".", literal=True) if mapping.decimal_comma else plain
        number = dotted.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def parsed_time(cell: pl.Expr, found: pl.DataType, mapping: Mapping) -> pl.Expr:
    """Return a UTC time; null where no format fits, or where clocks skipped that hour."""
    if isinstance(found, pl.Datetime):
        return _utc(cell.dt.cast_time_unit("us"), found.time_zone is not None, mapping)
    if found == pl.Date:
        return _utc(cell.cast(pl.Datetime("us")), False, mapping)
    return pl.coalesce([_formatted(cell, form, mapping) for form in mapping.time_formats])


def _formatted(cell: pl.Expr, form: str, mapping: Mapping) -> pl.Expr:
    if form in EPOCHS:
        since = cell.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        return pl.from_epoch(since, EPOCHS[form]).cast(UTC_TIME)
    aware = "%z" in form or "%#z" in form
    dtype = UTC_TIME if aware else pl.Datetime("us")
    text = cell.cast(pl.String).str.strip_chars()
    return _utc(text.str.strptime(dtype, form, strict=False), aware, mapping)


def _utc(time: pl.Expr, aware: bool, mapping: Mapping) -> pl.Expr:
    if aware:
        return time.dt.convert_time_zone("UTC")
    local = time.dt.replace_time_zone(mapping.zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _document(mapping: Mapping) -> pl.Expr:
    """What names a line: the declared source columns, or all that the mapping reads of it.

    The latter as parsed, so that CSV and Parquet copies of a source give the same events.
    """
    named = [SOURCE + name for name in mapping.event_id] or list(mapping.columns)
    cells = [pl.col(name).cast(pl.String).fill_null("") for name in named]
    return pl.concat_str([pl.lit(mapping.source), *cells], separator="\x1f").alias(DOCUMENT)


def _line(mapping: Mapping) -> pl.Expr:
    number = pl.int_range(pl.len(), dtype=pl.Int64).over(DOCUMENT)
    return (number if mapping.number_lines else pl.lit(0, pl.Int64)).alias(LINE)


def _named_event(mapping: Mapping) -> pl.Expr:
    name = pl.col(c.EVENT_TYPE)
    if c.EVENT_TYPE in mapping.columns:
        names = mapping.events or {event: event for event in c.EVENT_TYPES}
        name = name.replace_strict(names, default=None, return_dtype=pl.String)
    if mapping.negative_quantity == "return":
        taken_back = (pl.col(c.QUANTITY) < 0) & (name == c.ORDER)
        name = pl.when(taken_back).then(pl.lit(c.RETURN)).otherwise(name)
    return name.alias(EVENT_NAME)


def _fate(mapping: Mapping) -> pl.Expr:
    quantity, event = pl.col(c.QUANTITY), pl.col(EVENT_NAME)
    taken_back = (event == c.RETURN) & (mapping.negative_quantity == "return")
    no_goods = pl.col(c.ITEM_ID).str.contains(mapping.not_items) if mapping.not_items else NEVER
    others = [_out_of_range(name, mapping) for name in _other_numbers()]
    rules = {
        "unparsable time": pl.col(c.TS).is_null() | _lost(c.RECEIVED_AT, mapping),
        "missing user": pl.col(c.USER_ID).is_null(),
        "missing item": pl.col(c.ITEM_ID).is_null(),
        "unknown event": event.is_null(),
        "not an item": no_goods,
        "unparsable price": _lost(c.PRICE, mapping),
        "negative price": pl.col(c.PRICE) < 0,
        "unparsable quantity": _lost(c.QUANTITY, mapping),
        "zero quantity": quantity == 0,
        "negative quantity": (quantity < 0) & ~taken_back,
        "unparsable number": pl.any_horizontal(others),
    }
    fates = [pl.when(rules[fate]).then(pl.lit(fate)) for fate in FATES]
    return pl.coalesce(*fates, event).alias(FATE)


def _lost(name: str, mapping: Mapping) -> pl.Expr:
    """A cell that says something, and parsed to nothing."""
    column = mapping.columns.get(name)
    return pl.col(SOURCE + column).is_not_null() & pl.col(name).is_null() if column else NEVER


def _other_numbers() -> list[str]:
    numbers = [name for name, column in EVENTS.columns.items() if column.dtype.is_numeric()]
    return [name for name in numbers if name not in (c.PRICE, c.QUANTITY)]


def _out_of_range(name: str, mapping: Mapping) -> pl.Expr:
    column = EVENTS.columns[name]
    low = NEVER if column.low is None else pl.col(name) < column.low
    high = NEVER if column.high is None else pl.col(name) > column.high
    return _lost(name, mapping) | low | high
