"""Settings: defaults in code, then `VITRINA_*` variables; frozen, every number bounded.

A nested one is written with two underscores: `VITRINA_TRAINING__LAST_DAYS=2`.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic_settings
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import VitrinaError

PREFIX = "VITRINA_"
LOGIN = re.compile(r"(?<=://)[^/@\s]*@")
SECRETS: dict[str, Any] = {
    "alert_webhook": True,
    "search": {"login"},
    "mailings": {"webhook_token"},
}
ItemColumn = Literal["category_group", "category", "brand", "colour", "size", "seller_id"]
UserColumn = Literal["gender", "birth_year", "city"]
# Blanks are no words.
Words = Annotated[str, StringConstraints(strip_whitespace=True)]


class SettingsError(VitrinaError):
    """A `VITRINA_*` variable that names no setting, or whose value is not allowed."""


class Section(BaseModel):
    """The settings of one module."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(Section):
    """Which days train models."""

    last_days: int = Field(
        1, ge=1, le=60, description="how many of the last complete landing days train"
    )
    force: bool = Field(False, description="train this day although a newer one supersedes it")


class Retries(Section):
    """How long Airflow waits before it tries a task again."""

    count: int = Field(9, ge=0, le=100, description="tries after the first one")
    input_minutes: float = Field(20, gt=0, le=1440, description="wait for an absent input")
    short_seconds: float = Field(
        60, gt=0, le=3600, description="wait where another run, a server or a restart is at work"
    )


class LandingRules(Section):
    """How ingest treats deliveries."""

    duplicate_days: int = Field(
        7, ge=0, le=60, description="earlier deliveries searched for the same event_id"
    )
    max_events_per_hour: int = Field(
        2000, ge=10, le=100_000, description="acts in an hour that no person reaches"
    )
    max_events_per_day: int = Field(
        5000, ge=10, le=1_000_000, description="acts in a delivery that no person reaches"
    )
    max_late_days: int = Field(
        30, ge=1, le=365, description="events older than this when received are set aside"
    )
    max_clock_ahead_seconds: int = Field(
        300, ge=0, le=86_400, description="how far a device's clock may run ahead of ours"
    )


class Features(Section):
    """Counters, lags, sequences."""

    sequence_length: int = Field(
        50, ge=2, le=500, description="last items kept per user, newest last"
    )
    sequence_days: int = Field(
        90, ge=30, le=400, description="days of events that sequences are made from"
    )
    prior_events: int = Field(
        20, ge=1, le=10_000, description="pseudo-events that pull rates to the mean"
    )


class Segments(Section):
    """User segments and their scores."""

    gendered_acts: int = Field(
        3, ge=1, le=1000, description="acts on items for women or men that tell whom one shops for"
    )
    affinity: float = Field(
        0.7, gt=0.5, le=1, description="share of such acts that makes an affinity"
    )
    sleeping_days: int = Field(14, ge=1, le=29, description="days without an act: sleeping")
    new_days: int = Field(
        7, ge=1, le=29, description="first act of the last 30 days fewer days ago than this: new"
    )
    active_acts: int = Field(
        3, ge=1, le=1000, description="fewer acts in 30 days than this: still new"
    )
    max_position: int = Field(
        200, ge=10, le=10_000, description="deeper positions count as this one"
    )
    min_explored_clicks: int = Field(
        200,
        ge=10,
        le=1_000_000,
        description="fewer clicks on explored slots than this: examination from all clicks",
    )
    prior_shown: float = Field(
        1000.0, gt=0, le=1e7, description="pseudo-impressions that pull a platform to all platforms"
    )
    prior_category_examined: float = Field(
        1000.0, gt=0, le=1e7, description="pseudo-impressions that pull a category to the shop"
    )
    prior_item_examined: float = Field(
        30.0, gt=0, le=1e6, description="pseudo-impressions that pull an item to its category"
    )
    prior_examined: float = Field(
        1000.0,
        gt=0,
        le=1e6,
        description="pseudo-impressions that pull a segment to what its taste is expected to like",
    )
    model: Literal["logistic", "boosted", "rates"] = Field(
        "logistic", description="what a taste is expected to put into its cart"
    )


