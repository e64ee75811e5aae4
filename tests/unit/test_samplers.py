"""What each kind of sampler does on its own account; what holds for all is in test_sampler.py."""

import math
import statistics
from collections.abc import Mapping
from itertools import islice
from statistics import median

import optuna
import pytest

from search_spaces.combinations import combinations, key_of
from sweeps.core.states import TrialState
from sweeps.samplers.plain import shuffled
from sweeps.samplers.sampler import OptunaSampler
from sweeps.samplers.seeds import trial_seed
from sweeps.testing import make_spec

SMALL = {
    "mask_head.name": {"choices": ["stock", "strided"]},
    "mask_head.upsample_stride": {"choices": [1, 2, 4], "when": {"mask_head.name": "strided"}},
    "mask_head.num_conv": {"low": 1, "high": 3},
    "augment.flip": {"choices": ["none", "horizontal"]},
}
SMALL_SIZE = (1 + 3) * 3 * 2
SMOOTH = {
    "solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True},
    "augment.brightness": {"low": 0.0, "high": 0.5},
    "augment.contrast": {"low": 0.0, "high": 0.5, "step": 0.05},
    "mask_head.num_conv": {"low": 1, "high": 8},
}


def smooth(params: Mapping[str, object]) -> float:
    """Best at base_lr 0.01, brightness 0.1, contrast 0.3 and 6 convolutions, where it is 0."""
    return -(
        (math.log10(float(params["solver.base_lr"])) + 2) ** 2
        + (4 * (float(params["augment.brightness"]) - 0.1)) ** 2
        + (4 * (float(params["augment.contrast"]) - 0.3)) ** 2
        + ((int(params["mask_head.num_conv"]) - 6) / 4) ** 2
    )


class Alone:
    """A sweep of one worker in which every trial completes at once."""

    def __init__(self, score, **sections):
        self.spec, self.score = make_spec(**{"pruner": {"type": "none"}, **sections}), score
        self.sampler = OptunaSampler(self.spec, self.spec.sampler.seed)
        self.params: list[Mapping[str, object]] = []

    def play(self, trials):
        """The parameters of so many trials more, or of as many as there are."""
        for _ in range(trials):
            found = self.sampler.suggest(len(self.params))
            if found is None:
                break
            self.params.append(found.params)
            metrics = self.score(found.params)
            metrics = metrics if isinstance(metrics, dict) else {"segm/AP": metrics}
            self.sampler.observe(found.number, 300, metrics)
            self.sampler.finish(found.number, TrialState.COMPLETED, metrics)
        return self.params


# -- grid, and spaces that come to an end


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_grid_has_every_combination_once(shuffle):
    """And then nothing more: conditional parameters make no doubles."""
    game = Alone(lambda _: 1.0, space=SMALL, sampler={"type": "grid", "seed": 3, "shuffle": shuffle})
    keys = [key_of(game.spec.space, params) for params in game.play(100)]
    assert len(keys) == len(set(keys)) == SMALL_SIZE
    assert game.sampler.suggest(SMALL_SIZE) is None


def test_a_grid_in_order_changes_the_last_knob_fastest():
    """Without shuffling, the order is that of the numbers of combinations."""
    game = Alone(lambda _: 1.0, space=SMALL, sampler={"type": "grid", "shuffle": False})
    all_of_them = combinations(game.spec.space)
    assert game.play(6) == [all_of_them[number] for number in range(6)]


def test_seeds_order_a_grid():
    """Another seed begins with other combinations."""
    first = [
        Alone(lambda _: 1.0, space=SMALL, sampler={"type": "grid", "seed": seed}).play(6) for seed in (1, 2)
    ]
    assert first[0] != first[1]


def test_a_grid_has_so_many_points_on_a_range_without_steps():
    """The points are those of the spec; a range with steps keeps all of its own."""
    game = Alone(lambda _: 1.0, space=SMOOTH, sampler={"type": "grid", "points": 2})
    game.play(2000)
    assert len(game.params) == 2 * 2 * 11 * 8
    assert {params["solver.base_lr"] for params in game.params} == {0.0001, 0.1}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_shuffling_loses_nothing(size):
    """Every place goes to another one, whatever the size."""
    assert sorted(shuffled(place, size, 5) for place in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [10**30, 2**200])
