"""Early stopping: each rule against cases worked out by hand, and all of them against restarts."""

import math
from collections.abc import Mapping
from types import SimpleNamespace

import optuna
import pytest
from optuna.pruners import HyperbandPruner
from optuna.trial import TrialState as OptunaState

from sweeps.core.details import EvaluationDetails, ImageScores
from sweeps.core.states import TrialState
from sweeps.pruning.brackets import STUDY, bracket_of
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import make_spec
from tests.game import BOUND, RUNGS, TWO, Game

RANDOM = {"type": "random", "seed": 7}
FIVE = {"iterations": 500, "rungs": [50, 100, 200, 300, 500]}
CLOSE = {"iterations": 300, "rungs": [260, 270, 280, 290, 300]}  # where noise is more than what is learnt
PRUNERS: dict[str, dict[str, object]] = {
    "successive halving": {"pruner": {"type": "successive_halving"}},
    "successive halving, bound": {"pruner": {"type": "successive_halving"}, "constraints": BOUND},
    "successive halving, two": {"objectives": TWO, "constraints": BOUND},
    "hyperband": {"pruner": {"type": "hyperband", "reduction_factor": 2}, "fidelity": FIVE},
    "hyperband, two": {"pruner": {"type": "hyperband", "reduction_factor": 2}, "objectives": TWO},
    "median": {"pruner": {"type": "median", "startup_trials": 2}},
    "median, two": {"pruner": {"type": "median", "startup_trials": 2}, "objectives": TWO},
    "percentile": {"pruner": {"type": "percentile", "percentile": 60, "startup_trials": 2}},
    "percentile, two": {
        "pruner": {"type": "percentile", "percentile": 30, "startup_trials": 2},
        "objectives": TWO,
    },
    "patient": {"pruner": {"type": "patient"}, "fidelity": CLOSE},
    "patient, median": {
        "pruner": {"type": "patient", "inner": "median", "startup_trials": 1},
        "fidelity": CLOSE,
    },
    "wilcoxon": {"pruner": {"type": "wilcoxon", "startup_trials": 1}},
    "wilcoxon, bound": {"pruner": {"type": "wilcoxon", "startup_trials": 1}, "constraints": BOUND},
}
every_pruner = pytest.mark.parametrize("sections", PRUNERS.values(), ids=PRUNERS)


def spec_of(**sections: object):
    return make_spec(**{"sampler": RANDOM, **sections})


class Stutter(Game):
    """Every attempt is lost after its rung, and the next one passes the rung again with another result."""

    def report(self, number, iteration, metrics, details=None):
        state = super().report(number, iteration, metrics, details)
        if not state.terminal:
            for value in (-1e6, 1e6):
                again = {**metrics, "segm/AP": value}
                assert self.sampler.observe(number, iteration, again, images(value % 97)) is None
        return state


def images(*scores: float, ids: tuple[int, ...] | None = None) -> EvaluationDetails:
    return EvaluationDetails(images=ImageScores(ids or tuple(range(len(scores))), tuple(scores)))


@every_pruner
def test_restarts_change_no_decision(sections):
    """A driver that restarts, at any turns, stops the same trials at the same rungs for the same reasons."""
    spec = spec_of(**sections)
    steady = Game(spec).play(60)
    assert sum(t.state is TrialState.PRUNED for t in steady) >= 2
    assert sum(t.state is TrialState.COMPLETED for t in steady) >= 2
    assert Game(spec).play(60, restarts=lambda _: True) == steady
    assert Game(spec).play(60, restarts=lambda turn: turn % 17 == 5) == steady


@every_pruner
def test_a_rung_that_is_passed_again_decides_nothing(sections):
    """The first values of a rung are what counts, for the trial itself and for those compared with it."""
    spec = spec_of(**sections)
    assert Stutter(spec).play(60) == Game(spec).play(60)


