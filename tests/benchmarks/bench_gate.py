"""What the gate says of models that must not go live, and of some that may: `make bench-gate`.

Each case is a night on small drawn lists (`tests/ranking.py`), tampered with in one way, and judged
by the nightly task's own code: trial, bootstrap, gate, refit; with the settings of `SMALL`, since
so few rows make a refit that correlates less than 0.95. Printed: the case, the verdict, how many
days were held out in the end, the gate's own sentence. Beside it how much of the labels has to leak
before the gain is above what the gains of `USUAL_DAYS` other nights allow, by lists a day.

Then a slow decline: for `NIGHTS` nights each new model loses `DECLINE` of the first one's NDCG@60.
The interval's width decides. By the rules alone, for an interval that lies evenly about the loss:

    a step of loss s passes                   where -s - width / 2 > -margin
    a loss of l since 14 days ago is refused  where -l + width / 2 <= -margin; wider: undecided

And lived: successive models differ by shared noise in their scores, lists are fresh every night,
what does not pass does not go live; a line per number of customers held out, who make the width.
One day is held out, without the pooling of days that an undecided night would try.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

from tasks import columns as c  # noqa: E402
from tasks.lake.tables import ALIAS_MOVES, GATE_DECISIONS  # noqa: E402
from tasks.ranker import evaluation as ev  # noqa: E402
from tasks.ranker.gate import (  # noqa: E402
    Comparison,
    Decision,
    Evidence,
    decide,
    highest_expected_gain,
)
from tasks.ranker.history import LIVE_AGO  # noqa: E402
from tasks.ranker.measure import Interval, ndcg_by_group, paired_gains, tie_breaks  # noqa: E402
from tasks.ranker.trial import Known, limits_of, tried  # noqa: E402
from tasks.ranker.verdict import Past, Verdict  # noqa: E402
from tasks.ranker.verdict import judged as judged_night  # noqa: E402
from tasks.settings import Ranker, Settings  # noqa: E402
from tests.benchmarks.measure import Bench  # noqa: E402
from tests.ranking import LAST, drawn_groups  # noqa: E402
from tests.rows import rows  # noqa: E402

DAY = LAST + timedelta(days=1)
MIDNIGHT = time(tzinfo=UTC)
PER_DAY = 240
TINY, USUAL_DAYS = 20, 14
SLIGHT = 0.5
LISTS, LEAKS = (240, 960), (0.25, 0.5)
NIGHTS, DECLINE = 20, 0.003
CUSTOMERS = (100, 300, 1_000, 10_000)
CALIBRATED_ON = 20_000
NOISES = np.linspace(0.0, 2.5, 26)
WIDTHS = (0.002, 0.005, 0.006, 0.01, 0.02, 0.04, 0.054, 0.056, 0.08)
SMALL = {"iterations": 60, "learning_rate": 0.1, "bootstraps": 500, "refit_correlation": 0.8}
Groups = pl.DataFrame
Tampered = Callable[[Groups, Settings], Verdict | None]

NOTHING = Past(
    pl.DataFrame(schema=GATE_DECISIONS.stored_schema),
    pl.DataFrame(schema=ALIAS_MOVES.stored_schema),
)


def honest(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge the groups as they are; no model was accepted before."""
    return judged_night(groups.lazy(), DAY, NOTHING, settings)


