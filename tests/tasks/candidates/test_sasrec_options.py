"""SASRec's options: what each changes by hand, and that all of them repeat and come back."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from math import log, sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn.functional import normalize

from tasks import columns as c
from tasks.candidates.content import content, words
from tasks.candidates.generator import Known, Requests, Run
from tasks.candidates.interactions import requests_of
from tasks.candidates.losses import Loss, Negatives, cosine, loss_of
from tasks.candidates.sasrec import SASRec
from tasks.candidates.stored import load, save
from tasks.candidates.transformer import Network, time_bias
from tasks.candidates.windows import ACTION, SECONDS, sequences
from tasks.errors import ContractViolation
from tasks.settings import Candidates, SASRecOptions, Settings

RECIPES: dict[str, dict[str, object]] = {
    "cosine": {"loss": "cosine", "negatives": 20},
    "projected": {"item_vectors": "projected"},
    "frozen": {"item_vectors": "frozen"},
    "actions": {"actions": "input"},
    "views": {"actions": "views"},
    "time": {"time": True, "heads": 2},
    "interests": {"interests": 3},
    "together": {
        "loss": "cosine",
        "item_vectors": "projected",
        "actions": "input",
        "time": True,
        "interests": 2,
        "negatives_by": "mixed",
    },
}
VIEWED, CARTED = 1, 3


def with_sasrec(settings: Settings, values: dict[str, object]) -> Candidates:
    options = settings.candidates
    return options.model_copy(update={"sasrec": options.sasrec.model_copy(update=values)})


def fit(known: Known, settings: Settings, values: dict[str, object], run: Run) -> SASRec:
    return SASRec.fit(known, with_sasrec(settings, values), run)


def bits(generator: SASRec) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in generator.state()[0].items()}


def network(values: dict[str, object]) -> Network:
    """An untrained network of five items without features."""
    torch.manual_seed(1)
    options = SASRecOptions(width=8, length=4, dropout=0).model_copy(update=values)
    return Network(torch.zeros(5, 0, dtype=torch.int64), 1, options).eval()


def state_after(of: Network, *steps: tuple[int, int, int]) -> torch.Tensor:
    with torch.no_grad():
        return of.ends(torch.tensor([steps]), of.items())[0]


# Loss.


def test_the_cosine_loss_pulls_the_target_and_pushes_what_is_nearer_than_the_margin() -> None:
    # Everything that is drawn is item 1 or 2, as often as it may be; the draw is told below.
    negatives = Negatives(torch.tensor([0.2, 0.4, 0.4]).log(), "popular", 2)
    negatives.draw = lambda: torch.tensor([1, 2])  # type: ignore[method-assign]
    state = torch.tensor([[0.6, 0.8]], requires_grad=True)
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    options = SASRecOptions(loss="cosine", margin=0.3, push=4)
    loss = cosine(state, torch.tensor([0]), items, torch.ones(3), negatives, options)
    loss.backward()
    # Cosines: 0.6 to the target, 0.8 and -0.6 to the negatives: 1 - 0.6 + 4 x (0.5 + 0) / 2.
    assert loss.item() == pytest.approx(1.4)
    # - target + 4 / 2 x the negative beyond the margin.
    assert state.grad is not None
    assert state.grad.tolist() == [pytest.approx([-1.0, 2.0])]


def test_a_target_that_is_drawn_is_not_pushed() -> None:
    negatives = Negatives(torch.tensor([1.0, 0.0]).log(), "popular", 3)
    options = SASRecOptions(loss="cosine", margin=0.0, push=5)
    items, states = torch.eye(2), torch.tensor([[0.6, 0.8]])
    loss = cosine(states, torch.tensor([0]), items, torch.zeros(2), negatives, options)
    assert loss.item() == pytest.approx(0.4)


def test_under_the_cosine_loss_scores_are_cosines(
    small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    generator = fit(small_shop, small_settings, RECIPES["cosine"], Run(3, 1))
    users, items = generator.user_vectors(shop_requests), generator.item_vectors()
    asked = ~np.isnan(users).any(axis=1)
    assert np.linalg.norm(users[asked, :-1], axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(items[:, :-1], axis=1) == pytest.approx(1, abs=1e-5)
    assert not items[:, -1].any()


def test_a_full_catalogue_does_not_turn_the_cosine_loss_into_a_softmax() -> None:
    found = loss_of(SASRecOptions(loss="cosine"), torch.tensor([0.5, 0.5]).log())
    assert found.func is cosine  # type: ignore[attr-defined]


# Item vectors.

CODES = np.array([[1, 0], [1, 0], [2, 0], [2, 3]])
"""Brands x, x, y, y and of the last item the colour red: values 1, 2 and 3 (0: none)."""


def test_words_keep_the_cosines_of_content() -> None:
    vectors = torch.from_numpy(words(CODES, 4, width=6))
    made = normalize(vectors[torch.from_numpy(CODES)].sum(dim=1), dim=1)
    # Brands are two items of four, red is one: y counts log 2, red log 4 = 2 log 2.
    near = log(2) / sqrt(log(2) ** 2 + log(4) ** 2)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, near], [0, 0, near, 1]]
    assert (made @ made.T).numpy() == pytest.approx(np.array(expected), abs=1e-6)
    told = content(CODES, 4)
    assert (told @ told.T).toarray() == pytest.approx(np.array(expected), abs=1e-6)


def test_words_of_fewer_numbers_keep_what_sets_most_items_apart() -> None:
    vectors = words(CODES, 4, width=1)
    assert vectors.shape == (4, 1)
    # One axis can hold the brand y with red, or the brand x: the larger part, not both.
    assert (np.abs(vectors[1, 0]) < 1e-6) != (np.abs(vectors[2, 0]) < 1e-6)


def test_items_without_features_cannot_have_vectors_of_content(
    small_shop: Known, small_settings: Settings
) -> None:
    bare = replace(small_shop, items=small_shop.items.select(c.ITEM_ID))
    with pytest.raises(ContractViolation, match="none has a value in the columns of VITRINA_"):
        fit(bare, small_settings, {"item_vectors": "frozen"}, Run(3, 1))


def test_frozen_item_vectors_are_content_and_do_not_move(
    small_shop: Known, small_settings: Settings
) -> None:
    generator = fit(small_shop, small_settings, RECIPES["frozen"], Run(3, 1))
    codes = generator.network.codes
    assert isinstance(codes, torch.Tensor)
    given = torch.from_numpy(words(codes.numpy(), generator.kinds.size, 16))
    assert torch.equal(generator.network.features.weight, given)
    made = normalize(given[codes].sum(dim=1), dim=1)
    assert np.array_equal(generator.item_vectors()[:, :-1], made.numpy())


def test_projected_item_vectors_are_content_through_a_matrix_that_learns(
    small_shop: Known, small_settings: Settings
) -> None:
    generator = fit(small_shop, small_settings, RECIPES["projected"], Run(3, 1))
    frozen = fit(small_shop, small_settings, RECIPES["frozen"], Run(3, 1))
    shorter = fit(small_shop, small_settings, RECIPES["projected"] | {"min_steps": 1}, Run(3, 1))
    matrix = generator.network.project.weight
    assert isinstance(matrix, torch.Tensor)
    made = frozen.item_vectors()[:, :-1] @ matrix.detach().numpy().T
    assert generator.item_vectors()[:, :-1] == pytest.approx(made, abs=1e-5)
    assert not torch.equal(matrix, shorter.network.project.weight)  # type: ignore[arg-type]


def test_a_child_of_content_takes_its_parent_s_axes_and_a_new_value_says_nothing(
    small_shop: Known, small_settings: Settings
) -> None:
    told = RECIPES["frozen"] | {"min_steps": 1, "epochs": 1}
    before = replace(
        small_shop,
        through=small_shop.through - timedelta(days=1),
        items=small_shop.items.filter(pl.col(c.COLOUR) != "colour4"),
    )
    parent = fit(before, small_settings, told, Run(3, 1))
    child = fit(small_shop, small_settings, told | {"parent": "7"}, Run(4, 1, parent=parent))
    rows = {label: row + 1 for row, label in enumerate(child.kinds.labels)}
    theirs = {label: row + 1 for row, label in enumerate(parent.kinds.labels)}
    for label, row in rows.items():
        mine = child.network.features.weight[row]
        if label == "colour=colour4":
            assert not mine.any()
        else:
            assert torch.equal(mine, parent.network.features.weight[theirs[label]])


# Actions.


def test_the_same_item_in_a_row_is_one_step_with_its_strongest_action(small_shop: Known) -> None:
    rows = small_shop.interactions.head(3).with_columns(
        pl.Series(c.USER_ID, ["u00"] * 3),
        pl.Series(c.ITEM_ID, ["i01", "i01", "i02"]),
        pl.Series(c.EVENT_TYPE, [c.VIEW, c.CART, c.VIEW]),
        pl.Series(c.TS, [small_shop.interactions[c.TS][0] + timedelta(hours=n) for n in range(3)]),
    )
    asked = Requests(small_shop.through, pl.DataFrame({c.USER_ID: ["u00", "u01"]}), rows)
    told, nothing = sequences(asked, small_shop.item_ids())
    assert told[:, ACTION].tolist() == [CARTED, VIEWED]
    assert np.diff(told[:, SECONDS]).tolist() == [2 * 3600]
    assert nothing.shape == (0, 4)


def test_without_told_actions_every_step_has_none(small_shop: Known) -> None:
    asked = Requests(
        small_shop.through, small_shop.users, small_shop.interactions.drop(c.EVENT_TYPE)
    )
    steps = np.concatenate(sequences(asked, small_shop.item_ids()))
    assert not steps[:, ACTION].any()


def test_what_was_done_changes_the_state_only_where_actions_are_input() -> None:
    viewed, carted = (2, VIEWED, 0), (2, CARTED, 0)
    for told in ({}, {"actions": "untold"}):
        plain = network(told)
        assert torch.equal(state_after(plain, viewed), state_after(plain, carted))
    knowing = network({"actions": "input"})
    assert torch.equal(state_after(knowing, viewed), state_after(knowing, carted))
    assert knowing.actions is not None
    knowing.actions.data[CARTED, 0] = 1.0
    assert not torch.equal(state_after(knowing, viewed), state_after(knowing, carted))


def test_a_trained_model_hears_a_cart_otherwise_than_a_view(
    small_shop: Known, small_settings: Settings, shop_requests: Requests
) -> None:
    generator = fit(small_shop, small_settings, RECIPES["actions"], Run(3, 1))
    views = shop_requests.histories.with_columns(pl.lit(c.VIEW).alias(c.EVENT_TYPE))
    as_views = generator.scores(replace(shop_requests, histories=views))
    assert not np.array_equal(as_views, generator.scores(shop_requests))


def test_views_alone_hear_nothing_else(
    small_shop: Known, small_settings: Settings, shop_requests: Requests
) -> None:
    views = pl.col(c.EVENT_TYPE) == c.VIEW
    only = replace(small_shop, interactions=small_shop.interactions.filter(views))
    generator = fit(small_shop, small_settings, RECIPES["views"], Run(3, 1))
    assert bits(generator) == bits(fit(only, small_settings, {}, Run(3, 1)))
    asked = replace(shop_requests, histories=shop_requests.histories.filter(views))
    assert np.array_equal(generator.scores(asked), generator.scores(shop_requests))
    others = replace(shop_requests, histories=shop_requests.histories.filter(~views))
    assert not np.isfinite(generator.scores(others)).any()


# Time.


def test_gaps_are_told_apart_by_powers_of_two() -> None:
    gaps = torch.arange(4.0)[:, None] * torch.tensor([1.0, 10.0])
    bias = time_bias(torch.tensor([[100, 101, 104]]), gaps)
    hidden = -torch.inf
    # Seconds apart 1, 4 and 3: floor(log2(2)), floor(log2(5)), floor(log2(4)).
    expected = [[0, hidden, hidden], [1, 0, hidden], [2, 2, 0]]
    assert bias[0, 0].tolist() == expected
    assert bias[0, 1].tolist() == [[10 * value for value in row] for row in expected]
    assert time_bias(torch.tensor([[0, 10**9]]), gaps)[0, 0, 1, 0] == 3


def test_gaps_change_the_state_and_equal_gaps_do_not() -> None:
    knowing = network({"time": True})
    assert knowing.gaps is not None
    knowing.gaps.data = torch.linspace(-2, 2, 32)[:, None]
    quick = state_after(knowing, (1, 0, 100), (2, 0, 101), (3, 0, 102))
    later = state_after(knowing, (1, 0, 900), (2, 0, 901), (3, 0, 902))
    slow = state_after(knowing, (1, 0, 100), (2, 0, 50_000), (3, 0, 50_001))
    assert torch.equal(quick, later)
    assert not torch.allclose(quick, slow)


def test_later_steps_stay_hidden_where_time_is_told() -> None:
    knowing = network({"time": True, "heads": 2})
    steps = torch.tensor(
        [[(1, 0, 5), (2, 0, 70), (3, 0, 900)], [(1, 0, 5), (2, 0, 70), (4, 0, 71)]]
    )
    states = knowing(steps, knowing.items())
    assert torch.equal(states[0, :2], states[1, :2])
    assert not torch.equal(states[0, 2], states[1, 2])


def test_before_training_actions_and_time_change_nothing() -> None:
    steps = ((1, VIEWED, 5), (2, CARTED, 7000), (0, VIEWED, 7001))
    plain, knowing = network({}), network({"actions": "input", "time": True})
    assert torch.allclose(state_after(plain, *steps), state_after(knowing, *steps), atol=1e-6)


def test_a_served_model_hears_actions_and_gaps_where_they_are_told(
    small_shop: Known, small_settings: Settings
) -> None:
    from tasks.candidates.served import read

    generator = fit(small_shop, small_settings, {"actions": "input", "time": True}, Run(3, 1))
    there = requests_of(small_shop, pl.Series(c.USER_ID, ["u03", "u05"]))
    item, action, ts = (pl.col(name) for name in (c.ITEM_ID, c.EVENT_TYPE, c.TS))
    told = there.histories.group_by(c.USER_ID, maintain_order=True).agg(
        item.alias("items"), action.alias("actions"), ts.dt.epoch("s").alias("seconds")
    )
    truth = generator.scores(there)
    assert np.array_equal(generator.scores(read(told)), truth)
    assert not np.array_equal(generator.scores(read(told.drop("actions"))), truth)
    assert not np.array_equal(generator.scores(read(told.drop("seconds"))), truth)


def test_what_is_not_said_of_each_item_is_refused_by_the_user() -> None:
    from tasks.candidates.served import read

    asked = pl.DataFrame(
        {"user_id": ["a", "b"], "items": [["i1"], ["i1", "i2"]], "actions": [["view"], ["view"]]}
    )
    with pytest.raises(ContractViolation, match=r"'actions' has to say .* 1 users .* such as b"):
        read(asked)


def test_a_parent_s_biases_are_not_taken_for_the_shares_that_negatives_are_drawn_by(
    small_shop: Known, small_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: dict[str, object] = {"loss": "gbce", "negatives_by": "popular"}
    parent = fit(small_shop, small_settings, values, Run(3, 1))
    shares: list[float] = []

    def noted(options: SASRecOptions, popular: torch.Tensor) -> Loss:
        shares.append(float(popular.exp().sum()))
        return loss_of(options, popular)

    monkeypatch.setattr("tasks.candidates.sasrec.loss_of", noted)
    child = fit(small_shop, small_settings, values, Run(4, 1, parent=parent))
    assert shares == [pytest.approx(1.0, abs=1e-4)]
    assert bits(child) != bits(parent)


# All of them.


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> dict[str, object]:
    return RECIPES[request.param]


def test_the_same_seed_gives_the_same_bits_and_files_give_them_back(
    recipe: dict[str, object],
    small_shop: Known,
    shop_requests: Requests,
    small_settings: Settings,
    tmp_path: Path,
) -> None:
    generator = fit(small_shop, small_settings, recipe, Run(3, 1))
    scores = generator.scores(shop_requests)
    again = fit(small_shop, small_settings, recipe, Run(3, 1))
    assert bits(again) == bits(generator)
    other = fit(small_shop, small_settings, recipe, Run(4, 1))
    assert not np.array_equal(other.scores(shop_requests), scores)
    save(generator, tmp_path)
    assert np.array_equal(load(tmp_path).scores(shop_requests), scores)


def test_each_learns_which_item_comes_next(
    recipe: dict[str, object], small_shop: Known, small_settings: Settings
) -> None:
    longer = recipe | {"min_steps": 1, "epochs": 12}
    found = fit(small_shop, small_settings, longer, Run(3, 1)).curves()
    assert min(found["loss"]) < 0.97 * found["loss"][0]


class Killer(logging.Handler):
    """Ends the training as its log tells the end of its second epoch."""

    def emit(self, record: logging.LogRecord) -> None:
        if "epoch 2 of" in record.getMessage():
            raise KeyboardInterrupt


def test_each_goes_on_to_the_same_bits_after_a_kill(
    recipe: dict[str, object],
    small_shop: Known,
    small_settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    told = recipe | {"min_steps": 1, "epochs": 3}
    whole = fit(small_shop, small_settings, told, Run(3, 1))
    logger, killer = logging.getLogger("tasks.candidates.epochs"), Killer()
    logger.addHandler(killer)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(small_shop, small_settings, told, Run(3, 1, tmp_path))
    finally:
        logger.removeHandler(killer)
    assert bits(fit(small_shop, small_settings, told, Run(3, 1, tmp_path))) == bits(whole)


def test_a_parent_made_otherwise_is_refused(
    recipe: dict[str, object], small_shop: Known, small_settings: Settings
) -> None:
    parent = fit(small_shop, small_settings, {"min_steps": 1}, Run(3, 1))
    with pytest.raises(ContractViolation, match=r"the parent of sasrec has \w+ .*; the settings"):
        fit(small_shop, small_settings, recipe, Run(3, 1, parent=parent))


def test_what_was_stored_before_there_were_options_is_read_as_the_default(
    small_shop: Known, shop_requests: Requests, small_settings: Settings
) -> None:
    generator = fit(small_shop, small_settings, {"min_steps": 1}, Run(3, 1))
    arrays, facts = generator.state()
    new = {"actions", "time", "loss", "device", "item_vectors", "interests"}
    old = {name: facts[name] for name in facts if name not in new}
    restored = SASRec.restore(arrays, old)
    assert np.array_equal(restored.scores(shop_requests), generator.scores(shop_requests))
    child = fit(small_shop, small_settings, {"min_steps": 1}, Run(4, 1, parent=restored))
    assert child.facts["actions"] == "untold"


# Devices.


def test_a_device_that_is_not_there_is_refused(
    small_shop: Known, small_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ContractViolation, match="DEVICE is cuda: torch finds none here"):
        fit(small_shop, small_settings, {"device": "cuda"}, Run(3, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_gpu_repeats_goes_on_after_a_kill_and_leaves_a_model_that_the_cpu_serves(
    recipe: dict[str, object],
    small_shop: Known,
    shop_requests: Requests,
    small_settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = recipe | {"device": "cuda"}
    generator = fit(small_shop, small_settings, told, Run(3, 1))
    assert bits(fit(small_shop, small_settings, told, Run(3, 1))) == bits(generator)
    assert np.isfinite(generator.scores(shop_requests)).any()
    shorter = told | {"min_steps": 1, "epochs": 3}
    test_each_goes_on_to_the_same_bits_after_a_kill(
        shorter, small_shop, small_settings, tmp_path, caplog
    )
