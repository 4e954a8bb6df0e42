"""The shops of one world judged together: a table of people by segment, and its figures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from tasks import columns as c
from tasks.errors import QualityGateFailed
from tasks.lookalikes.classifier import Array, Codes
from tasks.lookalikes.people import IS_POSITIVE, eligible_people
from tasks.lookalikes.registry import segments
from tasks.lookalikes.scoring import score_people
from tasks.lookalikes.training import ANCHOR, Lessons, fitted, lessons, matrix_of
from tasks.settings import Lookalikes
from tests.benchmarks.lookalike_figures import (
    Order,
    captured_told,
    losses,
    observed_told,
    order_told,
    probabilities_told,
    rise,
    slope_told,
    told,
    weights_of,
)
from tests.benchmarks.lookalike_shops import SCORED_DAY, Life, Lived, by_rule, judged_later, labels
from tests.benchmarks.lookalike_trainers import OURS, TRAINERS, Judgement, Rows, Trial, tried
from tests.benchmarks.lookalike_truth import Truth
from tests.benchmarks.measure import Bench

DID, TRUE, SHOP, PERSON, CEILING, WRITTEN = "did", "true", "shop", "person", "ceiling", "written"
RULE, ACTIVE = "rule", "most active"
Columns = dict[str, Array | pl.Series]
LOSSES = {DID: "log loss above ours", TRUE: "expected log loss above ours"}


@dataclass
class Judge:
    """What is found over the shops of a world.

    Attributes:
        compares: whether trainers are compared.
        scores: whether what the task writes is judged.
        rows: a frame a shop and segment, of the judged people: `lookalike_segment, shop, user_id,
            did, true` and a column for each probability or order that is asked for.
        runs: of each trainer, by segment.
        verdicts: of the task, by segment.
    """

    compares: bool
    scores: bool
    rows: list[pl.DataFrame] = field(default_factory=list)
    runs: dict[tuple[str, str], list[Judgement]] = field(default_factory=lambda: defaultdict(list))
    verdicts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, life: Life) -> None:
        """Judge every segment of a shop."""
        truth = Truth(life)
        for name, segment in segments().items():
            shop = judged_later(life.lake, segment)
            people = shop.people.select(
                pl.lit(name).alias(c.LOOKALIKE_SEGMENT),
                pl.lit(life.name).alias(SHOP),
                c.USER_ID,
                pl.Series(DID, labels(shop.people)),
            )
            columns = self._found(name, shop, truth, life.lake.settings.lookalikes)
            self.rows.append(people.with_columns(pl.Series(*item) for item in columns.items()))

    def _found(self, name: str, shop: Lived, truth: Truth, options: Lookalikes) -> Columns:
        """Return the columns of one shop's segment."""
        trial, found = trial_of(shop, options), self._written(name, shop, options)
        if (true := truth.of(name, shop.people, SCORED_DAY)) is not None:
            found[TRUE] = true
            if trial and self.scores:
                found[CEILING] = truth.ceiling(name, trial.lessons).log_odds(trial.judged.x)
        return found | (self._compared(name, shop, trial) if trial and self.compares else {})

    def _written(self, name: str, shop: Lived, options: Lookalikes) -> Columns:
        """Return the probabilities that the task writes, where it writes some."""
        if not self.scores:
            return {}
        try:
            scored = score_people(shop.plan, shop.evidence, options)
        except QualityGateFailed:
            self.verdicts[name].append("failed")
            return {}
        self.verdicts[name].append(str(scored.card["verdict"][0]))
        people = shop.people.join(scored.scores, on=c.USER_ID, how="left", maintain_order="left")
        return {WRITTEN: people[c.PROBABILITY]} if scored.scores.height else {}

    def _compared(self, name: str, shop: Lived, trial: Trial) -> Columns:
        """Return every trainer's probabilities, and the orders beside them."""
        found: Columns = {}
        for trainer, train in TRAINERS.items():
            run = tried(train, trial)
            self.runs[name, trainer].append(run)
            found[trainer] = run.p
        most = shop.views / (shop.views.max() + 1)
        return {**found, RULE: by_rule(shop) + most, ACTIVE: most}

    def note(self, bench: Bench, world: str) -> None:
        """Record all figures of the world."""
        person = pl.struct(SHOP, c.USER_ID).rank("dense").cast(pl.Int64) - 1
        rows = pl.concat(self.rows, how="diagonal").with_columns(person.alias(PERSON))
        for name, verdicts in self.verdicts.items():
            bench.note(**{f"{world}/{name}/verdicts": ", ".join(verdicts)})
        for (name,), mine in rows.group_by(c.LOOKALIKE_SEGMENT, maintain_order=True):
            if (scored := _having(mine, WRITTEN)).height:
                note_quality(bench, f"{world}/{name}", scored)
            if (tried_on := _having(mine, OURS)).height:
                self._note_trainers(bench, world, str(name), tried_on)
        if (tried_on := _having(_having(rows, OURS), TRUE)).height:
            note_rises(bench, world, tried_on)

    def _note_trainers(self, bench: Bench, world: str, name: str, rows: pl.DataFrame) -> None:
        did = _numbers(rows, DID)
        for trainer in TRAINERS:
            runs = self.runs[name, trainer]
            seconds, most = (np.mean([run.seconds for run in runs]), max(r.megabytes for r in runs))
            good = probabilities_told(_numbers(rows, trainer), did)
            bench.note(**{f"{world}/{name}/{trainer}": f"{good}, {seconds:.1f} s, {most:.0f} MB"})
        for order in (RULE, ACTIVE):
            bench.note(**{f"{world}/{name}/{order}": order_told(_numbers(rows, order), did)})


