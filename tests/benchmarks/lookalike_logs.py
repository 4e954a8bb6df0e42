"""Look-alikes on public logs (VITRINA_REAL_DATA): who buys it next?

Windows as in the shop: features end a day before the anchor; a horizon each for training,
calibration and the days that judge, none overlapping. Both factors, ridge and calibrator are the
task's own.

online_retail   a gift shop's purchases; a family of products is a word of their descriptions. Who
                buys of it in the next 28 days; who has before may be asked for, since a gift shop
                lives on repeats. One model a family
alibaba_brand   860 people are too few for a model a brand: one model over pairs of a person and one
                of the 20 brands with most buyers, who knows how much of what the person did was on
                that brand and when last; bought in the next 14 days
dunnhumby       215 households that redeemed coupons: pairs of a household and one of 4 departments,
                in the same way; a coupon of it redeemed in the next 42 days

Lift at 10% (of the retail log at 1, 5 and 10%) with 95% intervals by a bootstrap over people,
beside most active people and the simple rule (who bought or looked at the family before, the most
active first); and by how much the model's lift is above the rule's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.lookalikes.classifier import Array, Codes
from tasks.lookalikes.counters import held
from tasks.lookalikes.registry import Rule, Segment
from tasks.lookalikes.scoring import Evidence, score_people
from tasks.lookalikes.windows import plan_of
from tasks.settings import Lookalikes, Settings
from tests.benchmarks.lookalike_figures import lift_above_told, lift_told, order_told
from tests.benchmarks.measure import Bench

OPTIONS = Lookalikes(min_seeds=10, min_support=10, max_columns=600)
BUCKETS = (0, *(2**power - 1 for power in range(1, 12)))
BUCKET_NAMES = tuple(pl.Series([1.5 * 2**n for n in range(11)]).cut(list(BUCKETS)).cast(pl.String))
GRADES = {"activity": (5, 20, 80, 320), "mine": (1, 4)}
OWN = Rule("mine", (*BUCKET_NAMES, *(f"about {half} and more" for half in GRADES["mine"])))
NOTHING = 5
"""Acts of nothing that a share counts, as in `lookalike_features`."""
PAIR = "/"
MODEL, RULE, ACTIVE = "model", "rule", "most active"


@dataclass(frozen=True)
class Log:
    """What people did, and when they did what is asked for.

    Attributes:
        acts: `user_id, day, attribute, value`.
        target: `user_id, day, family`.
        families: what is asked for, each a value of `attribute`.
        attribute: what tells families apart.
        horizon: days of the target.
        window: days of the features.
        shares: of the people, at which lift is told.
        pairs: whether one model asks for all families at once.
    """

    acts: pl.DataFrame
    target: pl.DataFrame
    families: tuple[str, ...]
    attribute: str
    horizon: int
    window: int
    shares: tuple[float, ...] = (0.1,)
    pairs: bool = True


@dataclass(frozen=True)
class Judged:
    """Orders of people, or of pairs, by name; what they then did; a code per person."""

    scores: dict[str, Array]
    y: Array
    person: Codes


def online_retail(folder: Path) -> Log:
    """Return a gift shop's purchases by words of the description, material and colour."""
    families = ("BAG", "LIGHT", "CAKE", "CHRISTMAS")
    lines = pl.read_parquet(folder / "online_retail" / "transactions.parquet").filter(
        pl.col("Quantity") > 0, pl.col("CustomerID").is_not_null()
    )
    user, day = pl.col("CustomerID").cast(pl.String).alias(c.USER_ID), pl.col("InvoiceDate")
    words = lines.select(
        user,
        day.dt.date().alias("day"),
        pl.col("Description").str.extract_all(r"[A-Z]{3,}").list.unique().alias(c.VALUE),
    ).explode(c.VALUE)
    acts = words.drop_nulls().unique().with_columns(pl.lit("word").alias(c.ATTRIBUTE))
    target = acts.filter(pl.col(c.VALUE).is_in(families)).rename({c.VALUE: "family"})
    return Log(acts, target, families, "word", 28, 120, (0.01, 0.05, 0.1), pairs=False)


def alibaba_brand(folder: Path) -> Log:
    """Return clicks, favourites, carts and purchases of brands."""
    events = pl.read_parquet(folder / "alibaba_brand" / "events.parquet").select(
        pl.col("user_id").cast(pl.String),
        pl.col("date").alias("day"),
        pl.col("brand_id").cast(pl.String).alias(c.VALUE),
        "event",
    )
    bought = events.filter(pl.col("event") == "buy")
    counts = bought.group_by(c.VALUE).agg(pl.col(c.USER_ID).n_unique().alias("n"))
    most = counts.sort("n", c.VALUE, descending=[True, False]).head(20)[c.VALUE]
    acts = events.unique().with_columns(pl.lit("brand").alias(c.ATTRIBUTE)).drop("event")
    target = bought.rename({c.VALUE: "family"}).drop("event").unique()
    return Log(acts, target, tuple(most), "brand", 14, 28)