class Facets(Section):
    """User facets and facet weights."""

    window_days: int = Field(30, ge=1, le=90, description="days of events behind a preference")
    half_life_days: float = Field(
        14.0, gt=0, le=365, description="age at which an event counts half"
    )
    view_weight: int = Field(1, ge=0, le=1000, description="what a view counts")
    favorite_weight: int = Field(3, ge=0, le=1000, description="what a favorite counts")
    cart_weight: int = Field(5, ge=0, le=1000, description="what a cart counts")
    order_weight: int = Field(10, ge=0, le=1000, description="what an order counts")
    prior_weight: float = Field(
        5.0, ge=0, le=1000, description="weight that pulls preferences of who has done little to 0"
    )
    top_values: int = Field(
        10, ge=1, le=100, description="values kept per user, category group and attribute"
    )
    fit_days: int = Field(14, ge=1, le=60, description="listing days behind the weights")
    negative_share: float = Field(
        0.1, gt=0, le=1, description="share of shown items without a cart that are fitted"
    )
    min_carts: int = Field(50, ge=10, le=100_000, description="fewer carts than this: no weights")
    ridge: float = Field(1.0, gt=0, le=1000, description="penalty on coefficients of unit spread")
    blocks: int = Field(400, ge=50, le=10_000, description="blocks of customers that are resampled")
    bootstraps: int = Field(
        200, ge=20, le=5000, description="resamples of customers behind an interval"
    )


class Boost(Section):
    """What facets may add to a search's base score, and no more."""

    method: Literal["within-listing", "logistic"] = Field(
        "within-listing", description="whose facet weights are used"
    )
    max_clauses: int = Field(
        50, ge=1, le=1000, description="attribute values in a query, the heaviest"
    )
    max_share: float = Field(
        0.4, ge=0, le=0.9, description="largest share of an item's score that facets may be"
    )
    top: int = Field(60, ge=1, le=1000, description="first items whose overlap is bounded")
    min_overlap: float = Field(
        0.5, ge=0, le=1, description="share of the unboosted first items that stay among them"
    )


class Search(Section):
    """The search engine: OpenSearch or Elasticsearch by its address."""

    url: str | None = Field(
        None,
        pattern="^(https?://.+)?$",
        description="address of the search engine; empty: there is none",
    )
    login: SecretStr | None = Field(None, description="user:password, where it asks for one")
    alias: str = Field(
        "items", pattern=r"^[a-z][a-z0-9_]*$", description="name under which searches find items"
    )
    size: int = Field(300, ge=1, le=10_000, description="items that a search returns")
    bulk_rows: int = Field(2000, ge=1, le=100_000, description="items sent at once")
    replicas: int = Field(0, ge=0, le=10, description="further copies of the index")
    timeout_seconds: float = Field(60, gt=0, le=3600, description="longest wait for an answer")


class Lookalikes(Section):
    """Look-alike audiences."""

    min_seeds: int = Field(
        50, ge=10, le=10_000, description="fewer positives than this: too few, no threshold"
    )
    window_days: int = Field(14, ge=1, le=90, description="days of acts behind the features")
    history_days: int = Field(
        7, ge=1, le=90, description="days of that window that a training anchor needs at least"
    )
    training_anchors: int = Field(4, ge=1, le=26, description="past days trained on, at most")
    min_support: int = Field(
        20, ge=1, le=10_000, description="people of the training anchors that a value needs"
    )
    max_columns: int = Field(5000, ge=10, le=100_000, description="values used, best supported")
    training_people: int = Field(
        300_000,
        ge=1000,
        le=10_000_000,
        description="people of the training anchors that a factor learns from, at most",
    )
    wide_recall: float = Field(
        0.6, gt=0, le=1, description="share of buyers that the wide suggestion reaches"
    )
    contact_price: float | None = Field(
        None, ge=0, le=1e6, description="price of reaching one person; gives cost per buyer"
    )

    @model_validator(mode="after")
    def _history_lies_in_the_window(self) -> Self:
        if self.history_days > self.window_days:
            raise ValueError(
                f"history_days {self.history_days} is more than window_days {self.window_days}"
            )
        return self