@every_pruner
def test_the_pruned_are_pruned_with_their_step_and_never_complete(sections):
    """In the rows, in Optuna's study, and in the study that is rebuilt from the rows."""
    game = Game(spec_of(**sections))
    game.play(60)
    for _ in range(2):
        told = game.sampler.study.trials
        for trial in (t for t in game.trials.values() if t.state is TrialState.PRUNED):
            factor = game.spec.pruner.reduction_factor
            assert told[trial.number].state is OptunaState.PRUNED
            assert told[trial.number].last_step == factor ** game.rungs.index(trial.iteration)
            assert f"at iteration {trial.iteration}: " in trial.reason
            assert trial.iteration < game.rungs[-1]
        completed = [t.number for t in told if t.state is OptunaState.COMPLETE]
        assert all(game.trials[number].iteration == game.rungs[-1] for number in completed)
        game.restart()


@every_pruner
@pytest.mark.parametrize(
    "metrics", [{}, {"bbox/AP": 1.0}, {"segm/AP": math.nan}, {"segm/AP": math.inf}], ids=str
)
def test_what_was_not_measured_stops_nobody(sections, metrics):
    """A trial without the objective is not stopped, and stops nobody who comes after it."""
    game = Game(spec_of(**sections))
    for number in range(9):
        game.start()
        for iteration in game.rungs[:-1]:
            assert game.report(number, iteration, metrics) is TrialState.RUNNING
        game.report(
            number, game.rungs[-1], {"segm/AP": 50.0, "latency/ms_per_image": 30.0}, images(*[99.0] * 30)
        )
    game.start()
    poor = {"segm/AP": 1.0, "latency/ms_per_image": 50.0}
    assert game.report(9, game.rungs[0], poor, images(*[1.0] * 30)) is TrialState.RUNNING


# -- Hyperband


@pytest.mark.parametrize("factor", [2, 3, 4, 10])
@pytest.mark.parametrize("rungs", [1, 2, 3, 5, 6])
def test_brackets_are_optunas(factor, rungs):
    """A trial's bracket is that of HyperbandPruner in a study of the same name, whatever ran before."""
    study = optuna.create_study(study_name=STUDY)
    last = factor ** (rungs - 1)
    pruner = HyperbandPruner(1, max_resource=last + last // 2, reduction_factor=factor)
    pruner._try_initialization(study)
    expected = [pruner._get_bracket_id(study, SimpleNamespace(number=number)) for number in range(300)]
    assert [bracket_of(number, rungs, factor) for number in range(300)] == expected


def test_hyperband_spares_the_first_rungs_of_later_brackets():
    """A trial of bracket b is stopped at rung b at the earliest, and the last bracket at none."""
    game = Game(spec_of(**PRUNERS["hyperband"]))
    stopped: dict[int, set[int]] = {}
    for trial in game.play(150):
        if trial.state is TrialState.PRUNED:
            bracket = bracket_of(trial.number, 5, 2)
            stopped.setdefault(bracket, set()).add(game.rungs.index(trial.iteration))
    assert all(min(rungs) >= bracket for bracket, rungs in stopped.items())
    assert set(stopped) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["successive halving", "hyperband"])
def test_one_objective_by_rank_is_what_optuna_does(name):
    """A constraint that all keep changes no decision: ranks of one objective are its order."""
    ends = []
    for constraints in ([], [{"metric": "latency/ms_per_image", "max": 1e6}]):
        game = Game(spec_of(**PRUNERS[name], constraints=constraints))
        game.gaps = False
        ends.append([(t.number, t.state, t.iteration) for t in game.play(120)])
    assert ends[0] == ends[1]


# -- several objectives and constraints


def at_first_rung(game: Game, **metrics: float) -> str | None:
    """A new trial's answer at the first rung, where it then waits."""
    number = len(game.trials)
    game.start()
    game.report(number, game.rungs[0], {name.replace("__", "/"): value for name, value in metrics.items()})
    return game.trials[number].reason


