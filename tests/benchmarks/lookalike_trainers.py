"""Trainers of the look-alike factor on the same rows, each with our buyer factor and calibrator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

from tasks.lookalikes.calibration import fit_calibrator
from tasks.lookalikes.classifier import Array, Codes, chosen_ridge, fit_classifier
from tasks.lookalikes.judgement import auc_of, calibration_metrics
from tasks.lookalikes.model import product_log_odds
from tests.benchmarks.measure import Bench

Matrix = Any
LogOdds = Callable[[Matrix], Array]
SMOOTHED = 20.0


@dataclass(frozen=True)
class Rows:
    """The columns of some people, and what they then did."""

    x: Matrix
    y: Array


@dataclass(frozen=True)
class Trial:
    """What a trainer is given, and what judges it.

    `person` is a code per customer of `learnt`, `shares` are each column's of the penalty, `buyer`
    gives the log-odds of buying anything.
    """

    learnt: Rows
    person: Codes
    shares: Array
    buyer: LogOdds
    calibration: Rows
    judged: Rows


Trainer = Callable[[Trial], LogOdds]


def logistic(trial: Trial) -> LogOdds:
    """Ours: regularised logistic regression, its ridge by cross-validation over customers."""
    return _logistic(trial, trial.shares)


def plain(trial: Trial) -> LogOdds:
    """The same with one penalty for all columns."""
    return _logistic(trial, np.ones(len(trial.shares)))


def _logistic(trial: Trial, shares: Array) -> LogOdds:
    x, y = trial.learnt.x, trial.learnt.y
    return fit_classifier(x, y, chosen_ridge(x, y, trial.person, shares), shares).log_odds


def boosted(trial: Trial) -> LogOdds:
    """CatBoost on the same sparse columns."""
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(
        iterations=150,
        depth=4,
        learning_rate=0.05,
        l2_leaf_reg=10,
        thread_count=2,
        random_seed=1,
        verbose=0,
        allow_writing_files=False,
    ).fit(trial.learnt.x.astype(np.float32), trial.learnt.y.astype(int))
    return lambda rows: model.predict(rows.astype(np.float32), prediction_type="RawFormulaVal")


def naive_bayes(trial: Trial) -> LogOdds:
    """Smoothed naive Bayes on who has a value at all: sums of log ratios of shares."""
    x, y = trial.learnt.x, trial.learnt.y
    seen, rate = (x > 0).astype(np.float64), y.mean()
    everybody = np.asarray(seen.sum(axis=0)).ravel()
    theirs = np.asarray(seen[y > 0].sum(axis=0)).ravel()
    usual = (everybody + 1) / (len(y) + 2)
    among = (theirs + SMOOTHED * usual) / (y.sum() + SMOOTHED)
    others = (everybody - theirs + SMOOTHED * usual) / (len(y) - y.sum() + SMOOTHED)
    ratios = np.log(among / others)
    prior = np.log(rate / (1 - rate))
    return lambda rows: prior + np.asarray((rows > 0).astype(np.float64) @ ratios).ravel()


TRAINERS: dict[str, Trainer] = {
    "logistic": logistic,
    "one penalty": plain,
    "catboost": boosted,
    "naive_bayes": naive_bayes,
}


@dataclass(frozen=True)
class Judgement:
    """Probabilities of the judged people, seconds of CPU and megabytes that fitting took."""

    p: Array
    seconds: float
    megabytes: float


def tried(trainer: Trainer, trial: Trial) -> Judgement:
    """Fit, calibrate and score with one trainer."""
    started = time.process_time()
    with most_held() as held:
        seeding = trainer(trial)
    seconds = time.process_time() - started

    def odds(rows: Rows) -> Array:
        return product_log_odds(seeding(rows.x), trial.buyer(rows.x))

    calibrator = fit_calibrator(odds(trial.calibration), trial.calibration.y)
    return Judgement(calibrator.probability(odds(trial.judged)), seconds, max(held) / (1 << 20))


@contextmanager
def most_held() -> Iterator[list[float]]:
    """Watch how many more bytes the process holds than when the body began."""
    process, done = psutil.Process(), Event()
    before = process.memory_info().rss
    held = [0.0]

    def watch() -> None:
        while not done.wait(0.005):
            held.append(process.memory_info().rss - before)

    thread = Thread(target=watch)
    thread.start()
    yield held
    done.set()
    thread.join()


def note_probabilities(bench: Bench, name: str, p: Array, y: Array, more: str = "") -> None:
    """Record how good probabilities are."""
    told = calibration_metrics(p, y)
    bench.note(
        **{
            name: f"log loss {told['log_loss']:.5f}, AP {average_precision(p, y):.4f},"
            f" AUC {area(p, y)}, Brier skill {told['brier_skill']:+.4f},"
            f" slope {told['calibration_slope']:.2f}, O/E {told['observed_to_expected']:.2f}{more}"
        }
    )


def note_order(bench: Bench, name: str, score: Array, y: Array) -> None:
    """Record how good an order is."""
    bench.note(**{name: f"AP {average_precision(score, y):.4f}, AUC {area(score, y)}"})


def area(score: Array, y: Array) -> str:
    """Return the area under the ROC curve with its interval."""
    auc = auc_of(score, y)
    return f"{auc.value:.4f} [{auc.low:.4f}, {auc.high:.4f}]"


def average_precision(score: Array, y: Array) -> float:
    """Return the mean precision at each positive; ties count in their mean order."""
    order = np.argsort(-score, kind="stable")
    _, tie = np.unique(-score[order], return_inverse=True)
    hits, size = np.bincount(tie, y[order]), np.bincount(tie)
    precision = np.cumsum(hits) / np.cumsum(size)
    return float((precision * hits).sum() / max(y.sum(), 1))


def lift_at(score: Array, y: Array, share: float) -> float:
    """Return how many more than usual of the first `share` did it; ties count in their mean."""
    wanted = share * len(y)
    order = np.argsort(-score, kind="stable")
    _, tie = np.unique(-score[order], return_inverse=True)
    hits, size = np.bincount(tie, y[order]), np.bincount(tie)
    before = np.cumsum(size) - size
    taken = np.clip((wanted - before) / size, 0, 1)
    return float((taken * hits).sum() / wanted / y.mean())


def lift_interval(
    score: Array, y: Array, share: float, person: Codes, draws: int = 200
) -> tuple[float, float, float]:
    """Return the lift with its 95% interval, by a bootstrap over people (codes from 0)."""
    generator, rows = np.random.default_rng(0), _rows_of(person)
    found = []
    for _ in range(draws):
        who = np.concatenate([rows[place] for place in generator.integers(0, len(rows), len(rows))])
        if y[who].any():
            found.append(lift_at(score[who], y[who], share))
    low, high = np.quantile(found, [0.025, 0.975])
    return lift_at(score, y, share), float(low), float(high)


def _rows_of(person: Codes) -> list[Codes]:
    order = np.argsort(person, kind="stable")
    return np.split(order, np.cumsum(np.bincount(person))[:-1])
