from __future__ import annotations

import polars as pl

from tasks.candidates.features import Vocabulary


def test_a_request_that_lacks_a_trait_is_a_user_of_whom_it_is_unknown() -> None:
    known = pl.DataFrame({"user_id": ["a", "b"], "city": ["x", "y"], "gender": ["f", None]})
    vocabulary = Vocabulary.of(known, ("city", "gender"))
    asked = pl.DataFrame({"user_id": ["a"], "city": ["y"]})
    # Labels in order: city=x 1, city=y 2, gender=f 3; "z" is unknown altogether.
    assert vocabulary.codes(asked, pl.Series("user_id", ["a", "z"])).tolist() == [[2, 0], [0, 0]]
