"""UCI Online Retail: a gift shop's invoice lines, purchases and returns only.

One line of an invoice is one event: `order`, or `return` where the invoice number starts with C or
the quantity is negative. Times are the shop's, London. Prices are pounds. The customer's country is
the only place the source knows and stands as `city`. Postage, fees, manual corrections, samples
and discounts are booked like goods; they are not items.

Colour, size and material come from `items_derived`, which parsed them from the descriptions. The
source has no categories: the description's words decide, the first row of `CATEGORIES` that has one
of them; `other` where none has, `unknown` where an item has no description.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.landing.importers.mapping import ItemMapping, Mapping

CATEGORIES = (
    ("christmas", "seasonal", "CHRISTMAS|XMAS|ADVENT|SANTA|REINDEER|SNOWMAN|SNOWFLAKE|NOEL|BAUBLE"),
    ("easter", "seasonal", "EASTER|EGG"),
    (
        "jewellery",
        "accessories",
        "NECKLACE|BRACELET|EARRINGS?|RING|BROOCH|BANGLE|PENDANT|CHARM|ANKLET",
    ),
    ("hair", "accessories", "HAIR|HAIRBAND|HAIRCLIP|HAIRSLIDES?"),
    ("bags", "accessories", "BAGS?|HANDBAG|PURSE|SHOPPER|BACKPACK|SATCHEL|WALLET"),
    (
        "wear",
        "accessories",
        "UMBRELLA|SCARF|GLOVES?|SLIPPERS?|HAT|PONCHO|APRON|KEY|KEYRING|LUGGAGE|PASSPORT",
    ),
    ("lunch", "kitchen", "LUNCH|SNACK|BOTTLE|FLASK|PICNIC|BASKET"),
    (
        "tableware",
        "kitchen",
        "MUGS?|CUPS?|BOWLS?|PLATES?|TEAPOT|SAUCER|CUTLERY|JUG|TUMBLER|EGGCUP|COASTERS?|DOILEY",
    ),
    (
        "baking",
        "kitchen",
        "CAKE|CAKESTAND|BAKING|COOKIE|JELLY|PANTRY|SPOONS?|RECIPE|JAM|FONDUE|TINS?|JARS?",
    ),
    ("linen", "kitchen", "TEA|TOWELS?|NAPKINS?|OVEN|TABLECLOTH|KITCHEN|COFFEE|SUGAR|MILK"),
    (
        "candles",
        "lighting",
        "CANDLES?|T-LIGHTS?|TEALIGHT|LANTERN|CANDLESTICK|CANDLEHOLDER|INCENSE|SCENTED",
    ),
    ("lamps", "lighting", "LIGHTS?|LAMP|LAMPSHADE|BULB|CHANDELIER|TORCH"),
    ("wrapping", "stationery", "WRAP|WRAPPING|RIBBONS?|GIFT|TAPE|TISSUE|TISSUES"),
    (
        "paper",
        "stationery",
        "CARDS?|NOTEBOOK|PENCILS?|PENS?|PAPER|STICKERS?|BOOK|LETTER|ERASERS?|STAMP|CALENDAR",
    ),
    ("party", "stationery", "PARTY|BUNTING|GARLAND|BALLOONS?|BIRTHDAY|CONFETTI|STREAMERS?"),
    (
        "toys",
        "children",
        "TOYS?|DOLLY?|GAME|JIGSAW|PUZZLE|SKITTLES|CHILDRENS?|CHILDS|KIDS|BABY|SPACEBOY|DINOSAUR",
    ),
    (
        "garden",
        "garden",
        "GARDEN|PLANT|WATERING|PARASOL|BIRD|SEEDS?|HERB|TROWEL|GNOME|DECKCHAIR|BIRDHOUSE",
    ),
    ("soft", "home", "CUSHION|BLANKET|THROW|RUG|QUILT|DOORMAT|CURTAIN|BEANBAG|WARMER|COVER"),
    ("bathroom", "home", "BATH|BATHROOM|SOAP|TOILET|SPONGE|SHOWER|MIRROR"),
    (
        "storage",
        "home",
        "BOX|BOXES|DRAWERS?|CABINET|STORAGE|TRINKET|HOOKS?|HANGER|RACK|SHELF|TRAY|STAND",
    ),
    (
        "wall",
        "home",
        "FRAMES?|SIGN|CLOCK|WALL|PICTURE|ART|PHOTO|PLAQUE|WREATH|DOORKNOB|KNOB|DOORSTOP",
    ),
    (
        "ornaments",
        "home",
        "HEARTS?|DECORATION|ORNAMENT|VASE|FLOWERS?|ROSE|STAR|HANGING|FIGURINE|CRYSTAL|BELLS?",
    ),
)

MAPPING = Mapping(
    source="online_retail",
    lines="*",
    encoding="utf8-lossy",
    columns={
        c.TS: "InvoiceDate",
        c.USER_ID: "CustomerID",
        c.ITEM_ID: "StockCode",
        c.EVENT_TYPE: "event",
        c.PRICE: "UnitPrice",
        c.QUANTITY: "Quantity",
        c.CITY: "Country",
    },
    constants={c.PLATFORM: "unknown", c.SURFACE: "other"},
    time_formats=("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f"),
    zone="Europe/London",
    negative_quantity="return",
    not_items="(?i)^(POST|DOT|C2|M|D|S|B|CRUK|AMAZONFEE|BANK CHARGES)$",
    event_id=("InvoiceNo",),
    number_lines=True,
    items=ItemMapping(
        file="items*",
        required=False,
        key="StockCode",
        columns={
            c.CATEGORY_GROUP: "category_group",
            c.CATEGORY: "category",
            c.COLOUR: "colour",
            c.SIZE: "size",
        },
        attributes={"material": "material"},
    ),
    notes=(
        "no impressions and no views: positions, examination and sf_pos on impressions cannot be known",
        "platform is unknown and the surface other; the country stands as city",
        "categories come from words of the description; nobody's consent to mailings is known",
    ),
)


def named_events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Return the lines with `event`: invoice numbers starting with C are cancellations."""
    returned = pl.col("InvoiceNo").cast(pl.String).str.starts_with("C")
    event = pl.when(returned).then(pl.lit(c.RETURN)).otherwise(pl.lit(c.ORDER))
    return lines.with_columns(event.alias("event"))


def categorised(catalogue: pl.LazyFrame) -> pl.LazyFrame:
    """Return the catalogue with `category` and `category_group` by the words of `Description`."""
    text = pl.col("Description").str.to_uppercase()
    words = [
        (text.str.contains(rf"\b(?:{pattern})\b"), category, group)
        for category, group, pattern in CATEGORIES
    ]
    other = pl.when(text.is_not_null()).then(pl.lit("other"))
    category = pl.coalesce([*(pl.when(hit).then(pl.lit(name)) for hit, name, _ in words), other])
    group = pl.coalesce([*(pl.when(hit).then(pl.lit(name)) for hit, _, name in words), other])
    return catalogue.with_columns(category.alias("category"), group.alias("category_group"))