def _having(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows that have something there; none without the column."""
    return rows.drop_nulls(column) if column in rows.columns else rows.clear()


def _numbers(rows: pl.DataFrame, name: str) -> Array:
    found: Array = rows[name].to_numpy()
    return found


def _codes(rows: pl.DataFrame) -> Codes:
    codes: Codes = rows[PERSON].to_numpy()
    return codes


def note_quality(bench: Bench, title: str, rows: pl.DataFrame) -> None:
    """Record how true the written probabilities are, and what their order captures.

    A draw by lot has no truth to follow: its probabilities hardly differ, and have no slope.
    """
    p, did = (_numbers(rows, name) for name in (WRITTEN, DID))
    figures = {
        WRITTEN: probabilities_told(p, did),
        "observed_to_expected": observed_told(p, did),
    }
    if (known := _having(rows, CEILING)).height:
        p, did, true = (_numbers(known, name) for name in (WRITTEN, DID, TRUE))
        figures["slope"] = slope_told(p, did, _codes(known))
        figures["slope by the truth"] = slope_told(p, true, _codes(known))
        shops = known.partition_by(SHOP, maintain_order=True)
        orders = [Order(*(_numbers(m, name) for name in (WRITTEN, CEILING, TRUE))) for m in shops]
        figures["captured"] = captured_told(orders)
    bench.note(**{f"{title}/{name}": figure for name, figure in figures.items()})


def note_rises(bench: Bench, world: str, rows: pl.DataFrame) -> None:
    """Record by how much each trainer's log loss is above ours, the segments' means added up."""
    people = int(_codes(rows).max()) + 1
    tables = rows.partition_by(c.LOOKALIKE_SEGMENT, maintain_order=True)
    for what, title in LOSSES.items():
        for trainer in (name for name in TRAINERS if name != OURS):
            draws = [_risen(mine, trainer, what, people) for mine in tables]
            bench.note(**{f"{world}/{title}/{trainer}": told(np.sum(draws, axis=0), "+.5f")})


def _risen(rows: pl.DataFrame, trainer: str, what: str, people: int) -> Array:
    theirs, ours = (losses(_numbers(rows, name), _numbers(rows, what)) for name in (trainer, OURS))
    return rise(theirs, ours, weights_of(_codes(rows), people))


def trial_of(shop: Lived, options: Lookalikes) -> Trial | None:
    """Return what trainers are given of a shop; None where there is too little to learn from."""
    plan, features = shop.plan, shop.evidence.features
    people = {anchor: _eligible(shop, anchor) for anchor in plan.anchors[1:]}
    positives = sum(int(people[anchor][IS_POSITIVE].sum()) for anchor in plan.training)
    later = people[plan.calibration][IS_POSITIVE].sum()
    if positives < options.min_seeds or not later or not shop.people[IS_POSITIVE].any():
        return None
    trained = {anchor: people[anchor] for anchor in plan.training}
    learnt = lessons(plan.segment.rule, trained, features, options, 0)
    calibration = _rows(shop, people[plan.calibration], plan.calibration, learnt)
    judged = _rows(shop, shop.people, SCORED_DAY, learnt)
    return Trial(learnt, fitted(learnt), calibration, judged)


def _eligible(shop: Lived, anchor: date) -> pl.DataFrame:
    evidence = shop.evidence
    known = evidence.known[anchor]
    return eligible_people(known, evidence.seeds, evidence.purchases, anchor, shop.plan.segment)


def _rows(shop: Lived, people: pl.DataFrame, anchor: date, learnt: Lessons) -> Rows:
    dated = people.with_columns(pl.lit(anchor).alias(ANCHOR))
    return Rows(matrix_of(dated, shop.evidence.features, learnt.columns), labels(people))
