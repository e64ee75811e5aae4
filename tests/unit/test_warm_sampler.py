"""What samplers and pruners make of trials that were taken over."""

from dataclasses import replace

import pytest

from sweeps.core.states import TrialState
from sweeps.pruning.brackets import bracket_of
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import make_spec
from sweeps.warm.comparable import Setting
from sweeps.warm.plan import KnownTrial, Origin, Rerun, WarmPlan, WarmSummary
from sweeps.warm.takeover import Source, take_over
from tests.game import FLAT, SPECS, Game, answer, look


def plan_of(known=(), reruns=()):
    """A plan that was made by hand."""
    known = tuple(
        KnownTrial(Origin("parts-a", number), params, state, readings)
        for number, (params, state, readings) in enumerate(known)
    )
    reruns = tuple(Rerun(Origin("parts-b", number), params) for number, params in enumerate(reruns))
    return WarmPlan(
        WarmSummary(("parts-a",), {}, tuple(each.origin for each in reruns), {}, {}), known, reruns
    )


def earlier(sections, *, trials=25, fingerprint="data"):
    """What a sweep with another seed takes over from one that was played, some of it to be run again."""
    spec = make_spec(**sections)
    seeded = spec.model_copy(update={"sampler": spec.sampler.model_copy(update={"seed": 3})})
    game = Game(seeded)
    game.play(trials)
    measured = {}
    for m in game.measurements:
        measured[m.number] = m
    rows = [
        replace(t, metrics=measured[t.number].metrics, measured_iteration=measured[t.number].iteration)
        if t.number in measured
        else t
        for t in game.trials.values()
    ]
    same = Source("parts-a", Setting(seeded, "data", "base"), rows, game.measurements)
    half = [t for t in rows if t.number % 2]
    other = Source("parts-b", Setting(seeded, "others", "base"), half, game.measurements)
    start = make_spec(warm_start={"from": ["parts-a"], "trials": "all"}).warm_start
    wanting = Setting(spec.model_copy(update={"warm_start": start}), fingerprint, "base")
    known = take_over(wanting, [replace(same, trials=[t for t in rows if not t.number % 2])])
    again = take_over(wanting, [other])
    return WarmPlan(again.summary, known.known, again.reruns[:4])


@pytest.mark.parametrize("sections", SPECS.values(), ids=SPECS)
def test_restarts_change_no_suggestion_after_a_warm_start(sections):
    """What was taken over comes back from its JSON as it was, and so does every suggestion after it."""
    spec, warm = make_spec(**sections), earlier(sections)
    assert len(warm.known) > 5
    steady = Game(spec, warm=warm).play(30)
    assert Game(spec, warm=warm).play(30, restarts=lambda _: True) == steady
    assert [t.params for t in steady[:4]] == [each.params for each in warm.reruns]
    assert all(spec.space.contains(trial.params) for trial in steady)


@pytest.mark.slow  # imports torch, and each suggestion takes a second
def test_restarts_change_no_suggestion_of_a_gaussian_process_after_a_warm_start():
    """What was taken over is what the process is fitted to, restart or not."""
    spec = make_spec(sampler={"type": "gp", "seed": 7, "startup_trials": 3})
    warm = earlier({})
    steady = Game(spec, workers=2, warm=warm).play(8)
    assert Game(spec, workers=2, warm=warm).play(8, restarts=lambda turn: turn % 4 == 1) == steady


@pytest.mark.parametrize("sections", SPECS.values(), ids=SPECS)
def test_what_is_known_is_not_tried_again(sections):
    """No sampler spends a trial on parameters whose values were taken over."""
    spec, warm = make_spec(**sections), earlier(sections)
    played = [t.params for t in Game(spec, warm=warm).play(30)]
    assert [each.params for each in warm.known if each.params in played] == []


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "cma_es"])
def test_samplers_learn_from_what_is_known(kind):
    """With thirty known trials, the first ten trials are better than the first ten of a cold start."""
    sampler = {"type": kind, "seed": 7, "startup_trials": 10}
    sections = {"sampler": sampler, "pruner": {"type": "none"}, "space": FLAT}
    known = [
        (t.params, TrialState.COMPLETED, ((300, answer(t.params, 300)),))
        for t in Game(make_spec(**{**sections, "sampler": {"type": "random", "seed": 3}})).play(30)
    ]

    def mean(warm):
        played = Game(make_spec(**sections), workers=1, warm=warm).play(11)[:10]
        return sum(answer(t.params, 300)["segm/AP"] for t in played) / 10

    assert mean(plan_of(known)) > mean(None) + 2


def test_a_grid_skips_what_is_known_and_ends_with_the_rest():
    """Twelve cells of sixteen are known: four are left, then there is nothing to try."""
    space = {
        "mask_head.num_conv": {"low": 1, "high": 4},
        "augment.brightness": {"choices": [0.0, 0.1, 0.2, 0.3]},
    }
    spec = make_spec(space=space, sampler={"type": "grid"}, pruner={"type": "none"})
    cells = [{"mask_head.num_conv": n, "augment.brightness": b / 10} for n in (1, 2, 3, 4) for b in range(4)]
    known = [(cell, TrialState.COMPLETED, ((300, {"segm/AP": 1.0}),)) for cell in cells[:12]]
    sampler = OptunaSampler(spec, 0, plan_of(known))
    rest = [sampler.suggest(number).params for number in range(4)]
    assert sorted(rest, key=str) == sorted(cells[12:], key=str)
    assert sampler.suggest(4) is None


