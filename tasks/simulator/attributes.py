"""What items are: category groups, categories, attributes and their values.

`importance` is the weight of an attribute in a customer's utility per category group; an attribute
with importance 0 is shown and means nothing, which is what a facet weight must find out.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("clothes", "shoes", "accessories", "home", "beauty")
C, S, A, H, B = GROUPS


@dataclass(frozen=True)
class Category:
    """A category; `next_women` and `next_men` name what such a customer looks at after it."""

    name: str
    group: str
    share: float
    price: int
    women: float
    men: float
    next_women: str
    next_men: str
    peak_month: int = 0
    repeatable: bool = False


CATEGORIES = (
    Category("dresses", C, 8, 5900, 1.0, 0.0, "heels", "shirts", 6),
    Category("shirts", C, 6, 3500, 0.45, 0.5, "trousers", "trousers"),
    Category("trousers", C, 5, 4900, 0.5, 0.45, "knitwear", "belts"),
    Category("jeans", C, 5, 5500, 0.5, 0.45, "sneakers", "sneakers"),
    Category("knitwear", C, 5, 4500, 0.55, 0.4, "outerwear", "outerwear", 12),
    Category("outerwear", C, 4, 12900, 0.5, 0.45, "scarves", "boots", 11),
    Category("sportswear", C, 4, 3900, 0.45, 0.45, "running_shoes", "running_shoes", 5),
    Category("underwear", C, 4, 1500, 0.5, 0.45, "bedding", "watches"),
    Category("babywear", C, 1.8, 1900, 0.1, 0.1, "knitwear", "underwear"),
    Category("sneakers", S, 6, 7900, 0.45, 0.45, "sportswear", "jeans"),
    Category("boots", S, 4, 9900, 0.5, 0.45, "knitwear", "knitwear", 11),
    Category("heels", S, 4, 7500, 1.0, 0.0, "bags", "boots", 6),
    Category("sandals", S, 3, 4900, 0.6, 0.3, "sunglasses", "sunglasses", 7),
    Category("running_shoes", S, 3, 9500, 0.45, 0.5, "sportswear", "underwear", 5),
    Category("bags", A, 8, 6900, 0.75, 0.15, "jewellery", "watches"),
    Category("belts", A, 2, 2900, 0.35, 0.6, "jeans", "shirts"),
    Category("scarves", A, 2, 2500, 0.6, 0.3, "hats", "outerwear", 12),
    Category("hats", A, 2, 2200, 0.4, 0.4, "scarves", "jeans", 12),
    Category("jewellery", A, 4, 3900, 0.85, 0.1, "fragrance", "fragrance", 2),
    Category("watches", A, 2, 11900, 0.35, 0.6, "dresses", "fragrance", 12),
    Category("sunglasses", A, 2, 4500, 0.45, 0.4, "dresses", "shirts", 7),
    Category("bedding", H, 3, 5900, 0.0, 0.0, "towels", "towels"),
    Category("towels", H, 2, 1900, 0.0, 0.0, "candles", "storage"),
    Category("tableware", H, 3, 2900, 0.0, 0.0, "bedding", "lighting", 12),
    Category("lighting", H, 2, 6900, 0.0, 0.0, "rugs", "rugs", 11),
    Category("rugs", H, 2, 8900, 0.0, 0.0, "storage", "bedding"),
    Category("storage", H, 2, 2400, 0.0, 0.0, "tableware", "tableware"),
    Category("candles", H, 2, 1200, 0.0, 0.0, "body_care", "tableware", 12, True),
    Category("prams", H, 1.2, 29900, 0.0, 0.0, "babywear", "babywear"),
    Category("skincare", B, 4, 2200, 0.7, 0.1, "makeup", "haircare", 0, True),
    Category("haircare", B, 3, 1400, 0.5, 0.2, "shirts", "underwear", 0, True),
    Category("makeup", B, 3, 1800, 1.0, 0.0, "dresses", "skincare", 0, True),
    Category("fragrance", B, 2, 6500, 0.55, 0.4, "underwear", "skincare", 12, True),
    Category("body_care", B, 2.5, 1100, 0.5, 0.2, "haircare", "sportswear", 0, True),
)


@dataclass(frozen=True)
class Attribute:
    """An attribute: values, how unequal their shares are, importance per group that has it.

    `counted` instead of `values`: that many coded values per item of the shop, as brands grow.
    """

    name: str
    importance: dict[str, float]
    values: tuple[str, ...] = ()
    counted: float = 0.0
    zipf: float = 0.8


BRAND, COLOUR, SIZE, STYLE, GENDER = "brand", "colour", "size", "style", "gender"
SEASON, COLLECTION = "season", "collection"
SHOE_SIZES = tuple(str(size) for size in range(36, 46))
CLOTHES_SIZES = ("XS", "S", "M", "L", "XL", "XXL")
EVERYWHERE = dict.fromkeys(GROUPS, 0.0)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ATTRIBUTES = (
    Attribute(BRAND, {C: 0.95, S: 1.0, A: 0.85, H: 0.55, B: 1.0}, counted=0.15, zipf=1.3),
    Attribute(
        COLOUR,
        {C: 0.75, S: 0.6, A: 0.75, H: 0.8},
        _words("black white grey navy blue beige brown red green pink yellow purple"),
    ),
    Attribute(SIZE, {C: 0.65, S: 0.75}, CLOTHES_SIZES + SHOE_SIZES, zipf=0.0),
    Attribute(GENDER, {C: 0.8, S: 0.8, A: 0.6, B: 0.5}, ("women", "men", "unisex"), zipf=0.0),
    Attribute(
        STYLE,
        {C: 0.35, S: 0.3, A: 0.3, H: 0.35},
        _words("classic casual romantic sporty boho minimal street vintage"),
        zipf=0.5,
    ),
    Attribute(
        "material",
        {C: 0.25, S: 0.3, A: 0.4, H: 0.4},
        _words(
            "cotton wool linen silk viscose polyester leather suede denim wood glass metal jute"
        ),
    ),
    Attribute(
        "pattern",
        {C: 0.2, A: 0.15, H: 0.2},
        _words("plain striped checked floral dotted animal abstract logo"),
    ),
    Attribute("fit", {C: 0.15}, _words("regular slim loose oversized tailored")),
    Attribute(
        "occasion",
        {C: 0.1, S: 0.1, A: 0.15},
        _words("everyday work party wedding sport travel home"),
    ),
    Attribute("heel_height", {S: 0.25}, _words("flat low middle high")),
    Attribute("room", {H: 0.3}, _words("bedroom kitchen living bathroom nursery garden")),
    Attribute(
        "scent",
        {B: 0.55, H: 0.15},
        _words("none rose citrus vanilla musk lavender wood marine fig amber"),
    ),
    Attribute("skin_type", {B: 0.5}, _words("all dry oily mixed sensitive")),
    Attribute("vegan", {B: 0.15}, ("yes", "no"), zipf=0.3),
    Attribute(
        "eco_label", {C: 0.1, H: 0.1, B: 0.15}, _words("none organic recycled fairtrade"), zipf=1.2
    ),
    Attribute(COLLECTION, EVERYWHERE, counted=0.03, zipf=0.4),
    Attribute(SEASON, {C: 0.0, S: 0.0}, _words("all spring summer autumn winter"), zipf=0.6),
    Attribute("sleeve", {C: 0.0}, _words("long short three_quarter none")),
    Attribute("neckline", {C: 0.0}, _words("round v high boat collar square")),
    Attribute("closure", {C: 0.0, S: 0.0, A: 0.0}, _words("none zip buttons laces buckle magnet")),
    Attribute("lining", {C: 0.0, S: 0.0}, _words("none textile fleece leather")),
    Attribute("pockets", {C: 0.0, A: 0.0}, ("0", "2", "4")),
    Attribute("waterproof", {C: 0.0, S: 0.0}, ("no", "yes"), zipf=1.5),
    Attribute("sole", {S: 0.0}, _words("rubber foam leather cork crepe tpu")),
    Attribute("toe", {S: 0.0}, _words("round pointed square open")),
    Attribute("strap", {A: 0.0}, _words("none short long chain adjustable")),
    Attribute("hardware", {A: 0.0}, _words("none gold silver black")),
    Attribute("shape", {A: 0.0, H: 0.0}, _words("round square oval rectangular irregular mixed")),
    Attribute("set_size", {H: 0.0, B: 0.0}, ("1", "2", "3", "4", "6")),
    Attribute("finish", {H: 0.0, B: 0.0}, _words("matt glossy satin raw metallic")),
    Attribute("volume_ml", {B: 0.0}, ("15", "30", "50", "75", "100", "200", "400")),
    Attribute("age_group", {C: 0.0, S: 0.0}, _words("adult teen child baby"), zipf=1.5),
    Attribute("care", {C: 0.0, H: 0.0}, _words("machine_30 machine_40 hand dry_clean wipe none")),
    Attribute("warranty", {A: 0.0, H: 0.0}, ("12", "24", "36")),
    Attribute("packaging", EVERYWHERE, _words("box bag paper none")),
    Attribute(
        "country",
        EVERYWHERE,
        _words("china turkey italy portugal india vietnam france spain poland germany morocco"),
    ),
    Attribute("collection_year", EVERYWHERE, ("2026", "2025", "2024"), zipf=1.0),
    Attribute("weight_class", EVERYWHERE, _words("light middle heavy bulky")),
)


@dataclass(frozen=True)
class Trait:
    """A change in somebody's life: first views of `views` categories, later purchases of `buys`."""

    name: str
    share: float
    views: tuple[str, ...]
    buys: tuple[str, ...]
    browse_days: int
    buy_days: int
    cycle_days: int


TRAITS = (
    Trait("expecting_child", 0.75, ("babywear", "prams"), ("babywear", "prams"), 14, 14, 100),
    Trait("taking_up_running", 0.4, ("sportswear", "hats"), ("running_shoes",), 12, 12, 100),
    Trait("moving_house", 0.4, ("bedding", "lighting", "storage"), ("rugs",), 14, 12, 100),
)