class Mailings(Section):
    """Audiences of mailings, and what mailings brought."""

    segment: str = Field("", description="look-alike segment that is asked for; a run's own")
    mailing: str = Field("", description="name of the mailing; a run's own")
    deliver_to: str = Field(
        "file", description="file, or one of the webhooks, which gets the audience too; a run's own"
    )
    threshold: float | None = Field(
        None, description="least probability of who is written to; a person's answer"
    )
    audience_size: int | None = Field(
        None, description="how many people, the most probable, instead of a threshold"
    )
    chosen_by: str = Field("", description="who chose, as Airflow knows them")
    chosen_at: datetime | None = Field(None, description="when; empty: when it is written down")
    respondents: tuple[str, ...] = Field(
        (), description="ids of the users who may choose; empty: whoever may run the DAG"
    )
    answer_hours: float = Field(
        48, gt=0, le=720, description="wait for an answer; then nothing is sent"
    )
    control_share: float = Field(
        0.1, ge=0, le=0.5, description="share of an audience that gets no letter, for comparison"
    )
    cap_letters: int = Field(
        2, ge=1, le=1000, description="who got this many letters in cap_days gets no further one"
    )
    cap_days: int = Field(7, ge=1, le=90, description="days of the frequency cap")
    export_folder: Path | None = Field(
        None, description="folder of exported audiences; default: exports below home"
    )
    export_format: Literal["csv", "parquet"] = Field("csv", description="form of the exported file")
    webhooks: tuple[str, ...] = Field(
        (), description="addresses that an audience may be posted to, https or of this machine"
    )
    webhook_token: SecretStr | None = Field(None, description="bearer token for the webhooks")
    bootstraps: int = Field(
        1000, ge=100, le=100_000, description="resamples of people behind the interval of Qini"
    )


class Discovery(Section):
    """How many times generators count what shows discovery, beside its weight."""

    long_view_seconds: float = Field(
        30.0, gt=0, le=86_400, description="a view at least this long is a long one"
    )
    long_view: int = Field(1, ge=1, le=100, description="times that a long view counts")
    favorite: int = Field(1, ge=1, le=100, description="times that a favourite counts")
    new_category: int = Field(
        1, ge=1, le=100, description="times that a customer's first day in a category counts"
    )


class PassedOver(Section):
    """What users were shown, examined and passed over, as negatives of SASRec."""

    share: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="share of negatives' weight that users passed over; 0: none is read",
    )
    days: int = Field(
        14, ge=1, le=90, description="days in which an item was shown and not touched"
    )
    least_examined: float = Field(
        0.3,
        gt=0,
        le=1,
        description="an impression counts where P(examined) of its position is at least this",
    )


class PopularOptions(Section):
    """Generator `popular`."""

    half_life_days: float = Field(
        7.0, gt=0, le=365, description="age at which an interaction counts half"
    )
    city_prior: float = Field(
        1000.0, gt=0, le=1e6, description="weight of what sells everywhere in a city's shares"
    )


class EaseOptions(Section):
    """Generator `ease`."""

    regularisation: float = Field(100.0, gt=0, le=1e6, description="added to the diagonal of X'X")
    half_life_days: float = Field(
        14.0, gt=0, le=3650, description="age at which an interaction counts half"
    )
    max_items: int = Field(
        8000,
        ge=10,
        le=40_000,
        description="most touched items that take part; memory 16 bytes x its square",
    )


class LightFMOptions(Section):
    """Generator `lightfm`."""

    width: int = Field(32, ge=2, le=512, description="numbers in an embedding")
    epochs: int = Field(10, ge=1, le=500, description="passes over the interactions")
    learning_rate: float = Field(0.05, gt=0, le=1, description="first step of Adagrad")
    item_alpha: float = Field(1e-6, ge=0, le=1, description="L2 penalty on item features")
    max_sampled: int = Field(
        10, ge=1, le=1000, description="negatives tried per positive before WARP gives up"
    )


