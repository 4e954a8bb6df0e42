"""Mapping: how the files of a source become landing days, as declared data.

A mapping names the source's columns, events, time formats, constants and item attributes. Whatever
it does not name is ignored, and the summary of a load says so.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks import columns as c
from tasks.errors import ContractViolation
from tasks.lake.tables import EVENTS, ITEMS

REQUIRED = (c.TS, c.USER_ID, c.ITEM_ID)
MADE_BY_THE_LOAD = (c.EVENT_ID,)
ITEM_COLUMNS = tuple(n for n in ITEMS.columns if n not in (c.ITEM_ID, c.PRICE, c.FIRST_SEEN))
EPOCHS: dict[str, Literal["s", "ms"]] = {"epoch_seconds": "s", "epoch_milliseconds": "ms"}


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _refuse(names: object, allowed: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(names) - set(allowed)) if isinstance(names, dict) else []
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such {what}; allowed: {', '.join(allowed)}")


class ItemMapping(_Declared):
    """Where item columns and attributes come from: a catalogue file, or the event lines."""

    file: str | None = Field(
        None, description="name pattern of the catalogue; none: the event lines tell"
    )
    required: bool = Field(True, description="whether a load without the catalogue is refused")
    key: str | None = Field(None, description="the catalogue's column with the item's id")
    columns: dict[str, str] = Field({}, description="item column -> source column")
    constants: dict[str, str | float | bool] = Field(
        {}, description="item column -> value for every item"
    )
    attributes: dict[str, str] = Field({}, description="attribute -> source column")
    multi_valued: dict[str, str] = Field({}, description="attribute -> what separates its values")

    @model_validator(mode="after")
    def _known_columns(self) -> ItemMapping:
        _refuse(self.columns, ITEM_COLUMNS, "item column")
        _refuse(self.constants, (*ITEM_COLUMNS, c.PRICE), "item column")
        _refuse(self.multi_valued, tuple(self.attributes), "attribute")
        if (self.file is None) != (self.key is None):
            raise ValueError("file and key go together")
        return self


class Mapping(_Declared):
    """One source: its columns, names, formats, and what becomes of lines that fit no rule."""

    source: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="name that the manifests carry")
    lines: str = Field("*", description="name pattern of the files with event lines")
    separator: str = Field(",", min_length=1, max_length=1, description="between two CSV cells")
    encoding: Literal["utf8", "utf8-lossy"] = Field(
        "utf8", description="lossy: wrong bytes become \ufffd"
    )
    columns: dict[str, str] = Field(description="event column -> source column")
    constants: dict[str, str | int] = Field(
        {}, description="event column -> value for every line; platform unknown, surface other"
    )
    events: dict[str, str] = Field(
        {}, description="the source's event name -> event_type; empty: alike"
    )
    time_formats: tuple[str, ...] = Field(
        ("%Y-%m-%d %H:%M:%S",), min_length=1, description="tried in turn"
    )
    zone: str = Field("UTC", description="zone of times that carry none")
    minor_units: int = Field(
        100, ge=1, le=10_000, description="minor units in one unit of the price column"
    )
    decimal_comma: bool = Field(False, description="1.234,50 instead of 1,234.50")
    negative_quantity: Literal["return", "drop"] = Field(
        "drop", description="what a negative quantity means"
    )
    not_items: str | None = Field(
        None, description="pattern of item ids that are no goods: postage, fees"
    )
    event_id: tuple[str, ...] = Field(
        (), description="source columns that name a line; empty: the whole line"
    )
    number_lines: bool = Field(
        False, description="event_id names a document of several lines, counted in file order"
    )
    consent: bool = Field(False, description="whether the source's customers agreed to mailings")
    items: ItemMapping = ItemMapping()
    notes: tuple[str, ...] = Field(
        (), description="what the source does not tell; shown with every load"
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError):
            raise ValueError(f"{zone} is no time zone") from None
        return zone

    @field_validator("not_items")
    @classmethod
    def _valid_pattern(cls, pattern: str | None) -> str | None:
        try:
            pl.Series([""]).str.contains(pattern or "")
        except pl.exceptions.ComputeError as error:
            raise ValueError(f"{pattern} is no pattern: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _known_names(self) -> Mapping:
        allowed = tuple(name for name in EVENTS.columns if name not in MADE_BY_THE_LOAD)
        _refuse(self.columns, allowed, "event column")
        _refuse(self.constants, allowed, "event column")
        _refuse(dict.fromkeys(self.events.values()), c.EVENT_TYPES, "event_type")
        for name, value in self.constants.items():
            if (values := EVENTS.columns[name].values) and value not in values:
                raise ValueError(f"{name} {value} is none of {', '.join(values)}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Mapping:
        absent = [name for name in REQUIRED if name not in self.columns]
        if c.EVENT_TYPE not in {*self.columns, *self.constants}:
            absent.append(c.EVENT_TYPE)
        if absent:
            raise ValueError(f"no source column is named for {', '.join(absent)}")
        if self.number_lines and not self.event_id:
            raise ValueError("number_lines needs event_id")
        return self

    def line_columns(self) -> set[str]:
        """The source columns that the event lines must have."""
        items = (
            set()
            if self.items.file
            else {*self.items.columns.values(), *self.items.attributes.values()}
        )
        return {*self.columns.values(), *self.event_id, *items}

    def catalogue_columns(self) -> set[str]:
        """The source columns that the catalogue must have."""
        return {str(self.items.key), *self.items.columns.values(), *self.items.attributes.values()}


def read_mapping(path: Path) -> Mapping:
    """Return the mapping that a TOML file declares.

    Raises:
        ContractViolation: the file is absent, no TOML, or names what does not exist.
    """
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ContractViolation(f"mapping {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ContractViolation(f"mapping {path} is no TOML: {error}") from None
    except ValidationError as error:
        raise ContractViolation(f"mapping {path}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