def test_two_objectives_are_halved_by_rank():
    """The best in each objective pass, and what they dominate or crowd out stops."""
    game = Game(spec_of(objectives=TWO))
    found = [
        at_first_rung(game, segm__AP=ap, latency__ms_per_image=ms)
        for ap, ms in [(20, 50), (30, 60), (10, 40), (20, 51), (5, 70), (19, 49)]
    ]
    words = "segm/AP {}, latency/ms_per_image {} at iteration 75: not among the best {} of {} there"
    assert found == [
        None,
        None,
        None,
        words.format(20, 51, 1, 4),
        words.format(5, 70, 1, 5),
        words.format(19, 49, 2, 6),
    ]


def test_halving_puts_what_keeps_the_constraints_first():
    """A better value does not pass a rung at the price of a broken constraint."""
    game = Game(spec_of(constraints=BOUND))
    assert at_first_rung(game, segm__AP=10, latency__ms_per_image=50) is None
    assert at_first_rung(game, segm__AP=99, latency__ms_per_image=61) == (
        "segm/AP 99 at iteration 75: not among the best 1 of 2 there"
    )
    assert at_first_rung(game, segm__AP=11) is None  # latency was not measured: that is not held against it


def test_the_median_of_several_objectives_is_being_beaten_by_half():
    """Stopped by more than half of the completed trials, not by half of them, nor by trials still open."""
    game = Game(spec_of(objectives=TWO, pruner={"type": "median", "startup_trials": 4}))
    values = [(10, 40), (20, 50), (30, 60), (40, 70)]
    for number, (ap, ms) in enumerate(values):
        game.start()
        for iteration in RUNGS:
            game.report(number, iteration, {"segm/AP": float(ap), "latency/ms_per_image": float(ms)})
    assert at_first_rung(game, segm__AP=15, latency__ms_per_image=62) is None  # by 20/50 and 30/60
    assert at_first_rung(game, segm__AP=5, latency__ms_per_image=62) == (
        "segm/AP 5, latency/ms_per_image 62 at iteration 75: beaten by 3 of 4 completed trials there"
    )
    assert at_first_rung(game, segm__AP=1, latency__ms_per_image=39) is None  # the fastest of all


FIXED = [{"metric": "model/parameters", "max": 40}, {"metric": "latency/ms_per_image", "max": 60}]


@pytest.mark.parametrize(
    "kind", ["successive_halving", "hyperband", "median", "percentile", "patient", "wilcoxon"]
)
def test_what_training_cannot_mend_stops_at_once(kind):
    """Parameters do not change; latency may come back from half above its bound, but not from further."""
    game = Game(spec_of(pruner={"type": kind}, constraints=FIXED))
    assert at_first_rung(game, segm__AP=50, model__parameters=40, latency__ms_per_image=90) is None
    assert at_first_rung(game, segm__AP=60, model__parameters=40.2) == (
        "segm/AP 60 at iteration 75: model/parameters 40.2 is above 40, which training does not mend"
    )
    assert at_first_rung(game, latency__ms_per_image=91) == (
        "at iteration 75: latency/ms_per_image 91 is above 60, which training does not mend"
    )


def test_without_a_pruner_nothing_stops():
    """`none` stops no trial, whatever it breaks; and the last rung of any pruner completes."""
    game = Game(spec_of(pruner={"type": "none"}, constraints=FIXED))
    assert at_first_rung(game, segm__AP=1, model__parameters=99) is None
    game = Game(spec_of(constraints=FIXED))
    game.start()
    assert game.report(0, 300, {"segm/AP": 1.0, "model/parameters": 99.0}) is TrialState.COMPLETED


# -- patience and images


def test_patience_ends_with_a_rung_that_is_worse():
    """With a patience of 1 one worse rung is borne, a second is not; a dip within min_delta is none."""
    pruner = {"type": "patient", "patience": 1, "min_delta": 2}
    game = Game(spec_of(pruner=pruner, fidelity=FIVE))
    for values in ((20, 17, 17), (20, 19, 18.5), (20, 17, 19), (10, 20, 17)):
        number = len(game.trials)
        game.start()
        for iteration, value in zip(FIVE["rungs"], values, strict=False):
            game.report(number, iteration, {"segm/AP": float(value)})
    ends = [(t.state, t.iteration, t.reason) for t in game.trials.values()]
    assert ends == [
        (TrialState.PRUNED, 200, "segm/AP 17 at iteration 200: no better for 2 rungs"),
        *[(TrialState.RUNNING, 200, None)] * 3,
    ]


