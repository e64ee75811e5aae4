import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState as OptunaState

from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.samplers.sampler import OptunaSampler
from sweeps.samplers.seeds import trial_seed
from sweeps.testing import make_spec
from tests.game import BOUND, RUNGS, SPECS, TWO, Game, answer

GAUSSIAN = {
    "gp": {"sampler": {"type": "gp", "seed": 7, "startup_trials": 3}},
    "gp, two objectives, bound": {
        "sampler": {"type": "gp", "seed": 7, "startup_trials": 3, "deterministic": True},
        "objectives": TWO,
        "constraints": BOUND,
    },
}


@pytest.mark.parametrize("sections", SPECS.values(), ids=SPECS)
def test_restarts_change_no_suggestion(sections):
    """With the same seed and answers, a driver that restarts at every turn gets what a steady one gets."""
    spec = make_spec(**sections)
    steady = Game(spec).play(40)
    assert Game(spec).play(40, restarts=lambda _: True) == steady
    assert Game(spec).play(40, restarts=lambda turn: turn == 50) == steady


@pytest.mark.parametrize("sections", SPECS.values(), ids=SPECS)
def test_suggestions_lie_in_the_space(sections):
    """Every suggestion gives each active parameter, and only these, a value of its range."""
    spec = make_spec(**sections)
    outside = [t.params for t in Game(spec).play(40) if not spec.space.contains(t.params)]
    assert outside == []


@pytest.mark.slow  # imports torch, and each suggestion takes seconds
@pytest.mark.parametrize("sections", GAUSSIAN.values(), ids=GAUSSIAN)
def test_a_restart_changes_no_suggestion_of_a_gaussian_process(sections):
    """As above, with fewer trials: a suggestion takes a second."""
    spec = make_spec(**sections)
    steady = Game(spec, workers=2).play(8)
    assert Game(spec, workers=2).play(8, restarts=lambda turn: turn % 9 == 5) == steady
    assert all(spec.space.contains(trial.params) for trial in steady)


def test_suggestions_do_not_depend_on_the_process():
    """Python's hash seed, which differs between processes, has no influence."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from sweeps.testing import make_spec\n"
        "from tests.game import Game\n"
        "print([t.params for t in Game(make_spec()).play(25)])"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parents[2])]
    answers = [
        subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert answers[0] == answers[1]
    assert answers[0].count("solver.base_lr") == 25


def test_the_seed_decides():
    """Another seed gives other suggestions; a trial's own seed depends on both seed and number."""
    played = [Game(make_spec(sampler={"type": "tpe", "seed": seed})).play(5)[0].params for seed in (7, 8)]
    assert played[0] != played[1]
    seeds = [trial_seed(seed, number) for seed in range(50) for number in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) < max(seeds) < 2**31
    assert trial_seed(7, 0) == 1979670999


def test_tpe_learns():
    """After its random start, TPE suggests better trials than random search does."""

    def mean(**sampler: str) -> float:
        late = []
        for seed in (6, 7, 8):
            spec = make_spec(sampler={"seed": seed, **sampler}, pruner={"type": "none"})
            late += Game(spec, workers=1).play(60)[30:]
        return sum(answer(t.params, 300)["segm/AP"] for t in late) / len(late)

    by_chance = mean(type="random")
    assert mean(type="tpe", learns_from="rungs") > by_chance + 3
    assert mean(type="tpe", learns_from="ended") > by_chance + 3


def test_startup_trials_are_random():
    """Until as many trials ended as the spec says, TPE draws what random search draws."""
    tpe = Game(make_spec(sampler={"type": "tpe", "seed": 7, "startup_trials": 6}, pruner={"type": "none"}))
    rnd = Game(make_spec(sampler={"type": "random", "seed": 7}, pruner={"type": "none"}))
    drawn = [[t.params for t in game.play(20)] for game in (tpe, rnd)]
    alike = [a == b for a, b in zip(*drawn, strict=True)]
    assert all(alike[:6])
    assert not any(alike[-6:])


