"""UCI Online Retail: a gift shop's invoice lines, purchases and returns only.

One line of an invoice is one event: `order`, or `return` where the invoice number starts with C or
the quantity is negative. Times are the shop's, London. Prices are pounds. The customer's country is
the only place the source knows and stands as `city`. Postage, fees, manual corrections, samples
and discounts are booked like goods; they are not items.

Colour, size and material come from `items_derived`, which parsed them from the descriptions. The
source has no categories: the first row of `CATEGORIES` with a word of the description, singular or
with an S, decides; `other` where no row has one, `unknown` where an item has no description.
"""

from __future__ import annotations

import polars as pl

from tasks import columns as c
from tasks.landing.importers.mapping import ItemMapping, Mapping

CATEGORIES = (
    (
        "christmas",
        "seasonal",
        "CHRISTMAS XMAS ADVENT SANTA REINDEER SNOWMAN SNOWFLAKE NOEL NATIVITY BAUBLE",
    ),
    ("easter", "seasonal", "EASTER EGG"),
    (
        "jewellery",
        "accessories",
        "NECKLACE NECKL BRACELET EARRING RING BROOCH BANGLE PENDANT CHARM ANKLET",
    ),
    ("hair", "accessories", "HAIR HAIRBAND HAIRCLIP HAIRSLIDE CLIP"),
    ("bags", "accessories", "BAG HANDBAG PURSE SHOPPER BACKPACK SATCHEL WALLET"),
    (
        "wear",
        "accessories",
        "UMBRELLA SCARF GLOVE SLIPPER HAT PONCHO SUNGLASSES KEY KEYRING LUGGAGE PASSPORT",
    ),
    ("lunch", "kitchen", "LUNCH SNACK BOTTLE FLASK PICNIC BASKET"),
    (
        "tableware",
        "kitchen",
        "MUG CUP BOWL PLATE TEAPOT SAUCER CUTLERY JUG TUMBLER BEAKER EGGCUP COASTER DISH",
    ),
    (
        "baking",
        "kitchen",
        "CAKE CAKESTAND BAKING COOKIE JELLY PANTRY SPOON RECIPE JAM FONDUE TIN JAR PAN",
    ),
    (
        "linen",
        "kitchen",
        "TEA TOWEL NAPKIN OVEN APRON TABLECLOTH KITCHEN COFFEE SUGAR MILK CHOPPING BREAD",
    ),
    (
        "candles",
        "lighting",
        "CANDLE T-LIGHT TEALIGHT LANTERN CANDLESTICK CANDLEPOT INCENSE SCENTED",
    ),
    ("lamps", "lighting", "LIGHT LIGHTBULB LAMP LAMPSHADE CHANDELIER TORCH"),
    ("wrapping", "stationery", "WRAP WRAPPING RIBBON GIFT TAPE TISSUE"),
    (
        "paper",
        "stationery",
        "CARD NOTEBOOK PENCIL PEN PAPER STICKER BOOK LETTER ERASER RULER STAMP CALENDAR",
    ),
    ("party", "stationery", "PARTY BUNTING GARLAND BALLOON BIRTHDAY CONFETTI STREAMER"),
    (
        "toys",
        "children",
        "TOY DOLL DOLLY GAME JIGSAW PUZZLE KIT INFLATABLE BADGE CHILDREN CHILD KID BABY DINOSAUR",
    ),
    (
        "garden",
        "garden",
        "GARDEN PLANT WATERING PARASOL BIRD SEED HERB TROWEL GNOME DECKCHAIR WINDMILL TRELLIS",
    ),
    ("soft", "home", "CUSHION BLANKET THROW RUG QUILT DOORMAT CURTAIN BEANBAG WARMER COVER"),
    ("bathroom", "home", "BATH BATHROOM SOAP TOILET SPONGE SHOWER MIRROR"),
    (
        "storage",
        "home",
        "BOX BOXES DRAWER CABINET STORAGE TRINKET HOOK HANGER RACK SHELF TRAY STAND BIN CRATE",
    ),
    (
        "wall",
        "home",
        "FRAME SIGN DOORSIGN CLOCK WALL PICTURE ART PHOTO PLAQUE WREATH KNOB MAGNET TILE MOBILE",
    ),
    (
        "ornaments",
        "home",
        "HEART DECORATION ORNAMENT VASE FLOWER ROSE STAR HANGING FIGURINE CRYSTAL BELL",
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
        "no impressions and no views: position, examination, sf_pos on impressions stay unknown",
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
    words = [(_has_one_of(text, row), category, group) for category, group, row in CATEGORIES]
    other = pl.when(text.is_not_null()).then(pl.lit("other"))
    category = pl.coalesce([*(pl.when(hit).then(pl.lit(name)) for hit, name, _ in words), other])
    group = pl.coalesce([*(pl.when(hit).then(pl.lit(name)) for hit, _, name in words), other])
    return catalogue.with_columns(category.alias("category"), group.alias("category_group"))


def _has_one_of(text: pl.Expr, words: str) -> pl.Expr:
    either = "|".join(words.split())
    return text.str.contains(rf"\b(?:{either})S?\b")
