"""A segment's calibrated model as files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks.lookalikes.calibration import Calibrator
from tasks.lookalikes.classifier import Classifier
from tasks.lookalikes.matrix import KEY
from tasks.lookalikes.model import Calibrated, Model
from tasks.stored import Arrays, Facts, read_state, write_state

FACTORS = ("seed", "buyer")


def save(calibrated: Calibrated, folder: Path) -> None:
    """Write the columns, both factors and the calibrator into an existing folder."""
    model, calibrator = calibrated.model, calibrated.calibrator
    factors = dict(zip(FACTORS, (model.seed, model.buyer), strict=True))
    facts: Facts = {
        "intercepts": {name: factor.intercept for name, factor in factors.items()},
        "calibrator": {"a": calibrator.a, "b": calibrator.b, "intercept": calibrator.intercept},
        **{name: model.columns[name].to_list() for name in KEY},
    }
    write_state(folder, {name: factor.coefficients for name, factor in factors.items()}, facts)


def load(folder: Path) -> Calibrated:
    """Return the model that `save` wrote."""
    arrays, facts = read_state(folder)
    values = pl.DataFrame({name: facts[name] for name in KEY}, dict.fromkeys(KEY, pl.String))
    seed, buyer = (_factor(name, arrays, facts) for name in FACTORS)
    return Calibrated(
        Model(values.with_row_index("column").select("column", *KEY), seed, buyer),
        Calibrator(**facts["calibrator"]),
    )


def _factor(name: str, arrays: Arrays, facts: Facts) -> Classifier:
    return Classifier(facts["intercepts"][name], arrays[name])