# -- early stopping


def asha(values: list[list[float]], factor: int, sign: int) -> list[int]:
    """At which rung each trial stops (Li et al., 2020, asynchronous), by the book; trials run one by one."""
    seen: list[list[float]] = [[] for _ in values[0]]
    ends = []
    for trial in values:
        for rung, value in enumerate(trial):
            seen[rung].append(sign * value)
            promoted = sorted(seen[rung], reverse=True)[: max(1, len(seen[rung]) // factor)]
            if rung == len(trial) - 1 or sign * value not in promoted:
                ends.append(rung)
                break
    return ends


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("rungs", [(75, 150, 300), (10, 200, 210, 3000), (5,)])
def test_successive_halving_stops_the_right_trials(factor, goal, rungs):
    """Whatever the rungs' spacing, a trial passes one if it is in the best 1/factor of those there."""
    spec = make_spec(
        objectives=[{"metric": "segm/AP", "goal": goal}],
        pruner={"type": "successive_halving", "reduction_factor": factor},
        fidelity={"iterations": rungs[-1], "rungs": list(rungs)},
        sampler={"type": "random", "seed": 1},
    )
    rng = random.Random(factor)
    values = [[rng.random() + rung for rung in range(len(rungs))] for _ in range(40)]
    sampler, ends = OptunaSampler(spec, 1), []
    for number, trial in enumerate(values):
        sampler.suggest(number)
        for rung, (iteration, value) in enumerate(zip(rungs, trial, strict=True)):
            metrics = {"segm/AP": value}
            pruned = sampler.observe(number, iteration, metrics)
            if pruned or rung == len(rungs) - 1:
                sampler.finish(number, TrialState.PRUNED if pruned else TrialState.COMPLETED, metrics)
                ends.append(rung)
                break
    assert ends == asha(values, factor, 1 if goal == "maximize" else -1)


def test_the_median_rule_spares_the_first_rungs():
    """With one warm-up rung, nothing stops at the first rung, and the worse half stops at the second."""
    pruner = {"type": "median", "startup_trials": 3, "warmup_rungs": 1}
    game = Game(make_spec(pruner=pruner))
    for number in range(3):
        game.start()
        for iteration in RUNGS:
            game.report(number, iteration, {"segm/AP": 10.0 + number})
    game.start()
    assert game.report(3, 75, {"segm/AP": 1.0}) is TrialState.RUNNING
    assert game.report(3, 150, {"segm/AP": 1.0}) is TrialState.PRUNED


def test_without_the_objective_nothing_is_learnt_and_nothing_stopped():
    """A rung where the objective could not be measured neither prunes nor enters a comparison."""
    game = Game(make_spec())
    for number in range(6):
        game.start()
        game.report(number, 75, {"segm/AP": 10.0 - number})
    for number, metrics in enumerate(({}, {"bbox/AP": 1.0}, {"segm/AP": math.nan}), 6):
        game.start()
        assert game.sampler.observe(number, 75, metrics) is None
        assert game.sampler.study.trials[number].intermediate_values == {}


def test_a_trial_that_missed_a_rung_does_not_compete_in_it_later():
    """A value of a later rung, trained longer, never stands in for one of an earlier rung."""
    game = Game(make_spec())
    game.start()
    game.sampler.observe(0, 75, {})
    assert game.sampler.observe(0, 150, {"segm/AP": 30.0}) is None
    game.start()
    assert game.report(1, 75, {"segm/AP": 10.0}) is TrialState.RUNNING
    assert game.report(1, 150, {"segm/AP": 20.0}) is TrialState.PRUNED


def test_a_rung_observed_again_keeps_its_value():
    """A retried attempt measures a rung again: the first value stays, and the trial is not stopped for it."""
    game = Game(make_spec())
    for number, value in enumerate((10.0, 20.0)):
        game.start()
        game.report(number, 75, {"segm/AP": value})
    assert game.sampler.observe(1, 75, {"segm/AP": 1.0}) is None
    assert game.sampler.study.trials[1].intermediate_values == {1: 20.0}


def test_the_last_rung_stops_nothing():
    """The worst trial that came so far still counts as complete."""
    game = Game(make_spec(pruner={"type": "median", "startup_trials": 1}))
    for number, value in enumerate((30.0, 40.0, 1.0)):
        game.start()
        assert game.report(number, 300, {"segm/AP": value}) is TrialState.COMPLETED


# -- what Optuna is told


def test_ends_are_told_as_what_they_teach():
    """Pruned trials keep their values, failures are passed over, the infeasible ranks below all."""
    game = Game(make_spec(constraints=BOUND))
    ends = [
        (TrialState.COMPLETED, {"segm/AP": 30.0, "latency/ms_per_image": 50.0}),
        (TrialState.PRUNED, {"segm/AP": 10.0, "latency/ms_per_image": 75.0}),
        (TrialState.FAILED, {}),
        (TrialState.CANCELLED, {"segm/AP": 10.0}),
        (TrialState.INFEASIBLE, {}),
        (TrialState.COMPLETED, {"segm/AP": 30.0}),
    ]
    for number, (state, metrics) in enumerate(ends):
        game.start()
        if metrics:
            game.measurements.append(Measurement(number, 1, 75, 0.0, metrics))
            game.sampler.observe(number, 75, metrics)
        game.end(number, state, metrics)
    for _ in range(2):
        told = game.sampler.study.trials
        assert [(t.state, t.values, t.intermediate_values) for t in told] == [
            (OptunaState.COMPLETE, [30.0], {1: 30.0}),
            (OptunaState.PRUNED, [10.0], {1: 10.0}),
            (OptunaState.FAIL, None, {}),
            (OptunaState.FAIL, None, {1: 10.0}),
            (OptunaState.PRUNED, None, {}),
            (OptunaState.COMPLETE, [30.0], {1: 30.0}),
        ]
        assert [list(t.constraints.values()) for t in told] == [[-10.0], [15.0], [], [], [1.0], [1.0]]
        game.restart()  # and the same once more from the rows


def test_tpe_keeps_away_from_the_infeasible():
    """A choice that always runs out of memory is suggested less and less."""
    game = Game(make_spec(pruner={"type": "none"}), workers=1)
    while len(game.trials) < 60:
        game.start()
        trial = game.trials[len(game.trials) - 1]
        if trial.params["mask_head.name"] == "strided":
            game.end(trial.number, TrialState.INFEASIBLE, {})
        else:
            game.end(trial.number, TrialState.COMPLETED, {"segm/AP": 10.0})
    late = [t.params["mask_head.name"] for t in list(game.trials.values())[30:]]
    assert late.count("strided") < len(late) / 5


def test_a_broken_bound_is_searched_less():
    """With a bound on latency, TPE goes where it is kept although the objective is better elsewhere."""

    def share(constraints) -> float:
        game = Game(make_spec(constraints=constraints, pruner={"type": "none"}), workers=1)
        while len(game.trials) < 60:
            game.start()
            trial = game.trials[len(game.trials) - 1]
            layers = float(trial.params["mask_head.num_conv"])
            game.end(
                trial.number,
                TrialState.COMPLETED,
                {"segm/AP": layers, "latency/ms_per_image": 10 * layers},
            )
        late = list(game.trials.values())[30:]
        return sum(t.params["mask_head.num_conv"] <= 4 for t in late) / len(late)

    assert share([]) < 0.2
    assert share([{"metric": "latency/ms_per_image", "max": 40}]) > 0.5


def test_trials_are_asked_for_in_order():
    """A number out of turn is refused: the sampler's trial and the sweep's would be different ones."""
    with pytest.raises(ValueError, match="the next trial is 0, but 3 was asked for"):
        OptunaSampler(make_spec(), 7).suggest(3)