def test_reruns_are_the_first_suggestions_and_missing_parameters_are_drawn():
    """What the earlier sweep had stays; what it lacked is drawn, the same again after a restart."""
    spec = make_spec(sampler={"type": "random", "seed": 7})
    reruns = [{"solver.base_lr": 0.02, "mask_head.name": "strided"}, {"mask_head.num_conv": 3}]
    drawn = []
    for _ in range(2):
        sampler = OptunaSampler(spec, 7, plan_of(reruns=reruns))
        drawn.append([sampler.suggest(number).params for number in range(4)])
    assert drawn[0] == drawn[1]
    first, second, *_ = drawn[0]
    assert (first["solver.base_lr"], first["mask_head.name"]) == (0.02, "strided")
    assert second["mask_head.num_conv"] == 3
    assert all(spec.space.contains(params) for params in drawn[0])


@pytest.mark.parametrize("pruner", ["successive_halving", "hyperband", "median", "percentile"])
def test_pruners_compare_with_what_is_known(pruner):
    """A first trial that is far behind twenty known ones stops at a rung; without these it would go on."""
    options = {"startup_trials": 5} if pruner in ("median", "percentile") else {}
    spec = make_spec(pruner={"type": pruner, **options}, sampler={"type": "random", "seed": 7})
    count = next(
        n for n in range(20, 40) if bracket_of(n, 3, 3) == 0
    )  # the trial behind them is judged early
    params = Game(spec).sampler.suggest(0).params
    readings = [tuple((at, {"segm/AP": 50.0 + n}) for at in (75, 150, 300)) for n in range(count)]
    known = [(params, TrialState.COMPLETED, reading) for reading in readings]
    warm, cold = Game(spec, warm=plan_of(known)), Game(spec)
    for game in (warm, cold):
        game.start()
        states = [game.report(0, 75, {"segm/AP": 1.0})]
        states += [game.report(0, 150, {"segm/AP": 1.0})] if states[0] is TrialState.RUNNING else []
        assert (TrialState.PRUNED in states) == (game is warm)


@pytest.mark.parametrize("pruner", ["successive_halving", "hyperband"])
def test_known_trials_are_marked_as_if_they_had_run_here(pruner):
    """What Optuna's pruners note of a trial that comes to its rungs is noted of known ones, rung by rung."""
    spec = make_spec(pruner={"type": pruner}, sampler={"type": "random", "seed": 7})
    game = Game(spec, workers=1)
    game.play(40)
    known = []
    for trial in list(game.trials.values())[:-1]:
        readings = tuple((m.iteration, m.metrics) for m in game.measurements if m.number == trial.number)
        known.append((trial.params, trial.state, readings))
    marks = [
        [{k: v for k, v in t.system_attrs.items() if k.startswith("completed")} for t in study.trials[:39]]
        for study in (game.sampler.study, OptunaSampler(spec, 7, plan_of(known)).study)
    ]
    assert marks[0] == marks[1]
    assert any(len(mark) == 2 for mark in marks[0])


def test_the_rank_of_several_objectives_counts_what_is_known():
    """Halving by rank: a trial that known ones dominate stops at its first rung."""
    spec = make_spec(
        objectives=[{"metric": "segm/AP"}, {"metric": "bbox/AP"}], sampler={"type": "random", "seed": 7}
    )
    good = {"segm/AP": 50.0, "bbox/AP": 50.0}
    params = Game(spec).sampler.suggest(0).params
    known = [
        (params, TrialState.PRUNED, ((75, {name: v + n for name, v in good.items()}),)) for n in range(6)
    ]
    game = Game(spec, warm=plan_of(known))
    game.start()
    assert game.report(0, 75, {"segm/AP": 1.0, "bbox/AP": 1.0}) is TrialState.PRUNED


def test_the_wilcoxon_rule_passes_over_what_is_known():
    """There are no image scores of earlier sweeps: own trials are compared, and named by their numbers."""
    spec = make_spec(
        pruner={"type": "wilcoxon", "startup_trials": 1, "p_threshold": 0.2},
        sampler={"type": "random", "seed": 7},
    )
    params = Game(spec).sampler.suggest(0).params
    known = [(params, TrialState.COMPLETED, ((75, {"segm/AP": 99.0}), (300, {"segm/AP": 99.0})))] * 3
    game = Game(spec, warm=plan_of(known))
    game.start()
    better = {"solver.base_lr": 0.01, "mask_head.num_conv": 4, "mask_head.upsample_stride": 4}
    worse = {"solver.base_lr": 0.0001, "mask_head.num_conv": 4}
    for iteration in (75, 150, 300):
        game.report(0, iteration, {"segm/AP": 60.0}, look(better, iteration))
    game.start()
    assert game.report(1, 75, {"segm/AP": 1.0}, look(worse, 75)) is TrialState.PRUNED
    assert "than those of trial 0 there" in game.trials[1].reason