def dunnhumby(folder: Path) -> Log:
    """Return baskets by department, category and manufacturer, and coupons by department."""
    here = folder / "dunnhumby"
    products = pl.read_parquet(here / "products.parquet")
    coupons = pl.read_parquet(here / "coupons.parquet").join(products, on="product_id")
    of = coupons.group_by("coupon_upc").agg(pl.col("department").mode().sort().first())
    redeemed = pl.read_parquet(here / "coupon_redemptions.parquet").join(of, on="coupon_upc")
    target = redeemed.select(
        pl.col("household_id").alias(c.USER_ID),
        pl.col("redemption_date").alias("day"),
        pl.col("department").cast(pl.String).alias("family"),
    )
    baskets = pl.read_parquet(here / "transactions_sample.parquet").join(products, on="product_id")
    described = baskets.select(
        pl.col("household_id").alias(c.USER_ID),
        pl.col("transaction_timestamp").dt.date().alias("day"),
        *(pl.col(name).cast(pl.String) for name in ("department", "product_category")),
    )
    acts = described.unpivot(
        index=[c.USER_ID, "day"], variable_name=c.ATTRIBUTE, value_name=c.VALUE
    )
    counts = target.group_by("family").len().sort("len", "family", descending=[True, False])
    families = tuple(counts["family"].head(4))
    return Log(acts.drop_nulls(), target.unique(), families, "department", 42, 80)


LOGS = {"online_retail": online_retail, "alibaba_brand": alibaba_brand, "dunnhumby": dunnhumby}


def note_public_logs(bench: Bench, settings: Settings) -> None:
    """Record each log's figures, or why there are none."""
    for name, read in LOGS.items():
        if settings.real_data is None or not (settings.real_data / name).exists():
            bench.note(**{name: f"left out: VITRINA_REAL_DATA holds no {name}"})
            continue
        log = read(settings.real_data)
        for family in ("pairs",) if log.pairs else log.families:
            _note(bench, f"{name}/{family.lower()}", log, judged(log, family))


def _note(bench: Bench, name: str, log: Log, found: Judged | str) -> None:
    if isinstance(found, str):
        bench.note(**{name: found})
        return
    for order, score in found.scores.items():
        lifts = [lift_told(score, found.y, share, found.person) for share in log.shares]
        bench.note(**{f"{name}/{order}": ", ".join([order_told(score, found.y), *lifts])})
    mine, rule = found.scores[MODEL], found.scores[RULE]
    above = [lift_above_told(mine, rule, found.y, share, found.person) for share in log.shares]
    bench.note(**{f"{name}/{MODEL} above {RULE}": ", ".join(above)})
    people = len(np.unique(found.person))
    bench.note(**{f"{name}/positives": f"{found.y.sum():.0f} of {len(found.y)}, {people} people"})