def test_shuffling_takes_no_memory(size):
    """Places of a grid beyond listing are shuffled as well."""
    places = [shuffled(place, size, 5) for place in range(20)]
    assert len(set(places)) == 20
    assert all(0 <= place < size for place in places)


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random", "qmc", "cma_es"])
def test_no_combination_is_tried_twice_and_the_end_is_seen(kind):
    """A small space is searched to its last combination, and then nothing is suggested."""
    game = Alone(lambda params: params["mask_head.num_conv"], space=SMALL, sampler={"type": kind, "seed": 3})
    keys = [key_of(game.spec.space, params) for params in game.play(100)]
    assert len(keys) == len(set(keys)) == SMALL_SIZE


@pytest.mark.parametrize("state", [TrialState.INFEASIBLE, TrialState.FAILED, TrialState.RUNNING])
def test_what_was_tried_in_vain_is_not_tried_again(state):
    """Nor what still runs."""
    game = Alone(None, space=SMALL, sampler={"type": "random", "seed": 3})
    keys = set()
    for number in range(SMALL_SIZE):
        keys.add(key_of(game.spec.space, game.sampler.suggest(number).params))
        if state.terminal:
            game.sampler.finish(number, state, {})
    assert len(keys) == SMALL_SIZE
    assert game.sampler.suggest(SMALL_SIZE) is None


def test_what_was_cancelled_may_be_tried_again():
    """It came to nothing for another reason than its parameters."""
    game = Alone(None, space=SMALL, sampler={"type": "random", "seed": 3})
    suggested = [game.sampler.suggest(number).params for number in range(SMALL_SIZE)]
    game.sampler.finish(7, TrialState.CANCELLED, {})
    assert game.sampler.suggest(SMALL_SIZE).params == suggested[7]


# -- TPE