def shuffled_labels(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a model of labels that lie on other rows; the held-out day keeps its own."""
    is_old = pl.col(c.LISTING_DAY) < LAST
    old = groups.filter(is_old)
    noise = old.with_columns(old[c.LABEL].shuffle(seed=3), pl.lit(False).alias("is_measured"))
    return honest(pl.concat([noise, groups.filter(~is_old)]), settings)


def leaked_label(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a model that finds the label among its features."""
    leak = pl.col(c.LABEL).cast(pl.Float32).alias("pair_carts_30")
    return honest(groups.with_columns(leak), settings)


def slight_leak(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a model that finds some of the labels, after two weeks of usual gains."""
    usual = honest(groups, settings)
    assert usual is not None
    past = [
        remembered(usual, [DAY - timedelta(days=ago)], is_registered=False, gain=gain).decisions
        for ago, gain in enumerate(usual_gains(PER_DAY, settings), 1)
    ]
    leak = leaked(groups, SLIGHT).lazy()
    return judged_night(leak, DAY, Past(pl.concat(past), NOTHING.moves), settings)


def leaked(groups: Groups, share: float) -> Groups:
    """Return the groups with the labels of a share of their rows among the features."""
    is_leaked = pl.col("tie").str.slice(0, 4) < f"{int(share * 16**4):04x}"
    leak = pl.when(is_leaked).then(c.LABEL).otherwise(0).cast(pl.Float32).alias("pair_carts_30")
    return groups.with_columns(tie_breaks(groups)).with_columns(leak).drop("tie")


def usual_gains(per_day: int, settings: Settings) -> list[float]:
    """Return the gains over `sf_pos` of nights on other lists of the same kind."""
    nights = (drawn_groups(seed, per_day=per_day) for seed in range(1, USUAL_DAYS + 1))
    return [gain_of(groups, settings) for groups in nights]


def gain_of(groups: Groups, settings: Settings) -> float:
    """Return a night's gain over `sf_pos`."""
    return tried(groups.lazy(), [LAST], (), Known(), settings).evidence.gain


def tie(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge the twin of the accepted model."""
    frozen = groups.with_columns(pl.col("is_trained") & (pl.col(c.LISTING_DAY) < LAST))
    first = honest(frozen, settings)
    assert first is not None
    return judged_night(frozen.lazy(), DAY, remembered(first, [DAY - timedelta(days=1)]), settings)


def missing_incumbent(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a night whose accepted model is gone from the registry."""
    first = honest(groups, settings)
    assert first is not None
    seen = LAST - timedelta(days=5)
    gone = remembered(first, [DAY - timedelta(days=1)], model_version="77", trained_through=seen)
    return judged_night(groups.lazy(), DAY, gone, settings)


def tiny_day(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a night whose held-out day, and the days before it, have few customers."""
    is_few = pl.col(c.USER_ID) < f"u{TINY:02d}"
    return honest(groups.with_columns(pl.col("is_measured") & is_few), settings)


def quiet_day(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a night whose newest day alone has few customers."""
    is_few = (pl.col(c.USER_ID) < f"u{TINY:02d}") | (pl.col(c.LISTING_DAY) < LAST)
    return honest(groups.with_columns(pl.col("is_measured") & is_few), settings)


def one_feature(groups: Groups, settings: Settings) -> Verdict | None:
    """Judge a model whose carts follow one honest feature and nothing else."""
    random = np.random.default_rng(4)
    brand = groups["facet_brand"].to_numpy()
    carts = random.random(groups.height) < 1 / (1 + np.exp(-(9 * brand - 8)))
    alone = groups.with_columns(
        pl.Series(c.LABEL, carts.astype(np.int64)), log_examination=pl.lit(0.0)
    )
    return honest(alone, settings)


CASES: dict[str, Tampered] = {
    "nothing is wrong, no model before": honest,
    "shuffled labels": shuffled_labels,
    "leaked label": leaked_label,
    f"label leaked into {SLIGHT:.0%} of rows": slight_leak,
    "tie with the accepted model": tie,
    "accepted model lost": missing_incumbent,
    f"{TINY} customers on each held-out day": tiny_day,
    f"{TINY} customers on the newest day alone": quiet_day,
    "one feature carries everything": one_feature,
}


def remembered(verdict: Verdict, days: Sequence[date], **otherwise: object) -> Past:
    """Return a past in which the same was decided on each of these days, but for what is told."""
    decided = {
        "model_version": verdict.number,
        "decision": verdict.decision.verdict,
        "trained_through": verdict.trained_through,
        "is_registered": verdict.number is not None,
        "gain": verdict.trial.evidence.gain,
        "customers": verdict.trial.evidence.customers,
        **otherwise,
    }
    past = [
        rows(GATE_DECISIONS, {**decided, "decided_at": datetime.combine(day, MIDNIGHT)})
        .with_columns(dt=pl.lit(day))
        .select(GATE_DECISIONS.stored_schema.names())
        for day in days
    ]
    return Past(pl.concat(past), NOTHING.moves)


def case(tampered: Tampered) -> Verdict:
    """Return what the gate says of a case, in a registry of its own."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = tampered(drawn_groups(per_day=PER_DAY), small(Path(folder)))
    assert verdict is not None
    return verdict


def small(home: Path) -> Settings:
    """Return the settings of a night on few lists."""
    options = Ranker.model_validate(SMALL)
    return Settings(home=home, mlflow_url="", min_free_gb=0, ranker=options)


@dataclass(frozen=True)
class Night:
    """A night of the decline: its decision, and its comparison with each live model."""

    number: int
    decision: Decision
    comparisons: dict[str, Comparison]


def lists_of(customers: int, seed: int) -> pl.DataFrame:
    """Return held-out lists, one a customer, with what is right and what is noise in a score."""
    lists = drawn_groups(seed, days=1, per_day=customers)
    noise = np.random.default_rng([seed, customers]).standard_normal(lists.height)
    return lists.with_columns(
        pl.col(c.GROUP_ID).alias(c.USER_ID),
        tie_breaks(lists),
        (6 * pl.col("facet_brand") + 2 * pl.col(c.SF_POS)).cast(pl.Float64).alias("right"),
        pl.Series("noise", noise),
    )


def noises_of(losses: Sequence[float], lists: pl.DataFrame) -> list[float]:
    """Return how much noise loses each share of NDCG@60 on the lists.

    Raises:
        ValueError: more is to be lost than the strongest noise of `NOISES` loses.
    """
    ndcg = np.array([mean_ndcg(lists, noise) for noise in NOISES])
    # Slight noise may gain by luck; each loss is that of the least noise which loses as much.
    lost, first = np.unique(np.maximum.accumulate(1 - ndcg / ndcg[0]), return_index=True)
    if max(losses) > lost[-1]:
        raise ValueError(f"noise {NOISES[-1]} loses {lost[-1]:.1%} only, not {max(losses):.1%}")
    return [float(noise) for noise in np.interp(losses, lost, NOISES[first])]


def mean_ndcg(lists: pl.DataFrame, noise: float) -> float:
    """Return NDCG@60 of a score with this much noise."""
    scored = lists.with_columns(noisy(noise).alias(c.SCORE))
    return float(ndcg_by_group(scored, [c.SCORE], Ranker().cutoff)[c.SCORE].to_numpy().mean())


def noisy(noise: float) -> pl.Expr:
    """Return the score of a model with this much noise."""
    return pl.col("right") + noise * pl.col("noise")


def declined(customers: int, noises: Sequence[float]) -> list[Night]:
    """Return the nights of a decline; `noises` are of the first model, then of each night's new."""
    live, nights = [0], list[Night]()
    for number in range(1, len(noises)):
        rivals = {ev.INCUMBENT: live[-1]}
        if number >= LIVE_AGO.days:
            rivals[ev.LIVE_BEFORE] = live[number - LIVE_AGO.days]
        nights.append(night(number, lists_of(customers, 100 + number), noises, rivals))
        live.append(number if nights[-1].decision.verdict == "pass" else live[-1])
    return nights


def night(
    number: int, lists: pl.DataFrame, noises: Sequence[float], rivals: dict[str, int]
) -> Night:
    """Return the gate's decision on one night's new model."""
    options = Ranker()
    models = {ev.RANKER: number, **rivals}
    scored = lists.with_columns(noisy(noises[m]).alias(name) for name, m in models.items())
    others = [*rivals, c.SF_POS]
    ndcg = ndcg_by_group(scored, [ev.RANKER, *others], options.cutoff)
    gains = paired_gains(ndcg, ev.RANKER, others, options.bootstraps, seed=number)
    found = {
        name: Comparison(name, gain, -options.margin if name in rivals else 0.0)
        for name, gain in gains.items()
    }
    evidence = Evidence(ndcg.height, tuple(found.values()), gains[c.SF_POS].value)
    return Night(number, decide(evidence, limits_of(options)), found)


def told(nights: Sequence[Night]) -> str:
    """Return a decline in words: steps that passed, who stopped it when and at which width."""
    passed = [one for one in nights if one.decision.verdict == "pass"]
    steps = f"{len(passed)} of {len(nights)} steps pass"
    widths = " and ".join(width_of(name, nights) for name in (ev.INCUMBENT, ev.LIVE_BEFORE))
    stopped = next((one for one in nights if one.decision.verdict == "refused"), None)
    if stopped is None:
        return f"never refused; {steps}; {widths}"
    return f"refused on night {stopped.number}: {stopped.decision.reason} {steps}; {widths}"


def width_of(name: str, nights: Sequence[Night]) -> str:
    """Return how wide the intervals against a model were, and what they said."""
    found = [one.comparisons[name] for one in nights if name in one.comparisons]
    margin = Ranker().margin
    verdicts = [one.verdict(margin) for one in found]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    width = float(np.median([one.gain.high - one.gain.low for one in found]))
    return f"against {name}: width {width:.4f}, {counts}"


def limits(first: float) -> dict[str, float]:
    """Return the widths that decide on a decline from an NDCG@60 of `first`."""
    step, margin = DECLINE * first, Ranker().margin
    return {
        "a step passes below": 2 * (margin - step),
        "14 steps are refused up to": 2 * (LIVE_AGO.days * step - margin),
    }


def at_width(loss: float, width: float) -> str:
    """Return the verdict on a loss in an even interval of this width."""
    margin = Ranker().margin
    gain = Interval(-loss, -loss - width / 2, -loss + width / 2)
    return Comparison(ev.LIVE_BEFORE, gain, -margin).verdict(margin)


def note_cases(bench: Bench) -> None:
    """Print and record what the gate says of every case."""
    for name, tampered in CASES.items():
        found = case(tampered)
        verdict, days = found.decision.verdict, len(found.trial.days)
        print(f"{name} | {verdict} | {days} held out | {found.decision.reason}", flush=True)
        bench.note(**{name: verdict})


def note_leaks(bench: Bench) -> None:
    """Print and record the gains of leaks beside the highest that past days allow."""
    settings = small(Path())
    for per_day in LISTS:
        usual = usual_gains(per_day, settings)
        allowed = highest_expected_gain(usual, settings.ranker.too_good_mads)
        for share in LEAKS:
            gain = gain_of(leaked(drawn_groups(per_day=per_day), share), settings)
            said = f"gain {gain:+.4f}, past days allow {allowed:+.4f}"
            print(f"{per_day} lists a day, {share:.0%} of labels leaked | {said}", flush=True)
            bench.note(**{f"leak/{per_day} lists a day/{share:.0%} of rows": said})


def note_widths(bench: Bench, first: float) -> None:
    """Print and record what each width of the interval lets the gate say of the decline."""
    for name, width in limits(first).items():
        bench.note(**{f"decline/{name} a width of": round(width, 4)})
    step = DECLINE * first
    for width in WIDTHS:
        one, fourteen = at_width(step, width), at_width(LIVE_AGO.days * step, width)
        print(f"width {width} | a step of {step:.4f}: {one} | 14 steps: {fourteen}", flush=True)
        bench.note(**{f"decline/width {width}": f"step {one}, 14 steps {fourteen}"})


def note_decline(bench: Bench, noises: Sequence[float]) -> None:
    """Print and record how the decline is lived with more and more customers."""
    for customers in CUSTOMERS:
        name, said = f"decline/{customers:,} customers", told(declined(customers, noises))
        print(f"{name} | {said}", flush=True)
        bench.note(**{name: said})


def main() -> None:
    """Print what the gate says of every case, one a line, then of the decline."""
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(message)s", stream=sys.stderr)
    bench = Bench("gate")
    note_cases(bench)
    note_leaks(bench)
    wide = lists_of(CALIBRATED_ON, seed=0)
    note_widths(bench, mean_ndcg(wide, 0.0))
    note_decline(bench, noises_of([DECLINE * number for number in range(NIGHTS + 1)], wide))
    bench.finish()


if __name__ == "__main__":
    main()