def judged(log: Log, family: str) -> Judged | str:
    """Return the orders of people by who does it in the last horizon, or why there are none."""
    acted, asked = (rows["day"].unique().to_list() for rows in (log.acts, log.target))
    first, day = min(acted), min(max(acted), max(asked)) - timedelta(days=log.horizon)
    # Who did it a day ago may do so again: repeats are what is asked for.
    segment = Segment("asked", "bench", family, 1, 1, log.horizon, False, OWN)
    plan = plan_of(segment, day, first, log.window // 2, training_anchors=3)
    about = {anchor: _about(log, plan.feature_day(anchor), family) for anchor in plan.anchors}
    seeds = _seeds(log, family)
    before = pl.col("day") <= day
    evidence = Evidence(
        features={anchor: held(_features(rows)) for anchor, rows in about.items()},
        known={anchor: rows.select(c.USER_ID) for anchor, rows in about.items()},
        seeds=seeds.filter(before),
        purchases=_purchases(log).filter(before),
    )
    scored = score_people(plan, evidence, OPTIONS)
    if scored.scores.is_empty():
        return str(scored.card[c.REASON][0])
    people = scored.scores.join(about[day], on=c.USER_ID, maintain_order="left")
    after = seeds.filter(~before)[c.USER_ID].unique()
    activity = people["activity"].to_numpy().astype(np.float64)
    scores = {
        MODEL: people[c.PROBABILITY].to_numpy(),
        RULE: (people["mine"] > 0).to_numpy() + activity / (activity.max() + 1),
        ACTIVE: activity,
    }
    y = people[c.USER_ID].is_in(after.implode()).cast(pl.Float64).to_numpy()
    person = people[c.USER_ID].str.split(PAIR).list.first().rank("dense").cast(pl.Int64) - 1
    return Judged(scores, y, person.to_numpy())


def _paired(log: Log, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows once for each family, `user_id` a pair where the log asks for pairs."""
    families = pl.DataFrame({"family": log.families})
    pair = pl.concat_str(c.USER_ID, "family", separator=PAIR).alias(c.USER_ID)
    return rows.join(families, how="cross").with_columns(pair)


def _seeds(log: Log, family: str) -> pl.DataFrame:
    if not log.pairs:
        mine = log.target.filter(pl.col("family") == family)
        return mine.select(c.USER_ID, "day").unique()
    pair = pl.concat_str(c.USER_ID, "family", separator=PAIR).alias(c.USER_ID)
    return log.target.filter(pl.col("family").is_in(log.families)).select(pair, "day").unique()


def _purchases(log: Log) -> pl.DataFrame:
    bought = log.acts.select(c.USER_ID, "day").unique()
    return _paired(log, bought).drop("family") if log.pairs else bought


def _about(log: Log, day: date, family: str) -> pl.DataFrame:
    """Return `user_id` of everybody who did something in the window that ends the day before.

    With `activity, recency` of all acts, `mine, mine_recency` of those on the family, and `values`,
    a list of `attribute, value, share`.
    """
    since = day - timedelta(days=log.window)
    acts = log.acts.filter(pl.col("day") >= since, pl.col("day") < day)
    counted = acts.group_by(c.USER_ID, c.ATTRIBUTE, c.VALUE).len("acts")
    share = pl.col("acts") / (pl.col("acts").sum().over(c.USER_ID, c.ATTRIBUTE) + NOTHING)
    told = (
        counted.with_columns(share.alias("share"))
        .group_by(c.USER_ID)
        .agg(pl.struct(c.ATTRIBUTE, c.VALUE, "share").alias("values"))
    )
    asked = pl.DataFrame({c.USER_ID: acts[c.USER_ID].unique()}).join(told, on=c.USER_ID)
    everybody = acts.group_by(c.USER_ID).agg(_size("activity"), _age("recency", day))
    mine = acts.filter(pl.col(c.ATTRIBUTE) == log.attribute).group_by(c.USER_ID, c.VALUE)
    own = mine.agg(_size("mine"), _age("mine_recency", day)).rename({c.VALUE: "family"})
    pairs = _paired(log, asked.join(everybody, on=c.USER_ID)) if log.pairs else None
    if pairs is None:
        one = own.filter(pl.col("family") == family).drop("family")
        rows = asked.join(everybody, on=c.USER_ID).join(one, on=c.USER_ID, how="left")
    else:
        rows = pairs.drop("family").join(_as_pairs(own), on=c.USER_ID, how="left")
    return rows.with_columns(pl.col("mine").fill_null(0))


def _as_pairs(own: pl.DataFrame) -> pl.DataFrame:
    pair = pl.concat_str(c.USER_ID, "family", separator=PAIR).alias(c.USER_ID)
    return own.select(pair, "mine", "mine_recency")


def _size(name: str) -> pl.Expr:
    return pl.len().cast(pl.Int64).alias(name)


def _age(name: str, day: date) -> pl.Expr:
    return (pl.lit(day) - pl.col("day").max()).dt.total_days().alias(name)


def _features(about: pl.DataFrame) -> pl.DataFrame:
    """Return LOOKALIKE_FEATURES rows: shares of values, and sizes in buckets and graded."""
    shares = about.select(c.USER_ID, "values").explode("values").unnest("values")
    names = ("activity", "recency", "mine", "mine_recency")
    sizes = about.unpivot(names, index=c.USER_ID, variable_name=c.ATTRIBUTE, value_name="size")
    cut = pl.col("size").cast(pl.Float64).cut(list(BUCKETS)).cast(pl.String).alias(c.VALUE)
    buckets = sizes.drop_nulls().select(c.USER_ID, c.ATTRIBUTE, cut, pl.lit(1.0).alias("share"))
    graded = [_graded(about, name, half) for name, halves in GRADES.items() for half in halves]
    return pl.concat([shares, buckets, *graded])


def _graded(about: pl.DataFrame, name: str, half: int) -> pl.DataFrame:
    return about.filter(pl.col(name) > 0).select(
        c.USER_ID,
        pl.lit(name).alias(c.ATTRIBUTE),
        pl.lit(f"about {half} and more").alias(c.VALUE),
        (pl.col(name) / (pl.col(name) + half)).alias("share"),
    )