@pytest.mark.parametrize("sections", [{}, {"objectives": [{"metric": "segm/AP"}, {"metric": "bbox/AP"}]}])
@pytest.mark.parametrize("ended", [12, 60])
def test_tpe_suggests_what_optunas_own_would(sections, ended):
    """Where all parameters are always there, the same trials and the same seed give the same suggestion."""

    def score(params):
        value = smooth(params)
        return {"segm/AP": value, "bbox/AP": -float(params["augment.contrast"]) - value**2}

    space = {
        **SMOOTH,
        "augment.flip": {"choices": ["none", "horizontal"]},
        "solver.batch_size": {"low": 1, "high": 64, "log": True},
    }
    how = {"type": "tpe", "seed": 3, "startup_trials": 10, "learns_from": "ended"}
    game = Alone(score, space=space, sampler=how, **sections)
    game.play(ended)
    seed, told = trial_seed(3, ended), game.sampler.study
    study = optuna.create_study(directions=told.directions)
    study.add_trials(told.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    names = told.trials[0].distributions
    # Optuna draws parameters one by one in the order of the calls, and jointly by name
    expected = study.ask(dict(names)).params
    assert game.sampler.suggest(ended).params == pytest.approx(expected)


@pytest.mark.parametrize("learns_from", ["rungs", "ended"])
def test_joint_tpe_sees_what_goes_together(learns_from):
    """Of two knobs that are good only together, the multivariate one draws pairs that go together."""

    def score(params):
        return -abs(float(params["augment.brightness"]) - float(params["augment.contrast"])) * 10

    names = ("augment.brightness", "augment.contrast")
    space = {name: {"low": 0.0, "high": 0.9} for name in names}

    def together(multivariate: bool) -> float:
        how = {"type": "tpe", "seed": 1, "startup_trials": 60, "learns_from": learns_from}
        game = Alone(score, space=space, sampler={**how, "multivariate": multivariate})
        game.play(60)
        drawn = [draw.params for draw in islice(game.sampler._drawer.draws(1), 100)]
        return statistics.correlation(*([params[name] for params in drawn] for name in names))

    assert together(True) > 0.6
    assert abs(together(False)) < 0.3


def test_more_candidates_are_greedier():
    """The number of candidates reaches the estimator."""
    played = [
        Alone(smooth, space=SMOOTH, sampler={"type": "tpe", "seed": 1, "candidates": count}).play(20)
        for count in (1, 24)
    ]
    assert played[0][:10] == played[1][:10]
    assert played[0][10:] != played[1][10:]


def test_without_the_liar_open_trials_make_no_difference():
    """With it, what runs keeps others away."""

    def next_ones(liar: bool, running: int):
        game = Alone(smooth, space=SMOOTH, sampler={"type": "tpe", "seed": 1, "constant_liar": liar})
        game.play(20)
        for number in range(20, 20 + running):
            game.sampler.suggest(number)
        return list(islice(game.sampler._drawer.draws(5), 10))

    assert next_ones(False, 0) == next_ones(False, 8)
    assert next_ones(True, 0) != next_ones(True, 8)


# -- those that adapt


@pytest.mark.parametrize(
    "how",
    [
        {"type": "cma_es", "startup_trials": 5},
        {"type": "nsga2", "population": 8},
        {"type": "tpe"},
        pytest.param({"type": "gp", "startup_trials": 8}, marks=pytest.mark.slow),  # seconds a suggestion
    ],
    ids=lambda how: how["type"],
)
def test_later_trials_are_better(how):
    """On a smooth objective the last quarter of the trials is better than random search by far."""
    trials = 20 if how["type"] == "gp" else 80

    def late(sampler) -> float:
        played = Alone(smooth, space=SMOOTH, sampler={"seed": 2, **sampler}).play(trials)
        return median(map(smooth, played[-trials // 4 :]))

    assert late(how) > late({"type": "random"}) / 2


def test_genes_of_a_branch_are_inherited():
    """NSGA-II learns what is good in a branch, too."""

    def score(params):
        if params["mask_head.name"] == "stock":
            return -5.0
        return float(params["mask_head.upsample_stride"]) - float(params["mask_head.mask_iou_weight"])

    space = {
        "mask_head.name": {"choices": ["stock", "strided"]},
        "mask_head.upsample_stride": {"choices": [1, 2, 4], "when": {"mask_head.name": "strided"}},
        "mask_head.mask_iou": {"choices": [True], "when": {"mask_head.name": "strided"}},
        "mask_head.mask_iou_weight": {"low": 0.01, "high": 10, "when": {"mask_head.mask_iou": True}},
    }
    game = Alone(score, space=space, sampler={"type": "nsga2", "seed": 2, "population": 8})
    late = game.play(100)[70:]
    assert sum(params["mask_head.name"] == "strided" for params in late) > 24
    assert sum(score(params) for params in late) / len(late) > 0  # at random -2.7


def test_nsga3_spreads_over_a_front():
    """Two objectives that pull apart end with trials near both ends and between."""

    def score(params):
        at = float(params["augment.brightness"])
        return {
            "segm/AP": at - float(params["augment.contrast"]),
            "bbox/AP": -at - float(params["augment.contrast"]),
        }

    space = {f"augment.{name}": {"low": 0.0, "high": 0.9} for name in ("brightness", "contrast")}
    two = [{"metric": "segm/AP"}, {"metric": "bbox/AP"}]
    game = Alone(score, space=space, sampler={"type": "nsga3", "seed": 2}, objectives=two)
    late = game.play(100)[60:]
    places = {min(2, int(float(params["augment.brightness"]) / 0.3)) for params in late}
    assert places == {0, 1, 2}
    assert sum(float(params["augment.contrast"]) for params in late) / len(late) < 0.2


def test_evolution_keeps_to_the_constraints():
    """CMA-ES goes where the bound is kept, though the objective is better elsewhere."""

    def score(params):
        layers = float(params["mask_head.num_conv"])
        return {"segm/AP": layers, "latency/ms_per_image": 10 * layers}

    bound = [{"metric": "latency/ms_per_image", "max": 40}]
    how = {"type": "cma_es", "seed": 2, "startup_trials": 3}
    late = Alone(score, space=SMOOTH, sampler=how, constraints=bound).play(60)[30:]
    assert sum(params["mask_head.num_conv"] <= 4 for params in late) > 15


def test_evolution_begins_again_once_it_has_come_to_a_point():
    """On a plateau of one dimension the search moves on, and does not stay where it was."""
    how = {"type": "cma_es", "seed": 2, "startup_trials": 1, "sigma": 0.01}
    game = Alone(lambda _: 1.0, space={"augment.brightness": {"low": 0.0, "high": 0.9}}, sampler=how)
    played = [float(params["augment.brightness"]) for params in game.play(400)]
    assert max(played) - min(played) > 0.3


def test_quasi_random_points_cover_a_space():
    """Of 16 points of a Sobol sequence, each quarter of a range has four; seeds scramble differently."""

    def played(seed, **options):
        how = {"type": "qmc", "seed": seed, **options}
        return [p["augment.brightness"] for p in Alone(smooth, space=SMOOTH, sampler=how).play(16)]

    quarters = [int(value / 0.125) for value in played(1)]
    assert sorted(quarters) == sorted([0, 1, 2, 3] * 4)
    assert played(1) != played(2)
    assert played(1, scramble=False) == played(2, scramble=False)
    assert played(1, scramble=False) != played(1, scramble=False, sequence="halton")
