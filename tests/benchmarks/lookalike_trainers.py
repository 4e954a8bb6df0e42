"""Trainers of the look-alike factor on the same rows, each with our buyer factor and calibrator.

Which is the default, and why: `tasks/lookalikes/training.py`.
"""

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
from tasks.lookalikes.classifier import Array, chosen_ridge, fit_classifier
from tasks.lookalikes.model import Model, product_log_odds
from tasks.lookalikes.training import Lessons

Matrix = Any
LogOdds = Callable[[Matrix], Array]
SMOOTHED = 20.0
THREADS = 2
CATBOOST = {
    "iterations": 150,
    "depth": 3,
    "learning_rate": 0.05,
    "l2_leaf_reg": 10,
    "thread_count": THREADS,
    "random_seed": 1,
    "verbose": 0,
    "allow_writing_files": False,
}
XGBOOST = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 3,
    "eta": 0.05,
    "reg_lambda": 10,
    "min_child_weight": 5,
    "subsample": 0.7,
    "colsample_bynode": 0.3,
    "nthread": THREADS,
    "seed": 1,
}
XGBOOST_TREES = 100
"""Sizes of both boosters were chosen in a shop of development, where more or deeper trees lose."""


@dataclass(frozen=True)
class Rows:
    """The columns of some people, and what they then did."""

    x: Matrix
    y: Array


@dataclass(frozen=True)
class Trial:
    """What a trainer is given, and what judges it; `model` is the task's own."""

    lessons: Lessons
    model: Model
    calibration: Rows
    judged: Rows


Trainer = Callable[[Lessons], LogOdds]


def logistic(learnt: Lessons) -> LogOdds:
    """Ours: regularised logistic regression, its ridge by cross-validation over customers."""
    return _logistic(learnt, learnt.shares)


def plain(learnt: Lessons) -> LogOdds:
    """The same with one penalty for all columns."""
    return _logistic(learnt, np.ones(len(learnt.shares)))


def _logistic(learnt: Lessons, shares: Array) -> LogOdds:
    x, y = learnt.seeding_x, learnt.seeding.labels
    return fit_classifier(x, y, chosen_ridge(x, y, learnt.persons, shares), shares).log_odds


def catboosted(learnt: Lessons) -> LogOdds:
    """CatBoost on the same sparse columns."""
    from catboost import CatBoostClassifier

    x, y = learnt.seeding_x.astype(np.float32), learnt.seeding.labels.astype(int)
    model = CatBoostClassifier(**CATBOOST).fit(x, y)
    return lambda rows: model.predict(rows.astype(np.float32), prediction_type="RawFormulaVal")


def xgboosted(learnt: Lessons) -> LogOdds:
    """XGBoost on the same sparse columns; what somebody has not looked at is missing."""
    from xgboost import DMatrix, train

    given = DMatrix(learnt.seeding_x.astype(np.float32), learnt.seeding.labels)
    booster = train(XGBOOST, given, XGBOOST_TREES)

    def log_odds(rows: Matrix) -> Array:
        odds = booster.predict(DMatrix(rows.astype(np.float32)), output_margin=True)
        return np.asarray(odds, np.float64)

    return log_odds


def naive_bayes(learnt: Lessons) -> LogOdds:
    """Smoothed naive Bayes on who has a value at all: sums of log ratios of shares."""
    x, y = learnt.seeding_x, learnt.seeding.labels
    seen, rate = (x > 0).astype(np.float64), y.mean()
    everybody = np.asarray(seen.sum(axis=0)).ravel()
    theirs = np.asarray(seen[y > 0].sum(axis=0)).ravel()
    usual = (everybody + 1) / (len(y) + 2)
    among = (theirs + SMOOTHED * usual) / (y.sum() + SMOOTHED)
    others = (everybody - theirs + SMOOTHED * usual) / (len(y) - y.sum() + SMOOTHED)
    ratios = np.log(among / others)
    prior = np.log(rate / (1 - rate))
    return lambda rows: prior + np.asarray((rows > 0).astype(np.float64) @ ratios).ravel()


OURS = "logistic"
TRAINERS: dict[str, Trainer] = {
    OURS: logistic,
    "one penalty": plain,
    "catboost": catboosted,
    "xgboost": xgboosted,
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
        seeding = trainer(trial.lessons)
    seconds = time.process_time() - started

    def odds(rows: Rows) -> Array:
        return product_log_odds(seeding(rows.x), trial.model.buyer.log_odds(rows.x))

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