HARD = [float(7 * (image % 11)) for image in range(20)]
"""The best trial's scores of 20 images."""


def image_game(**pruner: object) -> Game:
    """One completed trial of AP 40 and another, worse one."""
    game = Game(spec_of(pruner={"type": "wilcoxon", "startup_trials": 2, **pruner}))
    for number, (ap, scores) in enumerate([(40.0, HARD), (30.0, [0.0] * 20)]):
        game.start()
        for iteration in RUNGS:
            game.report(number, iteration, {"segm/AP": ap}, images(*scores))
    game.start()
    return game


STEADILY = images(*[max(0.0, score - 1) for score in HARD])
EVENLY = images(*[min(100.0, max(0.0, score + 3 * (-1) ** at)) for at, score in enumerate(HARD)])


@pytest.mark.parametrize(
    ("details", "options", "stops"),
    [
        pytest.param(STEADILY, {}, True, id="a little worse on every image"),
        pytest.param(images(*HARD), {}, False, id="the same"),
        pytest.param(EVENLY, {}, False, id="better on some, worse on others"),
        pytest.param(images(*[score + 5 for score in HARD]), {}, False, id="better"),
        pytest.param(STEADILY, {"min_images": 21}, False, id="too few images"),
        pytest.param(STEADILY, {"p_threshold": 1e-5}, False, id="a stricter test"),
        pytest.param(STEADILY, {"warmup_rungs": 1}, False, id="a rung that is spared"),
        pytest.param(STEADILY, {"startup_trials": 3}, False, id="too few completed trials"),
        pytest.param(images(*[0.0] * 20, ids=tuple(range(100, 120))), {}, False, id="other images"),
        pytest.param(EvaluationDetails(), {}, False, id="no scores"),
        pytest.param(None, {}, False, id="no details"),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_a_trial_stops_that_is_surely_worse_on_the_same_images(details, options, stops, restart):
    """Compared image by image with the best completed trial at the same rung, before and after a restart."""
    game = image_game(**options)
    if restart:
        game.restart()
    game.report(2, 75, {"segm/AP": 39.0}, details)
    why = "segm/AP 39 at iteration 75: masks fit worse than those of trial 0 there, on the same 20 images"
    assert game.trials[2].reason == (why if stops else None)


def test_the_best_that_breaks_a_constraint_stops_nobody_who_keeps_it():
    """Better masks are no merit of a trial that is not what was asked for."""
    game = Game(spec_of(pruner={"type": "wilcoxon", "startup_trials": 1}, constraints=BOUND))
    for number, latency in enumerate((70.0, 50.0, 80.0)):
        game.start()
        scores = HARD if number == 0 else [max(0.0, score - 1) for score in HARD]
        for iteration in RUNGS if number == 0 else RUNGS[:1]:
            game.report(
                number, iteration, {"segm/AP": 40.0, "latency/ms_per_image": latency}, images(*scores)
            )
    assert [t.state for t in game.trials.values()] == [
        TrialState.COMPLETED,
        TrialState.RUNNING,
        TrialState.PRUNED,
    ]


def test_only_details_that_may_be_compared_are_read_again():
    """Those of open trials and of the best; without the Wilcoxon rule none at all."""
    asked: list[int] = []

    def details_of(number: int) -> Mapping[int, EvaluationDetails]:
        asked.append(number)
        return {}

    game = image_game()
    game.report(2, 75, {"segm/AP": 39.0}, images(*HARD))
    for pruner in ("wilcoxon", "median"):
        sampler = OptunaSampler(spec_of(pruner={"type": pruner}), 7)
        sampler.replay(list(game.trials.values()), game.measurements)
        sampler.recall(details_of)
    assert asked == [0, 2]