class NeighbourOptions(Section):
    """Generator `item_neighbours`."""

    reach: int = Field(
        10, ge=1, le=200, description="interactions this far apart count; so many last ones ask"
    )
    half_life_days: float = Field(
        14.0, gt=0, le=3650, description="age at which an interaction counts half"
    )
    neighbours: int = Field(100, ge=1, le=10_000, description="similar items kept per item")


class NewItemOptions(Section):
    """Generator `new_items`."""

    max_touches: int = Field(
        5, ge=1, le=10_000, description="an item with fewer interactions is new"
    )
    half_life_days: float = Field(
        14.0, gt=0, le=3650, description="age at which an interaction counts half"
    )


class SASRecOptions(Section):
    """Generator `sasrec`."""

    width: int = Field(
        32, ge=4, le=1024, description="numbers in an embedding; a multiple of heads"
    )
    length: int = Field(50, ge=2, le=1000, description="items in a window")
    horizon: int = Field(
        50, ge=1, le=1000, description="the target is one of this many next items; 1: the next"
    )
    blocks: int = Field(1, ge=1, le=16, description="transformer blocks")
    heads: int = Field(1, ge=1, le=16, description="attention heads per block")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of activations dropped in training")
    epochs: int = Field(1, ge=1, le=1000, description="passes over the windows")
    min_steps: int = Field(
        100, ge=1, le=10**6, description="a small shop gets epochs until it has had these steps"
    )
    batch: int = Field(32, ge=1, le=4096, description="windows in a step")
    learning_rate: float = Field(5e-3, gt=0, le=1, description="step of Adam")
    features: bool = Field(True, description="add the embeddings of an item's features to its own")
    item_vectors: Literal["free", "projected", "frozen"] = Field(
        "free",
        description="learned, a learned projection of the features' content, or that content",
    )
    actions: Literal["untold", "input", "views"] = Field(
        "untold", description="every action alike, told apart at the input, or views alone"
    )
    time: bool = Field(False, description="attention knows how long lies between two interactions")
    interests: int = Field(
        1, ge=1, le=16, description="learned vectors a customer; an item's score is its largest"
    )
    shift: float = Field(
        1.0, ge=0, le=2, description="how far serving moves biases to the last 7 days' popularity"
    )
    threads: int = Field(
        1, ge=1, le=64, description="torch's threads; two on busy cores wait for each other"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="what trains; the CPU always serves")
    full_softmax_items: int = Field(
        20_000, ge=0, le=10**7, description="largest catalogue with a full softmax"
    )
    loss: Literal["softmax", "gbce", "cosine"] = Field(
        "softmax",
        description="cross-entropy, gSASRec's generalised binary one, or SimpleX's cosine contrast",
    )
    negatives: int = Field(
        512,
        ge=1,
        le=100_000,
        description="shared negatives of a batch above that, and of gbce and cosine",
    )
    negatives_by: Literal["uniform", "popular", "mixed"] = Field(
        "uniform", description="what is drawn as a negative; what the draw prefers is undone"
    )
    calibration: float = Field(
        0.75, ge=0, le=1, description="t of gbce; 0: plain binary cross-entropy"
    )
    margin: float = Field(
        0.4, ge=-1, lt=1, description="cosine of a negative below which the cosine loss lets it be"
    )
    push: float = Field(
        10.0, gt=0, le=10_000, description="weight of the negatives' mean in the cosine loss"
    )
    patience: int = Field(
        0,
        ge=0,
        le=1000,
        description="epochs without a better validation, then it ends; 0: takes all",
    )
    parent: str = Field(
        "",
        pattern=r"^\d*$",
        description="version of candidates_sasrec in MLflow to start from; empty: from nothing",
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class Candidates(Section):
    """Candidate generators."""

    generators: tuple[str, ...] = Field(
        ("popular", "ease", "lightfm", "sasrec"),
        min_length=1,
        description="generators of the registry that train every night, in the order of ties",
    )
    union_shares: tuple[float, ...] = Field(
        (), description="shares of the measured union, one a generator; empty: all alike"
    )
    k: int = Field(100, ge=1, le=1000, description="candidates kept per user and generator")
    max_age_days: int = Field(14, ge=1, le=60, description="oldest candidates a reader accepts")
    min_sources: int = Field(
        2, ge=1, le=20, description="generators with candidates below which a day is refused"
    )
    min_interactions: int = Field(
        500, ge=1, le=10**9, description="fewer than this: nothing is fitted"
    )
    history_days: int = Field(
        60, ge=1, le=400, description="days of events that generators learn from"
    )
    holdout_days: int = Field(3, ge=1, le=28, description="last days kept from the evaluated fit")
    min_fit_days: int = Field(
        3, ge=1, le=90, description="days before the holdout below which nothing is evaluated"
    )
    active_days: int = Field(
        60, ge=1, le=400, description="a user with an interaction in these days gets candidates"
    )
    bootstraps: int = Field(
        200, ge=20, le=10_000, description="resamples of users behind an interval"
    )
    view_weight: int = Field(1, ge=0, le=1000, description="weight of a view; 0 leaves views out")
    favorite_weight: int = Field(2, ge=0, le=1000, description="weight of a favourite")
    cart_weight: int = Field(3, ge=0, le=1000, description="weight of a cart")
    order_weight: int = Field(4, ge=0, le=1000, description="weight of an order")
    discovery: Discovery = Discovery()
    passed_over: PassedOver = PassedOver()
    debias: float = Field(
        0.0, ge=0, le=1, description="power of popularity that ease, lightfm and sasrec take off"
    )
    stratified_power: float = Field(
        0.5, ge=0, le=1, description="power of popularity that the stratified metrics divide by"
    )
    interests: int = Field(
        1,
        ge=1,
        le=20,
        description="category groups of a history that each ask for a part of the list",
    )
    sampled_share: float = Field(
        0.0, ge=0, le=0.5, description="share of a list's places that chance fills, by score"
    )
    sampled_depth: int = Field(
        300, ge=1, le=10_000, description="deepest rank that chance may bring up"
    )
    sampled_temperature: float = Field(
        1.0,
        ge=0.1,
        le=100,
        description="SDs of score that make an item e times as likely; more: more even",
    )
    repeatable: tuple[str, ...] = Field(
        ("beauty",), description="category groups whose items are bought again"
    )
    item_features: tuple[ItemColumn, ...] = Field(
        ("category_group", "category", "brand", "colour"),
        description="columns of items that generators use",
    )
    user_features: tuple[UserColumn, ...] = Field(
        ("gender", "city"), description="columns of customers that generators use"
    )
    repeats_half_life_days: float = Field(
        14.0, gt=0, le=365, description="half-life of the yardstick own_repeats"
    )
    popular: PopularOptions = PopularOptions()
    ease: EaseOptions = EaseOptions()
    lightfm: LightFMOptions = LightFMOptions()
    sasrec: SASRecOptions = SASRecOptions()
    item_neighbours: NeighbourOptions = NeighbourOptions()
    new_items: NewItemOptions = NewItemOptions()

    @property
    def shares(self) -> dict[str, float]:
        """The share of the union's places by generator, in the order of ties."""
        alike = (1.0,) * len(self.generators)
        return dict(zip(self.generators, self.union_shares or alike, strict=True))

    @property
    def publishes_plain_lists(self) -> bool:
        """Whether what is written is what a generator ranks, without interests and chance."""
        return self.interests == 1 and self.sampled_share == 0

    @model_validator(mode="after")
    def _each_generator_has_a_share(self) -> Self:
        shares, names = self.union_shares, self.generators
        if shares and (len(shares) != len(names) or min(shares) <= 0):
            raise ValueError(
                f"union_shares {list(shares)} are not one above 0 for each of {', '.join(names)}"
            )
        return self


class Ranker(Section):
    """Ranking groups, the model and its gate."""

    listing_days: int = Field(17, ge=1, le=60, description="listing days of training groups")
    groups_per_platform: int = Field(
        100, ge=1, le=1_000_000, description="training groups per platform and listing day"
    )
    negatives_kept: float = Field(
        0.2, gt=0, le=1, description="share of negatives kept in training rows"
    )
    measured_groups: int = Field(
        5000, ge=1, le=1_000_000, description="whole lists kept of each day that may be held out"
    )
    held_out_days: int = Field(
        4, ge=1, le=4, description="most listing days held out together when one is undecided"
    )
    cutoff: int = Field(60, ge=1, le=1000, description="k of NDCG@k")
    bootstraps: int = Field(1000, ge=100, le=100_000, description="resamples of customers")
    iterations: int = Field(120, ge=1, le=10_000, description="trees")
    depth: int = Field(4, ge=1, le=10, description="depth of a tree")
    permutations: int = Field(
        5, ge=1, le=100, description="orders YetiRank draws per tree and group"
    )
    learning_rate: float = Field(0.07, gt=0, le=1, description="step of boosting")
    shap_rows: int = Field(2000, ge=10, le=1_000_000, description="rows that SHAP explains")
    margin: float = Field(0.005, ge=0, le=0.1, description="NDCG@60 loss that the gate calls a tie")
    min_customers: int = Field(
        30, ge=1, le=100_000, description="fewer held-out customers with a cart: undecided"
    )
    past_gains: int = Field(28, ge=7, le=365, description="last gains that say what is too good")
    too_good_mads: float = Field(
        6.0, ge=1, le=100, description="MADs above which a gain is too good"
    )
    too_good_share: float = Field(
        0.9, gt=0, le=1, description="share of |SHAP| that no single feature may reach"
    )
    diversity_low: float = Field(
        0.7, ge=0, le=1, description="least diversity of the top against the base order"
    )
    price_low: float = Field(0.75, ge=0, le=1, description="least price of the top, as above")
    price_high: float = Field(1.33, ge=1, le=10, description="highest price of the top, as above")
    refit_correlation: float = Field(
        0.95,
        ge=0,
        le=1,
        description="rank correlation that the refit must have with the judged model",
    )
    accept_reason: Words = Field(
        "", description="why a model that is too good may pass, for one run only; recorded"
    )
    rollback_reason: Words = Field(
        "", description="why the live model goes back one version, for one run only; recorded"
    )
    model_name: str = Field("ranker", pattern=r"^[a-z][a-z_]*$", description="registered model")


class Settings(BaseSettings):
    """All that a run may be told: paths default below `home`, secrets come from variables only."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        validate_default=True,
    )

    home: Path = Field(Path(".vitrina"), description="folder that every default path lies in")
    landing_folder: Path | None = Field(
        None, description="landing files; default: landing below home"
    )
    lake_url: str | None = Field(
        None, description="folder or object-store URL of the lake; default: lake below home"
    )
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="what runs the SQL")
    spark_master: str = Field("local[2]", description="Spark master, when the engine is spark")
    spark_driver_host: str = Field(
        "127.0.0.1", description="name under which Spark's workers reach the process that asks them"
    )
    seed: int = Field(7, ge=0, le=2**31 - 1, description="root of every model's seed")
    threads: int = Field(
        2, ge=1, le=64, description="threads of engines and trainers; part of a fitted result"
    )
    memory_gb: float = Field(4.0, gt=0.1, le=4096, description="memory the SQL engine may take")
    min_free_gb: float = Field(
        0.5, ge=0, le=4096, description="free disk below which nothing is written"
    )
    accept_row_counts: bool = Field(
        False, description="write days with far fewer or more rows than the days before"
    )
    accept_data_checks: bool = Field(
        False, description="count days with a data check outside its hard band"
    )
    mlflow_url: str | None = Field(
        None,
        description="MLflow server or sqlite; default: sqlite below home; empty: not tracked",
    )
    alert_webhook: SecretStr | None = Field(
        None, description="address that gets every alert as JSON"
    )
    real_data: Path | None = Field(
        None, description="folder of public data; only tests and benchmarks read it"
    )
    code_version: str = Field("unversioned", description="what code ran; make and the image set it")

    training: Training = Training()
    retries: Retries = Retries()
    landing_rules: LandingRules = LandingRules()
    features: Features = Features()
    segments: Segments = Segments()
    facets: Facets = Facets()
    boost: Boost = Boost()
    search: Search = Search()
    lookalikes: Lookalikes = Lookalikes()
    mailings: Mailings = Mailings()
    candidates: Candidates = Candidates()
    ranker: Ranker = Ranker()

    @field_validator("landing_folder", "lake_url", "alert_webhook", "real_data", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        # A compose file passes what nobody gave as an empty text.
        return None if value == "" else value

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 (pydantic's own signature)
        """Read defaults, then variables, then `values`.

        Raises:
            SettingsError: names the variable, its value and what is allowed.
        """
        _refuse_unknown(type(self))
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_complaint(error)) from None
        except pydantic_settings.SettingsError as error:
            raise SettingsError(_unreadable(error)) from None

    @property
    def landing(self) -> Path:
        """The folder with one `dt=YYYY-MM-DD` folder per day of receipt."""
        return self.landing_folder or self.home / "landing"

    @property
    def lake(self) -> str:
        """The lake's folder or URL, without a slash at its end."""
        return (self.lake_url or str(self.home / "lake")).rstrip("/")

    @property
    def reports(self) -> Path:
        """Where result pages are written: beside the tables, or below home if they are remote."""
        return (self.home / "lake" if "://" in self.lake else Path(self.lake)) / "reports"

    @property
    def exports(self) -> Path:
        """Where audiences are exported to."""
        return self.mailings.export_folder or self.home / "exports"

    @property
    def tracking_url(self) -> str:
        """MLflow's address; empty when nothing is tracked."""
        return (
            f"sqlite:///{self.home.resolve()}/mlflow.db"
            if self.mlflow_url is None
            else self.mlflow_url
        )

    def logged(self) -> dict[str, str]:
        """Every setting but secrets, flat, for MLflow and the ledger's hash."""
        told = _flat(self.model_dump(mode="json", exclude=SECRETS))
        return {name: without_login(value) for name, value in told}


def without_login(text: str) -> str:
    """Return the text with `user:password@` taken out of its URLs."""
    return LOGIN.sub("", text)


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in tree.items():
        pairs += (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else [(prefix + name, str(value))]
        )
    return pairs


def variables(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> dict[str, Any]:
    """Return the field behind each `VITRINA_*` variable."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found |= variables(kind, f"{prefix}{name.upper()}__")
        else:
            found[prefix + name.upper()] = field
    return found


def _refuse_unknown(model: type[BaseModel]) -> None:
    known = variables(model)
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, 1)
            hint = (
                f"; did you mean {near[0]}?" if near else "; `python -m tasks settings` lists them"
            )
            raise SettingsError(f"{name} is not a setting{hint}")


def shown_default(field: Any) -> str:  # noqa: ANN401 (pydantic's FieldInfo)
    """Return the default as a variable would hold it; empty where there is none."""
    if field.default in (None, ""):
        return ""
    return json.dumps(field.default) if isinstance(field.default, tuple) else str(field.default)


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    places = [str(part).upper() for part in first["loc"] if isinstance(part, str)]
    name = PREFIX + "__".join(places)
    if first["type"] == "value_error":  # fields that do not fit together
        return f"{name}__*: {first['ctx']['error']}"
    return f"{name}={first['input']!r} is not allowed: {first['msg']}"


def _unreadable(error: pydantic_settings.SettingsError) -> str:
    """Name the variable that should hold JSON: the library names only the field."""
    lists = [name for name, field in variables().items() if isinstance(field.default, tuple)]
    broken = [name for name in lists if not _is_json(os.environ.get(name, "[]"))]
    told = "; ".join(
        f"{name}={os.environ[name]!r} is not allowed: want JSON, such as"
        f" {shown_default(variables()[name])}"
        for name in broken
    )
    return told or str(error)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
